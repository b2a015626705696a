"""Tries to break out of the sandbox on this machine, and reports what each attempt met."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent_wsl.errors import Refusal
from agent_wsl.protocol import Attempt, SelftestResult
from agent_wsl.sandbox.confine import Sandbox
from agent_wsl.sandbox.start import running

PYTHON = "/usr/bin/python3"
TIMEOUT_S = 60.0
PROGRAM = Path(__file__).with_name("escapes.py")
CANARY = "The sandbox must not let this be read or changed.\n"


def run_selftest(
    sandbox: Sandbox, further: Sequence[Callable[[], Attempt]] = (), python: str = PYTHON
) -> SelftestResult:
    """`further`: attempts of other rooms, called one after the other. Takes some seconds; leaves nothing behind."""
    state = sandbox.state
    if not state.works:
        return SelftestResult((Attempt("the sandbox", False, state.detail),), False)
    try:
        with _prepared(sandbox.visible) as given:
            attempts = [*_run(sandbox, {**given, "network": state.network}, python), *_looked_after(given)]
    except OSError as error:
        attempts = [Attempt("preparations", False, f"The first allowed directory cannot be used: {error.strerror}.")]
    if state.network:
        attempts.append(Attempt("network", True, "Not tried: JOB_NETWORK is on, so commands have one."))
    attempts += [attempt() for attempt in further]
    return SelftestResult(tuple(attempts), all(attempt.held for attempt in attempts))


@contextmanager
def _prepared(visible: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """A repository in the first root, a file and a listening socket outside: what the attempts are made on."""
    repository = Path(tempfile.mkdtemp(prefix="sidetone-selftest-", dir=visible[0]))
    outside = Path(tempfile.mkdtemp(prefix="sidetone-selftest-"))
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        for folder in (".git/hooks", ".vscode"):
            (repository / folder).mkdir(parents=True)
        for name in (".git/config", ".git/HEAD", ".env", ".vscode/tasks.json"):
            (repository / name).write_text(CANARY, encoding="ascii")
        (outside / "canary").write_text(CANARY, encoding="ascii")
        (repository / "link").symlink_to(outside / "canary")
        homes = {entry.pw_dir for entry in pwd.getpwall() if entry.pw_uid in (0, os.getuid())}
        secret = [f"{home}/{name}" for home in sorted(homes) for name in (".bashrc", ".ssh", ".bash_history")]
        yield {
            "repository": str(repository),
            "outside": str(outside / "canary"),
            "homes": _apart(["/home", *secret], visible),
            "drives": _apart(["/mnt/c", "/mnt/wsl", "/mnt"], visible),
            "port": listener.getsockname()[1],
        }
    finally:
        listener.close()
        shutil.rmtree(repository, ignore_errors=True)
        shutil.rmtree(outside, ignore_errors=True)


def _apart(paths: Sequence[str], visible: Sequence[Path]) -> list[str]:
    """Without those that commands may see, or must see the way to."""
    return [p for p in paths if not any(Path(p).is_relative_to(v) or v.is_relative_to(p) for v in visible)]


def _run(sandbox: Sandbox, given: dict[str, Any], python: str) -> list[Attempt]:
    program = PROGRAM.read_text(encoding="utf-8")
    argv = [python, "-I", "-c", program, json.dumps(given)]
    try:
        with sandbox.prepare(argv, given["repository"]) as prepared:
            started = prepared.start(subprocess.PIPE, subprocess.DEVNULL)
    except Refusal as refusal:
        return [Attempt("the sandbox", False, refusal.message)]
    with running(started) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        executed = started.executed()
    prepared.finish()
    attempts = [Attempt(*json.loads(line)) for line in output.splitlines()]
    if process.returncode == 0 and attempts:
        return attempts
    reason = "there is no python3 in the sandbox: run `sudo apt install python3`"
    if executed:
        reason = f"it ended with exit code {process.returncode} after {len(attempts)} attempts"
    return [*attempts, Attempt("the program that makes the attempts", False, f"It did not get to its end: {reason}.")]


def _looked_after(given: dict[str, Any]) -> list[Attempt]:
    """What the attempts say of themselves is one thing; what is there afterwards another."""
    repository = Path(given["repository"])
    same = all(
        path.read_text(encoding="ascii") == CANARY
        for path in (repository / ".git/config", repository / ".env", Path(given["outside"]))
        if path.exists()
    )
    hooks = list((repository / ".git/hooks").glob("*")) if (repository / ".git/hooks").is_dir() else ["gone"]
    held = same and not hooks
    return [Attempt("afterwards, seen from outside", held, "nothing has changed" if held else "something has changed")]
