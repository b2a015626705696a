"""Makes docs/pictures/conversation.png: a real conversation with the real bot, in Discord's look.

The bot, its embedded models and the tool agent run as in production; Discord is the loopback one of tests/discord, and
a recorded question is spoken into a virtual microphone. Nothing of what the bot says is written here. Needs what the
tests need (Linux, PulseAudio, the models), and Chromium, Chrome or Edge.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.chdir(ROOT)

from discord_look import Line, page  # noqa: E402

from tests.agent.process import KEY, running  # noqa: E402
from tests.audio.pulse import PulseDaemon  # noqa: E402
from tests.discord import world  # noqa: E402
from tests.discord.conftest import BotProcess, log_in  # noqa: E402
from tests.discord.loopback import Loopback  # noqa: E402
from tests.discord.rest import Shown  # noqa: E402
from tests.discord.world import OWNER  # noqa: E402

PICTURE = ROOT / "docs" / "pictures" / "conversation.png"
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
WIDTH, SCALE = 760, 1.5
QUESTION = ROOT / "tests" / "audio" / "question_decorator.wav"
PROGRAM = """\
\"\"\"Greets people by their names.\"\"\"


def greet(name: str) -> str:
    return f"Hello, {name.strip() or 'stranger'}!"
"""
TESTS = """\
import unittest

from greet import greet


class Greeting(unittest.TestCase):
    def test_a_name(self):
        self.assertEqual(greet(" Ada "), "Hello, Ada!")

    def test_nobody(self):
        self.assertEqual(greet(""), "Hello, stranger!")
"""


MENTIONS = {str(number): f"@{name}" for number, name in world.NAMES.items()}
MENTIONS |= {str(world.CHANNEL): "# general", str(world.VOICE): "🔊 Lounge"}


class Channel:
    """The text channel, in the order in which things were written there."""

    def __init__(self, loopback: Loopback) -> None:
        self._loopback = loopback
        self._said: list[tuple[float, str, str]] = []
        """When, id and text of what a person wrote."""

    def say(self, text: str, expected: str) -> Shown:
        """Writes `text` and waits for an answer with `expected` in it."""
        before = len(self._loopback.messages)
        at, number = time.monotonic(), self._loopback.say(OWNER, text)
        self._said.append((at, number, text))
        return self._loopback.wait_for_text(expected, 90, before)

    def lines(self) -> list[Line]:
        written = [(at, self._of_person(at, number, text)) for at, number, text in self._said]
        here = [each for each in self._loopback.messages if each.raw["channel_id"] == str(world.CHANNEL)]
        written += [(each.times[0], self._of_bot(each)) for each in here if not each.deleted]
        return [line for _, line in sorted(written, key=lambda entry: entry[0])]

    def _of_person(self, at: float, number: str, text: str) -> Line:
        return Line(world.NAMES[OWNER], False, text, clock(at), reactions=tuple(self._loopback.rest.marks(number)))

    def _of_bot(self, shown: Shown) -> Line:
        if shown.raw["embeds"]:
            raise NotImplementedError("embeds have no look yet: give them one in discord_look.py")
        question = next((text for _, number, text in self._said if number == shown.replies_to), "")
        buttons = [(each["label"], each["style"]) for row in shown.raw["components"] for each in row["components"]]
        return Line(
            world.NAMES[world.BOT],
            True,
            shown.text,
            clock(shown.times[0]),
            answers=question and f"{world.NAMES[OWNER]} {question}",
            edited=len(shown.texts) > 1,
            buttons=tuple(buttons),
            files={name: len(content) for name, content in shown.files.items()},
        )


@contextmanager
def project() -> Iterator[Path]:
    """A small project at a path that can be read."""
    folder = Path(tempfile.gettempdir()) / "greeter"
    folder.mkdir()
    try:
        (folder / "greet.py").write_text(PROGRAM, encoding="utf-8")
        (folder / "test_greet.py").write_text(TESTS, encoding="utf-8")
        yield folder
    finally:
        shutil.rmtree(folder)


def clock(at: float) -> str:
    return datetime.fromtimestamp(time.time() - time.monotonic() + at).astimezone().strftime("%H:%M")


def converse(loopback: Loopback, bot: BotProcess, pulse: PulseDaemon) -> list[Line]:
    channel = Channel(loopback)
    card = channel.say("!direct", "Speak now")
    pulse.say(QUESTION).wait(20)
    loopback.wait_for_text("**Sidetone:** ", 90)
    loopback.wait("that it listens again", lambda: "listening" in card.text, 60)
    channel.say("!read greet.py", "def greet")
    run = channel.say("!run python3 -m unittest -v", "wants to run this")
    time.sleep(1)
    loopback.click(OWNER, run, "Approve")
    loopback.wait_for_text("Ran 2 tests", 60)
    loopback.wait("the end of it", lambda: settled(loopback), 30)
    channel.say("!run git clean -fdx", "wants to run this")
    time.sleep(2)
    if not bot.running:
        sys.exit(f"the bot has ended:\n{bot.output}")
    return channel.lines()


def settled(loopback: Loopback) -> bool:
    """Whether nothing has changed for two seconds."""
    return time.monotonic() - max(each.times[-1] for each in loopback.messages) > 2


def photograph(html: str, picture: Path, folder: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"None of {', '.join(BROWSERS)} is installed. Debian and Ubuntu: apt install chromium")
    source = folder / "page.html"
    source.write_text(html, encoding="utf-8")
    command = [browser, "--headless", "--hide-scrollbars", "--disable-gpu", f"--force-device-scale-factor={SCALE}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")
    take: Callable[..., subprocess.CompletedProcess[str]] = lambda *options: subprocess.run(  # noqa: E731
        [*command, *options, source.as_uri()], check=True, capture_output=True, encoding="utf-8", timeout=120
    )
    found = re.search(r'data-height="(\d+)"', take(f"--window-size={WIDTH},400", "--dump-dom").stdout)
    if not found:
        sys.exit("the browser did not lay out the page")
    picture.parent.mkdir(exist_ok=True)
    take(f"--window-size={WIDTH},{found[1]}", f"--screenshot={picture}")


def main() -> None:
    parser = argparse.ArgumentParser(description="A picture of a conversation with the bot in Discord.")
    parser.add_argument("--out", type=Path, default=PICTURE, metavar="FILE")
    parser.add_argument("--seed", default="1", help="of the language model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, project() as greeter:
        folder = Path(name)
        loopback = Loopback(folder)
        loopback.start()
        loopback.voice.present = {OWNER: world.VOICE}
        try:
            with PulseDaemon(folder) as pulse, running(folder, ALLOWED_DIRECTORIES=str(greeter)) as agent:
                settings = {"MODEL_PROFILE": "embedded", "LLM_SEED": options.seed, "PULSE_SERVER": pulse.server}
                bot = log_in(loopback, "-m", "bot", limit_s=180, API_KEY=KEY, PORT=str(agent.port), **settings)
                try:
                    lines = converse(loopback, bot, pulse)
                finally:
                    bot.kill()
        finally:
            loopback.stop()
        photograph(page("general", lines, MENTIONS), options.out.resolve(), folder)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB, {len(lines)} messages")


if __name__ == "__main__":
    main()
