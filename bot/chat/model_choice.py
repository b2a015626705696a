"""Which language model a conversation thinks with, kept with it over a restart. Knows no py-cord."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

from bot.chat.history import History
from bot.errors import DiskError
from bot.events import Notice
from bot.ports import Models, Talk

log = logging.getLogger(__name__)


class ModelChoice:
    def __init__(self, models: Models, history: History) -> None:
        self._models = models
        self._history = history

    async def choose(self, talk: Talk, name: str) -> None:
        """Raises ConfigError, OutOfMemory and what loading raises."""
        await self._models.choose(talk, name)
        try:
            await self._history.choose_model(*talk, name)
        except DiskError as error:
            log.warning("the choice of a model was not kept: %s", error)

    async def restore(self, talk: Talk) -> AsyncGenerator[Notice, None]:
        """Before the first question after a restart. Raises as `choose`: another model would be a silent fall-back."""
        try:
            name = await self._history.chosen_model(*talk)
        except DiskError as error:
            log.warning("the choice of a model is not known: %s", error)
            return
        if name and name != self._models.current(talk):
            if not self._models.ready(name):
                yield Notice(loading(name))
            await self._models.choose(talk, name)


def loading(name: str) -> str:
    return f"I am loading `{name}`, which takes some seconds."


def overview(models: Models, talk: Talk) -> str:
    current = models.current(talk)
    lines = [f"{'▸' if name == current else '·'} `{name}`{_state(models, name)}" for name in models.names]
    return "\n".join(
        ["Language models at hand; ▸ is the one of this conversation:", *lines, "`!model NAME` changes it."]
    )


def _state(models: Models, name: str) -> str:
    if ":" in name:
        return " (elsewhere)"
    return "" if models.ready(name) else " (not loaded)"
