"""Where the file or folder of each part lies, by profile and settings. Looks at sizes only, so it is fast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bot.config import LOCAL_PATHS, PROJECT, ModelSettings
from bot.errors import ConfigError, ModelDamaged, ModelMissing
from bot.models import hardware
from bot.models.manifest import Manifest, Model, shipped

PARTS = ("silero", "smart-turn", "whisper", "llm", "kokoro", "voices", "kokoro-torch")
FOLDERS = {"whisper": ("model.bin", "config.json", "tokenizer.json"), "voices": ()}
"""Parts that are a folder, and what must lie in it."""


@dataclass(frozen=True, slots=True)
class Located:
    name: str
    """The model's name in the manifest, or the file's own for one that the user brought."""
    path: Path
    """What the engine is given: a file, or a folder for whisper and voices."""
    files: tuple[Path, ...]
    size_bytes: int


class Catalogue:
    def __init__(self, settings: ModelSettings, manifest: Manifest | None = None) -> None:
        self._settings = settings
        self._manifest = manifest or shipped()

    @property
    def folder(self) -> Path:
        """Where fetched files lie."""
        return self._settings.folder

    @property
    def profile(self) -> str:
        """ "embedded" or "gpu"."""
        if self._settings.profile != "auto":
            return self._settings.profile
        return "gpu" if hardware.gpu_memory_mib() >= hardware.ENOUGH_MIB else "embedded"

    @property
    def device(self) -> str:
        """ "cuda" or "cpu". The embedded profile stays on the CPU."""
        return "cuda" if self.profile == "gpu" and hardware.cuda() else "cpu"

    def locate(self, part: str) -> Located:
        """Raises ModelMissing, ModelDamaged (a size that is wrong; the hash is for `verify`) or ConfigError."""
        if part not in PARTS:
            raise ConfigError(f'There is no part "{part}". Name one of: {", ".join(PARTS)}.')
        own = self.own(part)
        if own is not None:
            return _own(part, own)
        model = self.chosen(part)
        folder = self._settings.folder
        for file in model.files:
            path = folder / file.path
            size = path.stat().st_size if path.is_file() else None
            if size is None:
                raise ModelMissing(f"The file {path} is not there: run `python -m bot models fetch {model.name}`.")
            if size != file.size:
                raise ModelDamaged(
                    f"The file {path} has {size} bytes instead of {file.size}: "
                    f"run `python -m bot models fetch {model.name}`, which replaces it."
                )
        return Located(model.name, folder / model.path, tuple(folder / f.path for f in model.files), model.size)

    def own(self, part: str) -> Path | None:
        """What the user brought for `part`: by its variable, or by LLM_MODEL being a path."""
        if part in self._settings.local:
            return self._settings.local[part]
        llm = self._settings.llm
        if part == "llm" and (llm.lower().endswith(".gguf") or "/" in llm or "\\" in llm):
            path = Path(llm).expanduser()
            return path if path.is_absolute() else PROJECT / path
        return None

    def chosen(self, part: str) -> Model:
        """The manifest's model for `part`, which the settings may name. Raises ConfigError for an unknown name."""
        variable, name = {
            "whisper": ("STT_MODEL", self._settings.stt),
            "llm": ("LLM_MODEL", self._settings.llm),
        }.get(part, ("", ""))
        if not name:
            return self._manifest.default(part, self.profile)
        models = self._manifest.of_part(part)
        for model in models:
            if name.lower() in (model.name, model.short):
                return model
        known = ", ".join(model.short or model.name for model in models)
        also = ", or the path of a GGUF file" if part == "llm" else ""
        raise ConfigError(f"{variable} is {name!r}, but must be one of {known}{also}. Correct it in .env.")

    def wanted(self, *, torch: bool = False) -> list[Model]:
        """What a fetch brings: the profile's models, with those that the settings name in the place of the defaults,
        without the parts that the user brought. `torch` asks for the torch voice in any profile."""
        profile = self.profile
        names = set()
        for part in {model.part for model in self._manifest.models}:
            if self.own(part) is not None:
                continue
            chosen = self.chosen(part)
            if part != "kokoro-torch" or torch or profile in chosen.profiles:
                names.add(chosen.name)
            beside = [m for m in self._manifest.of_part(part) if profile in m.profiles and profile not in m.default]
            names.update(model.name for model in beside)
        return [model for model in self._manifest.models if model.name in names]


def variable(part: str) -> str:
    """The variable that points at a user's own files for `part`; empty when there is none."""
    return next((name for name, stands_for in LOCAL_PATHS.items() if stands_for == part), "")


def _own(part: str, path: Path) -> Located:
    name = variable(part)
    if not path.exists():
        named = f"{name} or LLM_MODEL" if part == "llm" else name
        raise ModelMissing(f"{path} is not there: correct {named} in .env.")
    if part in FOLDERS and not path.is_dir():
        raise ConfigError(f"{name} is {path}, which is a file, but must be the folder with the model's files.")
    if part not in FOLDERS:
        if path.is_dir():
            raise ConfigError(f"{name} is {path}, which is a folder, but must be the model's file.")
        return _present(path.name, path, [path])
    missing = [file for file in FOLDERS[part] if not (path / file).is_file()]
    if missing:
        raise ModelMissing(f"{', '.join(missing)} is not in {path}: correct {name} in .env.")
    files = sorted(path.glob("*.bin" if part == "voices" else "*"))
    if not files:
        raise ModelMissing(f"There is no voice (*.bin) in {path}: correct {name} in .env.")
    return _present(path.name, path, (file for file in files if file.is_file()))


def _present(name: str, path: Path, files: Iterable[Path]) -> Located:
    found = tuple(files)
    sizes = [file.stat().st_size for file in found]
    if 0 in sizes:
        raise ModelDamaged(f"The model file {found[sizes.index(0)]} is empty: copy it again.")
    return Located(name, path, found, sum(sizes))
