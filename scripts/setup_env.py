"""What run.py and test.py share: system packages, .venv, the packages in it and the model files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import system_packages
from child import Failed, SetupError, in_foreground, run, say
from pip_log import DISK, MISSING_SYSTEM_PART, PIP_FAILED, PipNews, explain

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "sidetone.json"
LOG = ROOT / "logs" / "setup.log"
REQUIREMENTS = "requirements-win.txt"
AGENT_REQUIREMENTS = "requirements-wsl.txt"
"""The agent has a .venv of its own in use; its tests run in this one, on Linux."""
TEST_REQUIREMENTS = "tests/requirements.txt"
OLDEST_PIP = (24, 1)
"""The first whose progress can be read by a program."""
SCRIPT_VERSION = 1
"""Raised when what this script does to .venv changes, so that every .venv is looked at again."""
LOCKED_BYTE = 1 << 40
"""Far behind the end of the log: on Windows a locked byte cannot be written."""
FULL = 50_000_000
"""Bytes; with less than this free, a command that failed without a word failed for lack of room."""


def prepare(tests: bool = False, audio_tests: bool = False) -> Path:
    """Makes or completes .venv. Its Python. Quick when there is nothing to do."""
    agent = [] if os.name == "nt" else [AGENT_REQUIREMENTS]
    wanted = [REQUIREMENTS, *agent, TEST_REQUIREMENTS] if tests else [REQUIREMENTS]
    packages = system_packages.run_packages() + (system_packages.test_packages() if audio_tests else [])
    if up_to_date(wanted) and not (system_packages.applies() and system_packages.missing(packages)):
        return venv_python()
    try:
        LOG.parent.mkdir(exist_ok=True)
        with alone(LOG) as log:
            ready = up_to_date(wanted)
            system_packages.ensure(packages if ready else [*system_packages.build_packages(), *packages], log)
            if not ready:
                install(wanted, log)
    except OSError as error:
        raise explained(error) from error
    return venv_python()


def fetch_models(python: Path, *options: str) -> None:
    """The bot shows its own progress bar and explains its own failures."""
    code = in_foreground(bot_command(python, "models", "fetch", *options), bot_environment())
    if code:
        sys.exit(code)


def bot_command(python: Path, *arguments: str) -> list[str]:
    # -P: the bot is the one of this project, whatever lies in the folder that the user is in.
    return [str(python), "-P", "-m", "bot", *arguments]


def bot_environment() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def up_to_date(wanted: Sequence[str]) -> bool:
    """Whether each requirements file has been installed as it now reads, by what this script now does."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return venv_python().exists() and all(stamp.get(name) == fingerprint(name) for name in wanted)
    except (OSError, ValueError, AttributeError):
        return False


def changed(wanted: Sequence[str]) -> list[str]:
    """Those that were installed once, and read otherwise now."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return [name for name in wanted if name in stamp and stamp[name] != fingerprint(name)]
    except (OSError, ValueError, TypeError):
        return []


def fingerprint(name: str) -> str:
    text = (ROOT / name).read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(b"%d %s\n%s" % (SCRIPT_VERSION, venv_version().encode(), text)).hexdigest()


def venv_version() -> str:
    """ "3.11", by what .venv says of itself."""
    with contextlib.suppress(OSError):
        text = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
        match = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.MULTILINE)
        return match[1] if match else ""
    return ""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[BinaryIO]:
    """The emptied log, locked: one set-up at a time. What pip starts inherits the log and with it the lock, so that a
    pip whose script was killed is waited for."""
    with path.open("ab") as log:
        waiting = False
        while not locked(log):
            if not waiting:
                say("Another set-up is at work in this folder; waiting for it to end.")
            waiting = True
            time.sleep(0.3)
        log.truncate(0)
        yield log


def locked(file: BinaryIO) -> bool:
    # Imported by name, because each exists on one system only.
    try:
        if os.name == "nt":
            msvcrt = importlib.import_module("msvcrt")
            file.seek(LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl = importlib.import_module("fcntl")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # On Windows the number says little: EACCES, EDEADLK, or none at all.
        if os.name == "nt" or error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def install(wanted: Sequence[str], log: BinaryIO) -> None:
    """Leaves the stamp behind only when all of it went well."""
    if names := changed(wanted):
        say(f"Since the last set-up {' and '.join(names)} changed: pip updates what differs and leaves the rest alone.")
    STAMP.unlink(missing_ok=True)
    make_venv(log)
    mend()
    try:
        # -v: a build shows its steps.
        pip = [str(venv_python()), "-m", "pip", "install", "-v", "--disable-pip-version-check", "--no-input"]
        if pip_version() < OLDEST_PIP:
            run("Updating pip", [*pip, "--upgrade", f"pip>={'.'.join(map(str, OLDEST_PIP))}"], log, pip_environment())
        if not any(site_packages().glob("llama_cpp_python-*")):
            say("Next, llama-cpp-python is compiled where no ready build is at hand: 3 to 15 minutes, once.")
        files = [option for name in wanted for option in ("-r", str(ROOT / name))]
        command = [*pip, "--progress-bar", "raw", "--prefer-binary", *files]
        run(f"Installing {' and '.join(wanted)}", command, log, pip_environment(), PipNews())
    except Failed as failed:
        raise explain(failed.output if room() else "No space left on device", Path(log.name)) from failed
    passed = {name: fingerprint(name) for name in wanted}
    unfinished = STAMP.with_suffix(".part")
    unfinished.write_text(json.dumps(passed), encoding="utf-8")
    unfinished.replace(STAMP)


def make_venv(log: BinaryIO) -> None:
    if whole():
        return
    if VENV.exists():
        say("The .venv found here is unfinished or belongs to another Python; making it anew.")
    # Never .venv's own Python: --clear would saw off the branch it sits on.
    base = getattr(sys, "_base_executable", None) or sys.executable
    try:
        run(f"Making .venv with Python {sys.version.split()[0]}", [base, "-m", "venv", "--clear", str(VENV)], log)
    except Failed as failed:
        if "ensurepip" in failed.output and "No space left" not in failed.output:
            raise SetupError(
                "This Python cannot make a .venv, because its venv module is incomplete: install it "
                "(Debian, Ubuntu: sudo apt install python3-venv), then run this again.",
                MISSING_SYSTEM_PART,
            ) from failed
        raise explain(failed.output if room() else "No space left on device", Path(log.name)) from failed


def whole() -> bool:
    """Whether .venv has a Python of a version we use and a pip that runs."""
    if venv_version() not in ("3.11", "3.12") or not venv_python().exists():
        return False
    if len(list(site_packages().glob("pip-*.dist-info/RECORD"))) != 1:
        return False
    try:
        question = [str(venv_python()), "-c", "import pip"]
        return subprocess.run(question, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def mend() -> None:
    """Forgets packages whose unpacking was cut off: pip writes RECORD last, but believes a folder without it."""
    for folder in site_packages().glob("*.dist-info"):
        if not (folder / "RECORD").exists():
            shutil.rmtree(folder)
    for leftover in site_packages().glob("~*"):
        shutil.rmtree(leftover, ignore_errors=True)


def site_packages() -> Path:
    return VENV / ("Lib/site-packages" if os.name == "nt" else f"lib/python{venv_version()}/site-packages")


def pip_version() -> tuple[int, ...]:
    names = [folder.name for folder in site_packages().glob("pip-*.dist-info")]
    return tuple(int(part) for part in re.findall(r"\d+", names[0])[:2]) if names else (0,)


def pip_environment() -> Mapping[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PIP_TARGET")}
    environment.update(PIP_USER="0", PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8:replace")
    if os.name != "nt":
        # English messages, which a failure is explained from.
        environment["LC_ALL"] = "C.UTF-8"
    # A build that runs on every CPU with AVX2, not just on this one: pip keeps it and may hand it to another machine.
    environment.setdefault("CMAKE_ARGS", "-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF")
    environment.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(compile_jobs()))
    return environment


def compile_jobs() -> int:
    """One per core, but each takes up to 1 GB of memory."""
    cores = os.cpu_count() or 1
    with contextlib.suppress(AttributeError, ValueError, OSError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(1, min(cores, memory // 1_000_000_000))
    return cores


def room() -> bool:
    """Whether there is any: with a full disk even the words for it may not have reached the log."""
    return shutil.disk_usage(ROOT).free > FULL


def explained(error: OSError) -> SetupError:
    if error.errno == errno.ENOSPC:
        return explain("No space left on device", LOG)
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        place = error.filename or ROOT
        return SetupError(f"{place} cannot be written; take a folder that belongs to you, then run this again.", DISK)
    return SetupError(f"The set-up failed: {error}.", PIP_FAILED)
