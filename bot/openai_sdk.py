"""The official OpenAI SDK, for the three engines that can live behind it: imported late, its errors made ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bot.config import CloudSettings
from bot.errors import MissingPackage, ProviderError
from bot.events import EngineInfo
from bot.provider import CONNECT_S, PASSING, SILENCE_S, Provider, failure, provider, proxy_for, refused
from bot.worker import Worker

T = TypeVar("T")
log = logging.getLogger(__name__)

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


class AudioEndpoint:
    """What hearing and speaking elsewhere have in common: one client, and calls that are tried again."""

    def __init__(self, settings: CloudSettings, stage: str, waits_s: Sequence[float]) -> None:
        """`stage`: "STT" or "TTS". `waits_s`: before the second try and the following ones. Raises ConfigError."""
        self._settings = settings
        self._stage = stage
        self._waits_s = waits_s
        self.who = provider("OpenAI", "OPENAI", settings, ADDRESS, stage)
        self.sdk: Any = None
        self.client: Any = None

    async def load(self) -> EngineInfo:
        started = asyncio.get_running_loop().time()
        worker = Worker("import-sdk")
        try:
            self.sdk = await worker.run(load_sdk)
            self.client = await worker.run(make_client, self.sdk, self._settings)
        finally:
            worker.close()
        took = asyncio.get_running_loop().time() - started
        return EngineInfo(self._stage, self.who.model, self.who.model, 0, urlsplit(self.who.address).netloc, took, 0)

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()

    async def tries(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Raises ProviderError: at once for what would not pass, or not soon enough."""
        for wait_s in self._waits_s:
            try:
                return await ask()
            except ProviderError as error:
                if error.reason not in PASSING or (error.retry_after_s or 0) > wait_s:
                    raise
                log.warning("%s (trying again in %.1f s)", error, wait_s)
            await asyncio.sleep(wait_s)
        return await ask()
