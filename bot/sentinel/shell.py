"""Shells and the small programs they call: what was not found, not allowed, not understood, and what crashed."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, number

_KINDS = (
    ("command not found", "command not found"),
    ("is not recognized as", "command not found"),
    ("syntax error", "syntax error"),
    ("Syntax error", "syntax error"),
    ("unexpected EOF", "syntax error"),
    ("No such file or directory", "No such file or directory"),
    ("Permission denied", "Permission denied"),
    ("unbound variable", "unbound variable"),
    ("parameter not set", "unbound variable"),
    ("not found", "command not found"),
    ("Segmentation fault", "Segmentation fault"),
    ("Aborted", "Aborted"),
    ("Bus error", "Bus error"),
    ("Floating point exception", "Floating point exception"),
    ("Illegal instruction", "Illegal instruction"),
    ("Killed", "Killed"),
    ("division by 0", "division by 0"),
    ("division by zero", "division by 0"),
    ("No space left on device", "No space left on device"),
    ("Is a directory", "Is a directory"),
    ("Not a directory", "Not a directory"),
    ("bad substitution", "bad substitution"),
    ("cannot open", "No such file or directory"),
    ("readonly variable", "readonly variable"),
    ("not a valid identifier", "not a valid identifier"),
    ("Bad substitution", "bad substitution"),
    ("Exec format error", "Exec format error"),
    ("expected", "syntax error"),
    ("Argument list too long", "Argument list too long"),
    ("ambiguous redirect", "ambiguous redirect"),
    ("too many arguments", "too many arguments"),
    ("read-only file system", "Read-only file system"),
    ("arithmetic expression", "arithmetic expression"),
    ("bad array subscript", "bad array subscript"),
    ("here-document", ""),
)
_BASH = re.compile(r"([^\s:][^:]{0,200}): line (\d+): (.*)$")
_DASH = re.compile(r"([\w./-]{1,200}): (\d+): (.*)$")
_DASH_SAYS = re.compile(
    r"(?:.*: )?(?:not found|Permission denied|Syntax error.*|parameter not set|cannot open .*|Bad "
    r"substitution|No such file.*|arithmetic expression.*|Illegal .*|bad variable name|Is a directory)$"
)
_TOLD = re.compile(
    r"(?:-?(?:ba|z|da|k|fi)?sh|[a-z][\w.+-]{0,30}): (?!line )(.{0,300}?(?:: |not found: |^))?"
    r"(command not found(?:: \S+)?|No such file or directory|Permission denied|Is a directory|Not a "
    r"directory|not found|No space left on device|Exec format error)\.?$"
)
_CRASH = re.compile(
    r"(Segmentation fault|Aborted|Bus error|Floating point exception|Illegal instruction|Killed)(?: \(core dumped\))?$"
)
_WINDOWS = re.compile(r"'(.+)' is not recognized as an internal or external command,?$")
_GIT = re.compile(r"fatal: (.+)$")
_AT = re.compile(r"(?:At (.+?):(\d+) char:(\d+)|At line:(\d+) char:(\d+))$")
_SHELLS = re.compile(
    r"(?:^|/)(?:ba|da|z|k|a)?sh$|\.(?:ba|z|k)?sh$|^(?:main|environment|/etc/profile|~?/?\.\w+|[\w./-]+)$"
)


def _kind(message: str) -> str | None:
    return next((kind for words, kind in _KINDS if words in message), None)


class PowerShell(Block):
    """A message, then where, then the line itself behind plus signs."""

    patience = 4

    def follows(self, line: str) -> bool:
        self.sure = self.sure or bool(_AT.match(line))
        return (
            not line.startswith("At ") or bool(_AT.match(line))
            if not self.sure
            else line.startswith(("At ", "+ ", "    +"))
        )

    def close(self) -> Reading:
        found = next((f for f in map(_AT.match, self.lines) if f), None)
        if not found:
            return Reading()
        kind = next((f[1] for f in (re.search(r"FullyQualifiedErrorId : (\w+)", line) for line in self.lines) if f), "")
        frames = (RawFrame(found[1], number(found[2]), number(found[3])),) if found[1] else ()
        return Reading([Draft("shell", kind, self.lines[0], frames, tuple(self.lines))])


def _script(line: str) -> Block | None:
    found = _BASH.match(line)
    if found and _SHELLS.search(found[1]):
        kind = _kind(found[3])
        if kind is None or (kind == "Killed" and not found[3].strip()[:1].isdigit()):
            return None
        return _said(line, found, kind, re.sub(r"^\s*\d+ (?=[A-Z])", "", found[3]))
    found = _DASH.match(line)
    if found and _DASH_SAYS.match(found[3]):
        return _said(line, found, _kind(found[3]) or "", line.split(": ", 2)[2])
    return None


def _said(line: str, found: re.Match[str], kind: str, message: str) -> Block:
    # "bash: line 1:" and "sh: 1:" are command lines, no files.
    named = re.fullmatch(r"-?(?:ba|da|z|k|a)?sh", found[1]) is None
    frames = (RawFrame(found[1], number(found[2])),) if named else ()
    prefix = f"{found[1]}: line {found[2]}: "
    return Single(line, Draft("shell", kind, message, frames), lambda text: text.startswith(prefix) and "`" in text)


def _open(line: str, _before: str) -> Block | None:
    if line.startswith((" ", "\t", "+", "-e", "#")):
        return None
    if block := _script(line):
        return block
    if found := _TOLD.match(line):
        kind = _kind(found[2]) or ""
        return Single(line, Draft("shell", kind, line.split(": ", 1)[1]))
    if found := _CRASH.match(line):
        return Single(line, Draft("shell", found[1], line))
    if found := _WINDOWS.match(line):
        return Single(line, Draft("shell", "command not found", line))
    if found := _GIT.match(line):
        return Single(line, Draft("git", "fatal", found[1]))
    zsh = re.match(
        r"(\S+):(\d+): ((?:command not found|no such file or directory|permission denied|parse error).*)$", line
    )
    if zsh:
        frame = (RawFrame(zsh[1], number(zsh[2])),) if zsh[1] != "zsh" else ()
        return Single(line, Draft("shell", zsh[3].partition(":")[0], zsh[3], frame))
    return PowerShell(line) if re.match(r"\S.{0,200} : \S", line) and "not recognized" in line else None


GRAMMAR = Grammar(
    "shell",
    (
        ": line ",
        "not found",
        "o such file",
        "ermission denied",
        "egmentation fault",
        "Aborted",
        "Bus error",
        "Killed",
        "ntax error",
        "Floating point",
        "Illegal ",
        "not recognized",
        "fatal: ",
        "irectory",
        "not set",
        "cannot open",
        "ubstitution",
        "No space left",
        "Exec format",
        "arithmetic",
        "parse error",
    ),
    _open,
)
