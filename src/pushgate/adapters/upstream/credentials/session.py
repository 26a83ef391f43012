"""
A session id that the upstream hands out with a refusal, to be repeated in the same header (Transmission's RPC).

No waiting and no lock: the id comes with the very answer that demands it.
"""

from __future__ import annotations

from collections.abc import Callable

from ....errors import PollError
from ....values import UpstreamRequest
from ..exchange import Reply, Send
from .shown import with_field


class Session:
    """Repeats the id that the upstream gave last."""

    def __init__(self, status: int, header: str, refreshed: Callable[[bool], None]) -> None:
        self._status = status
        self._header = header
        self._refreshed = refreshed
        self._id: str | None = None

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        reply = await send(self._signed(request))
        given = reply.headers.get(self._header)
        if reply.answer.status != self._status or not given:
            return reply
        self._id = given
        reply = await send(self._signed(request))
        is_accepted = reply.answer.status != self._status
        self._refreshed(is_accepted)
        if not is_accepted:
            raise PollError("upstream_auth", f"the upstream refuses the {self._header} that it has just given")
        return reply

    def _signed(self, request: UpstreamRequest) -> UpstreamRequest:
        return request if self._id is None else with_field(request, self._header, self._id)
