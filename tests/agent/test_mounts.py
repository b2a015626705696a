"""The mount table: the mount that a path really lies on, and the method that follows from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent_wsl.watching.mounts import deepest, inside, method, parse

WSL = r"""
20 1 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard
21 20 0:30 / /mnt/wsl rw,relatime shared:1 - tmpfs none rw
22 20 0:31 / /proc rw,nosuid - proc proc rw
23 20 0:40 / /mnt/c rw,noatime - 9p C:\134 rw,aname=drvfs;path=C:\;uid=1000
24 20 0:41 / /mnt/d rw,noatime shared:7 master:3 - drvfs D: rw
25 20 0:42 / /home/me/my\040share rw - cifs //server/my\040share rw
26 20 0:43 / /home/me/tab\011and\134slash rw - virtiofs tag rw
27 20 0:44 / /srv/ssh rw - fuse.sshfs me@host: rw
28 20 0:45 / /srv/strange rw - weirdfs none rw
29 20 0:46 / /var/lib/docker/overlay2 rw - overlay overlay rw,lowerdir=/a
30 20 0:47 / /srv/nfs rw - nfs4 host:/x rw
31 20 0:48 / /srv/fuse rw - fuseblk /dev/sdd1 rw
"""
TABLE = parse(WSL)
EVERYWHERE: Callable[[str], bool] = lambda point: True  # noqa: E731
NOWHERE: Callable[[str], bool] = lambda point: False  # noqa: E731


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [
        ("/home/me/src", "inotify", "ext4"),
        ("/mnt/wsl/x", "inotify", "tmpfs"),
        ("/var/lib/docker/overlay2/x", "inotify", "overlay"),
        ("/mnt/c/Users", "polling", "9p does not report changes made on the Windows side"),
        ("/mnt/c", "polling", "9p"),
        ("/mnt/cc", "inotify", "ext4"),
        ("/mnt/d/x", "polling", "drvfs does not report changes made on the Windows side"),
        ("/home/me/my share/doc", "polling", "cifs"),
        ("/home/me/tab\tand\\slash", "polling", "virtiofs"),
        ("/srv/ssh/x", "polling", "fuse.sshfs"),
        ("/srv/fuse/x", "polling", "fuseblk"),
        ("/srv/strange/x", "polling", "weirdfs is not known to report changes"),
        ("/srv/nfs/x", "polling", "nfs4"),
        ("/proc/1", "polling", "proc"),
    ],
)
def test_method_follows_from_the_deepest_mount(path: str, name: str, words: str) -> None:
    found = method(TABLE, path, EVERYWHERE)
    assert found.name == name
    assert words in found.reason


def test_a_mount_that_is_hidden_by_a_later_one_does_not_count() -> None:
    table = parse("1 0 8:1 / / rw - ext4 a rw\n2 1 0:1 / /a/b rw - 9p b rw\n3 1 0:2 / /a rw - tmpfs c rw\n")
    found = deepest(table, "/a/b/file")
    assert found is not None
    assert found.kind == "tmpfs"
    assert [mount.kind for mount in inside(table, "/")] == ["tmpfs"]


def test_of_two_mounts_on_the_same_point_the_upper_one_counts() -> None:
    table = parse("1 0 8:1 / / rw - ext4 a rw\n2 1 0:1 / /a rw - 9p b rw\n3 2 0:2 / /a rw - tmpfs c rw\n")
    found = deepest(table, "/a/x")
    assert found is not None
    assert found.kind == "tmpfs"


def test_root_mounted_over() -> None:
    table = parse("1 0 8:1 / / rw - rootfs a rw\n2 1 0:1 / / rw - ext4 b rw\n3 2 0:2 / /a rw - 9p c rw\n")
    assert [deepest(table, path).kind for path in ("/x", "/a/x")] == ["ext4", "9p"]  # type: ignore[union-attr]


def test_without_a_root_in_the_table_the_longest_point_has_to_do() -> None:
    table = parse("5 4 0:1 / /a rw - ext4 b rw\n6 5 0:2 / /a/b rw - 9p c rw\n")
    assert method(table, "/a/b/c", EVERYWHERE).name == "polling"
    assert method(table, "/a/c", EVERYWHERE).name == "inotify"
    assert method(table, "/elsewhere", EVERYWHERE).name == "polling"


def test_a_mount_below_that_can_be_entered_decides_and_one_that_cannot_is_named() -> None:
    assert method(TABLE, "/home/me", EVERYWHERE).name == "polling"
    assert "/home/me/my share is mounted in it" in method(TABLE, "/home/me", EVERYWHERE).reason
    closed = method(TABLE, "/home/me", NOWHERE)
    assert closed.name == "inotify"
    assert "/home/me/my share is another mount and is not watched" in closed.reason
    assert method(TABLE, "/mnt", lambda point: point == "/mnt/wsl").name == "inotify"


def test_the_real_table_of_this_machine_has_a_root() -> None:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        assert deepest(parse(file.read()), "/") is not None


@pytest.mark.parametrize(
    "line", ["", "nonsense", "1 2 3", "a b c d e f - g h", "1 2 3:4 / /x rw", "1 2 3:4 / /x rw x -"]
)
def test_lines_that_are_no_mounts_are_left_out(line: str) -> None:
    assert parse(line) == ()
