"""What commands may not change, or not even read, inside the allowed directories.

Programs of the user run these without being asked to: git its hooks and what its configuration names, shells, editors
and direnv their files. And `.env` holds keys. What holds, and what does not:

- What is found is mounted read-only; hidden files are empty. A mounted name cannot be renamed or deleted, and of a
  repository neither `.git` nor a directory above it can be, so nothing else takes its place.
- `.git/hooks` is made where it is missing. Other things that are missing at the start (`.vscode`, `.idea`, `.envrc` at
  the top of a root or of a repository, and a `commondir`, which would lead git to other hooks) can be made by a job;
  when it ends they are set aside under another name. In between they can be seen from outside.
- A symbolic link cannot be mounted over: what it leads to is guarded, it itself can be replaced. A repository whose
  hooks or configuration are links is read-only; a directory whose `.git` is a link is, too.
- Editors' settings and start-up files further in (`sub/.vscode`) are read-only where they are, but a job can rename
  `sub` and make another one. Only files with keys and repositories hold the directories above them in place, since each
  such directory is a mount more: hundreds of them cost a command a second, and no file can be renamed across one.
- A directory that cannot be looked into is read-only. With more than DIRECTORIES of them nothing is run at all.
- A repository that a job makes (clone, init) is the job's own. So is what lies deeper than DEPTH, a `.env` too, and in
  directories that programs fill (PRUNED).
- While a job runs, a file that somebody outside replaces by renaming (as editors save) loses its mount: a new `.env`
  can then be read, by that job.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent_wsl.files import hidden as hidden_names
from agent_wsl.sandbox.binds import Kind, Mount, parent_of

DEPTH = 4
"""Directories below a root that are looked into."""
DIRECTORIES = 30_000
"""Looked into, in all roots together (about a second). With more of them nothing is run: a command could make so many
that the next one would find a repository or a `.env` unguarded."""
REPOSITORIES = 16
"""Guarded part by part; of any further one, the whole of `.git` is read-only."""
SEEN = 200
CONFIG_BYTES = 1 << 18

FOLDERS = frozenset({".vscode", ".idea", ".husky", ".claude", ".cursor"})
FILES = frozenset({
    ".envrc", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshrc",
    ".zprofile", ".zshenv", ".zlogin", ".zlogout", ".gitconfig", ".npmrc", ".yarnrc", ".yarnrc.yml",
    ".inputrc", ".vimrc", ".exrc", ".nvimrc", ".tmux.conf", ".mcp.json",
})  # fmt: skip
WATCHED = (".envrc", ".vscode", ".idea", ".claude", ".cursor")
"""Where missing."""
PRUNED = frozenset({
    "node_modules", "__pycache__", ".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    "target", ".gradle", ".cache",
})  # fmt: skip
NAMED_PATH = re.compile(r"^\s*(hookspath|path)\s*=\s*\"?([^\"\n#;]+)", re.IGNORECASE | re.MULTILINE)
"""`core.hooksPath` and `include.path`."""


@dataclass(slots=True)
class Guard:
    mounts: dict[Path, Kind] = field(default_factory=dict)
    absent: list[Path] = field(default_factory=list)
    """To be set aside when a job has made them."""
    complete: bool = True
    """False when there was more to look into than may be."""
    seen: dict[Path, int] = field(default_factory=dict)
    """Roots and directories directly in them (SEEN of them), with the times of their last change (ns)."""

    def add(self, path: Path, kind: Kind) -> None:
        """The stronger one counts: hidden, then read-only, then writable."""
        strength = (Kind.WRITABLE, Kind.READ_ONLY, Kind.EMPTY_FILE, Kind.EMPTY_DIRECTORY)
        if path not in self.mounts or strength.index(self.mounts[path]) < strength.index(kind):
            self.mounts[path] = kind

    def unchanged(self) -> bool:
        """Nothing was made or deleted in the outer directories since. (Those further in can have changed.)"""
        try:
            return all(path.stat().st_mtime_ns == time for path, time in self.seen.items())
        except OSError:
            return False


def find(roots: Sequence[Path], read_only: Sequence[Path] = (), hidden: Sequence[Path] = ()) -> Guard:
    """Looks through the roots. `read_only` and `hidden` count where they lie in a root. Resolved paths all."""
    search = _Search(roots)
    for path in read_only:
        search.pinned(path, Kind.READ_ONLY)
    for path in hidden:
        search.pinned(path, Kind.EMPTY_DIRECTORY if path.is_dir() else Kind.EMPTY_FILE)
    search.walk()
    return search.guard


def arranged(roots: Sequence[Path], read_only: Sequence[Path], guard: Guard) -> list[Mount]:
    """Without what an outer mount makes superfluous, and without a writable one inside a read-only one."""
    kinds = {path: kind for path, kind in guard.mounts.items() if path not in roots or kind is not Kind.WRITABLE}
    fixed = {**dict.fromkeys(read_only, Kind.READ_ONLY), **dict.fromkeys(roots, Kind.WRITABLE)}
    firm = {**fixed, **{path: kind for path, kind in kinds.items() if kind is not Kind.WRITABLE}}
    mounts = [Mount(path, kind) for path, kind in fixed.items() if path not in kinds]
    for path, kind in kinds.items():
        outer = next((firm[parent] for parent in path.parents if parent in firm), Kind.WRITABLE)
        if outer is Kind.WRITABLE or (outer is Kind.READ_ONLY and kind in (Kind.EMPTY_FILE, Kind.EMPTY_DIRECTORY)):
            mounts.append(Mount(path, kind))
    return mounts


class _Search:
    def __init__(self, roots: Sequence[Path]) -> None:
        self.guard = Guard()
        self._roots = roots
        self._fine = 0
        self._left = DIRECTORIES

    def root_of(self, path: Path) -> Path | None:
        """The innermost."""
        return max((r for r in self._roots if path.is_relative_to(r)), key=lambda r: len(r.parts), default=None)

    def pinned(self, path: Path, kind: Kind) -> None:
        """Neither it nor a directory between it and its root can be renamed."""
        root = self.root_of(path)
        if root is None:
            return
        try:
            link = stat.S_ISLNK(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            link = True
        if link and path != root:
            self.pinned(path.parent, Kind.READ_ONLY)
            return
        for parent in path.parents:
            if parent == root or not parent.is_relative_to(root):
                break
            self.guard.add(parent, Kind.WRITABLE)
        self.guard.add(path, kind)

    def walk(self) -> None:
        queue = deque((root, 0) for root in self._roots)
        for root in self._roots:
            self._absent(root)
            for name in hidden_names.FOLDERS:
                if (root / name).is_dir() and (root / name).resolve() == root / name:
                    self.pinned(root / name, Kind.EMPTY_DIRECTORY)
        while queue and self._room():
            folder, depth = queue.popleft()
            try:
                if depth <= 1 and len(self.guard.seen) < SEEN:
                    self.guard.seen[folder] = folder.stat().st_mtime_ns
                with os.scandir(folder) as entries:
                    below = [e for e in entries if self._entry(folder, e)]
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                # What cannot be looked into must not become readable and writable again by a command's chmod.
                self.pinned(folder, Kind.READ_ONLY)
                continue
            if depth < DEPTH:
                queue.extend((folder / entry.name, depth + 1) for entry in below)

    def _room(self) -> bool:
        self._left -= 1
        self.guard.complete = self._left >= 0
        return self.guard.complete

    def _entry(self, folder: Path, entry: os.DirEntry[str]) -> bool:
        """True for a directory to look into."""
        name = entry.name
        if name == ".git":
            try:
                self._repository(folder, entry)
            except OSError:
                self.pinned(folder / name, Kind.READ_ONLY)
            return False
        if name in FOLDERS or name in FILES or hidden_names.is_secret(name):
            self._place(folder / name, entry)
        return name not in PRUNED and name not in FOLDERS and entry.is_dir(follow_symlinks=False)

    def _place(self, path: Path, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink():
            path = path.resolve()
            if self.root_of(path) is None or not path.exists():
                return
        regular = path.is_file()
        if hidden_names.is_secret(entry.name):
            if regular:
                # Moved to where nobody looks, along with the directory it is in, it would be read by the next command.
                self.pinned(path, Kind.EMPTY_FILE)
        elif regular or path.is_dir():
            self.guard.add(path, Kind.READ_ONLY)

    def _absent(self, folder: Path) -> None:
        for name in WATCHED:
            if not os.path.lexists(folder / name) and folder / name not in self.guard.absent:
                self.guard.absent.append(folder / name)

    def _repository(self, folder: Path, entry: os.DirEntry[str]) -> None:
        git = folder / ".git"
        if entry.is_symlink():
            self.pinned(folder, Kind.READ_ONLY)
            return
        self._fine += 1
        if not entry.is_dir(follow_symlinks=False) or self._fine > REPOSITORIES:
            self.pinned(git, Kind.READ_ONLY)
            return
        self._absent(folder)
        if not self._git_directory(git, folder):
            return
        for inner in self._git_directories(git / "modules", DEPTH):
            self._git_directory(inner, inner)
        for worktree in _folders(git / "worktrees"):
            for name in ("commondir", "gitdir", "config.worktree"):
                self.pinned(worktree / name, Kind.READ_ONLY)

    def _git_directory(self, git: Path, folder: Path) -> bool:
        """False when all of it is read-only."""
        hooks, config = git / "hooks", git / "config"
        if not os.path.lexists(hooks):
            with suppress(OSError), parent_of(hooks) as directory:
                os.mkdir("hooks", dir_fd=directory)
        parts = [hooks, config, git / "config.worktree", git / "commondir"]
        links = any(part.is_symlink() for part in (*parts, git / "modules", git / "worktrees"))
        if links or not (hooks.is_dir() and config.is_file()):
            self.pinned(git, Kind.READ_ONLY)
            return False
        self.pinned(git, Kind.WRITABLE)
        text = _text(config)
        if "worktreeconfig" in text.lower():
            with suppress(OSError), parent_of(git / "config.worktree") as directory:
                flags = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open("config.worktree", flags, 0o644, dir_fd=directory))
        for part in parts:
            self.pinned(part, Kind.READ_ONLY)
        for key, value in NAMED_PATH.findall(text):
            named = ((folder if key.lower() == "hookspath" else git) / value.strip()).resolve()
            if self.root_of(named) not in (None, named):
                self.pinned(named, Kind.READ_ONLY)
        if not os.path.lexists(git / "commondir"):
            self.guard.absent.append(git / "commondir")
        return True

    def _git_directories(self, folder: Path, depth: int) -> Iterator[Path]:
        """Of submodules, whose names may have slashes."""
        for inner in _folders(folder):
            if not self._room():
                return
            if (inner / "HEAD").is_file():
                yield inner
                yield from self._git_directories(inner / "modules", depth - 1) if depth else ()
            elif depth:
                yield from self._git_directories(inner, depth - 1)


def _folders(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if stat.S_ISDIR(p.lstat().st_mode)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _text(path: Path) -> str:
    """Never waits: a command that runs may put a FIFO in the file's place."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:
        return (file.read(CONFIG_BYTES) or b"").decode("utf-8", "replace")
