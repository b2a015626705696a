"""What went wrong with a model elsewhere, as one sentence that names the provider and the next step. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.errors import ProviderError

SHOWN = 200
"""Characters of the provider's own words that are passed on."""
PASSING = frozenset({"unreachable", "timeout", "rate_limited", "overloaded", "failed", "cut"})
"""Reasons that may be gone a moment later."""

_TOO_LONG = re.compile(r"context.{0,3}(length|size|window)|prompt is too long|too many (input )?tokens|maximum context")
_SECRET = re.compile(r"\b(sk|key)-[\w*.-]{6,}")

_KINDS = {
    "authentication_error": "key",
    "permission_error": "key",
    "billing_error": "quota",
    "insufficient_quota": "quota",
    "rate_limit_error": "rate_limited",
    "overloaded_error": "overloaded",
    "api_error": "failed",
    "timeout_error": "timeout",
    "request_too_large": "too_long",
    "context_length_exceeded": "too_long",
    "exceed_context_size_error": "too_long",
    "model_not_found": "model",
}
"""By the words of either API, which say more than the status."""
_STATUSES = {401: "key", 402: "quota", 403: "key", 404: "model", 408: "timeout", 413: "too_long", 429: "rate_limited"}


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    """For people: "OpenAI", or "The server at HOST"."""
    prefix: str
    """Of its variables: "OPENAI"."""
    model: str
    address: str
    """Where it is asked; without secrets."""
    own: bool
    """Whether it is a server that the user named."""
    key: str
    """Never shown; what the provider says is searched for it."""


def refused(
    who: Provider, status: int, body: object, said: str, headers: Mapping[str, str] | None = None
) -> ProviderError:
    """`body` is what came with the status, parsed; `said` stands in for it when it holds no message."""
    inner = body.get("error", body) if isinstance(body, Mapping) else {}
    details: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    kinds = [str(details.get(name)) for name in ("code", "type") if details.get(name)]
    words = str(details.get("message") or said)
    reason = next((_KINDS[kind] for kind in kinds if kind in _KINDS), "") or _by_status(status, words)
    return failure(who, reason, words, _retry_after(headers or {}))


def failure(who: Provider, reason: str, words: str = "", retry_after_s: float | None = None) -> ProviderError:
    """`words` are the provider's own."""
    name = who.name
    words = _harmless(words, who)
    again = f"in {retry_after_s:.0f} s" if retry_after_s and retry_after_s >= 1 else "in a minute"
    elsewhere = "or choose another model with `!model`"
    sentence = {
        "key": f"{name} does not accept {who.prefix}_API_KEY. Put a valid key into .env, and start again.",
        "quota": f"{name} refuses because the account has no credit left. Add some there, {elsewhere}.",
        "unreachable": _unreachable(who),
        "timeout": f"{name} did not answer in time. Ask again, {elsewhere}.",
        "rate_limited": f"{name} allows no more requests at the moment. Ask again {again}, {elsewhere}.",
        "overloaded": f"{name} is overloaded. Ask again {again}, {elsewhere}.",
        "refused": f"{name} refused this request ({words}). Ask in other words, {elsewhere}.",
        "too_long": f"{name} cannot take a conversation this long with {who.model}. Ask a shorter question, write "
        "`!clear`, or lower LLM_CONTEXT.",
        "model": f"{name} does not know the model {who.model} ({words}). Correct LLM_MODEL or {who.prefix}_MODEL, "
        f"or {who.prefix}_BASE_URL.",
        "cut": f"The answer of {name[0].lower() + name[1:] if who.own else name} broke off in the middle. Ask again.",
    }.get(reason, f"{name} failed ({words or 'no reason given'}). Ask again, {elsewhere}.")
    return ProviderError(sentence, reason, retry_after_s=retry_after_s)


def _by_status(status: int, words: str) -> str:
    if _TOO_LONG.search(words.lower()):
        return "too_long"
    if status in _STATUSES:
        return _STATUSES[status]
    if status in (503, 529) or "overloaded" in words.lower():
        return "overloaded"
    return "failed" if status >= 500 or status == 200 else "refused"


def _unreachable(who: Provider) -> str:
    if who.own:
        return f"Nothing answers at {who.address}. Start the server there, or correct {who.prefix}_BASE_URL in .env."
    return (
        f"{who.name} cannot be reached at {who.address}. Check the network connection (a proxy goes into HTTPS_PROXY), "
        "or choose a local model with `!model`."
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            # Not there, or a date, which neither provider sends.
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _harmless(words: str, who: Provider) -> str:
    words = " ".join(words.split())
    if who.key:
        words = words.replace(who.key, "***")
    words = _SECRET.sub("***", words).rstrip(".")
    return words if len(words) <= SHOWN else f"{words[:SHOWN]} …"
