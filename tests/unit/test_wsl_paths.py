r"""Paths between Windows and WSL, the odd ones too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_wsl.protocol import FileText, ReadFile, WatchAdd, WatchRemove
from bot.errors import AgentError
from bot.tools.hands import AgentHands
from bot.tools.paths import to_linux, to_windows


@pytest.mark.parametrize(
    ("windows", "linux"),
    [
        (r"C:\src\x", "/mnt/c/src/x"),
        ("c:/src/x", "/mnt/c/src/x"),
        (r"D:\Mixed/slashes\x.py", "/mnt/d/Mixed/slashes/x.py"),
        ("C:", "/mnt/c"),
        ("C:\\", "/mnt/c"),
        ("C:\\src\\", "/mnt/c/src"),
        (r"C:\\src\\\x", "/mnt/c/src/x"),
        (r"C:\src\..\x", "/mnt/c/src/../x"),
        (r"C:\Program Files\ä ö\x", "/mnt/c/Program Files/ä ö/x"),
        (r'"C:\Program Files\x.py"', "/mnt/c/Program Files/x.py"),
        (r"\\?\C:\src\x", "/mnt/c/src/x"),
        (r"\\?\UNC\wsl.localhost\Ubuntu\home\me", "/home/me"),
        (r"\\?\unc\wsl$\Ubuntu\home\me", "/home/me"),
        (r"\\wsl.localhost\Ubuntu\home\me\x.py", "/home/me/x.py"),
        (r"\\WSL.LocalHost\ubuntu\home", "/home"),
        (r"\\wsl$\Ubuntu\home\me", "/home/me"),
        ("//wsl.localhost/Ubuntu/home/me", "/home/me"),
        (r"\\wsl$\Ubuntu", "/"),
        ("\\\\wsl$\\Ubuntu\\", "/"),
        (r"\\wsl.localhost\Ubuntu\mnt\c\x", "/mnt/c/x"),
        (r"src\app.py", "src/app.py"),
        ("src/app.py", "src/app.py"),
        (r".\src", "./src"),
        (r"..\x", "../x"),
        ("README.md", "README.md"),
        (" README.md ", "README.md"),
        ("/mnt/c/src", "/mnt/c/src"),
        ("/home/me/with\\backslash", "/home/me/with\\backslash"),
        ("12:30.log", "12:30.log"),
        ("", ""),
        ('"', '"'),
    ],
)
def test_to_linux(windows: str, linux: str) -> None:
    assert to_linux(windows, "Ubuntu") == linux


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        (r"C:src\x", r"write C:\\src"),
        (r"\src\x", "root of a drive"),
        (r"\\server\share\x", "on the network"),
        (r"\\wsl.localhost.evil\Ubuntu\x", "on the network"),
        (r"\\.\PhysicalDrive0", "device"),
        (r"\\?\Volume{26a21bda-a627-11d7}\x", "device"),
        (r"\\wsl$", "names no distribution"),
        (r"\\wsl$\Debian\home", "in the distribution Debian, but the agent runs in Ubuntu"),
        (r"\\wsl$\Ubuntu-24.04\home", "in the distribution Ubuntu-24.04"),
    ],
)
def test_what_linux_does_not_reach_is_a_sentence(windows: str, sentence: str) -> None:
    with pytest.raises(AgentError, match=sentence) as refusal:
        to_linux(windows, "Ubuntu")
    assert refusal.value.reason == "denied"


def test_any_distribution_will_do_when_none_is_named() -> None:
    assert to_linux(r"\\wsl$\Debian\home") == "/home"


@pytest.mark.parametrize(
    ("linux", "windows"),
    [
        ("/mnt/c/src/x", r"C:\src\x"),
        ("/mnt/c", "C:\\"),
        ("/mnt/c/", "C:\\"),
        ("/mnt/cc/x", r"\\wsl.localhost\Ubuntu\mnt\cc\x"),
        ("/mnt/C/x", r"\\wsl.localhost\Ubuntu\mnt\C\x"),
        ("/mnt", r"\\wsl.localhost\Ubuntu\mnt"),
        ("/home/me/a b", r"\\wsl.localhost\Ubuntu\home\me\a b"),
        ("src/x", r"src\x"),
        ("/home/me/a:b", "/home/me/a:b"),
        ("/home/me/a\\b", "/home/me/a\\b"),
        ("/mnt/c/what?", "/mnt/c/what?"),
    ],
)
def test_to_windows(linux: str, windows: str) -> None:
    assert to_windows(linux, "Ubuntu") == windows


@pytest.mark.parametrize("path", [r"C:\src\x.py", r"\\wsl.localhost\Ubuntu\home\me\x", r"src\x"])
def test_there_and_back(path: str) -> None:
    assert to_windows(to_linux(path, "Ubuntu"), "Ubuntu") == path


def test_a_linux_path_has_no_windows_name_without_a_distribution() -> None:
    assert to_windows("/home/me") == "/home/me"


class AskedClient:
    """Stands where AgentClient does, and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def call(self, user: str, call: Any, deadline_s: float = 0) -> FileText:
        self.calls.append(call)
        return FileText("/mnt/c/x", 1, 0.0, False, "utf-8", "x", 0, 1, None, False)


@pytest.mark.parametrize(("windows", "asked"), [(True, "/mnt/c/x"), (False, r"C:\x")])
def test_what_a_user_types_is_translated_on_windows_alone(windows: bool, asked: str) -> None:
    client = AskedClient()
    hands = AgentHands(client, "Ubuntu", windows=windows)  # type: ignore[arg-type]
    asyncio.run(hands.read("me", r"C:\x", 3, 10))
    asyncio.run(hands.unwatch("me", r"C:\x"))
    assert client.calls == [ReadFile(asked, 2, 10), WatchRemove(asked)]
    with pytest.raises(AttributeError):
        asyncio.run(hands.watch("me", r"C:\x"))
    assert client.calls[-1] == WatchAdd(asked)
