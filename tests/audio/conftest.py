"""Fixtures of the sound tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.audio.pulse import PulseDaemon


@pytest.fixture(scope="session")
def pulse_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseDaemon]:
    with PulseDaemon(tmp_path_factory.mktemp("pulse")) as daemon:
        yield daemon


@pytest.fixture
def pulse(pulse_daemon: PulseDaemon, monkeypatch: pytest.MonkeyPatch) -> PulseDaemon:
    """The shared daemon; this process's own sound goes to it too."""
    monkeypatch.setenv("PULSE_SERVER", pulse_daemon.server)
    return pulse_daemon


@pytest.fixture
def mortal_pulse(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseDaemon]:
    """A daemon of one test's own, which it may kill."""
    with PulseDaemon(tmp_path_factory.mktemp("pulse")) as daemon:
        monkeypatch.setenv("PULSE_SERVER", daemon.server)
        yield daemon
