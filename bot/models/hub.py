"""Downloads one file of the models' hub, with the hub's own library, in a process that can be killed and resumes."""

from __future__ import annotations

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
    # The chunked protocol starts over after an interruption; the plain one goes on.
    "HF_HUB_DISABLE_XET": "1",
}


async def download(package: str, member: str, folder: Path, expected: int, report: Report) -> Path:
    """`package` is "repository@revision". What an earlier run left in `folder`, which exists, is taken up."""
    repository, _, revision = package.partition("@")
    command = [sys.executable, "-m", "bot.models.hub", repository, revision or "main", member, str(folder)]
    async with wheels.growing(folder, expected, report):
        ended = await child.run(command, folder=PROJECT, extra=SETTINGS)
    found = folder / member
    if ended.code != 0 or not found.is_file():
        if "ModuleNotFoundError" in ended.output:
            raise DownloadError(f"{package}: the package huggingface-hub is missing; run `python scripts/run.py`.")
        raise explain(f"{member} of {package}", ended.output)
    return found


def main(repository: str, revision: str, member: str, folder: str) -> int:
    """The process: its last line says what went wrong."""
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(repository, member, revision=revision, local_dir=folder)
    except Exception as error:  # every failure of the library ends here as one line for the parent
        sys.stderr.write(f"error {' '.join(kind.__name__ for kind in type(error).__mro__[:3])}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
