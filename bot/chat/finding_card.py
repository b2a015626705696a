"""How a new error looks in Discord. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.chat.showing import block, inline, language
from bot.findings import Finding

BEFORE, AFTER = 3, 2
"""Lines of source around the one that the error names."""
LONGEST_LINE = 160
LONGEST_TEXT = 1000
"""Characters of what was printed, when there is no source to show."""


def lines_around(line: int) -> tuple[int, int]:
    """The first line, and how many."""
    first = max(1, line - BEFORE)
    return first, line + AFTER - first + 1


def card(finding: Finding, source: Sequence[tuple[int, str]], left_out: int = 0) -> str:
    """`source`: numbered lines around `finding.top`. `left_out`: other new errors that came too fast to be shown."""
    name = ": ".join(filter(None, (finding.type, finding.message)))
    lines = [f"🔎 New error: {inline(name, 300)}"]
    top, where = finding.top, f"from {inline(finding.source)}"
    if top is not None:
        place = top.path if top.line is None else f"{top.path}:{top.line}"
        where = f"at {inline(place)}{f' in {inline(top.function)}' if top.function else ''}, {where}"
    lines.append(where)
    if top is not None and source:
        width = len(str(source[-1][0]))
        body = (f"{'>' if n == top.line else ' '} {n:>{width}} {text[:LONGEST_LINE]}" for n, text in source)
        lines.append(block("\n".join(body), language(top.path)))
    elif finding.text.strip():
        lines.append(block(finding.text.strip()[-LONGEST_TEXT:]))
    if left_out:
        lines.append(f"{left_out} more came at once and are not shown.")
    lines.append("`!debug` looks into it again.")
    return "\n".join(lines)
