"""
The URLs of connections with many topics, below ``server.prefix``: what is asked for there, and who answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ...clock import Clock
from ...config.server import Server
from ...errors import MethodNotAllowed, UnsupportedBody
from ...hub import Hub
from ...naming import origin_form
from ...values import Caller, Transport
from ...wishes import MAX_BODY_BYTES, Wishes, read_wishes
from . import shared_poll, shared_sse, shared_websocket
from .bodies import read_body
from .replies import JSON, Reply, methods_text, preflight
from .shared import Host

READING: Final = ("GET",)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of the URLs. ``writing``: the methods by which topics can be named in a body."""

    transport: Transport
    writing: tuple[str, ...]


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "events": Endpoint("sse", ("POST",)),
    "poll": Endpoint("long_poll", ("POST",)),
    "ws": Endpoint("websocket", ()),
}


def endpoint_of(request: web.BaseRequest, settings: Server) -> Endpoint | None:
    """Return which of them a request is for, if any."""
    path = origin_form(request.raw_path).partition("?")[0]
    below = f"{settings.base_path}{settings.prefix}"
    return ENDPOINTS.get(path.removeprefix(below)) if path.startswith(below) else None


def preflight_of(request: web.BaseRequest, endpoint: Endpoint, settings: Server) -> Reply:
    return preflight(request.headers.get("Origin"), settings.cors, writing=endpoint.writing, reading=READING)


async def wishes_of(request: web.BaseRequest, endpoint: Endpoint) -> Wishes:
    """Read what a request asks for; raises the Refusal of one that cannot be understood."""
    if request.method not in (*READING, *endpoint.writing):
        methods = methods_text(endpoint.writing, reading=READING)
        raise MethodNotAllowed(f"this URL takes {methods}", headers={"Allow": methods})
    body = None
    if request.method == "POST":
        if request.content_type != JSON:  # which no page of another site can send unless it is asked first
            raise UnsupportedBody(f"topics are named in a body of type {JSON}")
        body = await read_body(request, at_most=MAX_BODY_BYTES)
    query = origin_form(request.raw_path).partition("?")[2]
    return read_wishes(endpoint.transport, request.headers, query, body)


class Sharing:
    """Answers requests for many topics."""

    def __init__(self, host: Host, hub: Hub, clock: Clock) -> None:
        self._host = host
        self._hub = hub
        self._clock = clock

    async def answer(
        self,
        request: web.BaseRequest,
        server: web.Server,
        wishes: Wishes,
        caller: Caller,
        *,
        fields: Mapping[str, str],
        retry: float,
    ) -> web.StreamResponse:
        """Answer by the transport of the URL; ``fields``: for every answer to this client."""
        host, hub, ask, clock = self._host, self._hub, wishes.ask, self._clock
        if ask.transport == "websocket":
            return shared_websocket.open_stream(request, hub, host, wishes, caller, clock)
        with host.lay(wishes, caller) as table:
            if ask.transport == "sse":
                return shared_sse.open_stream(request, hub, table, ask, clock, fields=fields, retry=retry)
            return await shared_poll.answer(request, hub, server, table, ask, clock, fields=fields)
