"""What the tool agent gave, as Discord messages. Pure.

Contents of files, names and output are anybody's text: they stand in code, which they cannot leave, and characters that
cannot be seen are spelled out wherever somebody decides by what they see.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import PurePosixPath

from bot.agent_types import Change, Changes, FilePage, Hits, Job, Watched
from bot.chat.rendering import LIMIT, MAX_PARTS, Rendered, beginning, split, units
from bot.errors import AgentError

BREAK = "\N{ZERO WIDTH SPACE}"
"""Between two backticks it keeps them from ending a block of code."""
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and signs that show as nothing although Unicode counts them among those that do."""
LONGEST_NAME = 300
LISTED = 25
"""Entries of a list in one message."""
LANGUAGES = {
    "py pyi": "py", "js mjs cjs": "js", "ts": "ts", "tsx": "tsx", "jsx": "jsx", "rs": "rust", "go": "go", "c h": "c",
    "cpp cc cxx hpp hh": "cpp", "cs": "cs", "java": "java", "kt kts": "kotlin", "rb": "ruby", "php": "php",
    "sh bash": "bash", "ps1": "powershell", "sql": "sql", "html htm": "html", "css": "css", "scss": "scss",
    "xml svg": "xml", "json": "json", "yaml yml": "yaml", "toml": "toml", "ini cfg conf env": "ini", "md": "md",
    "diff patch": "diff", "lua": "lua", "swift": "swift", "scala": "scala", "pl pm": "perl", "r": "r",
    "ex exs": "elixir", "hs": "haskell", "vim": "vim", "tex": "tex", "dart": "dart", "zig": "zig", "nix": "nix",
    "mk": "makefile", "cmake": "cmake", "proto": "protobuf",
}  # fmt: skip
_BY_SUFFIX = {suffix: language for suffixes, language in LANGUAGES.items() for suffix in suffixes.split()}
_BY_NAME = {"makefile": "makefile", "dockerfile": "dockerfile", "cmakelists.txt": "cmake", "jenkinsfile": "groovy"}
_LINES = re.compile(r"(?P<path>.+?):(?P<first>\d{1,9})(?P<range>-(?P<last>\d{1,9})?)?")


def language(path: str) -> str:
    """What Discord colours a file as; empty when it is not known."""
    pure = PurePosixPath(path)
    return _BY_NAME.get(pure.name.lower()) or _BY_SUFFIX.get(pure.suffix.lower().removeprefix("."), "")


def asked_lines(text: str) -> tuple[str, int, int | None]:
    """The path, the first line and how many (None: all there are) of `PATH`, `PATH:12`, `PATH:12-40` or `PATH:12-`."""
    text = text.strip()
    found = _LINES.fullmatch(text)
    if not found:
        return text, 1, None
    first = max(1, int(found["first"]))
    if not found["range"]:
        return found["path"], first, 1
    return found["path"], first, max(1, int(found["last"]) - first + 1) if found["last"] else None


def asked_pattern(text: str) -> tuple[str, bool]:
    """What to look for, and whether it is a regular expression: those stand between slashes."""
    text = text.strip()
    regex = len(text) > 2 and text[0] == text[-1] == "/"
    return (text[1:-1], True) if regex else (text, False)


def file_name(path: str) -> str:
    """For an attachment with the contents of `path`: nothing but harmless characters."""
    name = re.sub(r"[^\w.-]", "_", PurePosixPath(asked_lines(path)[0]).name, flags=re.ASCII)[-60:].lstrip(".")
    return name or "file.txt"


def block(text: str, language: str = "") -> str:
    """A block of code that `text` cannot end."""
    safe = text.replace("``", f"`{BREAK}`").replace("``", f"`{BREAK}`").strip("\n").replace("\r", "")
    return f"```{language or 'text'}\n{safe}\n```"


def inline(text: str, longest: int = LONGEST_NAME) -> str:
    """A name in one line of code that it cannot leave."""
    shown = visible(text).replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}").replace("\n", "\\n") or " "
    return f"`{shown if len(shown) <= longest else shown[: longest - 1] + '…'}`"


def visible(text: str) -> str:
    """With every character spelled out that shows as nothing, or moves others about: a command must not look like
    another one. Newlines stay."""
    return "".join(
        character if character == "\n" or not _hidden(character) else f"\\u{{{ord(character):x}}}" for character in text
    )


def _hidden(character: str) -> bool:
    if character in BLANKS:
        return True
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or (
        unicodedata.category(character) == "Zs" and character != " "
    )


def failure(error: AgentError) -> str:
    """The sentence for the user, with the time to try again."""
    sentence = plain(str(error))
    if error.retry_after_s is None or "try again in" in sentence:
        return sentence
    return f"{sentence} Try again in {error.retry_after_s:.0f} s."


def plain(text: str) -> str:
    """A sentence that may hold names of files: links, marks and mentions in it are nothing but text."""
    marked = re.sub(r"([\\*_~|`\[\]<>])", r"\\\1", visible(text))
    return beginning(marked.replace("@", f"@{BREAK}").replace("://", f":{BREAK}//"), LIMIT - 200)


def page(shown: FilePage) -> Rendered:
    if shown.binary:
        return Rendered((f"{inline(shown.path)} is binary ({size(shown.size)}), so there is no text to show.",))
    if not shown.lines:
        what = "is empty." if shown.first_line == 1 else f"has no line {shown.first_line}."
        return Rendered((f"{inline(shown.path)} {what}",))
    lines = shown.text.removesuffix("\n").split("\n")
    last = shown.first_line + shown.lines - 1
    width = len(str(last))
    body = "\n".join(f"{number:>{width}} {line}" for number, line in enumerate(lines, shown.first_line))
    note = " A line was too long and is cut." if shown.cut else ""
    if shown.more:
        note += f" It goes on: `{PurePosixPath(shown.path).name[:100].replace('`', '')}:{last + 1}-` is next."
    where = f"lines {shown.first_line} to {last}" if last > shown.first_line else f"line {last}"
    head = f"{inline(shown.path)}, {where} of a file of {size(shown.size)}.{note}"
    return fitted(head, block(body, language(shown.path)), shown.text)


def fitted(head: str, code: str, whole: str) -> Rendered:
    """A heading and a block of code over as many messages as it takes; beyond MAX_PARTS the beginning and a file."""
    # A little more than would fit is enough to know that it does not.
    parts = split(f"{head}\n{code[: LIMIT * (MAX_PARTS + 1)]}")
    if len(parts) <= MAX_PARTS:
        return Rendered(tuple(parts))
    head = f"{head} This is the beginning; all of it is in the file."
    first = beginning(code, LIMIT - units(head) - len("\n\n```"))
    newline = first.rfind("\n")
    # One line that is longer than a message is cut in it.
    first = first[:newline] if newline > len(first) // 2 else first
    return Rendered((f"{head}\n{first}\n```",), whole)


def hits(found: Hits, pattern: str) -> Rendered:
    searched = f"{found.files} file{'s' * (found.files != 1)} searched"
    if found.skipped:
        searched += f", {found.skipped} left out (binary, too large or not readable)"
    if not found.hits:
        return Rendered((f"Nothing found for {inline(pattern)}; {searched}.",))
    stopped = {"hits": " There are more.", "time": " The time was up before all was searched."}.get(found.stopped, "")
    places = f"{len(found.hits)} hit{'s' * (len(found.hits) != 1)}"
    head = f"{places} for {inline(pattern)}; {searched}.{stopped}"
    text = "\n".join(
        f"{visible(path)}\n" + "\n".join(f"{hit.line:>6} {hit.text.strip()}" for hit in group)
        for path, group in groupby(found.hits, lambda hit: hit.path)
    )
    return fitted(head, block(text), text)


def watched(each: Watched) -> str:
    return f"{inline(each.path)} ({each.kind}; {plain(each.reason)})"


def watches(found: Sequence[Watched]) -> str:
    if not found:
        return "Nothing is watched. `!watch DIR` or `!watch FILE` begins it."
    return _listed([watched(each) for each in found])


def changes(found: Changes) -> Rendered:
    lost = ""
    if found.lost < 0:
        lost = " The agent was restarted in between; what happened before that is not known."
    elif found.lost:
        lost = f" {found.lost} older ones are not kept any more."
    if not found.changes:
        return Rendered((f"Nothing has changed since the last look.{lost}",))
    count = len(found.changes)
    text = "\n".join(map(_change, found.changes))
    return fitted(f"{count} change{'s' * (count != 1)}, oldest first.{lost}", block(text), text)


def _change(change: Change) -> str:
    came_from = f" (from {visible(change.moved_from)})" if change.moved_from else ""
    note = f" [{visible(change.note)}]" if change.note else ""
    lines = "".join(f"\n    {line}" for line in change.lines)
    return f"{change.kind:<8} {visible(change.path)}{came_from}{note}{lines}"


def jobs(found: Sequence[Job]) -> str:
    if not found:
        return "You have no commands, running or ended. `!run COMMAND` starts one."
    return _listed([f"{inline(job.job_id)} {ending(job)}: {inline(job.command, 120)}" for job in found])


def ending(job: Job) -> str:
    """How a job ended, or how far it is."""
    if job.state == "queued":
        return "waits for its turn"
    took = seconds(job.duration_s)
    if job.state != "done":
        return f"has been running for {took}"
    why = {
        "timeout": "was ended: it took longer than it may",
        "killed": "was ended by `!kill`",
        "memory": "was ended: it took more memory than it may",
        "processes": "was ended: it started more processes than it may",
        "disk": "was ended: it wrote more than it may",
        "stopping": "was ended, because the agent was stopped",
        "signal": f"was ended by {job.signal}",
    }.get(job.ended_by, "ended")
    return f"{why}; exit code {job.exit_code}, after {took}"


def seconds(duration: float) -> str:
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if count < 1000 or unit == "MB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


def _listed(lines: Sequence[str]) -> str:
    shown: list[str] = []
    for line in lines[:LISTED]:
        if sum(map(units, shown)) + units(line) > LIMIT - 200:
            break
        shown.append(line)
    more = len(lines) - len(shown)
    return "\n".join([*shown, *([f"... and {more} more."] if more else [])])
