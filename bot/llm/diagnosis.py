"""How a model is asked what went wrong. Pure, but for counting tokens."""

from __future__ import annotations

from collections.abc import Callable

from bot.findings import Finding, TraceFrame

BEFORE = "Diagnose this error for me, in writing."
AFTER = """\
Say in one sentence what failed, with the file and line. Then say why, as the text shows it. Then show how to mend it, \
in a fenced block. If the text does not show enough, say what I should look at next."""
"""Behind the text: with it before the text, the 0.5B model explains another error than the one that is there."""

LINE = 400
"""Characters; a longer line is taken as several, so that what is left out is never a whole file."""
HEAD = 0.25
"""Of the lines that are kept, those of the beginning. What matters is more often at the end."""
LONGEST_TOKEN = 8
"""Characters. A text with more than this for each token that there is room for need not be counted."""


class DiagnosisQuestion:
    """Implements ports.Diagnosis."""

    def __init__(self, count: Callable[[str], int], room: Callable[[], int]) -> None:
        """`count`: tokens in a text. `room`: tokens that one question may have; asked anew each time."""
        self._count = count
        self._room = room

    def question(self, finding: Finding) -> tuple[str, int]:
        lines = [line[at : at + LINE] for line in finding.text.splitlines() for at in range(0, len(line) or 1, LINE)]
        room = self._room()

        def fits(kept: int) -> bool:
            text = asked(finding, middle_out(lines, kept))
            return len(text) <= room * LONGEST_TOKEN and self._count(text) <= room

        low, high = 0, len(lines)
        if fits(high):
            return asked(finding, lines), 0
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return asked(finding, middle_out(lines, low)), len(lines) - low


def middle_out(lines: list[str], kept: int) -> list[str]:
    """The beginning and the end of `lines`, `kept` of them in all, and how many are not there."""
    if kept >= len(lines):
        return lines
    head = int(kept * HEAD)
    tail = lines[len(lines) - (kept - head) :]
    return [*lines[:head], f"[{len(lines) - kept} lines are left out here]", *tail]


def asked(finding: Finding, lines: list[str]) -> str:
    known = [
        f"It comes from {finding.source}." if finding.source else "",
        f"Error: {': '.join(filter(None, (finding.type, finding.message)))}" if finding.type else "",
        f"Where to look first: {_place(finding.top)}" if finding.top else "",
        f"It came {finding.count} times." if finding.count > 1 else "",
    ]
    text = "\n".join(lines).strip("\n")
    fence = "```"
    while fence in text:
        fence += "`"
    quoted = f"{fence}text\n{text}\n{fence}" if text.strip() else "It printed nothing."
    return "\n".join(filter(None, (BEFORE, *known, quoted, AFTER)))


def _place(frame: TraceFrame) -> str:
    line = f":{frame.line}" if frame.line is not None else ""
    return f"{frame.path}{line}{f' in {frame.function}' if frame.function else ''}"
