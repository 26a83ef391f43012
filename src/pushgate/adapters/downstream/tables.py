"""
Which topics somebody gets who asks for several: each is let in, or declined, by itself.

Only if all are declined the request is, with the first refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ...auth.keeper import Keeper
from ...auth.visitor import Visitor
from ...channel import Channel
from ...documents.cursors import family_of, scope_of
from ...errors import BadRequest, Refusal
from ...generation import refusal_of
from ...hub import Hub
from ...identity import NOBODY
from ...naming import RESERVED_QUERY, Router, decode_query
from ...negotiation import Ask, check_offered, read_mode
from ...routes import Route, TopicName
from ...sets import Member, scope_of_set
from ...values import Caller, Mode, Principal, Transport
from ...views import ViewRoute
from ...wishes import Wish, Wishes


@dataclass(frozen=True, slots=True)
class Seat:
    """One topic of a shared connection: how it is followed, and from where; None: from the beginning."""

    channel: Channel
    mode: Mode
    cursor: str | None = None
    principal: Principal | None = None  # as whom the client may; None: everybody may

    @property
    def member(self) -> Member:
        return self.channel.history, self.mode


@dataclass(frozen=True, slots=True)
class Declined:
    """One topic that the client does not get; ``topic`` as it is called, or as the client called it."""

    topic: str
    refusal: Refusal
    scope: str  # what its cursors would be for


@dataclass(frozen=True, slots=True)
class Table:
    """The topics of one request."""

    seats: tuple[Seat, ...]
    declined: tuple[Declined, ...]

    @property
    def scope(self) -> str:
        """What the cursor of exactly these topics is for, those that are declined for now included."""
        own = [seat.channel.history.scope(seat.mode) for seat in self.seats]
        return scope_of_set([*own, *(one.scope for one in self.declined)])


class Host:
    """Finds the topics that somebody wishes to follow."""

    def __init__(self, router: Router[Route | ViewRoute], hub: Hub, keeper: Keeper) -> None:
        self.router = router  # a new configuration brings another
        self._hub = hub
        self._keeper = keeper

    def seat(self, wish: Wish, transport: Transport, visitor: Visitor, *, instead_of: TopicName | None = None) -> Seat:
        """
        Return a topic that can be followed now; raises the Refusal of one that cannot.

        ``instead_of``: the same one as it was for somebody else, which is let go for it.
        """
        route, name, caller = self.find(wish.topic, visitor)
        seat = self._admit(route, name, wish, transport, caller.principal, instead_of=instead_of)
        visitor.check_mode(seat.principal, seat.mode, route.modes[0])
        return seat

    def recheck(self, seat: Seat, ask: Ask) -> Refusal | None:
        """Return why somebody who has waited for a topic may not have it any more; None if it may."""
        route, is_whole = seat.channel.route, ask.transport == "short_poll" or ask.is_document
        worse = refusal_of(route, ask.transport, None if is_whole else seat.mode)
        return worse or self._keeper.recheck(route, seat.channel.name, seat.principal)

    def entries(self, wishes: Wishes) -> list[Route | ViewRoute]:
        """Return what is asked for, as far as there is such a thing."""
        found = []
        for wish in wishes.topics:
            with suppress(Refusal):  # which each topic is told by itself
                found.append(self.resolve(wish.topic)[0])
        return found

    def resolve(self, topic: str) -> tuple[Route | ViewRoute, dict[str, str], dict[str, str]]:
        """Return the route of a topic, its parameters and its query; raises the Refusal of one that has none."""
        path, _, query = topic.partition("?")
        route, values = self.router.resolve(path)
        controls = decode_query(query)
        for reserved in sorted(RESERVED_QUERY & controls.keys()):
            raise BadRequest(f"{reserved!r} is no part of a topic's name; it is said beside it")
        return route, values, controls

    def name_of(self, topic: str) -> str:
        """Return a topic's one name, whatever its spelling; raises the Refusal of one that there cannot be."""
        route, values, query = self.resolve(topic)
        return route.topic(values, query, NOBODY).text

    def find(self, topic: str, visitor: Visitor) -> tuple[Route | ViewRoute, TopicName, Caller]:
        """Return a topic as the visitor sees it, and as whom; raises the Refusal of one that it may not have."""
        route, values, query = self.resolve(topic)
        return route, *self._keeper.admit(route, values, query, visitor)

    @contextmanager
    def lay(self, wishes: Wishes, visitor: Visitor) -> Iterator[Table]:
        """
        Return all topics of a request, each once however often and in what spellings it is named.

        They are listened to as long as the context is open: otherwise one could be forgotten to make room for the next.
        """
        seats: dict[str, Seat] = {}
        try:
            yield self._lay(wishes, visitor, seats)
        finally:
            for seat in seats.values():
                seat.channel.left()

    def _lay(self, wishes: Wishes, visitor: Visitor, seats: dict[str, Seat]) -> Table:
        declined: dict[str, Declined] = {}
        for wish in wishes.topics:
            try:
                route, name, caller = self.find(wish.topic, visitor)
            except Refusal as refusal:
                declined.setdefault(wish.topic, Declined(wish.topic, refusal, f"declined {wish.topic}"))
                continue
            if name.key in seats:
                continue
            try:
                seats[name.key] = self._admit(route, name, wish, wishes.ask.transport, caller.principal)
                seats[name.key].channel.joined()
            except Refusal as refusal:
                family = family_of("items" if wish.emit == "items" else route.modes[0])
                scope = scope_of(family, f"{name.key}\n{route.definition}")
                declined.setdefault(name.key, Declined(name.text, refusal, scope))
        if not seats and declined:
            raise next(iter(declined.values())).refusal
        return Table((*seats.values(),), (*declined.values(),))

    def _admit(
        self,
        route: Route | ViewRoute,
        name: TopicName,
        wish: Wish,
        transport: Transport,
        principal: Principal | None,
        *,
        instead_of: TopicName | None = None,
    ) -> Seat:
        mode = read_mode(wish.emit, route.modes)
        check_offered(transport, route.transports)
        channel = self._hub.channel(route, name, principal=principal, instead_of=instead_of)
        if refusal := channel.denial():
            raise refusal
        return Seat(channel, mode, wish.cursor, principal)
