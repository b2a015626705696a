"""Finds Python 3.11 or 3.12 and runs the calling script in it. Written so that Python 3.6 can still read it."""

import os
import re
import shutil
import subprocess
import sys

WANTED = ((3, 11), (3, 12))
WRONG_PYTHON = 20
"""Exit code when no suitable Python is found."""
HOW_TO_GET_ONE = (
    "Install Python 3.11 or 3.12 and run this again (https://www.python.org/downloads/; "
    "Debian 12: sudo apt install python3.11; Windows: winget install Python.Python.3.11)."
)
QUESTION = "import sys; print('%d.%d %d' % (sys.version_info[0], sys.version_info[1], sys.maxsize > 2**32))"


def suitable(version, is_64_bit) -> bool:
    return tuple(version[:2]) in WANTED and is_64_bit


def insist() -> None:
    """Returns when this Python will do; else runs the script again in one that does, or ends with a sentence."""
    if suitable(sys.version_info, sys.maxsize > 2**32):
        return
    command = find()
    found = "Python " + ".".join(str(part) for part in sys.version_info[:3])
    if sys.maxsize <= 2**32:
        found += " (32 bits)"
    if command is None:
        sys.stderr.write(
            "Sidetone needs Python 3.11 or 3.12 (64 bits), but this is "
            + found
            + " and no other was found. "
            + HOW_TO_GET_ONE
            + "\n"
        )
        sys.exit(WRONG_PYTHON)
    sys.stderr.write("This is " + found + "; going on with " + " ".join(command) + ".\n")
    sys.stderr.flush()
    hand_over(command + sys.argv, dict(os.environ))


def candidates() -> list:
    """Commands that may be a suitable Python, the best tested version first."""
    names = []
    for major, minor in WANTED:
        version = str(major) + "." + str(minor)
        if os.name == "nt":
            names.append(["py", "-" + version])
        names.append(["python" + version])
    return [*names, ["python3"], ["python"]]


def find():
    """The first command that is a suitable Python, with its full path; None when there is none."""
    for command in candidates():
        path = shutil.which(command[0])
        if path is not None and answers(path, command[1:]):
            return [path] + command[1:]  # noqa: RUF005
    return None


def answers(path, options) -> bool:
    """Asked rather than believed: a name on the PATH may be a version manager's or an app store's placeholder."""
    try:
        answer = subprocess.run(
            [path] + options + ["-c", QUESTION],  # noqa: RUF005
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=False,
        ).stdout.decode("ascii", "replace")
    except (OSError, subprocess.SubprocessError):
        return False
    match = re.match(r"(\d+)\.(\d+) ([01])", answer)
    return match is not None and suitable((int(match.group(1)), int(match.group(2))), match.group(3) == "1")


def hand_over(command, environment) -> None:
    """Becomes that program; signals and the exit code are its own from here on. Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execve(command[0], command, environment)  # noqa: S606
    # Windows has no exec that keeps the console: wait, and leave Ctrl-C to the program.
    child = subprocess.Popen(command, env=environment)
    while True:
        try:
            sys.exit(child.wait())
        except KeyboardInterrupt:
            continue
