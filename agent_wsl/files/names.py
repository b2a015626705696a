"""Paths as text: which forms are refused before the file system is asked. Pure."""

from __future__ import annotations

import re
import unicodedata

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal

SHOWN = 200
"""Characters of a path that an error message repeats."""
INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Unicode calls them letters or marks, but they have no shape."""
WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)
SHORT_NAME = re.compile(r"[^.]{1,7}~[0-9]{1,6}(\.[^.]{0,3})?")


def shown(path: str) -> str:
    """For messages and logs: what cannot be seen is escaped, what is too long is cut."""
    cut = path if len(path) <= SHOWN else path[:SHOWN] + "..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


def checked(path: str) -> str:
    """The path, with bytes that are UTF-8 as characters. Refuses forms that mean something elsewhere than on Linux, and
    characters that make a path look like another one to the person who reads the question or the log."""
    try:
        # Half characters that together are a whole one would slip through the check below.
        text = path.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _denied(path, "holds half a character, which no file name can") from None
    if not text:
        raise Refusal(ErrorCode.BAD_REQUEST, 'The path is empty: "." is the first allowed directory.')
    if text.startswith("\\"):
        raise _denied(text, "is a Windows path: give the Linux one, such as /mnt/c/Users")
    if re.match(r"[A-Za-z]:", text):
        raise _denied(text, "begins with a Windows drive: give the Linux path, such as /mnt/c/Users")
    if text.startswith("//"):
        raise _denied(text, "begins with two slashes, as a network path does")
    if re.match(r"file:|[A-Za-z][A-Za-z0-9+.-]*://", text, re.IGNORECASE):
        raise _denied(text, "is a URL: give the path alone")
    for character in text:
        if character.isascii() and character.isprintable():
            continue
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") or character in INVISIBLE_LETTERS:
            raise _denied(text, f"holds an invisible character (U+{ord(character):04X})")
    return text


def windows_trick(name: str) -> str:
    """Why one name means something else to Windows than it says; "" when it does not."""
    if any(c in '<>:"|?*\\' or ord(c) < 32 for c in name):
        return "holds a character that Windows does not allow in names, or one that begins an alternate data stream"
    if name not in (".", "..") and name.endswith((".", " ")):
        return "ends with a dot or a space, which Windows takes away"
    if name.split(".", 1)[0].rstrip(" ").lower() in WINDOWS_DEVICES:
        return "is the name of a Windows device"
    if SHORT_NAME.fullmatch(name) and len(name.split(".", 1)[0]) <= 8:
        return "looks like a shortened (8.3) Windows name: give the long one"
    return ""


def _denied(path: str, reason: str) -> Refusal:
    return Refusal(ErrorCode.DENIED, f"{shown(path)} {reason}.")
