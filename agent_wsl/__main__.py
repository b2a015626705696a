"""`python -m agent_wsl`: arguments and exit codes only."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agent_wsl.errors import ConfigError, SandboxError, StartupError, StateError

if TYPE_CHECKING:
    from agent_wsl.config import Settings
    from agent_wsl.protocol import SandboxState

DESCRIPTION = """The tool agent of Sidetone: reads files, watches directories and runs commands inside the directories
of ALLOWED_DIRECTORIES, for whoever holds API_KEY. Settings come from .env and the environment; .env.example lists
them."""
EXIT_CODES = """exit codes: 0 ended in order; 2 a wrong setting; 3 a directory that does not exist or must not be
allowed; 4 (--check, selftest) commands are refused on this machine; 5 certificates; 6 the port is taken; 7 no place for
the audit log; 8 a package is missing"""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.command == "keys":
            return _keys(options.folder, options.host)
        return _with_settings(options)
    except StartupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "agent_wsl":
            raise
        print(
            f"The package {error.name} is missing: {sys.executable} -m pip install -r requirements-wsl.txt",
            file=sys.stderr,
        )
        return 8
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agent_wsl", description=DESCRIPTION, epilog=EXIT_CODES)
    parser.add_argument("--check", action="store_true", help="check settings, directories and sandbox, then end")
    parser.add_argument("--port", type=int, metavar="N", help="instead of PORT; 0 takes a free one and prints it")
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(title="commands", metavar="")
    keys = commands.add_parser("keys", help="make certificates for use beyond this machine: keys DIR [--host NAME]")
    keys.add_argument("folder", type=Path, metavar="DIR")
    keys.add_argument("--host", action="append", help="a name or address at which the bot will reach the agent; repeat")
    keys.set_defaults(command="keys")
    commands.add_parser("selftest", help="try to break out of the sandbox").set_defaults(command="selftest")
    return parser


def _with_settings(options: argparse.Namespace) -> int:
    from agent_wsl import config

    settings = config.load()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("agent_wsl").setLevel(settings.log_level.upper())
    if options.port is not None:
        if not 0 <= options.port <= 65535:
            raise ConfigError(f"--port is {options.port}, but must be from 0 to 65535.")
        settings = replace(settings, listen=replace(settings.listen, port=options.port))
    if options.command == "selftest":
        return _selftest(settings)
    return _check(settings) if options.check else _serve(settings)


def _keys(folder: Path, hosts: list[str] | None) -> int:
    from agent_wsl.wire import keys

    names = hosts or ["localhost", "127.0.0.1", "::1"]
    for path in keys.write(folder, names):
        print(path)
    print(f"The agent's certificate is for {', '.join(names)}. Set AGENT_TLS_DIR={folder.resolve()} for the agent;")
    print("copy ca.pem, bot.pem and bot.key to the bot's machine, and set AGENT_TLS_DIR to their folder there.")
    return 0


def _serve(settings: Settings) -> NoReturn:
    """Does not come back: a thread that is still in a call would keep the interpreter from ending, or abort it."""
    from agent_wsl.app import Agent

    agent = Agent(settings)
    # A second signal does the same: the end takes its time, but at most five seconds.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: agent.end())
    try:
        port = agent.start()
        host = f"[{settings.listen.host}]" if ":" in settings.listen.host else settings.listen.host
        print(
            f"Listening on {host}:{port}{', TLS' if settings.listen.tls else ''}; "
            f"{_summary(settings, agent.sandbox.state)}"
        )
        sys.stdout.flush()
        agent.serve()
    finally:
        agent.close()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _check(settings: Settings) -> int:
    from agent_wsl.sandbox.confine import Sandbox
    from agent_wsl.wire import tls

    if settings.listen.tls:
        tls.agent_side(settings.listen.tls)
    state = Sandbox(settings.files.roots, settings.sandbox, settings.jobs).state
    print(f"Settings: fine; {_summary(settings, state)}")
    if not state.works:
        raise SandboxError(state.detail)
    return 0


def _selftest(settings: Settings) -> int:
    from agent_wsl.jobs.brakes import brakes
    from agent_wsl.sandbox.confine import Sandbox
    from agent_wsl.sandbox.selftest import run_selftest

    try:
        settings.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{settings.state} cannot be made ({error.strerror}): set AGENT_STATE_DIR.") from None
    further = brakes(settings.jobs, settings.sandbox, settings.state)
    result = run_selftest(Sandbox(settings.files.roots, settings.sandbox, settings.jobs), further)
    width = max(len(attempt.name) for attempt in result.attempts)
    for attempt in result.attempts:
        print(f"{'held' if attempt.held else 'OPEN':5} {attempt.name:{width}}  {attempt.detail}")
    broken = sum(not attempt.held for attempt in result.attempts)
    print(f"{len(result.attempts) - broken} of {len(result.attempts)} attempts were held.")
    if not result.works:
        raise SandboxError("The sandbox does not hold on this machine: do not let commands run here.")
    return 0


def _summary(settings: Settings, state: SandboxState) -> str:
    roots = ", ".join(map(str, settings.files.roots))
    network = "commands reach the network" if state.network else "no network"
    if not state.works:
        return f"allowed: {roots}; sandbox: commands are refused: {state.detail}"
    return f"allowed: {roots}; sandbox: holds ({state.detail.rstrip('.')}; {network})"


if __name__ == "__main__":
    sys.exit(main())
