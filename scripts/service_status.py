"""`service.py status`: what runs, for how long, in how much memory; whether agent and models are there."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence

import psutil
import services
import setup_env
from background import Files, find, stale, tree
from child import say

NOTHING = "-"
Row = tuple[str, str, str, str, str, str]
"""What, state, pid, uptime, memory, details."""


def show() -> bool:
    """Prints the table. Whether something is down."""
    sys.path.insert(0, str(setup_env.ROOT))
    rows = [bot(), agent(), models()]
    say("\n".join(lines([("", "state", "pid", "uptime", "memory", ""), *rows])))
    down = [row[0] for row in rows if row[1] not in ("up", "there")]
    if down:
        say(f"Not well: {', '.join(down)}. `just start-all` starts what is down, `just doctor` says what is wrong.")
    return bool(down)


def lines(rows: Sequence[Row]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
        for row in rows
    ]


def process_row(name: str) -> tuple[Row, bool]:
    """And whether its log says that it is up."""
    files = Files(services.data_folder(), name)
    record = files.read()
    process = find(record)
    if record is None or process is None:
        recipe = "discord-start-bg" if name == "bot" else "backend-start"
        why = stale(record) if record else f"`just {recipe}` starts it"
        return (name, "down", NOTHING, NOTHING, NOTHING, why), False
    memory = 0
    for each in tree(process):
        with contextlib.suppress(psutil.Error):
            memory += each.memory_info().rss
    up = services.service(name).ready in files.text_since(record.log_start)
    age = int(max(0.0, time.time() - process.create_time()))
    uptime = f"{age // 3600}:{age // 60 % 60:02d}:{age % 60:02d}"
    state = "up" if up else "starting"
    return (name, state, str(process.pid), uptime, f"{memory / 1e6:.0f} MB", f"log: {files.log}"), up


def bot() -> Row:
    row, up = process_row("bot")
    if row[1] == "down":
        return row
    said = "logged in to Discord, engines loaded" if up else "loading engines or logging in"
    return (*row[:5], f"{said}; {row[5]}")


def agent() -> Row:
    """Whatever the pid file says, what counts is whether it answers."""
    from bot import config
    from bot.errors import SidetoneError
    from bot.tools.check import greeting

    row, _ = process_row("agent")
    try:
        settings = config.load().agent
        if not settings.api_key:
            return (*row[:5], "API_KEY is not set in .env, so it cannot run; see The agent in README.md")
        where, hello = greeting(settings)
    except (SidetoneError, ImportError) as error:
        state = "down" if row[1] == "down" else "no answer"
        return ("agent", state, *row[2:5], f"{row[5]}. {error}")
    uptime = row[3] if row[3] != NOTHING else f"{int(hello.uptime_s) // 60} min"
    sandbox = "commands run in the sandbox" if hello.sandbox.works else f"commands are refused: {hello.sandbox.detail}"
    return ("agent", "up", row[2], uptime, row[4], f"answers at {where}; allowed: {', '.join(hello.roots)}; {sandbox}")


def models() -> Row:
    from bot import config
    from bot.errors import SidetoneError

    try:
        from bot.models.catalogue import Catalogue

        catalogue = Catalogue(config.load().models)
        found = [catalogue.locate(part) for part in ("silero", "whisper", "llm", "kokoro", "voices")]
    except (SidetoneError, ImportError) as error:
        return ("models", "missing", NOTHING, NOTHING, NOTHING, str(error))
    size = f"{sum(each.size_bytes for each in found) / 1e6:.0f} MB"
    names = ", ".join(dict.fromkeys(each.name for each in found))
    return ("models", "there", NOTHING, NOTHING, NOTHING, f"{catalogue.profile}, {size} on disk: {names}")
