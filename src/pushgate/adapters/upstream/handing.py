"""
Handing a client's request on with pushgate's own credentials: its body comes only once, and its answer is not read.

Rule 1: credentials see the head of every answer, and no body. What they find out by reading one (``fail_if`` of a
login) is found out by the next poll.
Rule 2: an answer that they are not content with is dropped, and the request goes out again with better ones: the
upstream has refused it, so nothing happened. If its body is gone by then, the client has to send it again itself.
Rule 3: each attempt goes out in its turn, like a poll. The turn is over when an answer begins: a download may take
hours, and others are not to wait for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp

from ...clock import Clock
from ...errors import PollError
from ...values import UpstreamRequest
from .credentials import Credentials
from .exchange import Exchange, Gate, Reply, answer_of


class Body(Protocol):
    """What a client sends."""

    def once(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body, or None if there is none."""

    @property
    def is_gone(self) -> bool:
        """Whether a part of it has been sent and is not kept."""


class Handing:
    """One request that is handed on, as often as credentials need."""

    def __init__(self, exchange: Exchange, gate: Gate, clock: Clock, body: Body) -> None:
        self._exchange = exchange
        self._gate = gate
        self._clock = clock
        self._body = body
        self._response: aiohttp.ClientResponse | None = None

    async def on(self, request: UpstreamRequest, credentials: Credentials | None) -> aiohttp.ClientResponse:
        """Return the answer that stands; raises PollError."""
        try:
            await (self._send(request) if credentials is None else credentials(request, self._send))
        except BaseException:
            self._drop()
            raise
        assert self._response is not None, "credentials ask at least once, or raise"
        return self._response

    async def _send(self, request: UpstreamRequest) -> Reply:
        if not request.upstream:  # it is what credentials ask for themselves, such as a login
            return await self._exchange(request)
        self._drop()
        if self._body.is_gone:
            detail = "the upstream wanted new credentials, and has them now; send the request again"
            raise PollError("upstream_auth", detail, asked=False)
        async with self._gate.turn():
            response = self._response = await self._exchange.open(request, self._body.once())
        answer = answer_of(response, b"", self._clock.wall())
        self._gate.heard(answer)
        return Reply(answer, response.headers)

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
