"""Downloads one file of the models' hub, with the hub's own library, in a process that can be killed and goes on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bot.config import PROJECT
from bot.errors import DownloadError
from bot.models import child, wheels
from bot.models.refusals import explain
from bot.models.wheels import Report

SETTINGS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
UNFINISHED = ".part"


async def download(package: str, member: str, folder: Path, expected: int, report: Report) -> Path:
    """`package` is "repository@revision". What an earlier run left in `folder`, which exists, is taken up."""
    repository, _, revision = package.partition("@")
    command = [sys.executable, "-m", "bot.models.hub", repository, revision or "main", member, str(folder / member)]
    command.append(str(expected))
    async with wheels.growing(folder, expected, report):
        ended = await child.run(command, folder=PROJECT, extra=SETTINGS)
    found = folder / member
    if ended.code != 0 or not found.is_file():
        if "ModuleNotFoundError" in ended.output:
            raise DownloadError(f"{package}: the package huggingface-hub is missing; run `python scripts/run.py`.")
        raise explain(f"{member} of {package}", ended.output)
    return found


def main(repository: str, revision: str, member: str, target: str, size: str) -> int:
    """The process: its last line says what went wrong."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # it is in every version

    whole = Path(target)
    part = whole.with_name(whole.name + UNFINISHED)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        # Not hf_hub_download: since 2.x it starts over in a new temporary file after every interruption.
        with part.open("r+b") as stream:
            there = stream.seek(0, os.SEEK_END)
            if there > int(size):
                there = stream.seek(0)
                stream.truncate()
            url = hf_hub_url(repository, member, revision=revision)
            http_get(url, stream, resume_size=there, headers=build_hf_headers(), expected_size=int(size))
        part.replace(whole)
    except Exception as error:  # every failure of the library ends here as one line for the parent
        if part.is_file() and not part.stat().st_size:
            part.unlink()
        sys.stderr.write(f"error {' '.join(kind.__name__ for kind in type(error).__mro__[:3])}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
