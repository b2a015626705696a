"""The bot as Discord sees and hears it: from a command to its first visible answer, from a sample to the wire.

The real bot process talks to the loopback Discord of tests/discord on this machine, so Discord's own time is not in it.
The rows with the language model need the models and, for voice, PulseAudio (a virtual microphone).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.chdir(ROOT)

from bench_common import machine, percentile, write_json  # noqa: E402
from rich.table import Table  # noqa: E402

from bot.chat.text import THINKING, WAITING  # noqa: E402
from bot.console import make_console  # noqa: E402
from tests.audio.pulse import PulseDaemon  # noqa: E402
from tests.discord.conftest import LAUNCH, BotProcess, log_in  # noqa: E402
from tests.discord.hearing import audible, direct, hears, say  # noqa: E402
from tests.discord.loopback import Loopback  # noqa: E402
from tests.discord.world import OWNER, VOICE  # noqa: E402

PACKAGES = ("py-cord", "davey", "PyNaCl", "aiohttp", "llama-cpp-python", "kokoro-onnx")
LONG = (
    "A decorator is a function that takes another function and gives a new one in its place. "
    "Python calls it when the function is defined, and puts what it returns under the old name. "
    "So you can add logging, caching or checks to many functions without touching what they do. "
)
QUESTION = "Explain in ten sentences what a decorator is in Python."

NOTHING_YET = ("", THINKING, WAITING)

Row = dict[str, Any]


def row(what: str, seconds: list[float]) -> Row:
    figures = {f"p{share}_ms": round(1000 * percentile(seconds, share / 100), 1) for share in (50, 95, 99)}
    return {"what": what, "n": len(seconds), **figures, "max_ms": round(1000 * max(seconds), 1)}


@contextmanager
def running(loopback: Loopback, *command: str, **environment: str) -> Iterator[BotProcess]:
    loopback.voice.present = {OWNER: VOICE}
    bot = log_in(loopback, *command, limit_s=180, **environment)
    try:
        yield bot
    finally:
        bot.kill()


def visible(loopback: Loopback, text: str, shown: Callable[[str], bool]) -> float:
    """From a command to the first message, or edit, that `shown` accepts."""
    before, began = len(loopback.messages), time.monotonic()
    loopback.say(OWNER, text)

    def seen() -> float | None:
        for message in loopback.messages[before:]:
            for at, content in zip(message.times, message.texts, strict=False):
                if shown(content):
                    return at - began
        return None

    return loopback.wait(text, seen, 60)


def rest(loopback: Loopback) -> None:
    """Until no answer is being written any more."""

    def quiet() -> bool:
        visible(loopback, "!status", lambda text: "Up for" in text)
        return "answers being written: 0." in loopback.messages[-1].text

    loopback.wait("the end of the answer", quiet, 120)


def stop(loopback: Loopback) -> None:
    loopback.say(OWNER, "!stop")
    loopback.wait("the end of the call", lambda: loopback.voice.bot_channel is None)
    time.sleep(0.5)


def to_the_wire(loopback: Loopback, n: int) -> Row:
    seconds = []
    with running(loopback, *LAUNCH, "--voice") as bot:
        direct(loopback)
        for _ in range(n):
            since = say(loopback, "tone 0.2")
            first = hears(loopback, since)
            wrote = float(re.findall(r"wrote ([\d.]+)", bot.output)[-1])
            seconds.append(first.at - wrote)
            time.sleep(0.5)
    return row("sample written to sound on the wire", seconds)


def gaps(loopback: Loopback) -> Row:
    """Between frames while Kokoro makes the next sentences and the language model writes."""
    direct(loopback)
    time.sleep(1)
    since = say(loopback, LONG * 3)
    loopback.say(OWNER, f"!ask {QUESTION}")
    hears(loopback, since, 60)

    def over() -> bool:
        # On few cores the next sentence can take longer than the one before lasts.
        return time.monotonic() - audible(loopback, since)[-1].at > 15

    loopback.wait("the end of what is said", over, 120)
    heard = audible(loopback, since)
    frames = [each.at for each in loopback.voice.heard if heard[0].at <= each.at <= heard[-1].at]
    stop(loopback)
    return row("between two frames, at full load", [later - earlier for earlier, later in pairwise(frames)])


def with_models(loopback: Loopback, pulse: PulseDaemon, n: int) -> list[Row]:
    rows = []
    environment = {"MODEL_PROFILE": "embedded", "LLM_SEED": "1", "PULSE_SERVER": pulse.server}
    with running(loopback, "-m", "bot", **environment):
        status = [visible(loopback, "!status", lambda text: "Up for" in text) for _ in range(n)]
        rows.append(row("!status to its answer", status))
        asked = []
        for _ in range(n):
            asked.append(visible(loopback, "!ask What is git?", lambda text: text not in NOTHING_YET))
            rest(loopback)
        rows.append(row("!ask to the first words", asked))
        joined = []
        for _ in range(n):
            joined.append(direct(loopback, 20))
            stop(loopback)
        rows.append(row('!direct to "Speak now", warm', joined))
        rows.append(gaps(loopback))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="What the bot's users wait for in Discord.")
    parser.add_argument("-n", type=int, default=10, help="how often each is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures for programs")
    options = parser.parse_args()
    about = machine(PACKAGES)
    BotProcess.OPTIONS = ()
    with tempfile.TemporaryDirectory() as folder:
        loopback = Loopback(Path(folder))
        loopback.start()
        try:
            rows = [to_the_wire(loopback, options.n)]
            with PulseDaemon(Path(folder)) as pulse:
                rows += with_models(loopback, pulse, options.n)
        finally:
            loopback.stop()
    table = Table(title="The bot in Discord, milliseconds", title_justify="left")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for each in rows:
        table.add_row(*map(str, each.values()))
    console = make_console()
    console.print(table)
    console.print(f"{about['processor']}, {about['cores']} cores, load before {about['load_before']}")
    if options.json:
        write_json(options.json, about, rows)


if __name__ == "__main__":
    main()
