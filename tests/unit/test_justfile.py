"""The Justfile's form, and what it starts on either system."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

PROJECT = Path(__file__).parents[2]
RECIPES = (
    "setup models run talk test check bench discord-start-bg discord-stop-bg backend-start backend-stop backend-logs "
    "start-all stop-all status clean-logs doctor"
)


def test_each_recipe_has_one_line_that_says_what_it_does() -> None:
    lines = (PROJECT / "Justfile").read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("set windows-shell := ") for line in lines)
    names = []
    for index, line in enumerate(lines):
        if found := re.match(r"([a-z][\w-]*)[^:]*:(?!=)", line):
            names.append(found[1])
            assert lines[index - 1].startswith("# "), f"{line} has no comment"
            assert not lines[index - 2].startswith("#"), f"{line} has more than one line of comment"
            assert not lines[index + 2 :][:1] or not lines[index + 2].startswith(" "), f"{line} is not thin"
    assert set(names) == {"default", *RECIPES.split()}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "scripts"))


def test_the_agent_is_started_in_wsl_from_windows_and_directly_on_linux(scripts: None) -> None:
    import wsl_side

    there = wsl_side.start_command(True, PureWindowsPath(r"C:\src\side tone"), "Ubuntu-24.04")
    assert there[:6] == ["wsl.exe", "-d", "Ubuntu-24.04", "--cd", r"C:\src\side tone", "--exec"]
    assert there[-1].endswith("exec .venv-agent/bin/python -m agent_wsl")
    assert "-d" not in wsl_side.start_command(True, PureWindowsPath("C:/x"), "")
    here = wsl_side.start_command(False, PurePosixPath("/src/x"), "Ubuntu")
    assert here == ["/src/x/.venv-agent/bin/python", "-m", "agent_wsl"]
    assert wsl_side.stop_command(False, PurePosixPath("/src/x"), "") == ()


@pytest.mark.skipif(os.name == "nt", reason="what runs in WSL is a Linux script")
def test_the_script_that_ends_the_agent_in_wsl_looks_whom_it_ends(scripts: None, tmp_path: Path) -> None:
    import wsl_side

    script = wsl_side.stop_command(True, tmp_path, "")[-1]
    (tmp_path / "logs").mkdir()

    def asked(*command: str) -> bool:
        with subprocess.Popen([sys.executable, "-c", "input()", *command], stdin=subprocess.PIPE) as child:
            (tmp_path / "logs" / wsl_side.PID_FILE).write_text(str(child.pid), encoding="utf-8")
            done = subprocess.run(["bash", "-c", script], cwd=tmp_path, check=False)
            child.kill()
            return done.returncode == 0

    assert asked("-m", "agent_wsl")
    assert not asked("something", "else")


@pytest.mark.parametrize("arguments", [["start"], ["start", "everything"], ["explode"], ["status", "now"]])
def test_wrong_arguments_end_in_a_sentence(arguments: list[str]) -> None:
    command = [sys.executable, str(PROJECT / "scripts" / "service.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "This cannot be done" in done.stderr


def test_without_psutil_a_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    code = (
        "import sys, service, setup_env; from pathlib import Path;"
        "setup_env.VENV = Path('none'); service.main(['status'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT / "scripts")])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 11, done.stderr
    assert "psutil is missing" in done.stderr
