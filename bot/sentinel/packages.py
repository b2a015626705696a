"""make, ninja, npm, pnpm, yarn, pip, docker: what they say when they give up."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, Single, number

_MAKE = re.compile(
    r"(?:g?make|mingw32-make)(?:\.exe)?(?:\[\d+\])?: \*\*\* (?:\[(?:([^\]:]+):(\d+): )?([^\]]+)\] )?(.*?)"
    r"(?:\.?  ?Stop\.)?$"
)
_MAKEFILE = re.compile(r"([^\s:]+):(\d+): \*\*\* (.*?)(?:\.  Stop\.)?$")
_NPM = re.compile(r"npm (?:ERR!|error)(?: (.*))?$")
_NPM_NOISE = re.compile(
    r"(?:code|errno|syscall|path|dest|A complete log|Lifecycle script|location|workspace|signal|command|"
    r"Log files|$)\b|\s*$"
)
_PIP = re.compile(
    r"(?:ERROR|error): (Could not (?:find a version|install packages|open requirements file|build wheels|"
    r"detect requirement).*|No matching distribution found.*"
    r"|Cannot (?:install|uninstall).*|ResolutionImpossible.*|Failed (?:building wheel|to build).*|Invalid "
    r"requirement.*|Package '.*' requires a different Python.*"
    r"|subprocess-exited-with-error|Directory '.*' is not installable.*|.*metadata-generation-failed.*|"
    r"Exception:.*|externally-managed-environment"
    r"|.* is not a (?:supported wheel|valid).*|THESE PACKAGES DO NOT MATCH.*|Ignored the following.*|"
    r".*pip's dependency resolver does not.*|unknown command \".*"
    r"|You must give at least one requirement.*|HTTP error \d+.*|File \".*\" does not exist.*|.*neither "
    r"'setup.py' nor 'pyproject.toml' found.*)$"
)
_DOCKER = re.compile(
    r"(?:docker: )?(Error response from daemon: .*|ERROR: failed to (?:solve|build).*|Cannot connect to "
    r"the Docker daemon.*|unable to prepare context: .*"
    r"|failed to (?:solve|compute cache key|read dockerfile)\b.*|ERROR: Cannot connect to the Docker "
    r"daemon.*|.*permission denied while trying to connect to the Docker daemon.*"
    r"|[Ss]ervice \"?'?[\w-]+'?\"? (?:failed to build|refers to undefined).*|ERROR: resolve : .*|ERROR: "
    r"unable to .*|no configuration file provided: not found|unknown docker command.*)$"
)
_DOCKERFILE = re.compile(r"(\S*[Dd]ockerfile\S*):(\d+)$")
_YARN = re.compile(
    r"error (Couldn't find package .*|An unexpected error occurred: .*|Your lockfile needs .*|Command "
    r"\".*\" not found.*|Couldn't find a package.json.*)$"
)
_PNPM = re.compile(r"\s?\u2009?(ERR_PNPM_\w+)\s+(.*)$")
_NINJA = re.compile(r"ninja: error: (.*)$")


class Npm(Block):
    patience = 60

    def follows(self, line: str) -> bool:
        return _NPM.match(line) is not None

    def close(self) -> Reading:
        said = [f[1] or "" for f in map(_NPM.match, self.lines) if f]
        code = next((s.split()[1] for s in said if re.match(r"code \S+", s)), "")
        message = next((s for s in said if not _NPM_NOISE.match(s)), "")
        # A script that failed has said why itself.
        script = code in ("ELIFECYCLE", "") or code.isdigit()
        secondary = script and not message.startswith(("Missing script", "Invalid", "Cannot read"))
        if not message and not code:
            return Reading()
        return Reading([Draft("npm", code, message, (), tuple(self.lines), secondary=secondary)])


class Pip(Block):
    """Several lines in a row are one failure."""

    def follows(self, line: str) -> bool:
        return _PIP.match(line) is not None or line.startswith(
            ("  \u00d7", "  \u2570", "  ", "\u00d7", "\u2570", "note: ")
        )

    def close(self) -> Reading:
        found = _PIP.match(self.lines[0])
        message = found[1] if found else self.lines[0]
        if message == "subprocess-exited-with-error":
            message = next((line.strip(" \u00d7") for line in self.lines[1:] if "\u00d7" in line), message)
        return Reading([Draft("pip", "", message, (), tuple(self.lines))])


class Dockerfile(Block):
    """buildkit shows the instruction that failed before it says so."""

    patience = 30

    def __init__(self, first: str, found: re.Match[str]) -> None:
        super().__init__(first)
        self.found = found
        self.said = ""

    def follows(self, line: str) -> bool:
        if self.said:
            return False
        found = _DOCKER.match(line)
        self.said = found[1] if found else ""
        return bool(found) or line.startswith(("---", " ", "\t")) or not line

    def close(self) -> Reading:
        if not self.said:
            return Reading()
        frame = RawFrame(self.found[1], number(self.found[2]))
        return Reading([Draft("docker", "", self.said.removeprefix("ERROR: "), (frame,), tuple(self.lines))])


def _make(line: str) -> Block | None:
    if found := _MAKEFILE.match(line):
        return Single(line, Draft("make", "", found[3], (RawFrame(found[1], number(found[2])),)))
    found = _MAKE.match(line)
    if not found or "(ignored)" in line:
        return None
    failed = re.search(r"Error \d+$|Segmentation fault|Killed|Waiting for unfinished", line) is not None
    frames = (RawFrame(found[1], number(found[2]), function=found[3]),) if found[1] else ()
    message = f"[{found[3]}] {found[4]}" if found[3] else found[4]
    if "Waiting for unfinished" in line:
        return None
    kind = found[4] if failed else ""
    return Single(line, Draft("make", kind, message, frames, secondary=failed))


def _open(line: str, _before: str) -> Block | None:
    if "*** " in line and (block := _make(line)):
        return block
    if line.startswith("npm ") and _NPM.match(line):
        return Npm(line)
    if line.startswith(("ERROR: ", "error: ")) and _PIP.match(line):
        return Pip(line)
    if "ockerfile" in line and (found := _DOCKERFILE.match(line)):
        return Dockerfile(line, found)
    for pattern, tool in ((_DOCKER, "docker"), (_YARN, "yarn"), (_NINJA, "ninja")):
        if found := pattern.match(line):
            return Single(line, Draft(tool, "", found[1].removeprefix("ERROR: ")))
    found = _PNPM.match(line)
    return Single(line, Draft("pnpm", found[1], found[2])) if found else None


GRAMMAR = Grammar(
    "packages",
    (
        "*** ",
        "npm ",
        "ERROR: ",
        "error: ",
        "rror response",
        "ockerfile",
        "ocker daemon",
        "failed to ",
        "prepare context",
        "ervice ",
        "error Co",
        "error An",
        "error Your",
        "ERR_PNPM",
        "ninja: ",
        "no configuration",
        "ocker command",
    ),
    _open,
)
