"""What pip's output is made into: one sentence, an exit code, and what the user sees while waiting."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.append(str(SCRIPTS))

import find_python  # noqa: E402
import pip_log  # noqa: E402
import run  # noqa: E402
import system_packages  # noqa: E402

UNREACHABLE = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(<HTTPSConnection>:
Failed to establish a new connection: [Errno -3] Temporary failure in name resolution
ERROR: Could not find a version that satisfies the requirement numpy (from versions: none)
ERROR: No matching distribution found for numpy"""
NO_COMPILER = """  error: subprocess-exited-with-error
  \u00d7 Building wheel for llama-cpp-python (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [12 lines of output]
      CMake Error at CMakeLists.txt:3 (project):
        No CMAKE_CXX_COMPILER could be found.
      *** CMake configuration failed
      [end of output]
  ERROR: Failed building wheel for llama-cpp-python"""
NO_COMPILER_ON_WINDOWS = """  CMake Error at CMakeLists.txt:3 (project):
    Running
     'nmake' '-?'
    failed with:
     no such file or directory
  CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage"""
DISK_FULL = (
    """ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device: '/x/libggml.so'"""
)
DISK_FULL_WHILE_COMPILING = """ccA.s: Assembler messages: fatal error: can't write 9 bytes: No space left on device
CMake Error: No CMAKE_CXX_COMPILER could be found."""


@pytest.mark.parametrize(
    ("output", "words", "code"),
    [
        (UNREACHABLE, "cannot be reached", 6),
        (
            "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool: Read timed out.",
            "cannot be reached",
            6,
        ),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "certificate is not trusted", 6),
        (NO_COMPILER, "No C++ compiler", 11),
        (NO_COMPILER_ON_WINDOWS, "No C++ compiler", 11),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "No C++ compiler", 11),
        ("error: Microsoft Visual C++ 14.0 or greater is required.", "No C++ compiler", 11),
        ("src/x.c:3:10: fatal error: portaudio.h: No such file or directory", "portaudio19-dev", 11),
        ("src/x.c:3:10: fatal error: Python.h: No such file or directory", "python3-dev", 11),
        ("c++: fatal error: Killed signal terminated program cc1plus", "not enough memory", 10),
        (DISK_FULL, "disk is full", 12),
        (DISK_FULL_WHILE_COMPILING, "disk is full", 12),
        ("ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied", "is in use", 21),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'", "another user", 21),
    ],
)
def test_failures_become_one_sentence_and_a_code(output: str, words: str, code: int) -> None:
    error = pip_log.explain(output, "logs/setup.log")
    assert words in str(error)
    assert "logs/setup.log" in str(error)
    assert "\n" not in str(error)
    assert error.code == code


def test_an_unknown_failure_shows_the_last_useful_line() -> None:
    output = """ERROR: ResolutionImpossible: for help visit https://pip.pypa.io
      note: This error originates from a subprocess, and is likely not a problem with pip.
      [end of output]"""
    error = pip_log.explain(output, "here.log")
    assert "ResolutionImpossible" in str(error)
    assert "here.log" in str(error)
    assert error.code == pip_log.PIP_FAILED


def test_a_silent_failure_has_words_too() -> None:
    assert "pip said nothing" in str(pip_log.explain("", "here.log"))


def test_a_version_nobody_has_is_not_called_a_network_failure() -> None:
    output = "ERROR: Could not find a version that satisfies the requirement numpy>=99 (from versions: 1.0, 2.0)"
    assert "numpy>=99" in str(pip_log.explain(output, "here.log"))


def test_what_is_shown_while_pip_works() -> None:
    news = pip_log.PipNews()
    assert news("Collecting numpy<3,>=1.26 (from -r requirements-win.txt (line 8))") == "looking for numpy"
    assert news("  Downloading https://index/numpy-2.4.6-cp311.whl (16.9 MB)") == "downloading numpy"
    assert news("Progress 50 of 200") == "downloading numpy, 25 %"
    assert news("Progress 50 of 0") is None
    assert (
        news("  Running command Building wheel for llama-cpp-python (pyproject.toml)") == "compiling llama-cpp-python"
    )
    assert news("  [7/140] /usr/bin/g++ -O3") == "compiling llama-cpp-python, 7 of 140 steps"
    assert news("Installing collected packages: a, b, c") == "unpacking 3 packages"
    assert news("something else") is None


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("DISCORD_TOKEN=abc", "abc"),
        ("\ufeffexport DISCORD_TOKEN = 'a b'  # mine\n", "a b"),
        ('DISCORD_TOKEN="abc" # mine', "abc"),
        ("DISCORD_TOKEN=abc # mine", "abc"),
        ("DISCORD_TOKEN=#abc", "#abc"),
        ("# DISCORD_TOKEN=abc", ""),
        ("MY_DISCORD_TOKEN=abc", ""),
        ("DISCORD_TOKEN=\r\nPORT=1", ""),
    ],
)
def test_the_token_is_read_as_the_bot_reads_it(
    text: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dotenv import dotenv_values

    monkeypatch.delenv("DISCORD_TOKEN", raising=False)
    env_file = tmp_path / ".env"
    env_file.write_text(text, encoding="utf-8")
    assert run.setting("DISCORD_TOKEN", env_file) == token
    assert (dotenv_values(env_file, encoding="utf-8-sig").get("DISCORD_TOKEN") or "").strip() == token


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DISCORD_TOKEN=file", encoding="utf-8")
    monkeypatch.setenv("DISCORD_TOKEN", "")
    assert run.setting("DISCORD_TOKEN", tmp_path / ".env") == ""


@pytest.mark.parametrize("name", ["run.py", "test.py", "find_python.py"])
def test_what_an_old_python_reads_first_parses_on_it(name: str) -> None:
    ast.parse((SCRIPTS / name).read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("name", ["run.py", "test.py", "find_python.py"])
def test_annotations_are_evaluated_on_it_without_an_error(name: str) -> None:
    """`list[str]` in a signature raises on Python 3.8, and the future import that avoids it is unknown to 3.6."""
    tree = ast.parse((SCRIPTS / name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            hints = [argument.annotation for argument in node.args.args] + [node.returns]
            assert all(isinstance(hint, ast.Name | ast.Constant | None) for hint in hints), node.name


def test_only_the_two_versions_with_64_bits_will_do() -> None:
    assert find_python.suitable((3, 11, 2), True)
    assert find_python.suitable((3, 12, 0), True)
    assert not find_python.suitable((3, 10, 9), True)
    assert not find_python.suitable((3, 13, 0), True)
    assert not find_python.suitable((3, 11, 2), False)


def test_a_name_that_is_no_python_is_not_believed() -> None:
    assert find_python.answers(sys.executable, [])
    assert not find_python.answers(sys.executable, ["-c", "print('3.11 of a shop')"])
    assert not find_python.answers(str(SCRIPTS / "nothing"), [])


@pytest.mark.parametrize(
    ("missing", "root", "apt_works", "outcome"),
    [
        ([], False, True, ""),
        (["pulseaudio"], False, True, "said: sudo apt install pulseaudio"),
        (["g++", "pulseaudio"], False, True, "stops: sudo apt install g++ pulseaudio"),
        (["g++"], True, True, "installed"),
        (["g++"], True, False, "stops: sudo apt install g++"),
    ],
)
def test_system_packages_are_installed_or_the_line_is_said(
    missing: list[str],
    root: bool,
    apt_works: bool,
    outcome: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = {"libportaudio2"}

    def install(prefix: object, names: list[str], log: object) -> None:
        assert names == missing
        there.update(names if apt_works else [])

    packages = [
        system_packages.Package(name, lambda name=name: name in there, name == "g++")
        for name in [*missing, "libportaudio2"]
    ]
    monkeypatch.setattr(system_packages, "applies", lambda: True)
    monkeypatch.setattr(system_packages, "privileged", lambda: ["env"] if root else None)
    monkeypatch.setattr(system_packages, "install", install)
    result = ""
    with (tmp_path / "log").open("ab") as log:
        try:
            system_packages.ensure(packages, log)
        except system_packages.SetupError as error:
            assert error.code == 11
            result = f"stops: {error}"
    result += f"said: {capsys.readouterr().out}"
    if outcome == "installed":
        assert there >= set(missing)
        assert result == "said: "
    else:
        assert outcome.partition(": ")[0] in result
        assert outcome.partition(": ")[2] in result


@pytest.mark.skipif(sys.platform != "linux", reason="apt-get is a Debian command")
def test_apt_is_asked_again_with_a_fresh_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in apt-get whose list is old: it knows the package only after `update`."""
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {tmp_path}/calls\n'
        f'case "$*" in *update*) touch {tmp_path}/fresh;; *) test -e {tmp_path}/fresh;; esac\n',
        encoding="utf-8",
    )
    (tmp_path / "dpkg").write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    for command in (apt, tmp_path / "dpkg"):
        command.chmod(0o755)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "debian_Packages").touch()
    monkeypatch.setattr(system_packages, "LISTS", tmp_path / "lists")
    with (tmp_path / "log").open("ab") as log:
        system_packages.install(["env", f"PATH={tmp_path}:/usr/bin:/bin"], ["g++"], log)
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert [call.split()[3] for call in calls] == ["install", "update", "install"]
    assert all(call.startswith("noninteractive ") for call in calls)
    assert calls[-1].endswith(" g++")


def test_both_scripts_explain_themselves_without_a_set_up() -> None:
    for name in ("run.py", "test.py"):
        done = subprocess.run([sys.executable, SCRIPTS / name, "--help"], capture_output=True, text=True, check=True)
        assert f"python scripts/{name}" in done.stdout


def test_what_is_shown_while_apt_works() -> None:
    assert system_packages.apt_news("Unpacking libportaudio2:amd64 (19.6.0-1.2) ...") == "unpacking libportaudio2"
    assert system_packages.apt_news("Setting up g++ (4:12.2.0-3) ...") == "setting up g++"
    assert system_packages.apt_news("Reading package lists...") is None
