"""The words of a GGUF model: text to tokens and back. Reading them needs no lock, so any thread may."""

from __future__ import annotations

import ctypes
from typing import Any

from bot.errors import StageError


class Vocabulary:
    def __init__(self, api: Any, model: Any) -> None:
        self._api = api
        self._model = model
        self._vocab = api.llama_model_get_vocab(model)

    @property
    def size(self) -> int:
        return int(self._api.llama_vocab_n_tokens(self._vocab))

    def metadata(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(1 << 16)
        size = self._api.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size >= 0 else ""

    def special(self, which: str) -> str:
        """Text of the "bos" or "eos" token; empty when the model has none."""
        token = getattr(self._api, f"llama_vocab_{which}")(self._vocab)
        return self._api.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace") if token >= 0 else ""

    def tokens(self, text: str, *, continues: bool = False) -> list[int]:
        """Names of control tokens in the text become those tokens. The start token comes first exactly once, but not
        before what `continues` something."""
        start = self.special("bos")
        add_start = not continues and not (start and text.startswith(start))
        data = text.encode()
        for size in (len(data) + 8, 2 * len(data) + 64):
            found = (self._api.llama_token * size)()
            count = self._api.llama_tokenize(self._vocab, data, len(data), found, size, add_start, True)
            if count >= 0:
                return list(found[:count])
        raise StageError("The language model could not read the text. Ask in other words.")

    def piece(self, token: int) -> bytes:
        """The bytes of a token, perhaps a part of a character. Control tokens have none."""
        for size in (64, 4096):
            buffer = ctypes.create_string_buffer(size)
            length = self._api.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if length >= 0:
                return buffer.raw[:length]
        return b""

    def ends(self, token: int) -> bool:
        """Whether the model has said that it is done, or begins to speak for somebody else."""
        api = self._api
        return bool(api.llama_vocab_is_eog(self._vocab, token) or api.llama_vocab_is_control(self._vocab, token))
