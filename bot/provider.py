"""A provider of models elsewhere: where it is, and what goes wrong with it, as one sentence that names it and the next
step. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bot.config import CloudSettings
from bot.errors import ConfigError, ProviderError

CONNECT_S = 10.0
SILENCE_S = 180.0
"""Between two pieces of a stream; a server on a CPU reads a long prompt for so long."""
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
    models: str
    """The variable in which `model` is named."""
    urls: str
    """The one in which a server of one's own is."""
    instead: str
    """Another way to get an answer, as the end of a sentence."""
    key: str
    """Never shown; what the provider says is searched for it."""


def provider(name: str, prefix: str, settings: CloudSettings, address: str, part: str = "LLM") -> Provider:
    """`address` is the provider's own; `part` is "LLM", "STT" or "TTS". Raises ConfigError for what is not set."""
    models = f"LLM_MODEL or {prefix}_MODEL" if part == "LLM" else f"{prefix}_{part}_MODEL"
    urls = f"{prefix}_BASE_URL" if part == "LLM" else f"{part}_BASE_URL or {prefix}_BASE_URL"
    instead = "choose another model with `!model`" if part == "LLM" else f"set {part}_PROVIDER=local"
    own = bool(settings.base_url)
    if not settings.key and (not own or prefix == "ANTHROPIC"):
        raise ConfigError(f"{name} needs a key, but {prefix}_API_KEY is not set. Put it into .env, and start again.")
    if not settings.key.isascii() or not settings.key.isprintable():
        raise ConfigError(f"{prefix}_API_KEY holds characters that no key has. Copy it to .env once more.")
    if not settings.model:
        raise ConfigError(f"No model of {name} is named. Set {models} in .env to one of its models.")
    base = settings.base_url or address
    parts = urlsplit(base)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return Provider(
        f"The server at {shown}" if own else name,
        prefix,
        settings.model,
        shown,
        own,
        models,
        urls,
        instead,
        settings.key,
    )


def proxy_for(settings: CloudSettings, address: str) -> str | None:
    """The proxy through which `address` is asked. SDKs look at the environment alone, not at .env."""
    parts = urlsplit(settings.base_url or address)
    if parts.scheme != "https" or not settings.proxy:
        return None
    host = f".{parts.hostname}"
    around = [each.strip().lstrip("*.").partition(":")[0].lower() for each in settings.no_proxy.split(",")]
    bypassed = settings.no_proxy.strip() == "*" or any(each and host.endswith(f".{each}") for each in around)
    return None if bypassed else settings.proxy


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
    elsewhere = f"or {who.instead}"
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
        "model": f"{name} does not know the model {who.model} ({words}). Correct {who.models}, or {who.urls}.",
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
        return f"Nothing answers at {who.address}. Start the server there, or correct {who.urls} in .env."
    return (
        f"{who.name} cannot be reached at {who.address}. Check the network connection (a proxy goes into HTTPS_PROXY), "
        f"or {who.instead}."
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
