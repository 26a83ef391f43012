"""
What is asked for on a topic's own URL: who asks, what of the topic they may have, and the transport that answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from aiohttp import web

from ...auth.permission import auth_names
from ...auth.visitor import Visitor
from ...clock import Clock
from ...correlation import REQUEST_ID
from ...hub import Hub
from ...identity import NOBODY
from ...leases import Stay
from ...naming import CREDENTIALS_QUERY
from ...negotiation import MAX_WAIT, Ask
from ...routes import Route, TopicName
from ...values import ANYBODY, Caller
from ...views import ViewRoute
from . import long_poll, sse, websocket
from .desk import Desk
from .door import Door
from .inquiry import LongPolls, Question
from .lobby import Lobby
from .newcomers import open_newcomer
from .replies import Reply
from .short_poll import document_reply, settle
from .tables import Seat
from .ticketing import TicketOffice, Want, want_of
from .writing import check_origin

# A route or view, the parameters of its path, and the query without pushgate's own parameters.
Target: TypeAlias = "tuple[Route | ViewRoute, dict[str, str], dict[str, str]]"


class Serving:
    """Answers clients of single topics."""

    def __init__(self, hub: Hub, clock: Clock, door: Door, lobby: Lobby, desk: Desk, tickets: TicketOffice) -> None:
        self._hub = hub
        self._clock = clock
        self._door = door
        self._lobby = lobby
        self._desk = desk
        self._tickets = tickets
        self.polls = LongPolls(hub, door, desk.ids)

    async def answer(
        self, request: web.BaseRequest, target: Target, controls: Mapping[str, str], ask: Ask, cors: dict[str, str]
    ) -> web.StreamResponse:
        """Answer by the transport that is asked for; ``cors``: for every answer to this client, refusals too."""
        route, values, query = target
        if route.is_open:
            seat = Seat(self._hub.channel(route, route.topic(values, query, ANYBODY)), ask.mode, ask.cursor)
            return await self._answer(request, seat, ask, cors, None)
        wants, entries = partial(want_of, route, values, query, controls), self._lobby.entries
        visitor = await self.receive(request, [route], controls, wants, cors)
        self._lobby.check_kept(route, entries)
        self._door.charge(request, visitor.principals.values())
        if ask.transport == "websocket" and (names := self._unproved(route, visitor)) is not None:
            topic = route.topic(values, query, NOBODY)
            succeed = partial(websocket.succeed, hub=self._hub, topic=topic.text, ask=ask)
            return open_newcomer(request, self._hub, self._clock, self._desk, visitor, names, succeed, is_strict=True)
        topic, caller = self._desk.keeper.admit(route, values, query, visitor)
        channel = self._hub.channel(route, topic, principal=caller.principal)
        seat = Seat(channel, ask.mode, ask.cursor, caller.principal)
        return await self._answer(request, seat, ask, cors, visitor)

    async def receive(
        self,
        request: web.BaseRequest,
        entries: Sequence[Route | ViewRoute],
        controls: Mapping[str, str],
        wants: Callable[[], Collection[Want]],
        fields: dict[str, str],
    ) -> Visitor:
        """Return who the client is, by its ticket or its credentials; what every answer must say goes to ``fields``."""
        if not self._tickets.takes(entries, controls):
            return await self._lobby.receive(request, entries, controls)
        visitor, told = self._tickets.receive(request, controls, wants())
        fields |= told
        return visitor

    async def write(
        self, request: web.BaseRequest, route: Route, values: dict[str, str], query: dict[str, str]
    ) -> Reply:
        """Pass a client's write on, and return the upstream's answer; raises a Refusal if there is none."""
        check_origin(request, is_allowed=self._lobby.is_allowed_origin(request))
        controls = {name: query.pop(name) for name in CREDENTIALS_QUERY & query.keys()}
        admit = await self.admission(request, (route, values, query), controls)
        admit()  # before anything of a body is read
        return await self._desk.writer.answer(request, route, admit)

    async def admission(
        self, request: web.BaseRequest, target: Target, controls: Mapping[str, str]
    ) -> Callable[[], tuple[TopicName, Caller]]:
        """
        Find out who a client is, and return what tells its topic and as whom it may have it at any moment.

        That raises Reloaded if the route is another one by then, and the Refusal of a client that may not.
        """
        route, values, query = target
        entries = self._lobby.entries
        visitor = await self._lobby.receive(request, [route], controls)

        def admit() -> tuple[TopicName, Caller]:
            self._lobby.check_kept(route, entries)
            return self._lobby.keeper.admit(route, values, query, visitor)

        return admit

    def _unproved(self, route: Route | ViewRoute, visitor: Visitor) -> tuple[str, ...] | None:
        """Return who may vouch for a client that has shown nothing and may still do so; None if there is no need."""
        names = auth_names(route)
        if visitor.principals or visitor.refusals or not self._lobby.keeper.awaits_message(names):
            return None
        return names

    async def _answer(
        self, request: web.BaseRequest, seat: Seat, ask: Ask, cors: dict[str, str], visitor: Visitor | None
    ) -> web.StreamResponse:
        """Answer by the transport that is asked for; ``visitor``: None if it does not matter who it is."""
        hub, clock, channel = self._hub, self._clock, seat.channel
        if refusal := channel.denial():
            raise refusal
        stay = None
        if visitor is not None:
            stay = Stay(hub.leases, visitor if seat.principal is None else visitor.only(seat.principal))
        match ask.transport:
            case "websocket":
                return websocket.open_stream(request, hub, seat, ask, self._desk, clock=clock, stay=stay, fields=cors)
            case "sse":
                retry, now = self._door.retry, clock.wall()
                stream = sse.EventStream(hub, channel, ask, stay, seat.principal)
                return sse.open_stream(request, stream, channel, ask, fields=cors, now=now, retry=retry)
            case "long_poll":
                if ask.cursor is None or ask.is_document:
                    await self._settle(seat, ask)
                shared = {name: value for name, value in cors.items() if name != REQUEST_ID}
                question = Question(channel, ask, clock, shared)
                return long_poll.answer(request, question, hub, self.polls, principal=seat.principal)
            case "short_poll":
                is_polled = await self._settle(seat, ask)
                reply = document_reply(channel, ask, now=clock.wall(), is_head=request.method == "HEAD")
                if not is_polled:  # who waited for a poll followed the topic when that was counted
                    channel.feed.account.spared(with_body=bool(reply.mentions))
                return reply.with_fields(cors).told("short_poll")

    async def _settle(self, seat: Seat, ask: Ask) -> bool:
        """Wait for a document, if need be, and look again whether the client may have it; return whether it waited."""
        longest = seat.channel.route.timeout
        timeout = longest if ask.wait is None else min(ask.wait or longest, MAX_WAIT)
        is_polled = await settle(seat.channel, timeout=timeout)
        if refusal := self._desk.host.recheck(seat, ask):
            raise refusal
        return is_polled
