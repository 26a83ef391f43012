"""
The URLs of connections with many topics, below ``server.prefix``: what is asked for there, and who answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web

from ...auth.permission import auth_names
from ...auth.visitor import Visitor
from ...clock import Clock
from ...config.server import Server
from ...errors import MethodNotAllowed, UnsupportedBody
from ...hub import Hub
from ...leases import Stay
from ...naming import origin_form
from ...values import Transport
from ...wishes import MAX_BODY_BYTES, Wishes, read_wishes
from . import shared_poll, shared_sse
from .bodies import read_body
from .conversation import Conversation
from .desk import Desk
from .extensions import accepted_extension
from .handover import TakenOver, take_over_upgraded
from .newcomers import Newcomer, open_newcomer
from .replies import JSON, Reply, methods_text, preflight
from .shared_websocket import SharedSocket
from .upgrade import accept_head

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

    def __init__(self, hub: Hub, clock: Clock, desk: Desk) -> None:
        self._hub = hub
        self._clock = clock
        self._desk = desk

    async def answer(
        self,
        request: web.BaseRequest,
        server: web.Server,
        wishes: Wishes,
        visitor: Visitor,
        *,
        fields: Mapping[str, str],
        retry: float,
    ) -> web.StreamResponse:
        """Answer by the transport of the URL; ``fields``: for every answer to this client."""
        hub, ask, clock, desk = self._hub, wishes.ask, self._clock, self._desk
        stay = Stay(hub.leases, visitor)
        if ask.transport == "websocket":
            if (names := self._unproved(wishes, visitor)) is not None:
                succeed = partial(_succeed, hub=hub, wishes=wishes)
                is_strict = bool(wishes.topics)
                return open_newcomer(request, hub, clock, desk, visitor, names, succeed, is_strict=is_strict)
            return _open_socket(request, hub, wishes, stay, clock, desk, fields=fields)
        with desk.host.lay(wishes, visitor) as table:
            if ask.transport == "sse":
                return shared_sse.open_stream(request, hub, table, ask, clock, fields=fields, retry=retry, stay=stay)
            recheck = partial(desk.host.recheck, ask=ask)
            return await shared_poll.answer(request, hub, server, table, ask, clock, fields=fields, recheck=recheck)

    def _unproved(self, wishes: Wishes, visitor: Visitor) -> list[str] | None:
        """Return who may vouch for a client that has shown nothing and may still do so; None if there is no need."""
        keeper, host = self._desk.keeper, self._desk.host
        names = (
            [name for entry in host.entries(wishes) for name in auth_names(entry)] if wishes.topics else keeper.names
        )
        if visitor.principals or visitor.refusals or not keeper.awaits_message(names):
            return None
        return names


def _open_socket(
    request: web.BaseRequest,
    hub: Hub,
    wishes: Wishes,
    stay: Stay,
    clock: Clock,
    desk: Desk,
    *,
    fields: Mapping[str, str],
) -> web.StreamResponse:
    """Answer the handshake, take the socket over and start; raises a Refusal if all topics named are refused."""
    extension = accepted_extension(request.headers)
    head = accept_head(request, fields, extension=extension)
    conversation = Conversation(is_deflated=extension is not None)
    with desk.host.lay(wishes, stay.visitor) as table:
        connection = SharedSocket(hub, clock, desk, wishes.ask, stay, conversation)
        transport, tail = take_over_upgraded(request, connection)
        if transport is not None:
            connection.begin(transport, table, head, tail)
    return TakenOver(101)


def _succeed(newcomer: Newcomer, visitor: Visitor, opening: bytes, *, hub: Hub, wishes: Wishes) -> SharedSocket:
    """Start the connection of a client that has said who it is, or wants to be nobody; raises as ``_open_socket``."""
    desk = newcomer.desk
    with desk.host.lay(wishes, visitor) as table:
        stay = Stay(hub.leases, visitor)
        connection = SharedSocket(hub, newcomer.clock, desk, wishes.ask, stay, newcomer.conversation)
        connection.begin(newcomer.hand_over(connection), table, opening)
    return connection
