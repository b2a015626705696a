"""Frozen settings, nested by room, and the one loader. The only reader of the environment in `agent_wsl`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from dotenv import dotenv_values

from agent_wsl.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
SHORTEST_KEY = 16
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ListenSettings:
    host: str
    """An IP address. Anything but loopback needs `tls`."""
    port: int
    """0 takes any free one."""
    tls: Path | None
    """The folder that `python -m agent_wsl keys` made."""
    connections: int
    """At once, authenticated."""


@dataclass(frozen=True, slots=True)
class FileSettings:
    roots: tuple[Path, ...]
    """Allowed directories: resolved, they exist."""
    max_file_size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    paths: tuple[str, ...]
    """Watched from the start; inside the roots."""
    poll_s: float
    """Between two looks where the file system reports nothing."""
    history: int
    """Changes that are kept for clients that were away."""


@dataclass(frozen=True, slots=True)
class JobSettings:
    allowed: tuple[tuple[str, ...], ...]
    """Prefixes of argv that need no approval."""
    at_once: int
    queued: int
    """Jobs that may wait; one more is refused."""
    timeout_s: float
    """When none is asked for."""
    max_timeout_s: float
    output: int
    """Bytes kept per job."""
    memory: int
    """Bytes, of all processes of a job together."""
    processes: int
    cpu_s: int
    """Of any one process."""
    file_size: int
    """Bytes, of any one file."""
    written: int
    """Bytes that a job may write to disk in all."""
    free_disk: int
    """Bytes that must stay free where the roots lie; a job that goes below is ended."""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    network: bool
    read_only: tuple[Path, ...]
    """Further directories that commands may read: tool chains outside /usr."""
    environment: Mapping[str, str]
    """Variables for commands, beside the short list that all get."""


@dataclass(frozen=True, slots=True)
class Settings:
    api_key: str
    listen: ListenSettings
    files: FileSettings
    watch: WatchSettings
    jobs: JobSettings
    sandbox: SandboxSettings
    rate_per_minute: int
    """Calls per user; for all users together five times as many."""
    state: Path
    """Folder of the audit log and of jobs' output."""
    log_level: str
