"""One generation of a local model, driven a step at a time on the worker's thread."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence

from bot.events import Tool, ToolCall, Usage
from bot.llm.gguf import Gguf, Job
from bot.llm.repetition import goes_in_circles
from bot.llm.text_stream import TextStream
from bot.llm.tool_calls import read_call
from bot.llm.tool_text import OPEN, OPENING, call_begins, call_schema, parts_of, undecided

Clock = Callable[[], float]

STOPS = ("<|im_start|>", "<|im_end|>", "<|end|>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>")
"""Small models sometimes write the names of control tokens as plain text."""
WORD_FIRST = "root ::= [A-Za-z0-9] [^\\x00]*"
CALL_TOKENS = 200
"""A call may be so long, however short an answer must be."""


class Generation:
    def __init__(
        self,
        gguf: Gguf,
        prompt: list[int],
        limit: int,
        job: Job,
        clock: Clock,
        tools: Sequence[Tool] = (),
        answer: bool = False,
    ) -> None:
        """`answer`: begins with a word, and so is no call, though the prompt offers tools."""
        self.stop = ""
        """Set when it is over: the reason, in the words of `Usage.stop`."""
        self.call: ToolCall | None = None
        """With the reason "tools"."""
        self._gguf = gguf
        self._prompt = prompt
        self._limit = limit
        self._job = job
        self._clock = clock
        self._tools = tools
        self._text = ""
        self._shown = 0
        """Characters of `_text` that have been given out."""
        self._answer = answer
        self._stream = TextStream((*STOPS, OPEN) if answer else STOPS)
        self._tokens: list[int] = []
        self._pieces: list[bytes] = []
        """What each token is written as."""
        self._written: bytes | None = None
        """The call so far, behind its OPENING; None while it is text."""
        self._evaluated = 0
        self._prompt_seconds = 0.0
        self._pending: int | None = None
        """The newest token: sampled, not yet evaluated, as its evaluation serves only the one after it."""

    def step(self) -> str:
        """Goes on until there is text to show, or until the end. The end may bring a last piece of text."""
        while not self.stop:
            if not self._advance():
                self.stop = "cancelled"
                return ""
            token = self._pending = self._gguf.sample()
            if self._answer and not self._tokens:
                self._gguf.sampler.restart()
            self._tokens.append(token)
            over = self._gguf.vocabulary.ends(token)
            self._pieces.append(b"" if over else self._gguf.vocabulary.piece(token))
            if text := self._take_call(over) if self._written is not None else self._take_text(over):
                return text
        return ""

    def usage(self, stop: str) -> Usage:
        return Usage(len(self._prompt), self._evaluated, len(self._tokens), self._prompt_seconds, stop)

    def _take_text(self, over: bool) -> str:
        self._text += self._stream.finish() if over else self._stream.feed(self._pieces[-1])
        if over or self._stream.stopped:
            self.stop = "end"
        elif len(self._tokens) >= self._limit or goes_in_circles(self._text):
            self.stop = "length"
            self._text += self._stream.finish()
        end = len(self._text)
        if self._tools:
            begun = call_begins(self._text)
            if begun is not None:
                end = begun
                self._begin_call()
            elif not self.stop:
                end -= undecided(self._text)
        text, self._shown = self._text[self._shown : end], max(self._shown, end)
        return text

    def _begin_call(self) -> None:
        """Writes the beginning as it should be, in the place of what the model wrote, and binds it from there on."""
        from llama_cpp.llama_grammar import json_schema_to_gbnf

        begun = b"".join(self._pieces).find(OPEN.encode())
        length = kept = 0
        while begun > 0 and length + len(self._pieces[kept]) <= begun:
            length += len(self._pieces[kept])
            kept += 1
        opening = self._gguf.vocabulary.tokens(OPENING, continues=True)
        if self._gguf.evaluate([*self._prompt, *self._tokens[:kept], *opening], self._job) is None:
            self.stop = "cancelled"
            return
        self._gguf.sampler.bind(json_schema_to_gbnf(json.dumps(call_schema(self._tools))))
        self._pending = None
        self._written = b""
        self.stop = ""
        room = self._gguf.size - len(self._prompt) - kept - len(opening)
        self._limit = min(len(self._tokens) + CALL_TOKENS, len(self._tokens) + room)

    def _take_call(self, over: bool) -> str:
        self._written = (self._written or b"") + self._pieces[-1]
        if not over and len(self._tokens) < self._limit:
            return ""
        self.stop = "tools"
        written = self._written.decode("utf-8", "replace")
        found = parts_of(written)
        call_id = f"call_{secrets.token_hex(4)}"
        if found is None:
            self.call = ToolCall(call_id, "", {}, f"The call was not complete: {written[-80:]}. Call with less.")
        else:
            self.call = read_call(call_id, *found, self._tools)
        return ""

    def _advance(self) -> bool:
        """Evaluates what the next token depends on. False when called off."""
        if self._pending is not None:
            return self._gguf.append(self._pending, self._job)
        if self._written is not None:
            # The beginning of a call has been evaluated.
            return not self._job.cancelled
        started = self._clock()
        self._gguf.sampler.restart()
        evaluated = self._gguf.evaluate(self._prompt, self._job)
        if self._answer:
            self._gguf.sampler.bind(WORD_FIRST)
        self._evaluated = evaluated or 0
        self._prompt_seconds = self._clock() - started
        return evaluated is not None
