"""How the next token is drawn: freely, or bound by a grammar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.errors import StageError


@dataclass(frozen=True, slots=True)
class Sampling:
    temperature: float = 0.2
    top_k: int = 40
    top_p: float = 0.9
    repeat_penalty: float = 1.05
    """Divides the odds of tokens already used in this answer; 1.0 is off."""
    repeat_window: int = 96
    """Tokens."""
    seed: int | None = None
    """None draws a new one for each answer."""


class Sampler:
    def __init__(self, api: Any, model: Any, vocabulary: int, sampling: Sampling) -> None:
        """`vocabulary`: how many tokens the model knows."""
        self._api = api
        self._model = model
        self._vocabulary = vocabulary
        self._sampling = sampling
        self._free = self._chain(None)
        self._bound: Any = None
        """Takes the place of `_free` while a grammar holds."""

    def draw(self, context: Any) -> int:
        return int(self._api.llama_sampler_sample(self._bound or self._free, context, -1))

    def restart(self) -> None:
        """For a new answer."""
        self._unbind()
        self._api.llama_sampler_reset(self._free)

    def bind(self, grammar: str) -> None:
        """Until `restart`, only what `grammar` (GBNF) allows is drawn. Raises StageError."""
        self._unbind()
        vocab = self._api.llama_model_get_vocab(self._model)
        rules = self._api.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
        if not rules:
            raise StageError("The language model cannot be bound to the tools' form. Ask without tools.")
        self._bound = self._chain(rules)

    def close(self) -> None:
        self._unbind()
        self._api.llama_sampler_free(self._free)

    def _unbind(self) -> None:
        if self._bound:
            self._api.llama_sampler_free(self._bound)
        self._bound = None

    def _chain(self, rules: Any) -> Any:
        api, sampling = self._api, self._sampling
        chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        window = sampling.repeat_window
        seed = api.LLAMA_DEFAULT_SEED if sampling.seed is None else sampling.seed
        for link in (
            # A grammar must see all tokens: of the likely ones it may allow none.
            *([rules] if rules else []),
            # Top-k first: penalties over the whole vocabulary are slow.
            api.llama_sampler_init_top_k(sampling.top_k),
            api.llama_sampler_init_penalties(self._vocabulary, window, sampling.repeat_penalty, 0.0, 0.0),
            api.llama_sampler_init_top_p(sampling.top_p, 1),
            api.llama_sampler_init_temp(sampling.temperature),
            api.llama_sampler_init_dist(seed),
        ):
            api.llama_sampler_chain_add(chain, link)
        return chain
