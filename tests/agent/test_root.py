"""Path confinement in itself: which directory a path belongs to, what is followed, what the refusals say."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files import beneath
from agent_wsl.files.beneath import Kernel, Opener, Walk, best
from agent_wsl.files.names import checked, shown, windows_trick
from agent_wsl.files.root import Roots

PROJECT = Path(__file__).parents[2]


@pytest.fixture(params=[Kernel, Walk], ids=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Opener:
    made: Opener = request.param()
    return made


@pytest.fixture
def roots(tmp_path: Path, opener: Opener) -> Iterator[Roots]:
    for name in ("one/dir/sub", "one/nested", "one-evil", "two"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("one/f", "one/dir/f", "one/dir/sub/f", "one/nested/f", "one-evil/f", "two/f", "f"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    made = Roots([tmp_path / "one", tmp_path / "two", tmp_path / "one/nested"], opener=opener)
    yield made
    made.close()


def refusal(roots: Roots, path: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        roots.open(path).close()
    return caught.value


@pytest.mark.parametrize(
    ("path", "name", "root"),
    [
        ("f", "one/f", 0),
        ("./dir//sub/./f", "one/dir/sub/f", 0),
        ("dir/../f", "one/f", 0),
        ("dir/sub/../../dir/f", "one/dir/f", 0),
        ("{}/one/f", "one/f", 0),
        ("{}/two/f", "two/f", 1),
        ("{}//one///dir/f", "one/dir/f", 0),
        ("nested/f", "one/nested/f", 2),
        ("{}/one/nested/f", "one/nested/f", 2),
        ("{}/one/dir/../nested/f", "one/nested/f", 0),
        (".", "one", 0),
        ("dir/", "one/dir", 0),
        ("{}/two/", "two", 1),
    ],
)
def test_a_path_belongs_to_the_deepest_directory_that_holds_it(
    tmp_path: Path, roots: Roots, path: str, name: str, root: int
) -> None:
    with roots.open(path.format(tmp_path)) as opened:
        assert (opened.path, opened.root) == (str(tmp_path / name), root)
        assert opened.is_dir == (tmp_path / name).is_dir()
        if not opened.is_dir:
            assert os.read(opened.fd, 100).decode() == name
        assert not os.get_inheritable(opened.fd)
    assert opened.fd == -1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("gone", ErrorCode.NOT_FOUND),
        ("dir/gone/f", ErrorCode.NOT_FOUND),
        ("f/x", ErrorCode.NOT_FOUND),
        ("f/..", ErrorCode.NOT_FOUND),
        ("gone/../f", ErrorCode.NOT_FOUND),
        ("{}/f", ErrorCode.DENIED),
        ("{}/one-evil/f", ErrorCode.DENIED),
        ("{}/one/../two/f", ErrorCode.DENIED),
        ("{}/ONE/f", ErrorCode.DENIED),
        ("{}", ErrorCode.DENIED),
        ("/", ErrorCode.DENIED),
        ("", ErrorCode.BAD_REQUEST),
    ],
)
def test_what_is_not_there_or_not_allowed(tmp_path: Path, roots: Roots, path: str, code: ErrorCode) -> None:
    assert refusal(roots, path.format(tmp_path)).code == code


def test_symbolic_links_that_stay_below_are_followed_and_their_target_is_named(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "one/link").symlink_to("dir/sub")
    (tmp_path / "one/dir/up").symlink_to("../link/f")
    (tmp_path / "one/chain").symlink_to("./dir/up")
    for path in ("link/f", "dir/up", "chain", "link/../sub/f"):
        with roots.open(path) as opened:
            assert opened.path == str(tmp_path / "one/dir/sub/f")


def test_an_absolute_symbolic_link_is_refused_even_into_the_same_directory(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "one/link").symlink_to(tmp_path / "one/f")
    assert refusal(roots, "link").code == ErrorCode.DENIED
    assert "absolute" in refusal(roots, "link").message


def test_a_symbolic_link_into_another_allowed_directory_is_refused(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "one/link").symlink_to("../two/f")
    assert refusal(roots, "link").code == ErrorCode.DENIED


def test_a_chain_of_links_that_is_too_long(tmp_path: Path, roots: Roots) -> None:
    for number in range(50):
        (tmp_path / f"one/l{number}").symlink_to(f"l{number + 1}")
    (tmp_path / "one/l50").symlink_to("f")
    assert refusal(roots, "l0").code == ErrorCode.DENIED
    with roots.open("l20") as opened:
        assert opened.path == str(tmp_path / "one/f")


def test_directory(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "one/link").symlink_to("dir/sub")
    assert roots.directory("link") == str(tmp_path / "one/dir/sub")
    assert roots.directory(".") == str(tmp_path / "one")
    with pytest.raises(Refusal) as caught:
        roots.directory("f")
    assert caught.value.code == ErrorCode.WRONG_TYPE


def test_an_allowed_directory_that_was_exchanged(tmp_path: Path, roots: Roots) -> None:
    """What is held stays what it was, and nothing new is reached by the old name."""
    (tmp_path / "one").rename(tmp_path / "moved")
    (tmp_path / "one-evil").rename(tmp_path / "one")
    (tmp_path / "one/extra").write_text("evil", encoding="utf-8")
    with roots.open("f") as opened:
        assert os.read(opened.fd, 100) == b"one/f"
        assert opened.path == str(tmp_path / "one/f")
    assert "restart the agent" in refusal(roots, "extra").message
    with pytest.raises(Refusal, match="restart the agent"):
        roots.directory("dir")
    with pytest.raises(Refusal, match="restart the agent"):
        roots.directory(".")


def test_the_system_refuses(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "one/closed").write_text("x", encoding="utf-8")
    (tmp_path / "one/closed").chmod(0)
    (tmp_path / "one/shut").mkdir()
    (tmp_path / "one/shut/f").write_text("x", encoding="utf-8")
    (tmp_path / "one/shut").chmod(0)
    me = os.geteuid()
    try:
        if me == 0:
            os.seteuid(65534)
        for path in ("closed", "shut/f", "shut/gone", "shut"):
            assert refusal(roots, path).code == ErrorCode.UNREADABLE
    finally:
        os.seteuid(me)


def test_the_kernel_that_keeps_asking_to_be_called_anew(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    real, left = kernel._syscall, 50

    def busy(*arguments: object) -> int:
        nonlocal left
        left -= 1
        if left > 0:
            ctypes.set_errno(errno.EAGAIN)
            return -1
        return int(real(*arguments))

    monkeypatch.setattr(kernel, "_syscall", busy)
    monkeypatch.setattr(roots, "opener", kernel)
    roots.open("f").close()
    left = 10**9
    assert refusal(roots, "f").code == ErrorCode.BUSY


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_without_the_system_call_the_walk_does_it(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    descriptor = os.open(tmp_path, beneath.PATH_ONLY)
    assert isinstance(best(descriptor), Kernel)
    monkeypatch.setattr(Kernel, "open", refused)
    assert isinstance(best(descriptor), Walk)
    os.close(descriptor)


def test_a_container_that_forbids_the_system_call(tmp_path: Path) -> None:
    """A real filter, in a process of its own, since it stays for good."""
    (tmp_path / "f").write_text("here", encoding="utf-8")
    (tmp_path / "out").symlink_to("/etc/passwd")
    code = f"""
import errno, os, pyseccomp
from pathlib import Path
from agent_wsl.files.root import Roots
from agent_wsl.errors import Refusal
rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "openat2")
rules.load()
roots = Roots([Path({str(tmp_path)!r})])
with roots.open("f") as opened:
    print(type(roots.opener).__name__, os.read(opened.fd, 9).decode())
try:
    roots.open("out")
except Refusal as refusal:
    print(refusal.code)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["Walk", "here", "denied"], done.stderr


def test_no_descriptor_is_left_open(roots: Roots) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in ("dir/sub/f", "gone", "dir/../../x", "f/x", "dir/sub/../f", "."):
        try:
            roots.open(path).close()
        except Refusal:
            continue
    assert len(os.listdir("/proc/self/fd")) == before


# --- paths as text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "~",
        "$HOME/x",
        "*.py",
        "a b c",
        "x\\y",
        "Ünïcode/日本語",
        os.fsdecode(b"\xff\xfe"),
        "a" * 4096,
        "ab:c",
        "-rf",
    ],
    ids=lambda path: ascii(path)[:20],
)
def test_names_that_linux_knows_are_taken_as_they_are(path: str) -> None:
    assert checked(path) == path


def test_bytes_that_make_up_a_character_are_that_character() -> None:
    assert checked("".join(chr(0xDC00 + byte) for byte in "é".encode())) == "é"


def test_every_invisible_character_is_refused() -> None:
    for number in range(sys.maxunicode + 1):
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Zl", "Zp"):
            with pytest.raises(Refusal, match="invisible"):
                checked(f"a{chr(number)}b")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("con", "device"), ("CON", "device"), ("Nul.txt", "device"), ("aux.tar.gz", "device"), ("com1", "device"),
        ("LPT9.log", "device"), ("COM¹", "device"), ("CONIN$", "device"), ("nul .txt", "device"), ("PRN", "device"),
        ("PROGRA~1", "8.3"), ("a~1.txt", "8.3"), ("GIT~1", "8.3"), ("ABCDE~12.C", "8.3"),
        ("x.", "dot or a space"), ("x ", "dot or a space"), ("...", "dot or a space"), ("x. .", "dot or a space"),
        ("file.txt:stream", "stream"), ("file.txt::$DATA", "stream"), ("a*", "character"), ("a?", "character"),
        ("a\\b", "character"), ("a<", "character"), ("a|b", "character"), ('a"', "character"), ("a\tb", "character"),
    ],
)  # fmt: skip
def test_names_that_windows_reads_otherwise(name: str, reason: str) -> None:
    assert reason in windows_trick(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.txt", ".", "..", "console", "null", "com", "com10", "auxiliary.c", "contents", "a~b", "~1", "backup~",
        "longer-name~1.txt", ".gitignore", "a b", "lpt", "ä~", "x.con",
    ],
)  # fmt: skip
def test_names_that_mean_the_same_to_windows(name: str) -> None:
    assert windows_trick(name) == ""


def test_messages_show_what_cannot_be_seen_and_are_short() -> None:
    assert shown("a\u202eb\n" + chr(0xDCFF)) == "a\\u202eb\\n\\udcff"
    assert len(shown("x" * 4096)) < 210
