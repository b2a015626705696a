"""What comes from the system's package manager on Debian-like systems, and how it gets there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from child import Failed, SetupError, run, say
from pip_log import MISSING_SYSTEM_PART

OFF = "SIDETONE_SYSTEM_PACKAGES"
"""Set to "off", this variable forbids to look for or install system packages."""
LISTS = Path("/var/lib/apt/lists")


@dataclass(frozen=True)
class Package:
    name: str
    present: Callable[[], bool]
    """A quick look at what the package is wanted for, so that another source of the same thing counts too."""
    essential: bool
    """Whether the set-up cannot succeed without it."""


def build_packages() -> list[Package]:
    """For making .venv and compiling what comes as source."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return [
        Package(f"python{version}-venv", lambda: find_spec("ensurepip") is not None, True),
        Package(f"python{version}-dev", header.exists, True),
        Package("g++", lambda: any(shutil.which(name) for name in (os.environ.get("CXX", ""), "c++", "g++")), True),
        Package("portaudio19-dev", lambda: found("/usr/include/portaudio.h", "/usr/local/include/portaudio.h"), True),
    ]


def run_packages() -> list[Package]:
    return [
        Package("libportaudio2", lambda: found(*shared_library("libportaudio.so.2")), False),
        Package("libopus0", lambda: found(*shared_library("libopus.so.0")), False),
        Package("ca-certificates", lambda: found("/etc/ssl/certs/ca-certificates.crt"), False),
    ]


def test_packages() -> list[Package]:
    """For the tests that play a recording into a virtual microphone."""
    return [
        Package("pulseaudio", lambda: shutil.which("pulseaudio") is not None, False),
        Package("pulseaudio-utils", lambda: shutil.which("pactl") is not None, False),
        Package("libasound2-plugins", lambda: found(*shared_library("alsa-lib/libasound_module_pcm_pulse.so")), False),
    ]


def found(*paths: str) -> bool:
    return any(Path(path).exists() for path in paths)


def shared_library(name: str) -> list[str]:
    folders = ["/usr/lib", "/usr/local/lib", *map(str, Path("/usr/lib").glob("*-linux-gnu*"))]
    return [f"{folder}/{name}" for folder in folders]


def ensure(packages: Iterable[Package], log: BinaryIO) -> None:
    """Installs what is missing when it may, else says the line to type; stops only where nothing can go on."""
    if not applies():
        return
    absent = missing(packages)
    prefix = privileged() if absent else None
    if prefix is not None:
        install(prefix, [package.name for package in absent], log)
        absent = missing(absent)
    if not absent:
        return
    line = f"sudo apt install {' '.join(package.name for package in absent)}"
    if any(package.essential for package in absent):
        raise SetupError(f"System packages are missing. Type this, then run this again:  {line}", MISSING_SYSTEM_PART)
    say(f"Some things will not work without system packages. To have them, type:  {line}")


def missing(packages: Iterable[Package]) -> list[Package]:
    return [package for package in packages if not package.present()]


def applies() -> bool:
    return os.environ.get(OFF, "").lower() != "off" and shutil.which("apt-get") is not None and LISTS.exists()


def privileged() -> list[str] | None:
    """The prefix that makes a command run as root without asking for a password; None when there is none."""
    if os.geteuid() == 0:
        return ["env"]
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n", "env"]
    return None


def install(prefix: Sequence[str], names: Sequence[str], shared_log: BinaryIO) -> None:
    """A failure is only said here: `ensure` looks again at what is there."""
    # Opened anew, because the shared one carries the lock, and a service that apt starts would keep it for ever.
    with open(shared_log.name, "ab") as log:
        install_logged(prefix, names, log)


def install_logged(prefix: Sequence[str], names: Sequence[str], log: BinaryIO) -> None:
    apt = [*prefix, "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]
    wanted = [*apt, "install", "-y", "--no-install-recommends", *names]
    title = f"Installing system packages ({' '.join(names)})"
    try:
        if not any(LISTS.glob("*_Packages*")):
            run("Fetching the list of system packages", [*apt, "update"], log)
        run(title, wanted, log, describe=apt_news)
    except Failed:
        # An old list names packages that are gone; an interrupted dpkg wants to be finished first.
        try:
            run("Finishing what an earlier installation left", [*prefix, "dpkg", "--configure", "-a"], log)
            run("Fetching the list of system packages", [*apt, "update"], log)
            run(title, wanted, log, describe=apt_news)
        except Failed as error:
            say(f"The system packages could not be installed (exit code {error.code}; full log: {log.name}).")


def apt_news(line: str) -> str | None:
    """ "unpacking g++", from apt's lines."""
    match = re.match(r"(Unpacking|Setting up) (\S+) ", line)
    return f"{match[1].lower()} {match[2].partition(':')[0]}" if match else None
