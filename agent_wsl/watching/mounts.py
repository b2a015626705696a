"""The mount table: which mount a path lies on, and whether its file system reports every change. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "ramfs", "overlay"})
"""What the kernel itself writes to, so that inotify sees every change. All others are polled, unknown ones too."""
ELSEWHERE = {
    "9p": "made on the Windows side",
    "drvfs": "made on the Windows side",
    "virtiofs": "made on the host's side",
    "cifs": "made on other machines",
    "smb3": "made on other machines",
    "nfs": "made on other machines",
    "nfs4": "made on other machines",
}


@dataclass(frozen=True, slots=True)
class Mount:
    id: int
    parent: int
    """The id of the mount that this one lies on."""
    point: str
    """Absolute path."""
    kind: str
    """Type of the file system: "ext4", "9p", "fuse.sshfs"."""


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    """"inotify" or "polling"."""
    reason: str


def parse(mountinfo: str) -> tuple[Mount, ...]:
    """The text of /proc/self/mountinfo; lines that are no mounts are left out."""
    return tuple(mount for line in mountinfo.split("\n") if (mount := _mount(line)) is not None)


def _mount(line: str) -> Mount | None:
    """ "36 35 98:0 /root /point options optional... - type source superoptions", optional fields being any number."""
    fields = line.split(" ")
    if len(fields) < 9 or not (fields[0].isdecimal() and fields[1].isdecimal()) or "-" not in fields[6:]:
        return None
    separator = fields.index("-", 6)
    if separator + 1 >= len(fields):
        return None
    return Mount(int(fields[0]), int(fields[1]), _unescaped(fields[4]), fields[separator + 1])


def _unescaped(path: str) -> str:
    """The kernel writes blanks, tabs, line ends and backslashes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def deepest(mounts: Sequence[Mount], path: str) -> Mount | None:
    """The mount that a look-up of `path` ends on.

    Walks from mount to mount as the kernel does, because the longest mount point may be hidden under a later mount
    over one of its parents. Without a "/" in the table (in a chroot) the longest mount point has to do.
    """
    ids = {mount.id for mount in mounts}
    roots = [mount for mount in mounts if mount.point == "/" and (mount.parent not in ids or mount.parent == mount.id)]
    if not roots:
        candidates = [mount for mount in mounts if within(path, mount.point)]
        return max(reversed(candidates), key=lambda mount: len(mount.point), default=None)
    current, seen = roots[-1], {roots[-1].id}
    while True:
        children = [m for m in mounts if m.parent == current.id and m.id not in seen and within(path, m.point)]
        if not children:
            return current
        current = min(reversed(children), key=lambda mount: len(mount.point))
        seen.add(current.id)


def inside(mounts: Sequence[Mount], path: str) -> tuple[Mount, ...]:
    """Mounts somewhere below `path` that can be seen there."""
    return tuple(
        mount
        for mount in mounts
        if mount.point != path and within(mount.point, path) and deepest(mounts, mount.point) == mount
    )


def method(mounts: Sequence[Mount], path: str, reachable: Callable[[str], bool]) -> Method:
    """How to watch `path` and all below it. `reachable`: whether a mount point below may be entered at all."""
    own = deepest(mounts, path)
    if own is None:
        return Method("polling", "the mount table does not say what file system this is")
    others = [(mount, reachable(mount.point)) for mount in inside(mounts, path)]
    closed = [mount.point for mount, entered in others if not entered]
    left_out = "".join(f"; {point} is another mount and is not watched" for point in closed)
    if own.kind not in LOCAL:
        return Method("polling", _why(own.kind) + left_out)
    for mount, entered in others:
        if entered and mount.kind not in LOCAL:
            return Method("polling", f"{mount.point} is mounted in it, and {_why(mount.kind)}{left_out}")
    return Method("inotify", own.kind + left_out)


def _why(kind: str) -> str:
    if kind in ELSEWHERE:
        return f"{kind} does not report changes {ELSEWHERE[kind]}"
    if kind.startswith("fuse"):
        return f"{kind} does not report changes that its server makes"
    return f"{kind} is not known to report changes"
