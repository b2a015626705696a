r"""Paths between Windows and WSL: `C:\src` <-> `/mnt/c/src`, `\\wsl.localhost\Ubuntu\home\x` <-> `/home/x`. Pure."""

from __future__ import annotations

import re

from bot.errors import AgentError

DRIVE = re.compile(r"([A-Za-z]):(.*)", re.DOTALL)
MOUNTED = re.compile(r"/mnt/([a-z])(/.*)?", re.DOTALL)
WSL_SHARES = ("wsl.localhost", "wsl$")
"""The names under which Windows shows the files of a distribution."""
LONG = "\\\\?\\"
UNKNOWN_TO_WINDOWS = frozenset('<>:"|?*\\')


def to_linux(path: str, distribution: str = "") -> str:
    """What the agent in `distribution` calls it; Linux paths stay as they are, relative ones relative. Raises
    AgentError, as a sentence, for what Linux cannot reach. Whether it may be read is for the agent to say."""
    text = path.strip()
    if len(text) > 2 and text[0] == text[-1] == '"':
        # As Explorer's "Copy as path" gives it.
        text = text[1:-1].strip()
    if text.startswith("/") and not text.startswith("//"):
        return text
    slashed = text.replace("/", "\\")
    if slashed.upper().startswith(LONG + "UNC\\"):
        slashed = "\\\\" + slashed[len(LONG) + 4 :]
    elif slashed.startswith(LONG) and DRIVE.match(slashed, len(LONG)):
        slashed = slashed[len(LONG) :]
    if slashed.startswith("\\\\"):
        return _of_share(text, slashed[2:], distribution)
    if slashed.startswith("\\"):
        raise _refused(text, "begins at the root of a drive, but not which: write it with the drive, as C:\\src")
    if found := DRIVE.fullmatch(slashed):
        letter, rest = found[1].lower(), found[2]
        if rest and not rest.startswith("\\"):
            raise _refused(text, f"depends on where that drive was left: write {letter.upper()}:\\{rest}")
        return _joined(f"/mnt/{letter}", rest)
    return slashed.replace("\\", "/")


def _of_share(text: str, rest: str, distribution: str) -> str:
    server, _, rest = rest.partition("\\")
    if server in (".", "?"):
        raise _refused(text, "is the name of a device, not of a file")
    if server.lower() not in WSL_SHARES:
        raise _refused(text, "is on the network, where the agent does not reach: copy it into WSL, or onto a drive")
    name, _, rest = rest.partition("\\")
    if not name:
        raise _refused(text, f"names no distribution: write \\\\{server}\\Ubuntu\\home\\...")
    if distribution and name.lower() != distribution.lower():
        raise _refused(text, f"is in the distribution {name}, but the agent runs in {distribution}")
    return _joined("", "\\" + rest)


def _joined(start: str, rest: str) -> str:
    parts = [part for part in rest.split("\\") if part]
    return "/".join([start, *parts]) or "/"


def to_windows(path: str, distribution: str = "") -> str:
    """What Windows calls a file of the agent's; as it is when Windows has no name for it."""
    if UNKNOWN_TO_WINDOWS & set(path):
        return path
    if found := MOUNTED.fullmatch(path):
        return f"{found[1].upper()}:" + ((found[2] or "/").replace("/", "\\"))
    if not path.startswith("/"):
        return path.replace("/", "\\")
    return f"\\\\wsl.localhost\\{distribution}" + path.replace("/", "\\") if distribution else path


def _refused(path: str, why: str) -> AgentError:
    return AgentError(f"{path} {why}.", "denied")
