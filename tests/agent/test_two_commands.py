"""What one command prepares so that the next one gets past the guards: each attempt takes two."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_wsl.errors import Refusal
from agent_wsl.sandbox import guarded
from agent_wsl.sandbox.binds import Kind
from agent_wsl.sandbox.confine import Sandbox
from tests.agent.confined import job_settings, repository, settings, shell

SECRET = "TOKEN=not-for-commands"  # noqa: S105


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = (tmp_path / "root").resolve()
    repository(root / "project")
    for folder in ("conf", ".config/gh"):
        (root / folder).mkdir(parents=True)
        (root / folder / ".env").write_text(SECRET, encoding="ascii")
    return root


@pytest.fixture
def sandbox(root: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox([root], settings(), job_settings())
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize("folder", ["conf", ".config"])
def test_keys_are_not_moved_to_where_nobody_looks(root: Path, sandbox: Sandbox, folder: str) -> None:
    shell(sandbox, f"mkdir -p a/b/c/d/e/f; mv {folder} a/b/c/d/e/f", root)
    found = shell(sandbox, "find . -name .env -exec cat {} +", root)
    assert SECRET not in found.output


def test_directories_without_number_hide_nothing(root: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "DIRECTORIES", 20)
    assert shell(sandbox, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do mkdir d$i; done", root).code == 0
    with pytest.raises(Refusal, match="too many to look for repositories and keys in"):
        shell(sandbox, "cat conf/.env", root)


def test_submodules_without_number_are_not_looked_through(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "DIRECTORIES", 20)
    for number in range(30):
        (root / f"project/.git/modules/m{number}").mkdir(parents=True)
    assert not guarded.find([root]).complete


@pytest.mark.parametrize("place", ["conf", "project", "project/.git", "project/.git/modules"])
def test_what_cannot_be_looked_into_is_read_only(root: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """As after a command's `chmod 000`, which the next one would take back. (Simulated: root may look anywhere.)"""
    (root / "project/.git/modules").mkdir(exist_ok=True)
    closed = root / place

    def scandir(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    def lstat(path: Any, **options: Any) -> os.stat_result:
        if closed in Path(path).parents:
            raise PermissionError(13, "Permission denied", path)
        return real_lstat(path, **options)

    real_scandir, real_lstat = os.scandir, os.lstat
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in scandir(path)])
    mounts = guarded.find([root]).mounts
    assert any(mounts.get(path) is Kind.READ_ONLY for path in (closed, *closed.parents))


@pytest.mark.skipif(os.getuid() == 0, reason="root may look anywhere")
@pytest.mark.parametrize("mode", ["000", "444"])
def test_permissions_are_no_cloak(root: Path, sandbox: Sandbox, mode: str) -> None:
    shell(sandbox, f"chmod {mode} conf project project/.git", root)
    line = "chmod 755 conf project project/.git; cat conf/.env; echo evil > project/.git/hooks/evil"
    assert SECRET not in shell(sandbox, line, root).output
    for folder in ("conf", "project", "project/.git"):
        (root / folder).chmod(0o755)
    assert not (root / "project/.git/hooks/evil").exists()


def test_a_fifo_in_place_of_a_configuration_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config")
    assert guarded._text(tmp_path / "config") == ""
