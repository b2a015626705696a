"""The manifest: which model files there are, their sizes and hashes, and the packages they can be taken from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bot.config import PROJECT
from bot.errors import ConfigError

PATH = PROJECT / "models" / "manifest.toml"


@dataclass(frozen=True, slots=True)
class File:
    path: str
    """Under the model folder, with forward slashes."""
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One member of one package; the pieces of a file are joined in their order."""

    package: str
    """"name==version" of a wheel, "name@version" of an npm package, "repository@revision" of the hub."""
    member: str
    """Its name inside the package."""


@dataclass(frozen=True, slots=True)
class Source:
    kind: str
    """"wheel", "npm" or "hub"."""
    pieces: Mapping[str, tuple[Piece, ...]]
    """By the path of the file they make up."""


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    short: str
    """What STT_MODEL or LLM_MODEL may also call it; empty for none."""
    part: str
    """What it stands for: silero, smart-turn, whisper, llm, kokoro, voices or kokoro-torch."""
    path: str
    """What an engine is given, under the model folder: a file or a folder."""
    profiles: tuple[str, ...]
    """Whose fetch brings it."""
    default: tuple[str, ...]
    """In which profiles the part is this model unless the settings name another."""
    licence: str
    origin: str
    note: str
    files: tuple[File, ...]
    sources: tuple[Source, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Manifest:
    models: tuple[Model, ...]

    def of_part(self, part: str) -> list[Model]:
        return [model for model in self.models if model.part == part]

    def default(self, part: str, profile: str) -> Model:
        return next(model for model in self.of_part(part) if profile in model.default)

    def named(self, name: str) -> list[Model]:
        """By name, short name or part. Raises ConfigError for a name that nothing has."""
        wanted = name.strip().lower()
        found = [model for model in self.models if wanted in (model.name, model.short)]
        found = found or self.of_part(wanted)
        if not found:
            known = ", ".join(model.name for model in self.models)
            raise ConfigError(f'There is no model "{name}". Name one of: {known}.')
        return found


def load(path: Path = PATH) -> Manifest:
    """Raises ConfigError when the file is not there or not TOML; its content is ours and is trusted."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The list of models {path} cannot be read ({error}). Restore it from the project."
        ) from error
    return Manifest(tuple(_model(entry) for entry in data["model"]))


@cache
def shipped() -> Manifest:
    """The project's own."""
    return load()


def _model(entry: Mapping[str, Any]) -> Model:
    folder = entry["folder"]
    files = tuple(File(f"{folder}/{f['name']}", f["size"], f["sha256"]) for f in entry["files"])
    return Model(
        name=entry["name"],
        short=entry.get("short", ""),
        part=entry["part"],
        path=f"{folder}/{entry['main']}" if "main" in entry else folder,
        profiles=tuple(entry.get("profiles", ())),
        default=tuple(entry.get("default", ())),
        licence=entry["licence"],
        origin=entry["origin"],
        note=entry.get("note", ""),
        files=files,
        sources=tuple(_source(source, folder, files) for source in entry["source"]),
    )


def _source(entry: Mapping[str, Any], folder: str, files: Sequence[File]) -> Source:
    joined = entry.get("joined")
    pieces: dict[str, tuple[Piece, ...]] = {}
    for file in files:
        name = file.path.removeprefix(f"{folder}/")
        if joined and joined["name"] == name:
            numbers = range(1, joined["count"] + 1)
            package, member = joined["package"], joined["member"]
            pieces[file.path] = tuple(Piece(package.format(n=n), member.format(n=n)) for n in numbers)
        else:
            pieces[file.path] = (Piece(entry["package"], entry["member"].format(name=name)),)
    return Source(entry["kind"], pieces)
