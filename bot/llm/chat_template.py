"""Renders messages with the chat template that a GGUF carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.errors import ModelBroken
from bot.events import Message

PROBE = "probe of the system text"


Formatter = Callable[[list[dict[str, str]]], str]
"""Renders messages up to where the assistant begins to speak; raises whatever the template raises."""


class ChatTemplate:
    def __init__(self, formatter: Formatter) -> None:
        """Raises ModelBroken when the template cannot render a plain conversation."""
        self._formatter = formatter
        self._takes_system = self._shows_system()
        self._render([{"role": "user", "content": "probe"}])

    def prompt(self, messages: Sequence[Message]) -> str:
        """The conversation up to where the assistant begins to speak."""
        return self._render(self._shape(messages))

    def continuations(self, messages: Sequence[Message]) -> tuple[str, str]:
        """Two prompts in which the user says different things next; what they have in common is certain already.

        A conversation that ends with the user goes on inside that message, as two questions in a row become one.
        """
        if messages and messages[-1].role == "user":
            last = messages[-1].content
            longer = [[*messages[:-1], Message("user", f"{last}\n{more}")] for more in ("A", "1")]
        else:
            longer = [[*messages, Message("user", more)] for more in ("A", "1")]
        return self.prompt(longer[0]), self.prompt(longer[1])

    def _shape(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        # Text that looks like a control token must not become one.
        shaped = [{"role": m.role, "content": m.content.replace("<|", "< |")} for m in messages]
        if not self._takes_system and len(shaped) > 1 and shaped[0]["role"] == "system" and shaped[1]["role"] == "user":
            shaped[1]["content"] = f"{shaped[0]['content']}\n\n{shaped[1]['content']}"
            del shaped[0]
        return shaped

    def _shows_system(self) -> bool:
        """Some templates leave the system message out without a word (early Phi-3), others refuse it (Gemma)."""
        probe = [{"role": "system", "content": PROBE}, {"role": "user", "content": "probe"}]
        try:
            return PROBE in self._formatter(probe)
        except Exception:  # whatever a template raises
            return False

    def _render(self, messages: list[dict[str, str]]) -> str:
        try:
            return self._formatter(messages)
        except Exception as error:
            raise ModelBroken(
                f"The chat template inside the language model's file cannot be used: {error}. "
                "Choose another model with LLM_MODEL."
            ) from error
