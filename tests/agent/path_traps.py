"""What an attacker could have planted in an allowed directory, the paths that use it, and processes that flip names."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_wsl.envelope import ErrorCode

SECRET = "SECRET"  # noqa: S105
DENIED, NOT_FOUND, WRONG_TYPE = ErrorCode.DENIED, ErrorCode.NOT_FOUND, ErrorCode.WRONG_TYPE
TOO_LARGE, BAD_REQUEST = ErrorCode.TOO_LARGE, ErrorCode.BAD_REQUEST


@dataclass(frozen=True)
class Place:
    root: Path
    """Allowed. Beside it: `outside` with secret.txt, and `allowed-evil`."""

    @property
    def outside(self) -> Path:
        return self.root.parent / "outside"


def plant(root: Path) -> Place:
    """Idempotent. `root` exists; what lies beside it is made where it is missing."""
    place = Place(root)
    evil = root.parent / f"{root.name}-evil"
    for directory in (place.outside, evil, root / "dir/sub"):
        directory.mkdir(parents=True, exist_ok=True)
    for secret in (place.outside / "secret.txt", place.outside / "linked.txt", evil / "secret.txt"):
        secret.write_text(SECRET, encoding="utf-8")
    (root / "fine.txt").write_text("fine", encoding="utf-8")
    (root / "dir/sub/deep.txt").write_text("fine", encoding="utf-8")
    (root / "caf\u00e9.txt").write_text("fine", encoding="utf-8")
    links = {
        "absolute": place.outside / "secret.txt",
        "relative": "../outside/secret.txt",
        "into": "../outside",
        "into-absolute": place.outside,
        "chain": "chain2", "chain2": "dir/../chain3", "chain3": "../outside/secret.txt",
        "loop": "loop2", "loop2": "loop", "self": "self", "dir/around": "../dir/around/x",
        "dangling": "../outside/nothing", "dangling-absolute": place.outside / "nothing",
        "proc-root": "/proc/self/root", "proc-cwd": "/proc/self/cwd", "proc-fd": "/proc/self/fd", "top": "/",
        "dir/sub/up": "../../..",
    }  # fmt: skip
    for name, target in links.items():
        if not (root / name).is_symlink():
            (root / name).symlink_to(target)
    if not (root / "hard").exists():
        os.link(place.outside / "linked.txt", root / "hard")
        os.mkfifo(root / "fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(root / "socket"))
        with open(root / "sparse", "wb") as sparse:
            sparse.truncate(1 << 40)
        if os.geteuid() == 0:
            os.mknod(root / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    return place


Answers = ErrorCode | tuple[ErrorCode, ...]
PATHS: dict[str, tuple[str, Answers]] = {
    # The way up
    "dot-dot": ("..", DENIED),
    "dot-dot-file": ("../outside/secret.txt", DENIED),
    "dot-dot-inside": ("dir/../../outside/secret.txt", DENIED),
    "dot-dot-and-back": ("../allowed/fine.txt", DENIED),
    "dot-dot-many": ("../" * 200 + "etc/passwd", DENIED),
    "dot-dot-slashes": ("..//..///etc/passwd", DENIED),
    "dot-dot-absolute": ("{root}/../outside/secret.txt", DENIED),
    "dot-dot-after-file": ("fine.txt/../../outside/secret.txt", NOT_FOUND),
    "dot-dot-after-nothing": ("nothing/../../outside/secret.txt", (NOT_FOUND, DENIED)),
    "dot-dot-url-encoded": ("%2e%2e/outside/secret.txt", NOT_FOUND),
    "dot-dot-overlong": (os.fsdecode(b"\xc0\xae\xc0\xae/outside/secret.txt"), NOT_FOUND),
    "dot-dot-backslash": ("..\\outside\\secret.txt", NOT_FOUND),
    "dot-dot-fullwidth": ("\uff0e\uff0e/outside/secret.txt", NOT_FOUND),
    "dot-dot-leader": ("\u2024\u2024/outside/secret.txt", NOT_FOUND),
    "dot-dot-two-dot-leader": ("\u2025/outside/secret.txt", NOT_FOUND),
    "solidus-fullwidth": ("..\uff0foutside\uff0fsecret.txt", NOT_FOUND),
    "solidus-division": ("..\u2215outside\u2215secret.txt", NOT_FOUND),
    "solidus-fraction": ("..\u2044outside\u2044secret.txt", NOT_FOUND),
    "three-dots": (".../outside/secret.txt", NOT_FOUND),
    # Elsewhere
    "absolute": ("/etc/passwd", DENIED),
    "absolute-outside": ("{outside}/secret.txt", DENIED),
    "absolute-missing": ("{outside}/nothing", DENIED),
    "parent": ("{parent}", DENIED),
    "slash": ("/", DENIED),
    "sibling-prefix": ("{root}-evil/secret.txt", DENIED),
    "sibling-case": ("{parent}/ALLOWED/fine.txt", DENIED),
    "case": ("FINE.TXT", NOT_FOUND),
    "tilde": ("~/.ssh/id_rsa", NOT_FOUND),
    "tilde-root": ("~root/.bashrc", NOT_FOUND),
    "variable": ("$HOME/.bashrc", NOT_FOUND),
    "variable-braces": ("${{HOME}}/.bashrc", NOT_FOUND),
    "command": ("$(cat /etc/passwd)", NOT_FOUND),
    "glob": ("fine.*", NOT_FOUND),
    "glob-up": ("../*/secret.txt", DENIED),
    "glob-class": ("[f]ine.txt", NOT_FOUND),
    # Links
    "link-absolute": ("absolute", DENIED),
    "link-relative": ("relative", DENIED),
    "link-directory": ("into/secret.txt", DENIED),
    "link-directory-itself": ("into", DENIED),
    "link-directory-absolute": ("into-absolute/secret.txt", DENIED),
    "link-directory-dot-dot": ("into/../outside/secret.txt", DENIED),
    "link-directory-dot-dot-back": ("into/../allowed/fine.txt", DENIED),
    "link-up": ("dir/sub/up/outside/secret.txt", DENIED),
    "link-chain": ("chain", DENIED),
    "link-loop": ("loop", DENIED),
    "link-itself": ("self", DENIED),
    "link-around": ("dir/around", DENIED),
    "link-dangling": ("dangling", DENIED),
    "link-dangling-absolute": ("dangling-absolute", DENIED),
    "link-top": ("top/etc/passwd", DENIED),
    "link-missing-below": ("into/nothing", DENIED),
    "hard-link": ("hard", DENIED),
    # /proc and /dev
    "proc-self-root": ("/proc/self/root/etc/passwd", DENIED),
    "proc-self-cwd": ("/proc/self/cwd", DENIED),
    "proc-pid-fd": ("/proc/{pid}/fd/0", DENIED),
    "proc-environ": ("/proc/self/environ", DENIED),
    "dev-fd": ("/dev/fd/0", DENIED),
    "dev-stdin": ("/dev/stdin", DENIED),
    "dev-zero": ("/dev/zero", DENIED),
    "link-proc-root": ("proc-root/etc/passwd", DENIED),
    "link-proc-cwd": ("proc-cwd", DENIED),
    "link-proc-fd": ("proc-fd/0", DENIED),
    # What is no file
    "fifo": ("fifo", WRONG_TYPE),
    "socket": ("socket", WRONG_TYPE),
    "device": ("device", WRONG_TYPE),
    "sparse": ("sparse", TOO_LARGE),
    "directory-below-file": ("fine.txt/x", NOT_FOUND),
    "root-itself": (".", WRONG_TYPE),
    # Names that look like others
    "nfd": ("cafe\u0301.txt", NOT_FOUND),
    "fullwidth-letters": ("\uff46ine.txt", NOT_FOUND),
    "cyrillic": ("f\u0456ne.txt", NOT_FOUND),
    "rtl-override": ("\u202etxt.enif", DENIED),
    "rtl-override-in-bytes": ("".join(chr(0xDC00 + byte) for byte in "\u202e".encode()) + "fine.txt", DENIED),
    "zero-width": ("fi\u200bne.txt", DENIED),
    "word-joiner": ("fi\u2060ne.txt", DENIED),
    "byte-order-mark": ("\ufefffine.txt", DENIED),
    "soft-hyphen": ("fi\u00adne.txt", DENIED),
    "hangul-filler": ("fine\u3164.txt", DENIED),
    "nul": ("fine.txt\0", DENIED),
    "nul-cut": ("fine.txt\0/../../outside/secret.txt", DENIED),
    "newline": ("fine.txt\n", DENIED),
    "carriage-return": ("fine.txt\r", DENIED),
    "escape": ("\x1b[2Jfine.txt", DENIED),
    "line-separator": ("fine\u2028.txt", DENIED),
    "half-character": ("fine" + chr(0xD800) + ".txt", DENIED),
    "invalid-utf8": (os.fsdecode(b"\xff\xfe/secret.txt"), NOT_FOUND),
    "space-behind": ("fine.txt ", NOT_FOUND),
    "dot-behind": ("fine.txt.", NOT_FOUND),
    "stream": ("fine.txt:stream", NOT_FOUND),
    "stream-data": ("fine.txt::$DATA", NOT_FOUND),
    "windows-device": ("CON", NOT_FOUND),
    "windows-nul": ("NUL.txt", NOT_FOUND),
    "windows-8.3": ("FINE~1.TXT", NOT_FOUND),
    # Forms of Windows and of URLs
    "unc-wsl": ("\\\\wsl$\\Ubuntu\\etc\\passwd", DENIED),
    "unc-localhost": ("\\\\wsl.localhost\\Ubuntu\\etc\\passwd", DENIED),
    "extended": ("\\\\?\\C:\\Windows\\win.ini", DENIED),
    "device-namespace": ("\\\\.\\PhysicalDrive0", DENIED),
    "backslash": ("\\etc\\passwd", DENIED),
    "two-slashes": ("//server/share", DENIED),
    "two-slashes-root": ("/{root}/fine.txt", DENIED),
    "drive": ("C:\\Windows\\win.ini", DENIED),
    "drive-slash": ("c:/Windows/win.ini", DENIED),
    "drive-relative": ("C:rel", DENIED),
    "file-url": ("file:///etc/passwd", DENIED),
    "file-url-case": ("FILE://localhost/etc/passwd", DENIED),
    "file-url-short": ("file:/etc/passwd", DENIED),
    "http-url": ("http://169.254.169.254/", DENIED),
    # Lengths
    "name-256": ("n" * 256, NOT_FOUND),
    "name-255": ("n" * 255, NOT_FOUND),
    "path-4096": ("d/" * 2048, NOT_FOUND),
    "name-bytes": ("\u20ac" * 100, NOT_FOUND),
}
"""Name of the attack: the path and the answers that are right."""


def filled(path: str, place: Place, pid: int) -> str:
    return path.format(root=place.root, outside=place.outside, parent=place.root.parent, pid=pid)


FLIPPER = """
import ctypes, os, select, sys
exchange = ctypes.CDLL(None, use_errno=True).renameat2
first, second, wanted = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2]), int(sys.argv[3])
done, said = 0, False
while not (said and select.select([0], [], [], 0)[0]):
    for _ in range(64):
        if exchange(-100, first, -100, second, 2):
            sys.exit(os.strerror(ctypes.get_errno()))
        done += 1
    if done >= wanted and not said:
        print("enough", flush=True)
        said = True
print(done, flush=True)
"""


@contextmanager
def flipping(first: Path, second: Path, wanted: int) -> Iterator[Callable[[], bool]]:
    """Another process exchanges the two names (RENAME_EXCHANGE) until the block ends, at least `wanted` times. Gives a
    function that says whether it has done so often already."""
    process = subprocess.Popen(
        [sys.executable, "-c", FLIPPER, str(first), str(second), str(wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    os.set_blocking(process.stdout.fileno(), False)
    enough = False

    def has_enough() -> bool:
        nonlocal enough
        if not enough:
            assert process.poll() is None, "the names could not be exchanged"
            enough = bool(process.stdout and process.stdout.read())
        return enough

    try:
        yield has_enough
    finally:
        process.stdin.close()
        os.set_blocking(process.stdout.fileno(), True)
        rest = process.stdout.read().split()
        process.stdout.close()
        assert process.wait(30) == 0
        assert int(rest[-1]) >= wanted
