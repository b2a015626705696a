"""The official OpenAI SDK, for the three engines that can live behind it: imported late, its errors made ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bot.config import CloudSettings
from bot.errors import MissingPackage
from bot.provider import CONNECT_S, SILENCE_S, Provider, failure, proxy_for, refused

ADDRESS = "https://api.openai.com/v1"
NO_KEY = "none"
"""A server of one's own may need no key; the SDK does."""


def load_sdk() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MissingPackage(
            f"The package openai cannot be used ({error}). Install it with `pip install openai`."
        ) from error
    return openai


def make_client(sdk: Any, settings: CloudSettings) -> Any:
    """Retries are ours, because they are to be told."""
    import httpx2

    timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
    proxy = proxy_for(settings, ADDRESS)
    return sdk.AsyncOpenAI(
        api_key=settings.key or NO_KEY,
        base_url=settings.base_url or ADDRESS,
        max_retries=0,
        http_client=sdk.DefaultAsyncHttpxClient(proxy=proxy, timeout=timeout),
    )


@contextmanager
def translated(sdk: Any, who: Provider) -> Iterator[None]:
    """The SDK's exceptions into ours."""
    import httpx2

    try:
        yield
    except sdk.APIStatusError as error:
        raise refused(who, error.status_code, error.body, error.message, error.response.headers) from error
    except sdk.APITimeoutError as error:
        connecting = isinstance(error.__cause__, httpx2.ConnectTimeout)
        raise failure(who, "unreachable" if connecting else "timeout") from error
    except sdk.APIConnectionError as error:
        broken = isinstance(error.__cause__, httpx2.ReadError | httpx2.RemoteProtocolError)
        raise failure(who, "cut" if broken else "unreachable") from error
    except sdk.APIError as error:
        # Within a stream: the status was 200 long ago.
        raise refused(who, 200, error.body, error.message) from error
    except (sdk.OpenAIError, httpx2.HTTPError, ValueError) as error:
        raise failure(who, "failed", type(error).__name__) from error
