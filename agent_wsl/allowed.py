"""Which directories may be allowed at all: never the system's, never another user's home."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from agent_wsl.errors import RootError

SYSTEM_DIRECTORIES = (
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/init", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/run",
    "/sbin", "/srv", "/sys", "/usr", "/var", "/tmp",  # noqa: S108
)  # fmt: skip
"""Themselves; a project below one of them is fine, save below the next ones."""
VIRTUAL_DIRECTORIES = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys")


def checked_roots(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Resolved. Raises RootError for none, one that is no directory, `/`, a system directory, another user's home."""
    if not paths:
        raise RootError(
            "ALLOWED_DIRECTORIES is not set: name the directories that may be read and worked in, "
            "with : between them, for example ALLOWED_DIRECTORIES=~/src/project"
        )
    return tuple(dict.fromkeys(_checked_root(path) for path in paths))


def _checked_root(path: Path) -> Path:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise RootError(f"{path} in ALLOWED_DIRECTORIES does not exist: make it, or correct the name.") from None
    if not real.is_dir():
        raise RootError(f"{path} in ALLOWED_DIRECTORIES is no directory.")
    if str(real) in SYSTEM_DIRECTORIES or any(real.is_relative_to(name) for name in VIRTUAL_DIRECTORIES):
        raise RootError(f"{path} in ALLOWED_DIRECTORIES is part of the system: name a project's directory instead.")
    for name, home in _homes_of_others():
        if real.is_relative_to(home) or home.is_relative_to(real):
            raise RootError(f"{path} in ALLOWED_DIRECTORIES holds or lies in the home directory of {name}.")
    if not os.access(real, os.R_OK | os.X_OK):
        raise RootError(f"{path} in ALLOWED_DIRECTORIES cannot be read by this user.")
    return real


def _homes_of_others() -> list[tuple[str, Path]]:
    """Of people and of root; services have their "home" in places such as /var/www."""
    own = os.getuid()
    others = [user for user in pwd.getpwall() if user.pw_uid != own and (user.pw_uid == 0 or user.pw_uid >= 1000)]
    return [(user.pw_name, Path(user.pw_dir)) for user in others if user.pw_dir not in ("", "/", "/nonexistent")]
