"""Keeps the chatter of ALSA and PortAudio, written past Python to file descriptor 2, off the screen."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)


def _heard(file: bytes, line: int, function: bytes, _code: int, _format: bytes) -> None:
    log.debug("ALSA: %s:%d %s", file.decode(errors="replace"), line, function.decode(errors="replace"))


_handler = _HANDLER(_heard)
"""Kept for as long as the process lives, because ALSA keeps only its address."""


def hush_alsa() -> None:
    """Its messages (underruns, cards that are not there) go to the log. Does nothing where there is no ALSA."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_handler)
    except (OSError, AttributeError):
        return


@contextmanager
def quiet() -> Iterator[None]:
    """For PortAudio itself, which complains on the screen before it returns an error."""
    try:
        saved = os.dup(2)
    except OSError:
        # A program without a console has no such descriptor, and nothing to keep quiet.
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
