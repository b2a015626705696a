"""What pip's output means: what it is doing now, and in one sentence why it failed."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from child import SetupError

NO_NETWORK, OUT_OF_MEMORY, MISSING_SYSTEM_PART, DISK, PIP_FAILED = 6, 10, 11, 12, 21
"""Exit codes; those below 20 mean the same as the bot's own (bot/errors.py)."""
SHOWN = 300
"""Characters of pip's last line that go into a sentence."""


@dataclass(frozen=True)
class Cause:
    pattern: str
    sentence: str
    code: int


def compiler() -> str:
    if sys.platform == "win32":
        return (
            'No C++ compiler was found, and llama-cpp-python comes as source: install "Desktop development with C++" '
            "of the Visual Studio Build Tools (https://visualstudio.microsoft.com/visual-cpp-build-tools/), or with "
            "an NVIDIA GPU uncomment the --extra-index-url line in requirements-win.txt, which brings a ready build"
        )
    if sys.platform == "darwin":
        return "No C++ compiler was found, and llama-cpp-python comes as source: type xcode-select --install"
    return (
        "No C++ compiler was found, and llama-cpp-python comes as source: install one "
        "(Debian, Ubuntu: sudo apt install g++; Fedora: sudo dnf install gcc-c++)"
    )


CAUSES = (
    Cause(
        r"No space left on device|Errno 28|not enough space on the disk|WinError 112|Disk quota exceeded",
        "The disk is full: .venv and the models need about 3 GB, and pip needs about 1 GB of temporary space",
        DISK,
    ),
    Cause(
        r"\(program cc1plus\)|fatal error: Killed signal|virtual memory exhausted|std::bad_alloc|MemoryError"
        r"|out of heap space",
        "There was not enough memory to compile: close other programs, or set CMAKE_BUILD_PARALLEL_LEVEL=1",
        OUT_OF_MEMORY,
    ),
    Cause(
        r"portaudio\.h: No such file|cannot find -lportaudio",
        "PortAudio's headers are missing (Debian, Ubuntu: sudo apt install portaudio19-dev; "
        "Fedora: sudo dnf install portaudio-devel)",
        MISSING_SYSTEM_PART,
    ),
    Cause(
        r"Python\.h: No such file",
        "Python's headers are missing (Debian, Ubuntu: sudo apt install python3-dev; "
        "Fedora: sudo dnf install python3-devel)",
        MISSING_SYSTEM_PART,
    ),
    Cause(
        r"CMAKE_CX*_COMPILER|Microsoft Visual C\+\+ [\d.]+ or greater is required|Unable to find vcvarsall"
        r"|unable to find a build program|'nmake' '-\?'|could not find any instance of Visual Studio"
        r"|command '.*(gcc|g\+\+|cc|clang|cl\.exe)' failed: No such file",
        compiler(),
        MISSING_SYSTEM_PART,
    ),
    Cause(
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLCertVerificationError",
        "The package index's certificate is not trusted here: check the clock, and behind a company proxy set PIP_CERT",
        NO_NETWORK,
    ),
    Cause(
        r"Temporary failure in name resolution|Name or service not known|getaddrinfo failed|nodename nor servname"
        r"|NameResolutionError|Failed to establish a new connection|NewConnectionError|Connection refused"
        r"|Network is unreachable|No route to host|Read timed out|ConnectTimeout|ReadTimeoutError|ProxyError"
        r"|Cannot connect to proxy|Connection reset by peer|RemoteDisconnected|Could not resolve|IncompleteRead",
        "The package index cannot be reached: check the network (behind a proxy, set HTTPS_PROXY)",
        NO_NETWORK,
    ),
    # All that some versions of pip say of a refused connection.
    Cause(
        r"\(from versions: none\)",
        "The package index cannot be reached, or has nothing for this system: check the network and PIP_INDEX_URL",
        NO_NETWORK,
    ),
    Cause(
        r"WinError (5|32)\b",
        "A file in .venv is in use: close the Sidetone that is running",
        PIP_FAILED,
    ),
    Cause(
        r"Permission denied|Read-only file system",
        "A file cannot be written: .venv or pip's cache belongs to another user, or the disk is read-only",
        PIP_FAILED,
    ),
)
BOILERPLATE = re.compile(
    r"note: This (error|is an issue)|hint: See|See above for|\[end of output\]|exit code: \d"
    r"|Failed to build installable wheels|subprocess-exited-with-error|failed-wheel-build|Failed building wheel"
    r"|^full command|^cwd:|did not run successfully"
)


def explain(output: str, log: object) -> SetupError:
    """The error to raise for a failed pip. The order of CAUSES counts: pip reports a full disk as many things."""
    for cause in CAUSES:
        if re.search(cause.pattern, output):
            return SetupError(f"{cause.sentence}; then run this again. (Log: {log})", cause.code)
    return SetupError(f"Installing the packages failed: {last_words(output)} (full log: {log})", PIP_FAILED)


def last_words(output: str) -> str:
    """The line that says most: pip's last error, else the last line that is not decoration."""
    lines = [re.sub(r"^[\s│╰─>\u00d7┃]+", "", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line and not BOILERPLATE.search(line)]
    errors = [line for line in lines if re.match(r"(ERROR|error|\w*Error|CMake Error)\b", line)]
    words = (errors or lines or ["pip said nothing"])[-1]
    return words[:SHOWN].rstrip(".") + "."


class PipNews:
    """Turns pip's lines into what the user sees while waiting."""

    def __init__(self) -> None:
        self._package = ""

    def __call__(self, line: str) -> str | None:
        line = line.strip()
        if match := re.match(r"Progress (\d+) of (\d+)", line):
            done, whole = int(match[1]), int(match[2])
            return f"downloading {self._package}, {100 * done // whole} %" if whole else None
        if match := re.match(r"Downloading (\S+) \(.*\)", line):
            self._package = match[1].rsplit("/", 1)[-1].split("-")[0]
            return f"downloading {self._package}"
        if match := re.match(r"(?:Running command )?Building wheel for (\S+)", line):
            self._package = match[1]
            return f"compiling {self._package}"
        if match := re.match(r"\[(\d+)/(\d+)\]", line):
            return f"compiling {self._package}, {match[1]} of {match[2]} steps"
        if match := re.match(r"Collecting ([\w.-]+)", line):
            return f"looking for {match[1]}"
        if line.startswith("Installing collected packages"):
            return f"unpacking {line.count(',') + 1} packages"
        return None
