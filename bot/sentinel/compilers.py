"""Compilers that say path, line and message in one line: tsc, eslint, javac, Go, gcc, clang, mypy, MSBuild."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, indented, number

_P = r"((?:[A-Za-z]:[\\/])?[^\s:(\"'`<>|,;=][^:(\"'`<>|,;=]{0,300}?)"
"""A path at the line's start."""
_TSC = re.compile(rf"{_P}\((\d+),(\d+)\): error (TS\d+): (.*)$")
_TSC_PRETTY = re.compile(rf"{_P}:(\d+):(\d+) - error (TS\d+): (.*)$")
_TSC_NOWHERE = re.compile(r"error (TS\d+): (.*)$")
_MSBUILD = re.compile(
    rf"\s*(?:\d+>)?{_P}(?:\((\d+)(?:,(\d+))?[\d,]*\))? ?: (?:fatal )?error ([A-Z]{{1,8}}\d{{2,6}})?: (.*?)"
    rf"(?: \[[^\[\]]+proj(?:::[^\]]+)?\])?$"
)
_MSBUILD_NOWHERE = re.compile(r"(?:MSBUILD : )?error ((?:CS|MSB|NETSDK|NU|FS|BC|VB)\d+): (.*)$")
_GNU = re.compile(rf"{_P}:(\d+):(?:(\d+):)? (?:\d+: )?(fatal error|error|internal compiler error|Error): (.*)$")
_MYPY_CODE = re.compile(r"(.*?)\s+\[([a-z][a-z0-9-]+)\]$")
_GO = re.compile(r"(?:vet: )?((?:[A-Za-z]:)?[^\s:]{1,300}\.go):(\d+):(\d+): (.*)$")
_MAVEN = re.compile(rf"\[ERROR\] {_P}:\[(\d+),(\d+)\] (?:error: )?(.*)$")
_KOTLIN = re.compile(r"e: (?:file://)?([^\s:][^:]{0,300}\.kts?):? ?\(?(\d+)(?:[:,] ?(\d+))?\)?:? (.*)$")
_ESLINT_UNIX = re.compile(rf"{_P}:(\d+):(\d+): (.*) \[Error(?:/(\S+))?\]$")
_ESLINT_COMPACT = re.compile(rf"{_P}: line (\d+), col (\d+), Error - (.*?)(?: \((\S+)\))?$")
_ESLINT_ROW = re.compile(r"\s+(\d+):(\d+)\s+(error|warning)\s+(.*?)(?:\s\s+(\S+))?$")
_ESLINT_FILE = re.compile(r"(?:/|[A-Za-z]:[\\/]|\.{0,2}/?\w)[^:]{0,400}\.(?:[cm]?[jt]sx?|vue|svelte|astro|json|md)$")
_LANGUAGES = {
    "java": "java",
    "kt": "java",
    "kts": "java",
    "scala": "java",
    "go": "go",
    "rs": "rust",
    "py": "python",
    "pyi": "python",
    "ts": "typescript",
    "tsx": "typescript",
    "js": "node",
    "jsx": "node",
    "cs": "dotnet",
    "fs": "dotnet",
    "vb": "dotnet",
    "csproj": "dotnet",
    "fsproj": "dotnet",
    "sln": "dotnet",
    "rb": "ruby",
    "php": "php",
    "sh": "shell",
    "swift": "swift",
}


def language_of(path: str, otherwise: str) -> str:
    return _LANGUAGES.get(path.rpartition(".")[2].lower(), otherwise)


def _illustrates(line: str) -> bool:
    return indented(line) or bool(re.match(r"\d+ |~", line))


def _at(found: re.Match[str], language: str, kind: str, message: str, line: str) -> Block:
    frame = RawFrame(found[1], number(found[2]), number(found[3]))
    return Single(line, Draft(language, kind, message, (frame,)), _illustrates)


class Lint(Block):
    """eslint's default report: a file's name, then its rows."""

    patience = 1

    def follows(self, line: str) -> bool:
        if _ESLINT_ROW.match(line):
            self.sure = True
            return True
        return False

    def take(self, line: str) -> bool:
        if not self.follows(line):
            return False
        self.lines.append(line)
        return len(self.lines) < 2000

    def close(self) -> Reading:
        drafts = []
        for line in self.lines[1:]:
            found = _ESLINT_ROW.match(line)
            if found and found[3] == "error":
                frame = RawFrame(self.lines[0].strip(), number(found[1]), number(found[2]))
                drafts.append(Draft("eslint", found[5] or "", found[4].strip(), (frame,), (self.lines[0], line)))
        return Reading(drafts)


def _typescript(line: str, _before: str) -> Block | None:
    found = _TSC.match(line) or _TSC_PRETTY.match(line)
    if found:
        return _at(found, "typescript", found[4], found[5], line)
    found = _TSC_NOWHERE.match(line)
    return Single(line, Draft("typescript", found[1], found[2])) if found else None


def _eslint(line: str, _before: str) -> Block | None:
    if "rror" in line:
        found = _ESLINT_UNIX.match(line) or _ESLINT_COMPACT.match(line)
        if found:
            return _at(found, "eslint", found[5] or "", found[4], line)
    return Lint(line) if _ESLINT_FILE.match(line) else None


def _msbuild(line: str, _before: str) -> Block | None:
    if found := _MSBUILD_NOWHERE.match(line):
        return Single(line, Draft("dotnet", found[1], found[2]))
    found = _MSBUILD.match(line)
    if not found or not (found[4] or found[2]):
        return None
    code = found[4] or ""
    native = re.match(r"(?:C|LNK|RC)\d", code) is not None
    language = "c" if native else language_of(found[1], "dotnet")
    if not code and language not in ("c", "dotnet"):
        return None
    return _at(found, language, code or "error", found[5], line)


def _go(line: str, before: str) -> Block | None:
    found = _GO.match(line)
    return _at(found, "go", "", found[4], line) if found else None


def _jvm(line: str, _before: str) -> Block | None:
    found = _MAVEN.match(line) or _KOTLIN.match(line)
    return _at(found, "java", "error", found[4], line) if found else None


def _gnu(line: str, _before: str) -> Block | None:
    found = _GNU.match(line)
    if not found:
        return None
    kind, message = found[4], found[5]
    language = language_of(found[1], "c")
    if language == "python":
        code = _MYPY_CODE.match(message)
        kind, message = (code[2], code[1]) if code else (kind, message)
    return _at(found, language, kind, message, line)


GRAMMARS = (
    Grammar("typescript", ("error TS",), _typescript),
    Grammar("eslint", (".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs", ".vue", ".svelte"), _eslint),
    Grammar("msbuild", (": error ", ": fatal error ", "error CS", "error MSB", "error NETSDK", "error NU"), _msbuild),
    Grammar("go compile", (".go:",), _go),
    Grammar("jvm compile", ("[ERROR] ", "e: "), _jvm),
    Grammar("gnu", ("error: ", "Error: "), _gnu),
)
