"""
How those are asked who know clients better than pushgate does: issuers for their keys, services for their verdicts.

Rule 1: exactly what was prepared goes to exactly the URL in the configuration: no redirect is followed, no cookie kept,
and nothing of this machine's environment (proxies, ``.netrc``) has a part in it.
Rule 2: what does not come, whole and in time, is AuthUnavailable; clients are not told more, the log is.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import aiohttp
import structlog
from yarl import URL

from .. import __version__
from ..auth.forward import HeaderFields, Reply
from ..clock import Clock
from ..errors import AuthUnavailable, PollError
from ..freshness import fresh_for, retry_after, telling_fields
from .upstream.bodies import ACCEPTED, read_body
from .upstream.connections import MAX_FIELD_BYTES, MAX_FIELDS
from .upstream.failures import FOREIGN, translate

if TYPE_CHECKING:
    from ..auth.jwks import Fetched

log = structlog.get_logger()

# Thousands of keys; an issuer has a handful.
MAX_KEYS_BYTES = 1_000_000

# Keys are fetched beside everything else, so there is time for a slow issuer, in seconds.
KEYS_TIMEOUT = 10.0

# Whoever needs longer for a connection is as good as away, in seconds.
CONNECT_TIMEOUT = 3.0

# So many questions at once to one service; more wait, and their time runs.
MAX_CONNECTIONS = 100

# When to ask again if nobody says, in seconds.
COME_BACK = 5.0


class Inquiries:
    """Asks issuers and services; enter it once, for as long as the gateway runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._silent: set[str] = set()  # who did not answer last time: the log tells of changes only

    async def __aenter__(self) -> Inquiries:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=MAX_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"pushgate/{__version__}", "Accept": "*/*", "Accept-Encoding": ACCEPTED},
            auto_decompress=False,
            trust_env=False,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELDS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None, "it was entered"
        await self._session.close()

    async def fetch_keys(self, url: str) -> Fetched:
        """
        Return what an issuer publishes at this URL, and for how long that is good.

        Raises AuthUnavailable, also for an answer that is not 200, is too large, or ends in the middle.
        """
        try:
            async with self._get(url, (("Accept", "application/json"),), timeout=KEYS_TIMEOUT) as response:
                body = await read_body(response, MAX_KEYS_BYTES) if response.status == 200 else b""
        except (PollError, *FOREIGN) as exc:
            self._give_up(url, exc)
        at, fields = self._clock.wall(), telling_fields(response.headers)
        if response.status != 200:
            self._note_silence(url, reason=f"status {response.status}")
            raise _unavailable(retry_after(fields, at))
        self._note_answer(url)
        from ..auth.jwks import Fetched  # whoever asks has it already

        return Fetched(body, fresh_for(fields, at))

    async def ask(self, url: str, shown: HeaderFields, *, timeout: float) -> Reply:
        """
        Return the head of the answer to a GET that shows these fields; its body says nothing and is not waited for.

        Raises AuthUnavailable if there is none in time. A status of 500 and above is an answer, too.
        """
        try:
            async with self._get(url, shown, timeout=timeout) as response:
                headers = tuple(response.headers.items())
        except FOREIGN as exc:
            self._give_up(url, exc)
        if response.status >= 500:
            self._note_silence(url, reason=f"status {response.status}")
        else:
            self._note_answer(url)
        fields = telling_fields(response.headers)
        return Reply(response.status, headers, retry_after(fields, self._clock.wall()))

    def _get(
        self, url: str, headers: HeaderFields, *, timeout: float
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        assert self._session is not None, "it was entered"
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        asked = URL(str.__str__(url), encoded=True)  # the library wants no subclass of text
        return self._session.get(asked, headers=headers, timeout=limits, allow_redirects=False)

    def _give_up(self, url: str, exc: Exception) -> NoReturn:
        failure = exc if isinstance(exc, PollError) else translate(exc)
        self._note_silence(url, reason=failure.reason, error=type(exc).__name__)
        raise _unavailable(None) from exc

    def _note_silence(self, url: str, **why: str) -> None:
        if url not in self._silent:
            self._silent.add(url)
            log.warning("auth.silent", service=_place(url), **why)

    def _note_answer(self, url: str) -> None:
        if url in self._silent:
            self._silent.remove(url)
            log.info("auth.answers_again", service=_place(url))


def _unavailable(after: float | None) -> AuthUnavailable:
    message = "who you are cannot be found out now: the service that knows does not answer"
    return AuthUnavailable(message, retry_after=COME_BACK if after is None else after)


def _place(url: str) -> str:
    """Return a URL without what may be a credential in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
