"""run.py as a process, in a small project of its own: a real .venv, with stand-ins for pip and for the bot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PIP = """
import os, subprocess, sys, time
with open("calls", "a", encoding="utf-8") as calls:
    print("pip", *sys.argv[1:], file=calls)
print(os.environ.get("PIP_SAYS", ""), flush=True)
if os.environ.get("PIP_STARTS"):
    compiler = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open("compiler", "w", encoding="utf-8") as file:
        file.write(str(compiler.pid))
time.sleep(float(os.environ.get("PIP_TAKES", 0)))
while not os.path.exists(os.environ.get("PIP_UNTIL", "calls")):
    time.sleep(0.05)
sys.exit(1 if os.environ.get("PIP_SAYS") else 0)
"""
BOT = """
import os, sys, time
with open("calls", "a", encoding="utf-8") as calls:
    print("bot", *sys.argv[1:], file=calls)
if sys.argv[1:3] == ["models", "fetch"]:
    time.sleep(float(os.environ.get("FETCH_TAKES", 0)))
    sys.exit(int(os.environ.get("FETCH_CODE", 0)))
sys.exit(int(os.environ.get("BOT_CODE", 0)))
"""
DEVICES = "import os\ndef has_microphone():\n    return os.environ['MICROPHONE'] == 'yes'\n"
posix = pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")


class Project:
    """A folder with the scripts in it, in which commands are recorded instead of obeyed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(SCRIPTS, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        self.write("requirements-win.txt", "sidetone-needs-this==1\n")
        self.write("requirements-wsl.txt", "the-agent-needs-this==1\n")
        self.write("tests/requirements.txt", "the-tests-need-this==1\n")
        self.write("bot/__init__.py", "")
        self.write("bot/__main__.py", BOT)
        self.write("bot/audio/devices.py", DEVICES)
        self.children: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def make_venv(self) -> None:
        venv.create(self.folder / ".venv", symlinks=os.name != "nt")
        self.write(f"{self.packages}/pip/__init__.py", "")
        self.write(f"{self.packages}/pip/__main__.py", PIP)
        self.write(f"{self.packages}/pip-99.0.dist-info/RECORD", "")

    @property
    def packages(self) -> str:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return ".venv/Lib/site-packages" if os.name == "nt" else f".venv/lib/python{version}/site-packages"

    def start(self, *arguments: str, script: str = "run.py", **environment: str) -> subprocess.Popen[str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("DISCORD_TOKEN", "PYTHONPATH")}
        child = subprocess.Popen(
            [sys.executable, f"scripts/{script}", *arguments],
            cwd=self.folder,
            env={**inherited, "SIDETONE_SYSTEM_PACKAGES": "off", "MICROPHONE": "no", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self.children.append(child)
        return child

    def run(self, *arguments: str, script: str = "run.py", **environment: str) -> tuple[int, str]:
        child = self.start(*arguments, script=script, **environment)
        output, _ = child.communicate(timeout=60)
        return child.returncode, output

    def calls(self, of: str) -> list[str]:
        path = self.folder / "calls"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines if line.split()[0] == of]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    project.make_venv()
    yield project
    for child in project.children:
        if child.poll() is None:
            child.kill()
        child.communicate()


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """A zombie that nobody has collected yet counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_first_start_installs_then_passes_arguments_and_exit_code_on(project: Project) -> None:
    code, output = project.run("ask", "what is it?", BOT_CODE="7")
    assert code == 7, output
    assert "Installing requirements-win.txt" in output
    (pip,) = project.calls("pip")
    assert pip.startswith("install ")
    assert pip.endswith(f"-r {project.folder / 'requirements-win.txt'}")
    assert project.calls("bot") == ["models fetch", "ask what is it?"]


def test_a_second_start_asks_pip_for_nothing_and_is_quick(project: Project) -> None:
    project.run("doctor")
    began = time.monotonic()
    code, output = project.run("ask", "hello")
    assert (code, output) == (0, "")
    assert time.monotonic() - began < 2
    assert len(project.calls("pip")) == 1


def test_changed_requirements_are_installed(project: Project) -> None:
    project.run("doctor")
    project.write("requirements-win.txt", "sidetone-needs-this==2\n")
    _, output = project.run("doctor")
    assert "Since the last set-up requirements-win.txt changed" in output
    assert len(project.calls("pip")) == 2


def test_the_tests_requirements_come_on_top_and_do_not_undo_the_bots(project: Project) -> None:
    pytest_stub = "import sys\nopen('calls', 'a', encoding='utf-8').write('pytest ' + ' '.join(sys.argv[1:]) + '\\n')\n"
    project.write(f"{project.packages}/pytest/__main__.py", pytest_stub)
    code, output = project.run("--fast", "-k", "turn", script="test.py")
    assert code == 0, output
    assert project.calls("pytest") == ["tests/unit -k turn"]
    assert project.calls("bot") == []
    assert project.calls("pip")[0].endswith(f"-r {project.folder / 'tests/requirements.txt'}")
    project.run("-q", script="test.py")
    assert project.calls("pytest")[1] == "-q"
    assert project.calls("bot") == ["models fetch --profile embedded"]
    project.run("doctor")
    assert len(project.calls("pip")) == 1


@pytest.mark.parametrize(
    ("said", "words", "code"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full", 12),
        ("Temporary failure in name resolution\nERROR: Could not find a version", "cannot be reached", 6),
        ("CMake Error: CMAKE_CXX_COMPILER not set", "No C++ compiler", 11),
        ("ERROR: ResolutionImpossible", "ResolutionImpossible", 21),
    ],
)
def test_a_failure_is_one_sentence_and_can_be_tried_again(project: Project, said: str, words: str, code: int) -> None:
    got, output = project.run("doctor", PIP_SAYS=said)
    assert got == code
    last = output.strip().splitlines()[-1]
    assert last.startswith("sidetone: ")
    assert words in last
    assert "Traceback" not in output
    assert said.splitlines()[0] in (project.folder / "logs" / "setup.log").read_text(encoding="utf-8")
    assert project.calls("bot") == []
    assert project.run("doctor")[0] == 0
    assert project.calls("bot") == ["doctor"]


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_children_and_the_next_start_completes(project: Project, number: int) -> None:
    child = project.start("doctor", PIP_TAKES="60", PIP_STARTS="yes")
    pid_file = project.folder / "compiler"
    wait_for(lambda: pid_file.exists() and pid_file.read_text(encoding="utf-8"))
    os.killpg(child.pid, number)
    output, _ = child.communicate(timeout=20)
    assert child.returncode == 130, output
    assert "interrupted" in output.splitlines()[-1]
    wait_for(lambda: not alive(int(pid_file.read_text(encoding="utf-8"))))
    # What pip leaves when it is cut off between METADATA and RECORD, or while it replaces a package.
    project.write(f"{project.packages}/half-1.0.dist-info/METADATA", "Name: half")
    project.write(f"{project.packages}/~alf/__init__.py", "")
    assert project.run("doctor")[0] == 0
    assert not (project.folder / project.packages / "half-1.0.dist-info").exists()
    assert not (project.folder / project.packages / "~alf").exists()


@posix
def test_an_interruption_of_the_model_fetch_ends_it_too(project: Project) -> None:
    child = project.start("talk", FETCH_TAKES="60")
    wait_for(lambda: project.calls("bot"))
    # To the script alone, as `kill` does it; a terminal's Ctrl-C reaches both.
    child.terminate()
    output, _ = child.communicate(timeout=20)
    assert child.returncode == 130, output
    assert project.calls("bot") == ["models fetch"]


def test_two_at_once_install_once(project: Project) -> None:
    first = project.start("doctor", PIP_UNTIL="released")
    wait_for(lambda: project.calls("pip"))
    second = project.start("doctor")
    assert second.stdout
    assert "waiting for it" in second.stdout.readline()
    project.write("released", "")
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output
    assert "Installing" not in output
    assert first.wait(20) == 0
    assert len(project.calls("pip")) == 1


@posix
def test_a_pip_whose_script_was_killed_is_waited_for(project: Project) -> None:
    first = project.start("doctor", PIP_TAKES="1.5")
    wait_for(lambda: project.calls("pip"))
    first.kill()
    code, output = project.run("doctor")
    assert code == 0, output
    assert "waiting for it" in output
    assert len(project.calls("pip")) == 2


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({"DISCORD_TOKEN": "x", "MICROPHONE": "yes"}, ""),
        ({"MICROPHONE": "yes"}, "talk"),
        ({"MICROPHONE": "no"}, "talk --wav tests/audio/question.wav --out replies/reply.wav"),
    ],
)
def test_what_is_started_without_a_command(project: Project, environment: dict[str, str], chosen: str) -> None:
    code, output = project.run(**environment)
    assert code == 0, output
    assert [call.replace("\\", "/") for call in project.calls("bot")] == ["models fetch", chosen]
    expected = "DISCORD_TOKEN is set" if not chosen else "no microphone" if "--wav" in chosen else "No DISCORD_TOKEN"
    assert expected in output


def test_models_that_cannot_be_had_end_the_start_with_the_bots_own_code(project: Project) -> None:
    assert project.run("talk", FETCH_CODE="6")[0] == 6
    assert project.calls("bot") == ["models fetch"]
    assert project.run("talk", "--help", FETCH_CODE="6")[0] == 0
    assert project.run("models", "list", FETCH_CODE="6")[0] == 0


def test_a_half_made_venv_is_made_anew_and_a_missing_network_is_named(project: Project) -> None:
    """Real venv, real pip, and an index behind a port where nobody listens."""
    shutil.rmtree(project.folder / ".venv")
    project.write(".venv/pyvenv.cfg", f"version = {sys.version.split()[0]}\n")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    code, output = project.run("doctor", **nowhere, PIP_RETRIES="0", PIP_EXTRA_INDEX_URL="")
    assert "making it anew" in output
    assert "cannot be reached" in output.splitlines()[-1]
    assert code == 6


@pytest.mark.parametrize("script", ["run.py", "test.py"])
def test_an_old_python_says_what_is_needed(script: str, tmp_path: Path) -> None:
    done = pretend_old(script, tmp_path)
    assert done.returncode == 20
    assert "needs Python 3.11 or 3.12" in done.stderr
    assert "3.9.2" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@posix
def test_an_old_python_hands_over_to_a_good_one(tmp_path: Path) -> None:
    name = tmp_path / f"python{sys.version_info.major}.{sys.version_info.minor}"
    name.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    name.chmod(0o755)
    done = pretend_old("run.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on with" in done.stderr
    assert "Sets up what is missing" in done.stdout


def pretend_old(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    """This Python, believing that it is 3.9 and that only `path` holds programs."""
    code = (
        f"import sys, runpy; sys.version_info = (3, 9, 2); sys.argv = [{str(SCRIPTS / script)!r}, '--help']; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    environment = {**os.environ, "PATH": str(path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
