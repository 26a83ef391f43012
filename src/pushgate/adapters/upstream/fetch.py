"""
One request to a backend, over aiohttp.

Rule 1: what is asked is exactly what was prepared: the URL is sent as it is, no redirect is followed, no cookie is
kept.
Rule 2: nothing is read beyond the upstream's ``max_body``, counted after decompression.
Rule 3: every foreign exception leaves here as a PollError whose reason a metric can count.
"""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from types import TracebackType

import aiohttp
from yarl import URL

from ... import __version__
from ...answers import Answer
from ...clock import Clock
from ...config.upstreams import Upstream
from ...errors import PollError
from ...routes import Route
from ...values import UpstreamRequest, Validators

USER_AGENT = f"pushgate/{__version__}"

# Longer than what any API sends in a field; a backend that needs more is broken in a way worth hearing about.
MAX_FIELD_BYTES = 16 * 1024


class HttpFetch:
    """The fetch port over HTTP; keeps one connection pool per upstream while the context is open."""

    def __init__(self, upstreams: dict[str, Upstream], clock: Clock) -> None:
        self._clock = clock
        self._upstreams = upstreams
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> HttpFetch:
        self._sessions = {name: _session(upstream) for name, upstream in self._upstreams.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    async def __call__(self, route: Route, request: UpstreamRequest, validators: Validators) -> Answer:
        headers = [*request.headers]
        if validators.etag is not None:
            headers.append(("If-None-Match", validators.etag))
        if validators.last_modified is not None:
            headers.append(("If-Modified-Since", validators.last_modified))
        session = self._sessions[route.config.upstream]
        try:
            async with session.request(
                request.method, URL(request.url, encoded=True), headers=headers, allow_redirects=False
            ) as response:
                body = b"" if response.status == 304 else await _read(response, route.upstream.max_body)
                return self._answer(response, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise _translate(exc) from exc

    def _answer(self, response: aiohttp.ClientResponse, body: bytes) -> Answer:
        headers, at = response.headers, self._clock.wall()
        return Answer(
            status=response.status,
            content_type=headers.get("Content-Type", ""),
            body=body,
            validators=Validators(headers.get("ETag"), headers.get("Last-Modified")),
            at=at,
            retry_after=_retry_after(headers.get("Retry-After"), at),
        )


def _session(upstream: Upstream) -> aiohttp.ClientSession:
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.5"}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=not upstream.keep_alive),
        timeout=aiohttp.ClientTimeout(total=upstream.timeout.total, sock_connect=upstream.timeout.connect),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        max_line_size=MAX_FIELD_BYTES,
        max_field_size=MAX_FIELD_BYTES,
    )


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read the body in pieces, so that an endless one, or one that unfolds from a small gzip, stops at the limit."""
    content = response.content
    if content.is_eof() and content.total_bytes <= limit:
        return content.read_nowait()  # a small answer came together with its head
    pieces, size = [], 0
    async for piece in content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            response.close()
            raise PollError("too_large", f"the answer is larger than max_body ({limit} bytes)")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _translate(exc: Exception) -> PollError:
    match exc:
        case TimeoutError() | asyncio.TimeoutError():
            return PollError("timeout", "the upstream did not answer in time")
        case aiohttp.ClientConnectorDNSError():
            return PollError("dns", f"the upstream's name does not resolve: {exc.os_error}")
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return PollError("tls", f"TLS with the upstream failed: {exc}")
        case aiohttp.ClientConnectorError():
            return PollError("connect", f"the upstream cannot be reached: {exc.os_error}")
        case aiohttp.ClientPayloadError():
            return PollError("truncated", "the answer ended before its announced length")
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return PollError("connect", "the upstream closed the connection without an answer")
        case _:
            return PollError("protocol", f"the upstream did not speak HTTP: {type(exc).__name__}")


def _retry_after(field: str | None, at: float) -> float | None:
    """Read Retry-After in both its forms (RFC 9110 section 10.2.3); what is neither is ignored."""
    if field is None:
        return None
    if field.isascii() and field.strip().isdigit():
        return float(field)
    try:
        return parsedate_to_datetime(field).timestamp() - at
    except ValueError:
        return None
