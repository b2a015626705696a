"""The bare tree that commands see as `/`: links, mount points, and the few files of /etc that programs need.

It is made once, as a folder, because a mount costs bubblewrap 0.1 ms and a run of a command is meant to be quick.
"""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

HOME = "/sandbox"
USER = "user"
MOUNT_POINTS = ("usr", "proc", "dev", "tmp", HOME[1:], "etc", "var", "run")
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into /usr on merged systems, directories of their own on others."""
ETC = (
    "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "hosts", "host.conf", "services",
    "protocols", "localtime", "timezone", "ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "gai.conf", "mime.types",
    "magic", "os-release", "lsb-release", "debian_version", "locale.alias", "inputrc", "terminfo", "fonts", "perl",
    "php", "maven", "ant", "gradle", "dotnet", "R", "java*", "python*", "ghostscript",
)  # fmt: skip
"""What tool chains read. No passwords, no keys, no host names of the network, nothing that only root may read."""
FIRST_ID = 1000
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def build(top: Path, mount_points: Iterable[Path], ids: tuple[int, int], etc: Path = Path("/etc")) -> None:
    """`ids`: the user and the group that commands run as. Raises OSError."""
    top.chmod(0o755)
    for name in MOUNT_POINTS:
        (top / name).mkdir()
    for name in MERGED:
        system = Path("/", name)
        if system.is_symlink():
            (top / name).symlink_to(system.readlink())
        elif system.is_dir():
            (top / name).mkdir()
    (top / "var/tmp").symlink_to("/tmp")  # noqa: S108
    _copy_etc(etc, top / "etc", ETC)
    _accounts(top / "etc", ids)
    (top / "etc/resolv.conf").touch()
    for point in mount_points:
        inside = top / point.relative_to("/")
        if not _below_a_mount(point):
            inside.mkdir(parents=True, exist_ok=True)


def own_directories() -> list[str]:
    """Of MERGED, those that this system has as directories of their own, to be mounted."""
    return [f"/{name}" for name in MERGED if Path("/", name).is_dir() and not Path("/", name).is_symlink()]


def search_path(own: Iterable[Path], visible: Sequence[Path], folders: Iterable[Path]) -> str:
    """PATH for commands: what the agent's user has in his own and commands can see, then further tool chains, then the
    system. Without pyenv's and nvm's shims, which look for their settings in a home directory."""
    seen = [p for p in own if p.name != "shims" and any(p.is_relative_to(folder) for folder in visible)]
    return ":".join(dict.fromkeys([*map(str, seen), *tool_paths(folders), *PATH.split(":")]))


def tool_paths(folders: Iterable[Path]) -> list[str]:
    """Folders of programs: a tool chain that is called `bin`, or those below one, such as `node/v22.1.0/bin`,
    the newest first."""
    found: list[Path] = []
    for folder in folders:
        if folder.name == "bin":
            found.append(folder)
        for pattern in ("bin", "*/bin", "*/*/bin"):
            found += sorted(folder.glob(pattern), key=_version, reverse=True)
    return [str(path) for path in found]


def _version(path: Path) -> list[tuple[int, str]]:
    """So that 3.13 comes after 3.9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _below_a_mount(point: Path) -> bool:
    """Then the mount point is in what is mounted, or bubblewrap makes it there."""
    return point.parts[1] in ("usr", "tmp", "proc", "dev", *MERGED)


def _copy_etc(source: Path, target: Path, names: Sequence[str]) -> None:
    for pattern in names:
        for entry in source.glob(pattern):
            copy = target / entry.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if entry.is_dir() and not entry.is_symlink():
                shutil.copytree(entry, copy, symlinks=True, ignore=_not_for_all)
            elif entry.is_symlink() or _for_all(entry):
                shutil.copy2(entry, copy, follow_symlinks=False)


def _not_for_all(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not _for_all(Path(folder, name))]


def _for_all(path: Path) -> bool:
    """The agent may be root; what others may not read, commands may not either."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return True
    return bool(status.st_mode & stat.S_IROTH) and (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))


def _accounts(etc: Path, ids: tuple[int, int]) -> None:
    """Programs ask for the home of their user here. The names of the machine's users are nobody's business."""
    uid, gid = ids
    root = "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
    nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    own = f"{USER}:x:{uid}:{gid}:{USER}:{HOME}:/bin/bash\n"
    (etc / "passwd").write_text(root + own + nobody, encoding="ascii")
    (etc / "group").write_text(f"root:x:0:\n{USER}:x:{gid}:\nnogroup:x:65534:\n", encoding="ascii")
