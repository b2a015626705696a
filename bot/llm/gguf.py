"""A GGUF model in memory: blocking calls over llama.cpp, all from one thread. Nothing here knows of conversations."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.errors import ConfigError, ModelBroken, ModelMissing, OutOfMemory, StageError
from bot.llm.llama_api import load_api, messages
from bot.llm.sampler import Sampler, Sampling
from bot.llm.saved_states import SavedStates, common
from bot.llm.vocabulary import Vocabulary

BATCH = 128
"""Tokens per evaluation: larger ones are not faster on a CPU, and what precedes an abort stays evaluated."""

ABORTED = 2
"""What llama_decode returns when the abort callback said so."""

MEMORY_WORDS = ("out of memory", "failed to allocate", "unable to allocate", "cudamalloc", "bad_alloc", "bad alloc")


@dataclass(slots=True)
class Job:
    """A piece of work that another thread may call off."""

    cancelled: bool = False


class Gguf:
    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._api: Any = None
        self._model: Any = None
        self.vocabulary: Vocabulary
        """From `load` until `close`."""
        self._context: Any = None
        self.sampler: Sampler
        """From `load` until `close`."""
        self.saved = SavedStates()
        self._job = Job()
        self._cached: list[int] = []
        """Tokens whose keys and values the context holds, in order."""

    def load(self, context: int, threads: int, device: str, sampling: Sampling) -> None:
        check_file(self.path, self.name)
        self._api = api = load_api()
        messages.lines.clear()
        params = api.llama_model_default_params()
        params.n_gpu_layers = -1 if device == "cuda" else 0
        self._model = api.llama_model_load_from_file(str(self.path).encode(), params)
        if not self._model:
            raise self._explain(f"llama.cpp cannot load the language model {self.path}")
        self.vocabulary = Vocabulary(api, self._model)
        trained = api.llama_model_n_ctx_train(self._model)
        if trained and context > trained:
            raise ConfigError(
                f"LLM_CONTEXT is {context}, but {self.name} can look back over {trained} tokens at most. "
                f"Set it to {trained} or less."
            )
        self._context = api.llama_init_from_model(self._model, self._context_params(context, threads, device))
        if not self._context:
            raise self._explain(f"The language model {self.name} cannot be started with LLM_CONTEXT={context}")
        self.sampler = Sampler(api, self._model, self.vocabulary.size, sampling)

    @property
    def loaded(self) -> bool:
        return self._context is not None

    @property
    def size(self) -> int:
        """Tokens that the context can hold."""
        return int(self._api.llama_n_ctx(self._context))

    def evaluate(self, tokens: Sequence[int], job: Job) -> int | None:
        """Makes the context hold exactly `tokens`, reusing the common start. Returns how many were evaluated (at least
        one, so that the next token can be sampled), or None when `job` was called off. Either way the context stays
        usable."""
        self._job = job
        keep = min(self._recall(tokens), len(tokens) - 1)
        self._forget_from(keep)
        for at in range(keep, len(tokens), BATCH):
            if job.cancelled or not self._decode(tokens[at : at + BATCH]):
                return None
        return len(tokens) - keep

    def append(self, token: int, job: Job) -> bool:
        """Evaluates one sampled token. False when `job` was called off."""
        self._job = job
        return not job.cancelled and self._decode([token])

    def sample(self) -> int:
        return self.sampler.draw(self._context)

    def close(self) -> None:
        if hasattr(self, "sampler"):
            self.sampler.close()
            del self.sampler
        if self._context:
            self._api.llama_free(self._context)
        if self._model:
            self._api.llama_model_free(self._model)
        self._context = self._model = None
        self._cached.clear()
        self.saved.clear()

    def _recall(self, tokens: Sequence[int]) -> int:
        """How many of `tokens` the context holds, after it was exchanged for a saved one where that has more. What is
        about to be lost is saved: another conversation's turn."""
        keep = common(self._cached, tokens)
        saved = self.saved.best(tokens)
        if self.saved.worth(len(self._cached) - keep):
            size = self._api.llama_state_seq_get_size(self._context, 0)
            if self.saved.takes(size):
                data = (ctypes.c_uint8 * size)()
                if self._api.llama_state_seq_get_data(self._context, data, size, 0) == size:
                    self.saved.put(self._cached, data)
        if saved is None or not self.saved.worth(saved.common - keep):
            return keep
        self._forget_from(0)
        if self._api.llama_state_seq_set_data(self._context, saved.data, len(saved.data), 0) != len(saved.data):
            self._forget_from(0)
            return 0
        self._cached = list(saved.tokens)
        return saved.common

    def _decode(self, tokens: Sequence[int]) -> bool:
        array = (self._api.llama_token * len(tokens))(*tokens)
        result = self._api.llama_decode(self._context, self._api.llama_batch_get_one(array, len(tokens)))
        if result == 0:
            self._cached.extend(tokens)
            return True
        self._forget_from(len(self._cached))
        if result == ABORTED:
            return False
        self._forget_from(0)
        raise StageError(
            f"The language model failed (llama_decode returned {result}: {messages.last()}). "
            "Ask again; if it stays so, lower LLM_CONTEXT."
        )

    def _forget_from(self, position: int) -> None:
        memory = self._api.llama_get_memory(self._context)
        if position == 0 or not self._api.llama_memory_seq_rm(memory, 0, position, -1):
            # Models with a sliding window or a recurrent state cannot always go back: they start again.
            self._api.llama_memory_clear(memory, True)
            position = 0
        del self._cached[position:]

    def _context_params(self, context: int, threads: int, device: str) -> Any:
        params = self._api.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = BATCH if device == "cpu" else 512
        generating, reading = default_threads() if threads == 0 else (threads, threads)
        params.n_threads, params.n_threads_batch = generating, reading
        params.offload_kqv = params.op_offload = device == "cuda"
        # The reference must live as long as the context.
        self._abort = self._api.ggml_abort_callback(lambda _: self._job.cancelled)
        params.abort_callback = self._abort
        return params

    def _explain(self, what: str) -> ModelBroken | OutOfMemory:
        said = " ".join(messages.lines).lower()
        self.close()
        if any(word in said for word in MEMORY_WORDS) or not has_room(self.path.stat().st_size):
            return OutOfMemory(
                f"There is not enough memory for the language model {self.name}. "
                "Close other programs, lower LLM_CONTEXT, or choose a smaller model with LLM_MODEL."
            )
        return ModelBroken(
            f"{what}: {messages.last()}. Run `python -m bot models verify`, or choose another LLM_MODEL."
        )


def check_file(path: Path, name: str) -> None:
    """Raises ModelMissing or ModelBroken before llama.cpp is asked, whose messages are for its makers."""
    if not path.is_file():
        raise ModelMissing(
            f"The language model {name} is not at {path}. Run `python -m bot models fetch`, or set LLM_PATH."
        )
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ModelBroken(f"{path} is not a GGUF file. Run `python -m bot models verify`, or correct LLM_PATH.")


def has_room(size: int) -> bool:
    """Whether that many bytes of address space can be had. llama.cpp often says no more than "failed to load"."""
    try:
        mmap.mmap(-1, size).close()
    except (OSError, MemoryError):
        return False
    return True


def default_threads() -> tuple[int, int]:
    """Threads for one token at a time, and for reading a prompt.

    Measured on 2 cores: reading gains 90 % from the second. Generating gains 25 % on an idle machine, but as soon as
    anything else computes (the voice does) two threads that wait for each other fall from 52 to 5 tokens a second,
    while one keeps 40. Beyond 8 the memory is the limit.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Above 4 logical cores two of them usually share one real core.
    return max(1, min(8, cores - 1 if cores <= 4 else cores // 2)), max(1, min(16, cores))
