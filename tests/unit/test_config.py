"""Settings: defaults, refusals that can be acted on, secrets that are never shown."""

import ast
from pathlib import Path

import pytest

from bot.config import LOCAL_PATHS, PROJECT, Settings, load
from bot.errors import ConfigError


def settings(**values: str) -> Settings:
    return load(None, values)


def test_defaults_are_complete() -> None:
    defaults = settings()
    assert defaults.models.profile == "auto"
    assert defaults.models.folder == PROJECT / "models"
    assert defaults.audio.backend == "sounddevice"
    assert defaults.voice.voice == "af_heart"
    assert defaults.llm.provider == "local"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("MODEL_PROFILE", "cloud", "auto, embedded, gpu"),
        ("AUDIO_BACKEND", "alsa", "sounddevice, pyaudio"),
        ("END_SILENCE_MS", "soon", "a number from 200 to 5000"),
        ("END_SILENCE_MS", "1", "a number from 200 to 5000"),
        ("LLM_CONTEXT", "1000.5", "a whole number"),
        ("TTS_SPEED", "nan", "a number from 0.5 to 2"),
        ("BARGE_IN", "maybe", "on, off"),
        ("WHISPER_PATH", "nowhere/at/all", "a file or folder that exists"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        settings(**{name: value})
    assert name in str(refusal.value)
    assert value in str(refusal.value)
    assert allowed in str(refusal.value)


def test_secrets_are_known_as_such_and_not_shown() -> None:
    values = {"DISCORD_TOKEN": "a-token", "API_KEY": "a-key", "ANTHROPIC_API_KEY": "another", "LLM_SEED": "1"}
    found = settings(**values)
    assert sorted(found.secrets) == ["a-key", "a-token", "another"]
    assert not [value for value in ("a-token", "a-key", "another") if value in repr(found)]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    # With the mark that Windows Notepad puts in front.
    file.write_text("TTS_VOICE=bf_emma\nEND_SILENCE_MS=800\n", encoding="utf-8-sig")
    assert load(file, {}).voice.voice == "bf_emma"
    both = load(file, {"TTS_VOICE": "am_michael"})
    assert both.voice.voice == "am_michael"
    assert both.voice.end_silence_s == 0.8


def test_the_example_names_what_the_loader_reads_and_changes_nothing() -> None:
    example = PROJECT / ".env.example"
    assert load(example, {}) == load(None, {})
    source = ast.parse((PROJECT / "bot" / "config.py").read_text(encoding="utf-8"))
    calls = [n for n in ast.walk(source) if isinstance(n, ast.Call) and ast.unparse(n.func).count(".") == 1]
    calls = [call for call in calls if ast.unparse(call.func).startswith("read.")]
    read = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)} | set(LOCAL_PATHS)
    assert len(read) > 20
    known = {line.partition("=")[0] for line in example.read_text(encoding="utf-8").splitlines() if "=" in line}
    assert {str(name) for name in read} - known == {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}
