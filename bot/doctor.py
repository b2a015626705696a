"""`python -m bot doctor`: what works on this machine, and the fix for what does not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.audio import checkup, devices
from bot.checks import Check
from bot.config import Settings
from bot.console import make_console, size
from bot.engines import VOICE_PARTS, make_llm, spoken_parts
from bot.errors import SidetoneError
from bot.models.catalogue import Catalogue
from bot.tools.check import look
from bot.voice import voices

PACKAGES = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "faster-whisper": "faster_whisper",
    "llama-cpp-python": "llama_cpp",
    "kokoro-onnx": "kokoro_onnx",
    "soxr": "soxr",
    "soundfile": "soundfile",
    "sounddevice": "sounddevice",
    "PyAudio": "pyaudio",
    "py-cord": "discord",
    "openai": "openai",
    "anthropic": "anthropic",
    "jsonschema": "jsonschema",
}
"""Name to install, name to import."""
PARTS = ("silero", "smart-turn", "whisper", "llm", "kokoro", "voices")
ROOM_FOR_MODELS = 2_000_000_000


async def doctor(settings: Settings) -> int:
    """Prints the table. 0 when a conversation can be held on this machine, else 1."""
    console = make_console()
    table = Table(title="Sidetone on this machine", title_justify="left")
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    checks = [check async for check in examine(settings, console)]
    for check in checks:
        cells = (check.what, check.found, check.fix)
        table.add_row(Text(check.state, styles[check.state]), *(Text(cell) for cell in cells))
    console.print(table)
    for url in dict.fromkeys(check.link for check in checks if check.link):
        console.print(f"Invite the bot: {url}")
    failed = [check.what for check in checks if check.state == "fail"]
    deaf = any(check.what == "microphone" and check.state != "ok" for check in checks)
    console.print(f"{len(failed)} to mend: {', '.join(failed)}." if failed else f"Ready: {_next(settings, deaf)}")
    return 1 if failed else 0


def _next(settings: Settings, deaf: bool) -> str:
    if settings.discord.token:
        return "python -m bot"
    return "python -m bot talk" + " --wav question.wav --out answer.wav" * deaf


async def examine(settings: Settings, console: Console) -> AsyncIterator[Check]:
    yield python()
    for check in packages():
        yield check
    catalogue = Catalogue(settings.models)
    needed = spoken_parts(settings)
    away = {part for part in PARTS if part in VOICE_PARTS and part not in needed}
    away |= {"llm"} if settings.llm.provider != "local" else set()
    for check in models(catalogue, [part for part in PARTS if part not in away]):
        yield check
    if settings.voice.tts_provider == "local":
        yield voice(settings, catalogue)
    yield provider(settings)
    yield disk(settings)
    for check in sound(settings):
        yield check
        if check.what == devices.INPUT and check.state == "ok":
            console.print("Listening to the microphone for a second: say something.")
            yield await checkup.listen(settings.audio)
    yield gpu(catalogue)
    for check in await discord(settings):
        yield check
    yield agent(settings)


def python(version: tuple[int, int] = sys.version_info[:2]) -> Check:
    found = f"{version[0]}.{version[1]} on {platform.system()} {platform.machine()}"
    if version in ((3, 11), (3, 12)):
        return Check("Python", "ok", found)
    return Check("Python", "fail", found, "Install Python 3.11 or 3.12 and run: python scripts/run.py")


def packages(installed: Callable[[str], bool] | None = None) -> Iterator[Check]:
    installed = installed or (lambda module: importlib.util.find_spec(module) is not None)
    missing = [name for name, module in PACKAGES.items() if not installed(module)]
    if missing:
        yield Check("packages", "fail", f"missing: {', '.join(missing)}", "Run: python scripts/run.py")
    else:
        yield Check("packages", "ok", ", ".join(map(_with_version, PACKAGES)))


def _with_version(name: str) -> str:
    """The name alone when the module comes from a package of another name, as onnxruntime-gpu's does."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return f"{name} {importlib.metadata.version(name)}"
    return name


def models(catalogue: Catalogue, parts: Sequence[str] = PARTS) -> Iterator[Check]:
    for part in parts:
        try:
            file = catalogue.locate(part)
        except SidetoneError as error:
            yield Check(f"model: {part}", "fail", f"profile {catalogue.profile}", str(error))
        else:
            yield Check(f"model: {part}", "ok", f"{file.name}, {size(file.size_bytes)}, {file.path}")


def voice(settings: Settings, catalogue: Catalogue) -> Check:
    name = settings.voice.voice
    try:
        voices.load(catalogue.locate("voices").path, name)
    except SidetoneError as error:
        return Check("voice", "fail", name, str(error))
    return Check("voice", "ok", name)


def provider(settings: Settings) -> Check:
    llm = settings.llm
    if llm.provider == "local":
        return Check("thinking", "ok", "on this machine")
    cloud = llm.openai if llm.provider == "openai" else llm.anthropic
    try:
        make_llm(settings, Catalogue(settings.models))
    except SidetoneError as error:
        return Check("thinking", "fail", llm.provider, str(error))
    return Check("thinking", "ok", f"{cloud.model} at {llm.provider}; it is asked with the first question")


def disk(settings: Settings) -> Check:
    folder = settings.models.folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < ROOM_FOR_MODELS:
        return Check("disk", "warn", f"{size(free)} free", f"Fetching models needs about {size(ROOM_FOR_MODELS)}.")
    return Check("disk", "ok", f"{size(free)} free")


def sound(settings: Settings) -> Iterator[Check]:
    for what, wanted, found in (
        (devices.INPUT, settings.audio.microphone, devices.inputs),
        (devices.OUTPUT, settings.audio.speaker, devices.outputs),
    ):
        try:
            listed = found(settings.audio.backend)
        except SidetoneError as error:
            yield Check(what, "fail", "no sound system", str(error))
            continue
        if not listed:
            fix = "Plug one in, or hold a conversation on a file: python -m bot talk --wav q.wav --out answer.wav"
            yield Check(what, "warn", "none", fix)
            continue
        names = ", ".join(f"{d.number}: {d.name}" for d in listed)
        try:
            devices.choose(listed, wanted, what)
        except SidetoneError as error:
            yield Check(what, "fail", f"{wanted or 'the default'} is none of {names}", str(error))
        else:
            yield Check(what, "ok", f"{wanted or 'the default'} of {names}")


def gpu(catalogue: Catalogue) -> Check:
    if catalogue.device == "cuda":
        return Check("GPU", "ok", "CUDA")
    found = "no CUDA; the models run on the CPU"
    if catalogue.profile == "embedded":
        return Check("GPU", "ok", found)
    return Check("GPU", "warn", found, "Install NVIDIA's driver, or set MODEL_PROFILE=embedded in .env.")


def agent(settings: Settings) -> Check:
    if not settings.agent.api_key:
        return Check("tool agent", "warn", "API_KEY is not set", "For files and commands: see The agent in README.md")
    works, found = look(settings.agent)
    return Check("tool agent", "ok" if works else "warn", found, "" if works else "See The agent in README.md")


async def discord(settings: Settings) -> list[Check]:
    try:
        from bot.chat import checkup as discord_checkup
        from bot.chat import voice_link
    except ImportError as error:
        return [Check("Discord", "warn", f"py-cord does not load ({error})", "Run: python scripts/run.py")]
    opus, dave = voice_link.no_opus(), voice_link.no_encryption()
    return [
        Check("Discord voice: Opus", "warn" if opus else "ok", "missing" if opus else "libopus loads", opus),
        Check("Discord voice: DAVE", "warn" if dave else "ok", "missing" if dave else "davey loads", dave),
        *await discord_checkup.examine(settings.discord),
    ]
