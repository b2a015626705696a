"""Every way out of an allowed directory that is known: none leads out, none hangs, none says what lies outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files.beneath import Kernel, Opener, Walk, file_system
from agent_wsl.files.reading import Files
from agent_wsl.files.root import Roots
from agent_wsl.files.search import Searcher
from agent_wsl.protocol import ListDir, ReadFile, Search
from tests.agent.path_traps import PATHS, SECRET, Place, filled, flipping, plant
from tests.agent.process import PROJECT, AgentProcess

MIB = 1 << 20
FLIPS = 20_000


@pytest.fixture(params=[Kernel, Walk], ids=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Opener:
    made: Opener = request.param()
    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "allowed").mkdir()
    return plant(tmp_path / "allowed")


@pytest.fixture
def roots(place: Place, opener: Opener) -> Roots:
    return Roots([place.root], opener=opener)


def right(code: ErrorCode, name: str) -> bool:
    answers = PATHS[name][1]
    return code in (answers if isinstance(answers, tuple) else (answers,))


def needs_device(name: str) -> None:
    if name == "device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("name", PATHS)
def test_reading(name: str, place: Place, roots: Roots) -> None:
    needs_device(name)
    path = filled(PATHS[name][0], place, os.getpid())
    with pytest.raises(Refusal) as caught:
        Files(roots, 10 * MIB).read(ReadFile(path))
    assert right(caught.value.code, name), caught.value.message
    assert SECRET not in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", PATHS)
def test_over_the_wire(name: str, agent: AgentProcess) -> None:
    """The same by the real process, which lives on; listing and searching there give nothing away either."""
    needs_device(name)
    place = plant(agent.root)
    path = filled(PATHS[name][0], place, agent.process.pid)
    refusal = agent.refused(ReadFile(path))
    # A path longer than the wire allows, or one that no JSON string can be, is refused earlier.
    assert right(refusal.code, name) or refusal.code == ErrorCode.BAD_REQUEST, refusal.message
    if name not in ("root-itself", "sparse"):
        assert agent.refused(ListDir(path)).code in (refusal.code, ErrorCode.WRONG_TYPE)
        assert agent.refused(Search(SECRET, path)).code in (refusal.code, ErrorCode.WRONG_TYPE)


def test_the_traps_are_armed(place: Place, roots: Roots) -> None:
    """Each would give the secret to one who opens it by its name."""
    for name in ("absolute", "relative", "into/secret.txt", "chain", "hard", "dir/sub/up/outside/secret.txt"):
        assert (place.root / name).read_text(encoding="utf-8") == SECRET
    files = Files(roots, MIB)
    assert files.read(ReadFile("fine.txt")).text == "fine"
    assert files.read(ReadFile("dir/sub/../sub/deep.txt")).text == "fine"


def test_a_tree_full_of_traps_is_searched_and_listed(place: Place, roots: Roots) -> None:
    result = Searcher(roots, MIB).search(Search(SECRET))
    assert (result.hits, result.stopped) == ((), "")
    kinds = {entry.name: entry.kind for entry in Files(roots, MIB).list(ListDir(".")).entries}
    assert kinds["absolute"] == "symlink"
    assert kinds["fifo"] == kinds["socket"] == "other"


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("{outside}/secret.txt", "{outside}/nothing"),
        ("into/secret.txt", "into/nothing"),
        ("into-absolute/secret.txt", "into-absolute/nothing"),
        ("relative", "dangling"),
        ("absolute", "dangling-absolute"),
        ("../outside/secret.txt", "../outside/nothing"),
        ("/root", "/no-such-place"),
    ],
)
def test_the_refusal_does_not_say_whether_something_is_there(
    place: Place, roots: Roots, there: str, missing: str
) -> None:
    answers = []
    for pattern in (there, missing):
        path = filled(pattern, place, 0)
        with pytest.raises(Refusal) as caught:
            roots.open(path)
        answers.append((caught.value.code, caught.value.message.removeprefix(path)))
    assert answers[0] == answers[1]


def test_a_fifo_is_never_opened(place: Place, roots: Roots) -> None:
    """A writer that waits for a reader goes on waiting."""
    started = time.monotonic()
    with pytest.raises(Refusal):
        roots.open("fifo")
    assert time.monotonic() - started < 2
    with pytest.raises(OSError, match="No such device"):
        os.open(place.root / "fifo", os.O_WRONLY | os.O_NONBLOCK)


def test_open_descriptors_of_this_process(place: Place, roots: Roots) -> None:
    with open(place.outside / "secret.txt", encoding="utf-8") as secret:
        number = secret.fileno()
        (place.root / "mine").symlink_to(f"/proc/self/fd/{number}")
        for path in ("mine", f"proc-fd/{number}", f"/proc/{os.getpid()}/fd/{number}", f"/dev/fd/{number}"):
            with pytest.raises(Refusal) as caught:
                roots.open(path)
            assert caught.value.code == ErrorCode.DENIED


def test_names_that_are_no_utf8(place: Place, roots: Roots) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (place.root / name).write_text("odd", encoding="utf-8")
    files = Files(roots, MIB)
    assert name in [entry.name for entry in files.list(ListDir(".")).entries]
    assert files.read(ReadFile(name)).text == "odd"


def test_the_longest_name_and_a_path_of_4096(place: Place, roots: Roots) -> None:
    name = "n" * 255
    (place.root / name).write_text("long", encoding="utf-8")
    files = Files(roots, MIB)
    assert files.read(ReadFile(name)).text == "long"
    assert files.read(ReadFile("./" * 1900 + name)).text == "long"


@pytest.mark.parametrize(
    "name",
    ["CON", "nul.txt", "sub/AUX", "COM1.log", "FINE~1.TXT", "fine.txt:stream", "fine.txt::$DATA", "fine.txt.",
     "fine.txt ", "dir./sub", "dir /sub", "a?b", "dir\\sub", "LPT¹"],
)  # fmt: skip
def test_a_windows_drive(name: str, place: Place, opener: Opener) -> None:
    """This file system stands for /mnt/c: the very files exist, so that the name alone is what is refused."""
    (place.root / name).parent.mkdir(parents=True, exist_ok=True)
    if not (place.root / name).exists():
        (place.root / name).write_text("trick", encoding="utf-8")
    kind = file_system(os.open(place.root, os.O_PATH))
    assert kind
    with Roots([place.root], opener=opener).open(name):
        pass
    with pytest.raises(Refusal) as caught:
        Roots([place.root], opener=opener, windows=[kind]).open(name)
    assert caught.value.code == ErrorCode.DENIED
    assert "Windows" in caught.value.message


def test_a_link_to_a_windows_device(place: Place, opener: Opener) -> None:
    (place.root / "NUL").write_text("trick", encoding="utf-8")
    (place.root / "innocent").symlink_to("NUL")
    kind = file_system(os.open(place.root, os.O_PATH))
    with pytest.raises(Refusal, match="Windows device"):
        Roots([place.root], opener=opener, windows=[kind]).open("innocent")


MOUNTS = """
import json, os, subprocess, sys
from pathlib import Path
from agent_wsl.files.beneath import Kernel, Walk
from agent_wsl.errors import Refusal
from agent_wsl.files.reading import Files
from agent_wsl.protocol import ReadFile, ListDir, Search
from agent_wsl.files.root import Roots
from agent_wsl.files.search import Searcher
root, outside = Path(sys.argv[1]), sys.argv[2]
def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
mount("--bind", outside, str(root / "before"))
openers = [Roots([root], opener=made()) for made in (Kernel, Walk)]
nested = Roots([root, root / "before"])
mount("--bind", outside, str(root / "after"))
mount("--bind", outside + "/secret.txt", str(root / "file"))
mount("-t", "tmpfs", "none", str(root / "memory"))
mount("-t", "proc", "none", str(root / "proc"))
(root / "memory/secret.txt").write_text("SECRET")
answers = {}
for roots in openers:
    files, kind = Files(roots, 1000000), type(roots.opener).__name__
    for path in ("before/secret.txt", "after/secret.txt", "file", "memory/secret.txt", "proc/self/environ",
                 "dir/../after/secret.txt", "link/secret.txt", "proc/self/root/etc/passwd"):
        try:
            answers[kind + " " + path] = files.read(ReadFile(path)).text
        except Refusal as refusal:
            answers[kind + " " + path] = refusal.code
    answers[kind + " search"] = len(Searcher(roots, 1000000).search(Search("SECRET")).hits)
    answers[kind + " list"] = len(files.list(ListDir(".")).entries)
answers["named"] = Files(nested, 1000).read(ReadFile("before/secret.txt")).text
print(json.dumps(answers))
"""


def test_mounts_are_not_crossed_unless_named(place: Place) -> None:
    """In a mount namespace of its own: bind mounts from before and after the start, of a file, a tmpfs, a /proc."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not possible here")
    for name in ("before", "after", "memory", "proc"):
        (place.root / name).mkdir()
    (place.root / "file").touch()
    (place.root / "link").symlink_to("after")
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", sys.executable, "-c", MOUNTS, place.root, place.outside],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers.pop("named") == SECRET
    for kind in ("Kernel", "Walk"):
        assert answers.pop(f"{kind} search") == 0
        assert answers.pop(f"{kind} list") > 10
    assert len(answers) == 16
    assert set(answers.values()) == {"denied"}, answers


# --- races ------------------------------------------------------------------------------------------------------


def race(first: Path, second: Path, look: Callable[[], str], least: int = 2000) -> set[str]:
    """What `look` saw while the names were exchanged at least FLIPS times: texts, or the codes of refusals."""
    seen: set[str] = set()
    looks = 0
    with flipping(first, second, FLIPS) as has_enough:
        while looks < least or not has_enough():
            looks += 1
            try:
                seen.add(look())
            except Refusal as refusal:
                seen.add(refusal.code)
    return seen


@pytest.fixture
def arena(place: Place) -> Path:
    """leaf.txt and leaf2.txt: a file and a link out; parent and parent2: a directory and a link out."""
    (place.outside / "leaf.txt").write_text(SECRET, encoding="utf-8")
    (place.root / "leaf.txt").write_text("fine", encoding="utf-8")
    (place.root / "leaf2.txt").symlink_to("../outside/leaf.txt")
    (place.root / "parent").mkdir()
    (place.root / "parent/leaf.txt").write_text("fine", encoding="utf-8")
    (place.root / "parent2").symlink_to("../outside")
    return place.root


def test_the_leaf_flips(arena: Path, opener: Opener) -> None:
    files = Files(Roots([arena], opener=opener), MIB)
    seen = race(arena / "leaf.txt", arena / "leaf2.txt", lambda: files.read(ReadFile("leaf.txt")).text)
    assert seen == {"fine", "denied"}


@pytest.mark.parametrize("path", ["parent/leaf.txt", "parent/../parent/leaf.txt", "dir/../parent/./leaf.txt"])
def test_a_parent_flips(arena: Path, opener: Opener, path: str) -> None:
    files = Files(Roots([arena], opener=opener), MIB)
    seen = race(arena / "parent", arena / "parent2", lambda: files.read(ReadFile(path)).text)
    assert {"fine", "denied"} <= seen <= {"fine", "denied", "busy"}


def test_a_listed_directory_flips(arena: Path, opener: Opener) -> None:
    files = Files(Roots([arena], opener=opener), MIB)

    def look() -> str:
        return ",".join(entry.name for entry in files.list(ListDir("parent")).entries)

    assert race(arena / "parent", arena / "parent2", look) == {"leaf.txt", "denied"}


def test_a_searched_directory_flips(arena: Path, opener: Opener) -> None:
    searcher = Searcher(Roots([arena], opener=opener), MIB)

    def look() -> str:
        return ",".join(hit.text for hit in searcher.search(Search(f"{SECRET}|fine", glob="leaf.txt", regex=True)).hits)

    seen = race(arena / "parent", arena / "parent2", look, least=300)
    assert "fine,fine" in seen
    assert not any(SECRET in text for text in seen)


def test_a_file_becomes_a_fifo_and_back(arena: Path, opener: Opener) -> None:
    files = Files(Roots([arena], opener=opener), MIB)
    seen = race(arena / "leaf.txt", arena / "fifo", lambda: files.read(ReadFile("leaf.txt")).text)
    assert seen == {"fine", "wrong_type"}


def test_an_ancestor_moves_up_and_down_while_the_way_goes_up(arena: Path, opener: Opener) -> None:
    """Counted from `c` at the top, the same number of `..` would lead out."""
    (arena / "a/b/c/d").mkdir(parents=True)
    (arena / "c").mkdir()
    files = Files(Roots([arena], opener=opener), MIB)
    path = "a/b/c/../../../../outside/secret.txt"
    inner = "a/b/c/../../../outside/secret.txt"
    seen = race(arena / "a/b/c", arena / "c", lambda: files.read(ReadFile(path)).text)
    assert seen <= {"denied", "busy"}
    seen = race(arena / "a/b/c", arena / "c", lambda: files.read(ReadFile(inner)).text)
    assert seen <= {"denied", "not_found", "busy"}


def test_an_ancestor_of_the_root_is_renamed(place: Place, opener: Opener) -> None:
    """And its name given to a link to where the secrets are."""
    roots = Roots([place.root], opener=opener)
    place.root.rename(place.root.with_name("gone"))
    (place.outside / "fine.txt").write_text(SECRET, encoding="utf-8")
    place.root.symlink_to("outside")
    files = Files(roots, MIB)
    assert files.read(ReadFile("fine.txt")).text == "fine"
    with pytest.raises(Refusal):
        files.read(ReadFile("secret.txt"))
    with pytest.raises(Refusal):
        roots.directory(".")
    assert Searcher(roots, MIB).search(Search(SECRET)).hits == ()


def test_the_leaf_flips_over_the_wire(agent: AgentProcess) -> None:
    root = plant(agent.root).root
    (root / "flip").write_text("fine", encoding="utf-8")
    (root / "flip2").symlink_to("../outside/secret.txt")
    with agent.connect() as connection:
        seen = race(
            root / "flip", root / "flip2", lambda: connection.call("tester", ReadFile("flip")).text, least=1000
        )  # fmt: skip
    assert seen == {"fine", "denied"}
    agent.is_alive()
