"""Arguments and exit codes: `python -m bot [run|talk|ask|doctor|data|models]`."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C in the moment until `main` takes over ends it too, without a traceback out of some import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import errno
import logging
import os
import sys
from pathlib import Path
from types import FrameType

from bot import config, log
from bot.errors import SidetoneError

INTERRUPTED = 130
NOBODY_READS = 141
"""What shells give a program whose output was closed: `... | head -1`."""
SAME_PRESS_S = 0.3
"""`timeout` and some terminals send the same Ctrl-C to the program twice."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m bot", description="Sidetone: a developer assistant you talk to.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser("run", help="start the Discord bot (default)")

    talk = commands.add_parser("talk", help="hold a conversation through microphone and loudspeaker, or on a WAV")
    talk.add_argument("--wav", metavar="FILE", type=Path, help="hear this WAV instead of the microphone")
    talk.add_argument("--out", metavar="FILE", type=Path, help="write what is played to this WAV (24 kHz)")
    talk.add_argument("--events", metavar="FILE", type=Path, help="write what happens as JSON lines")
    talk.add_argument("--fast", action="store_true", help="with --wav: as fast as it can instead of at real time")
    talk.add_argument("--turns", metavar="N", type=positive, help="end after N questions")

    for command in (run, talk):
        what = "keep the sound of each stage of one conversation in this folder, to find out what went wrong"
        command.add_argument("--debug-audio", metavar="DIR", type=Path, help=what)

    ask = commands.add_parser("ask", help="ask one question in text")
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument("--model", metavar="NAME", default="", help="instead of LLM_MODEL; openai:NAME, anthropic:NAME")

    commands.add_parser("doctor", help="check this machine and say how to mend what does not work")

    data = commands.add_parser("data", help="show what is kept on this machine, where and how large")
    data.add_argument("--erase", action="store_true", help="remove it, once you have typed a confirmation")

    models = commands.add_parser("models", help="list, fetch or verify the model files")
    models.add_argument("action", nargs="?", choices=("list", "fetch", "verify"), default="list")
    models.add_argument("names", metavar="NAME", nargs="*", help="only these (see the list)")
    models.add_argument("--profile", choices=("embedded", "gpu"), help="instead of MODEL_PROFILE")
    return top


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def heed_impatience() -> None:
    """The first Ctrl-C ends things in order, which waits for the engine's call in progress; the next ends at once. What
    was recorded until then is whole."""
    loop = asyncio.get_running_loop()
    in_order = signal.getsignal(signal.SIGINT)
    pressed: list[float] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not pressed and callable(in_order):
            in_order(number, frame)
        elif pressed and loop.time() - pressed[-1] > SAME_PRESS_S:
            os._exit(INTERRUPTED)
        pressed.append(loop.time())

    if in_order is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)


async def dispatch(options: argparse.Namespace, settings: config.Settings) -> int:
    """Imports only what the command needs: `models` and `--help` must not wait for the engines' libraries."""
    heed_impatience()
    match options.command:
        case "talk":
            from bot.talk import TalkOptions, talk

            chosen = TalkOptions(
                options.wav, options.out, options.events, options.fast, options.turns, options.debug_audio
            )
            return await talk(settings, chosen)
        case "ask":
            from bot.app import ask

            return await ask(settings, options.question, options.model)
        case "doctor":
            from bot.doctor import doctor

            return await doctor(settings)
        case "data":
            from bot import data
            from bot.models.manifest import shipped
            from bot.models.store import WORK

            files = [file.path for model in shipped().models for file in model.files]
            return data.run(settings, [settings.models.folder / each for each in [*files, WORK]], erase=options.erase)
        case "models":
            from bot.models import command

            return await command.run(options.action, settings, options.profile, options.names)
        case _:
            from bot.app import run

            return await run(settings, getattr(options, "debug_audio", None))


def log_file(command: str | None, settings: config.Settings) -> Path | None:
    """Of the two commands that go on for long; one each, for a file can be rotated by one program only."""
    name = {None: "bot", "run": "bot", "talk": "talk"}.get(command)
    return settings.data / f"{name}.jsonl" if name else None


def first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def first_known(error: BaseException) -> SidetoneError | None:
    """The error that a task group wraps, when each of its errors is one of ours."""
    if isinstance(error, BaseExceptionGroup):
        found = [first_known(inner) for inner in error.exceptions]
        return found[0] if all(found) else None
    return error if isinstance(error, SidetoneError) else None


def reader_gone(error: BaseException) -> bool:
    """Whether nobody takes the output any more. Windows calls it an invalid argument."""
    if os.name == "nt" and isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None:
        return True
    return isinstance(error, BrokenPipeError)


def take_signals() -> None:
    """Each ends the process as Ctrl-C does, by a KeyboardInterrupt: recordings are closed, threads end."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # SIGBREAK: Windows, when the console window is closed. What `nohup` ignores stays ignored.
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def main(arguments: list[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A piped Windows console is cp1252: an odd character becomes "?" instead of an exception.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    # Until here Ctrl-C ends the process as the system does it: there is nothing to close yet.
    options = parser().parse_args(arguments)
    try:
        take_signals()
        config.prepare_libraries()
        settings = config.load()
        log.start(settings.log_level, secrets=settings.secrets, file=log_file(options.command, settings))
        return asyncio.run(dispatch(options, settings))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (SidetoneError, OSError, ExceptionGroup) as error:
        if reader_gone(first(error)):
            # Python flushes once more at the end; there must be something to flush into.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return NOBODY_READS
        known = first_known(error)
        if known is None:
            raise
        print(f"sidetone: {known}", file=sys.stderr)
        return known.exit_code
    finally:
        logging.shutdown()


if __name__ == "__main__":
    sys.exit(main())
