"""Frozen settings, nested by room, and the one loader. The only reader of the environment in `bot`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from bot.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
VOCABULARY = "Questions about git rebase, git commit, Python, pytest, npm, Docker and JSON."
"""Without it Whisper hears "get rebased"."""
SECRETS = ("DISCORD_TOKEN", "API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    profile: str
    """"auto" (gpu where CUDA is found), "embedded" or "gpu"."""
    folder: Path
    """Where fetched model files live."""
    stt: str
    """Whisper's name in the manifest: "base", "tiny.en", "small"; empty for the profile's own."""
    llm: str
    """The language model's name in the manifest, or the path of a GGUF; empty for the profile's own."""
    local: Mapping[str, Path]
    """Files or folders that the user has already, by the name of a manifest entry."""


@dataclass(frozen=True, slots=True)
class AudioSettings:
    backend: str
    """"sounddevice" or "pyaudio"."""
    microphone: str
    """A device's number or a part of its name; empty for the system's default."""
    speaker: str
    """The same for the output."""
    barge_in: bool
    """Whether speaking over the answer stops it. Off is for loudspeakers that the microphone can hear."""


@dataclass(frozen=True, slots=True)
class CloudSettings:
    key: str = field(repr=False)
    """Empty when there is none; a server of one's own may need none."""
    base_url: str
    """Empty for the provider's own."""
    model: str
    """Its name with the provider; empty when none is named."""
    proxy: str = field(repr=False)
    """URL of an HTTP proxy for https addresses; empty for none."""
    no_proxy: str
    """Hosts that are reached without it, with commas between them."""


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    stt_provider: str
    """"local" or "openai": an OpenAI-compatible server, whose transcription then hears."""
    stt_cloud: CloudSettings
    tts_provider: str
    """The same for the voice."""
    tts_cloud: CloudSettings
    tts_cloud_voice: str
    """A voice of that server."""
    end_silence_s: float
    """Silence that ends a turn."""
    language: str
    """Two-letter code that is understood, or "auto" for any."""
    vocabulary: str
    """A sentence with words that the speaker is likely to use; Whisper is told it as what was said before."""
    tts_engine: str
    """"onnx" or "kokoro" (torch)."""
    voice: str
    """A Kokoro voice, such as "af_heart"."""
    speed: float
    """1.0 is Kokoro's own pace."""
    stt_threads: int
    """CPU threads; 0 lets the engine's measured default decide. The same for the two below."""
    tts_threads: int


@dataclass(frozen=True, slots=True)
class LlmSettings:
    provider: str
    """ "local", "openai" or "anthropic"."""
    openai: CloudSettings
    anthropic: CloudSettings
    context: int
    """Tokens."""
    threads: int
    max_tokens: int
    """Longest answer."""
    seed: int | None
    """Of the sampling, for answers that can be repeated; None draws a new one each time."""


@dataclass(frozen=True, slots=True)
class DiscordSettings:
    token: str = field(repr=False)
    """Empty when no bot is configured."""
    proxy: str = field(repr=False)
    """URL of an HTTP proxy for REST, gateway and voice websocket; empty for none."""
    allowed_users: frozenset[int] = frozenset()
    """Ids of users and roles that may talk to the bot; empty for the owner of the server."""
    voice_idle_s: float = 900.0
    """The bot leaves a voice channel in which nobody has said anything for so long."""
    history: Path | None = None
    """The file that keeps conversations; None keeps them in memory alone."""
    runners: frozenset[int] = frozenset()
    """Ids of users and roles that may ask for commands to be run; empty for the owner of the server."""
    approvers: frozenset[int] = frozenset()
    """The same for those who may approve them."""
    commands_a_minute: int = 30
    """Of one user, questions among them; 0 for no limit."""
    questions_a_minute: int = 10
    """The same for questions."""
    diagnoses_an_hour: int = 6
    """Of new errors in watched logs, without being asked for."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    host: str
    """Where the tool agent listens."""
    port: int
    api_key: str = field(repr=False)
    """Empty when no agent is configured."""
    tls: Path | None
    """The folder with ca.pem, bot.pem and bot.key; needed for an agent that is not on this machine."""
    distribution: str = ""
    """Of WSL, in which the agent runs; empty for the default one. Matters on Windows only."""


@dataclass(frozen=True, slots=True)
class Settings:
    models: ModelSettings
    audio: AudioSettings
    voice: VoiceSettings
    llm: LlmSettings
    discord: DiscordSettings
    agent: AgentSettings
    log_level: str
    data: Path = PROJECT / "logs"
    """What is written while it runs: conversations, logs, pid files."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values that must not be shown anywhere."""


class _Reader:
    """Typed access to one mapping; every refusal names the variable, its value (secrets masked) and what is allowed."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default).lower()
        if value not in allowed:
            raise self._refuse(name, f"one of {', '.join(allowed)}")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise self._refuse(name, f"a number from {low:g} to {high:g}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self.number(name, default, low, high)
        if value != int(value):
            raise self._refuse(name, f"a whole number from {low} to {high}")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        return self.choice(name, "on" if default else "off", ("on", "off")) == "on"

    def ids(self, name: str) -> frozenset[int]:
        entries = [entry.strip() for entry in self.text(name).split(",") if entry.strip()]
        if not all(entry.isascii() and entry.isdigit() for entry in entries):
            raise self._refuse(name, "Discord ids (numbers), separated by commas")
        return frozenset(map(int, entries))

    def path(self, name: str) -> Path | None:
        value = self.text(name)
        if not value:
            return None
        path = Path(value).expanduser()
        path = path if path.is_absolute() else PROJECT / path
        if not path.exists():
            raise self._refuse(name, "a file or folder that exists")
        return path

    def url(self, name: str) -> str:
        value = self.text(name).rstrip("/")
        if value and not value.startswith(("http://", "https://")):
            raise self._refuse(name, "an address that begins with http:// or https://")
        return value

    def file_to_write(self, name: str, default: str) -> Path | None:
        """Need not exist; None for "off"."""
        value = self.text(name, default)
        path = Path(value).expanduser()
        return None if value.lower() == "off" else path if path.is_absolute() else PROJECT / path

    def _refuse(self, name: str, allowed: str) -> ConfigError:
        value = "***" if name in SECRETS else repr(self._values.get(name, ""))
        return ConfigError(f"{name} is {value}, but must be {allowed}. Correct it in .env or in the environment.")


LOCAL_PATHS = {
    "WHISPER_PATH": "whisper",
    "LLM_PATH": "llm",
    "KOKORO_PATH": "kokoro",
    "KOKORO_TORCH_PATH": "kokoro-torch",
    "VOICES_PATH": "voices",
    "SILERO_PATH": "silero",
}
"""Variables that point at files the user has already, and the part of the manifest each stands in for."""


LIBRARY_SETTINGS = {
    # Whisper's and llama.cpp's pools otherwise spin while they wait, and take the cores from each other and from
    # Kokoro: 2 tokens a second instead of 34 were measured on two busy cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    # onnxruntime 1.32 reports to its maker over the network, and keeps a number for this machine in ~/.cache/Microsoft.
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def prepare_libraries() -> None:
    """Must come before the first engine's library is loaded. Whoever sets a variable himself is obeyed."""
    for name, value in LIBRARY_SETTINGS.items():
        os.environ.setdefault(name, value)


def load(env_file: Path | None = PROJECT / ".env", environ: Mapping[str, str] | None = None) -> Settings:
    """Reads `.env`, then the environment over it. Raises ConfigError on the first value that is not allowed."""
    values = {k: v or "" for k, v in (dotenv_values(env_file, encoding="utf-8-sig") if env_file else {}).items()}
    values.update(os.environ if environ is None else environ)
    read = _Reader(values)
    folder = Path(read.text("MODEL_DIR", "models")).expanduser()
    data = PROJECT / Path(read.text("DATA_DIR", "logs")).expanduser()
    llm = _llm(read)
    return Settings(
        models=ModelSettings(
            profile=read.choice("MODEL_PROFILE", "auto", ("auto", "embedded", "gpu")),
            folder=folder if folder.is_absolute() else PROJECT / folder,
            stt=read.text("STT_MODEL"),
            llm=read.text("LLM_MODEL") if llm.provider == "local" else "",
            local={part: path for name, part in LOCAL_PATHS.items() if (path := read.path(name))},
        ),
        audio=AudioSettings(
            backend=read.choice("AUDIO_BACKEND", "sounddevice", ("sounddevice", "pyaudio")),
            microphone=read.text("MIC_DEVICE"),
            speaker=read.text("SPEAKER_DEVICE"),
            barge_in=read.flag("BARGE_IN", True),
        ),
        voice=_voice(read, llm),
        llm=llm,
        discord=_discord(read, data),
        agent=AgentSettings(
            host=read.text("AGENT_HOST", "127.0.0.1"),
            port=read.whole("PORT", 18861, 1, 65535),
            api_key=read.text("API_KEY"),
            tls=read.path("AGENT_TLS_DIR"),
            distribution=read.text("WSL_DISTRO"),
        ),
        log_level=read.choice("LOG_LEVEL", "warning", ("debug", "info", "warning", "error")),
        data=data,
        secrets=_secrets(read),
    )


def _discord(read: _Reader, data: Path) -> DiscordSettings:
    return DiscordSettings(
        token=read.text("DISCORD_TOKEN"),
        proxy=read.text("DISCORD_PROXY", read.text("HTTPS_PROXY", read.text("https_proxy"))),
        allowed_users=read.ids("DISCORD_ALLOWED_USERS"),
        voice_idle_s=60 * read.number("DISCORD_VOICE_IDLE_MIN", 15, 0.05, 1440),
        history=read.file_to_write("DISCORD_HISTORY", str(data / "conversations.db")),
        runners=read.ids("DISCORD_RUNNERS"),
        approvers=read.ids("DISCORD_APPROVERS"),
        commands_a_minute=read.whole("DISCORD_COMMANDS_PER_MINUTE", 30, 0, 10_000),
        questions_a_minute=read.whole("DISCORD_QUESTIONS_PER_MINUTE", 10, 0, 10_000),
        diagnoses_an_hour=read.whole("DISCORD_DIAGNOSES_PER_HOUR", 6, 0, 1000),
    )


def _secrets(read: _Reader) -> tuple[str, ...]:
    """Also the password in a proxy's URL, as it stands there and as it is meant."""
    found = [read.text(name) for name in SECRETS]
    for name in ("DISCORD_PROXY", "HTTPS_PROXY", "https_proxy"):
        try:
            password = urlsplit(read.text(name)).password or ""
        except ValueError:
            continue
        found += [password, unquote(password)]
    return tuple(dict.fromkeys(filter(None, found)))


def _llm(read: _Reader) -> LlmSettings:
    provider = read.choice("LLM_PROVIDER", "local", ("local", "openai", "anthropic"))
    proxy = read.text("HTTPS_PROXY", read.text("https_proxy"))
    no_proxy = read.text("NO_PROXY", read.text("no_proxy"))
    wanted = read.text("LLM_MODEL")

    def cloud(name: str, key: str, base_url: str, model: str) -> CloudSettings:
        return CloudSettings(key, base_url, wanted if provider == name and wanted else model, proxy, no_proxy)

    openai = (read.text("OPENAI_API_KEY"), read.url("OPENAI_BASE_URL"), read.text("OPENAI_MODEL"))
    anthropic = (read.text("ANTHROPIC_API_KEY"), read.url("ANTHROPIC_BASE_URL"), read.text("ANTHROPIC_MODEL"))
    return LlmSettings(
        provider=provider,
        openai=cloud("openai", *openai),
        anthropic=cloud("anthropic", *anthropic),
        context=read.whole("LLM_CONTEXT", 4096, 512, 131072),
        threads=read.whole("LLM_THREADS", 0, 0, 64),
        max_tokens=read.whole("LLM_MAX_TOKENS", 400, 16, 8192),
        seed=read.whole("LLM_SEED", 0, 0, 2**31 - 1) if read.text("LLM_SEED") else None,
    )


def _voice(read: _Reader, llm: LlmSettings) -> VoiceSettings:
    language = read.text("STT_LANGUAGE", "en").lower()

    def audio(base_url: str, model: str) -> CloudSettings:
        """Beside the language model's server, when it has no address of its own."""
        return replace(llm.openai, base_url=base_url or llm.openai.base_url, model=model)

    return VoiceSettings(
        stt_provider=read.choice("STT_PROVIDER", "local", ("local", "openai")),
        stt_cloud=audio(read.url("STT_BASE_URL"), read.text("OPENAI_STT_MODEL", "whisper-1")),
        tts_provider=read.choice("TTS_PROVIDER", "local", ("local", "openai")),
        tts_cloud=audio(read.url("TTS_BASE_URL"), read.text("OPENAI_TTS_MODEL", "gpt-4o-mini-tts")),
        tts_cloud_voice=read.text("OPENAI_TTS_VOICE", "alloy"),
        end_silence_s=read.number("END_SILENCE_MS", 600, 200, 5000) / 1000,
        language=language,
        vocabulary=read.text("STT_VOCABULARY", VOCABULARY if language == "en" else ""),
        tts_engine=read.choice("TTS_ENGINE", "onnx", ("onnx", "kokoro")),
        voice=read.text("TTS_VOICE", "af_heart"),
        speed=read.number("TTS_SPEED", 1.0, 0.5, 2.0),
        stt_threads=read.whole("STT_THREADS", 0, 0, 64),
        tts_threads=read.whole("TTS_THREADS", 0, 0, 64),
    )
