"""llama.cpp's C interface, and its own messages turned into `logging`."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, ClassVar

from bot.errors import MissingPackage

log = logging.getLogger(__name__)


class LlamaLog:
    """llama.cpp's own messages, into `logging`; the last lines are kept to explain a failure. Lives as long as the
    process, as llama.cpp keeps its address."""

    LEVELS: ClassVar = {3: logging.INFO, 4: logging.INFO}
    """By ggml's level (warning, error); the rest is DEBUG. Errors are no more than INFO: failures are raised
    as well, and every abort is an error to llama.cpp."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=40)
        self._part = ""
        self._callback: Any = None

    def install(self, api: Any) -> None:
        self._callback = self._callback or api.llama_log_callback(self._take)
        api.llama_log_set(self._callback, None)

    def _take(self, level: int, text: bytes, _: object) -> None:
        self._part += text.decode("utf-8", "replace")
        if self._part.endswith("\n"):
            line, self._part = self._part.strip(), ""
            self.lines.append(line)
            log.log(self.LEVELS.get(level, logging.DEBUG), "%s", line)

    def last(self) -> str:
        return next((line for line in reversed(self.lines) if line), "no reason given").rstrip(".")


messages = LlamaLog()


def load_api() -> Any:
    try:
        import llama_cpp.llama_cpp as api
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingPackage(
            f"The package llama-cpp-python cannot be used: {error}. Run `python scripts/run.py` to install it."
        ) from error
    messages.install(api)
    return api
