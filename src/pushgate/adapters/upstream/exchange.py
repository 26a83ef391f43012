"""
One request to an upstream, and its answer.

Rule 1: what is asked is exactly what was prepared, and goes nowhere but to the upstream's origin.
Rule 2: every request waits for its turn, and no wait for a turn counts as the upstream's time.
Rule 3: every foreign exception leaves here as a PollError whose reason a metric can count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from ...answers import Answer, Cost
from ...clock import Clock
from ...config.upstreams import Upstream
from ...errors import PollError
from ...freshness import fresh_for, modified_at, quota, renewable_for, retry_after, telling_fields
from ...tracing import under_way
from ...values import UpstreamRequest, Validators
from .bodies import read_body
from .connections import Connections
from .failures import FOREIGN, translate
from .links import next_link
from .origins import origin_of

# A connection that ended before an answer began.
_DROPPED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)

HeaderFields = tuple[tuple[str, str], ...]

# What may be sent again when a kept connection turns out to be closed. RFC 9110 section 9.2.2 has PUT and DELETE, too;
# but a client's write that was done before, and is refused for that the second time, did not fail.
_REPEATABLE = frozenset(["GET", "HEAD"])


class Gate(Protocol):
    """Lets requests through to one upstream, as its budget allows."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until a request may go out; the exchange is over when the context is. Raises PollError(``budget``)."""

    def check_open(self) -> None:
        """Raise PollError(``paused``) while an operator wants no request at all, also such as take no turn."""

    def heard(self, answer: Answer) -> None:
        """Hear every answer: what it says about quotas and waiting is meant for the whole upstream."""


class OpenGate:
    """The gate of who has no budget."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def check_open(self) -> None:
        pass

    def heard(self, answer: Answer) -> None:
        pass


OPEN = OpenGate()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and its header fields as they came."""

    answer: Answer
    headers: CIMultiDictProxy[str]


Send = Callable[[UpstreamRequest], Awaitable[Reply]]


class Exchange:
    """Exchanges requests for answers with one upstream; call it for its own origin."""

    def __init__(self, upstream: Upstream, clock: Clock, gate: Gate) -> None:
        self.origin = origin_of(upstream.base)
        self._max_body = upstream.max_body
        self._host = () if upstream.host is None else (("Host", upstream.host),)
        self._keeps_alive = upstream.keep_alive
        self._clock = clock
        self._gate = gate
        self._connections = Connections(upstream)
        self._is_kept = False  # whether there may be a connection that was used before
        self._begins = (f"{self.origin}/", f"{self.origin}?")

    async def close(self) -> None:
        await self._connections.close()

    async def __call__(self, request: UpstreamRequest) -> Reply:
        """Ask the upstream itself. Raises PollError, also for a URL that is not below its origin."""
        if not request.url.startswith(self._begins) and origin_of(request.url) != self.origin:
            raise PollError("protocol", f"a request for {origin_of(request.url)} does not belong to {self.origin}")
        session, options = self._connections.own(self._clock.now())
        headers = (*request.headers, *self._host) if self._host else request.headers
        if request.upstream and (trace := under_way()) is not None and not _has_trace(headers):
            headers = (*headers, *trace.trace.fields)
        try:
            return await self._ask(session, request, headers, options, self._gate)
        except _DROPPED as exc:
            if not self._is_left_over(request, exc):
                raise translate(exc) from exc
        except FOREIGN as exc:
            raise translate(exc) from exc
        try:
            return await self._ask(session, request, headers, options, self._gate)
        except FOREIGN as exc:
            raise translate(exc) from exc

    async def open(self, request: UpstreamRequest, body: bytes | AsyncIterator[bytes] | None) -> aiohttp.ClientResponse:
        """
        Ask the upstream itself for somebody else, once, and return when the head of its answer is there.

        The caller closes it. Whatever is said is what the request says, but for ``Host``. Raises PollError.
        """
        session, options = self._connections.passing(self._clock.now())
        if request.method not in ("GET", "HEAD") or body is not None:
            options = {**options, "data": body}
        try:
            return await session.request(
                request.method, URL(request.url, encoded=True), headers=(*request.headers, *self._host), **options
            )
        except FOREIGN as exc:
            raise translate(exc) from exc

    def _is_left_over(self, request: UpstreamRequest, exc: Exception) -> bool:
        """
        Whether it may have been a kept connection that the upstream had closed meanwhile, which is nobody's fault.

        Then the request is made once more, and only once until an answer has come: whoever closes every connection is
        not asked twice each time.
        """
        if isinstance(exc, aiohttp.ClientConnectorError) or request.method not in _REPEATABLE:
            return False
        was_kept, self._is_kept = self._is_kept, False
        return was_kept

    async def elsewhere(self, request: UpstreamRequest) -> Reply:
        """
        Ask another origin, to which the upstream has sent us.

        The caller owes that the request holds nothing that is meant for the upstream only.
        """
        return await self._ask_foreign(request, self._gate)

    async def third_party(self, request: UpstreamRequest) -> Reply:
        """
        Ask who is no part of the upstream, such as a token server: neither its budget nor its quota is concerned.

        While the upstream is paused there is nothing to ask for.
        """
        self._gate.check_open()
        return await self._ask_foreign(request, OPEN)

    async def _ask_foreign(self, request: UpstreamRequest, gate: Gate) -> Reply:
        try:
            session, options = self._connections.foreign(request.url)
            return await self._ask(session, request, request.headers, options, gate)
        except FOREIGN as exc:
            raise translate(exc) from exc

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        request: UpstreamRequest,
        headers: HeaderFields,
        options: dict[str, Any],
        gate: Gate,
    ) -> Reply:
        if request.body is not None:
            options = {**options, "data": request.body}
        elif request.method not in ("GET", "HEAD"):
            options = {**options, "skip_auto_headers": ("Content-Type",)}
        async with gate.turn():
            response = await session.request(request.method, URL(request.url, encoded=True), headers=headers, **options)
            try:
                body = b"" if response.status == 304 else await read_body(response, self._max_body)
            finally:
                if response.closed:  # to its end, and the connection went back to where the next request finds it
                    self._is_kept = self._keeps_alive
                else:
                    response.close()
        answer = answer_of(response, body, self._clock.wall())
        gate.heard(answer)
        return Reply(answer, response.headers)


def _has_trace(headers: HeaderFields) -> bool:
    """Whether it is said already to what trace a request belongs: by the configuration, or by a client."""
    return any(name.lower() == "traceparent" for name, _ in headers)


def answer_of(response: aiohttp.ClientResponse, body: bytes, at: float) -> Answer:
    """Return what an answer says that was read ``at`` this time, in seconds since the epoch."""
    headers = response.headers
    validators = Validators(_repeatable(headers.get("ETag")), _repeatable(headers.get("Last-Modified")))
    content_type = headers.get("Content-Type", "")
    if not content_type.isascii():
        content_type = content_type.encode("ascii", "replace").decode()  # no name of a type or charset has more
    link = next_link(headers.getall("Link")) if "Link" in headers else None
    cost = Cost(bytes=response.content.total_bytes)
    fields = telling_fields(headers)
    if not fields:
        return Answer(response.status, content_type, body, validators, at, link_next=link, cost=cost)
    return Answer(
        response.status,
        content_type,
        body,
        validators,
        at,
        retry_after=retry_after(fields, at),
        fresh_for=fresh_for(fields, at),
        renewable_for=renewable_for(fields),
        modified_at=modified_at(fields, at),
        quota=quota(fields, at),
        link_next=link,
        cost=cost,
    )


def _repeatable(validator: str | None) -> str | None:
    """Return the validator exactly as it came, unless it has bytes that no request can carry back."""
    return validator if validator and validator.isprintable() else None
