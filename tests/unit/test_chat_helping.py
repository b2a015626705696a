"""The overview of the commands."""

from __future__ import annotations

from bot.chat.helping import FOOT, Line, overview


def test_commands_stand_in_their_groups_and_none_is_lost() -> None:
    lines = [
        Line("run", "COMMAND", "Runs it"),
        Line("ask", "", "Asks"),
        Line("zap", "", "New"),
        Line("jobs", "", "Lists"),
    ]
    assert overview(lines, "!") == (
        "**Ask me**\n`!ask` Asks\n\n**Run commands**\n`!run COMMAND` Runs it\n`!jobs` Lists\n\n"
        f"**More**\n`!zap` New\n\n{FOOT}"
    )
