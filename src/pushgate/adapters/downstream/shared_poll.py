"""
``/-/poll``: a long poll of many topics, answered as soon as one of them has news, with all that all of them have.

Rule 1: looking and waiting are one step, so nothing happens unseen in between; and who is woken answers when the loop
turns, since a view may not have looked yet at what its parent has just published.
Rule 2: who waits has been told everything, so each topic is waited for from where it is now; a topic that wakes it is
looked at alone, and only if there is news all of them are.
Rule 3: what cannot be had is told beside what can, and never by itself once the client has a cursor: an answer that
brings no news would only be asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohttp import web

from ...channel import Channel
from ...clock import Clock
from ...errors import Refusal
from ...hub import Hub
from ...leases import patience
from ...negotiation import MAX_WAIT, Ask
from ...sets import Standing, head
from ...values import Event, Principal
from ...wire import long_poll_body, problem_event, status_event
from .handover import TakenOver, has_more, may_go_on, take_over
from .parking import ParkedConnection
from .replies import JSON, VARY, Reply, mention, whole
from .shared import Judgement, Watch, addressed
from .short_poll import refusal_for, settle
from .tables import Declined, Seat, Table

_NONE: Final[Mapping[int, Refusal]] = {}

# An event, and what it is of.
Told = tuple[Event, Channel]

Recheck: TypeAlias = "Callable[[Seat], Refusal | None]"


@dataclass(slots=True)
class Place:
    """One topic, and where the client stands in it."""

    seat: Seat
    cursor: str | None
    is_over: bool

    @property
    def has_document(self) -> bool:
        return self.seat.channel.has_document

    def go_to_head(self) -> None:
        """Nothing has happened since the client's cursor, so the present is where it is."""
        if self.has_document:
            self.cursor = self.seat.channel.history.head(self.seat.mode)

    def news(self, clock: Clock, *, as_one: bool) -> list[Told]:
        """Return what the client has missed, and how the topic is doing if it missed something and that is not well."""
        channel, mode = self.seat.channel, self.seat.mode
        if self.is_over or not channel.has_document:
            return []
        events = list(channel.replay(self.cursor, mode, as_one=as_one).events)
        if channel.history.is_ended and (not events or events[-1].kind != "end"):
            events.append(channel.history.end_event())
        if events and channel.state not in ("live", "ended"):
            events.append(status_event(channel.status, at=clock.wall()))
        return [(event, channel) for event in events]


class SharedQuestion:
    """A long poll of many topics, and how to answer it at any moment."""

    def __init__(self, table: Table, ask: Ask, clock: Clock, fields: Mapping[str, str]) -> None:
        self.table = table
        self.ask = ask
        self.clock = clock
        self.places: list[Place] | None = None  # None: it is not clear yet where the topics continue
        self._declined = [*table.declined]
        self._fields = {"Vary": VARY, "Cache-Control": "no-store", **fields}

    def stand(self, standings: Sequence[Standing], refusals: Mapping[int, Refusal] = _NONE) -> None:
        """Begin from here; ``refusals``: of what cannot be had since the client came, by the places of topics."""
        self.places = [
            Place(seat, standing.cursor, standing.is_over or at in refusals)
            for at, (seat, standing) in enumerate(zip(self.table.seats, standings, strict=True))
        ]
        for at, refusal in refusals.items():
            self.decline(self.table.seats[at].channel, refusal)
        for place in self.places:
            if place.cursor == "now":
                place.go_to_head()

    def decline(self, channel: Channel, refusal: Refusal) -> None:
        """Tell, with whatever there is to tell, that this topic cannot be had."""
        self._declined.append(Declined(channel.name.text, refusal, ""))

    @property
    def position(self) -> str | None:
        """The set's cursor, of a client that has been told everything; its own while it is not clear what that is."""
        found = None if self.places is None else head([seat.member for seat in self.table.seats], self.table.scope)
        return self.ask.cursor if found is None and self.ask.cursor != "now" else found

    def answer(self, *, is_over: bool) -> Reply | None:
        """Return the answer if there is one by now; there always is when the wait is over."""
        told = [one for place in self.places or () for one in self.missed(place)]
        if told:
            return self.news(told)
        is_silent = self.places is not None and all(place.is_over for place in self.places)
        return self.nothing() if is_over or is_silent else None

    def missed(self, place: Place) -> list[Told]:
        """Return what there is to tell of one topic."""
        return place.news(self.clock, as_one=self.ask.throttle is not None)

    def news(self, told: Sequence[Told]) -> Reply:
        """Return an answer that tells this, and what cannot be had."""
        cursor, at = self.position, self.clock.wall()
        problems = [(problem_event(one.refusal, at=at), one.topic) for one in self._declined]
        fields = {**self._fields, "Content-Type": JSON} | ({"Pushgate-Cursor": cursor} if cursor else {})
        events = [*problems, *((event, channel.name.text) for event, channel in told)]
        mentions = tuple(mention(channel, event) for event, channel in told)
        body = long_poll_body(cursor, events, addressed)
        return whole(fields, body, takes_gzip=self.ask.takes_gzip, mentions=mentions)

    def nothing(self) -> Reply:
        cursor = self.position
        return Reply(204, self._fields | ({"Pushgate-Cursor": cursor} if cursor else {}))


class SharedParked(ParkedConnection):
    """One client that waits for news of many topics."""

    __slots__ = ("_is_answering", "_judgement", "_question", "_watches")

    def __init__(self, question: SharedQuestion, hub: Hub, server: web.Server, *, keep_alive: bool) -> None:
        super().__init__(hub, server, keep_alive=keep_alive)
        self._question = question
        self._watches: list[Watch] = []
        self._judgement: Judgement | None = None
        self._is_answering = False  # as soon as the loop turns

    @property
    def address(self) -> str:
        return ""  # it is no route's

    @property
    def followed(self) -> Collection[Channel]:
        return [seat.channel for seat in self._question.table.seats]

    @property
    def principals(self) -> Collection[Principal]:
        return [seat.principal for seat in self._question.table.seats if seat.principal is not None]

    def begin(self, transport: asyncio.Transport, wait: float, judgement: Judgement) -> None:
        """Wait, first for the judgement if that takes time."""
        self.hold(transport, patience(wait, *self.principals, now=self._question.clock.wall()))
        if self._question.places is None:
            self._judgement = judgement
        else:
            self._watch(self._question.places)

    def judged(self, standings: list[Standing]) -> None:
        """Go on, now that it is clear where the topics continue."""
        refusals = {} if self._judgement is None else self._judgement.refusals
        self._judgement = None
        self._question.stand(standings, refusals)
        reply = self._question.answer(is_over=False)
        if reply is not None:
            self.send(reply)
        elif self._question.places is not None:
            self._watch(self._question.places)

    def _watch(self, places: Sequence[Place]) -> None:
        for index, place in enumerate(places):
            if place.is_over:
                continue
            place.go_to_head()
            watch = Watch(place.seat, index, self.transport_name, woken=self._woken, refused=self._refused)
            self._watches.append(watch)
            place.seat.channel.wait(watch)

    def _woken(self, watch: Watch) -> None:
        assert self._question.places is not None, "it waits for news"
        place = self._question.places[watch.index]
        if not self._question.missed(place):
            place.go_to_head()
        elif not self._is_answering:
            self._is_answering = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        if self.is_waiting:
            self.time_out(woken_at=self._question.clock.wall())

    def _refused(self, watch: Watch, refusal: Refusal) -> None:
        """Tell at once that a topic cannot be had any more; from now on it is declined when it is asked for."""
        self._question.decline(watch.channel, refusal)
        told = [one for place in self._question.places or () for one in self._question.missed(place)]
        self.send(self._question.news(told))

    def time_out(self, *, woken_at: float | None = None) -> None:
        reply = self._question.answer(is_over=True)
        assert reply is not None, "a wait that is over has an answer"
        self.write(reply.written(keep_alive=self._keep_alive), woken_at=woken_at)

    def let_go(self) -> None:
        super().let_go()
        if self._judgement is not None:
            self._judgement.stop()
            self._judgement = None
        for watch in self._watches:
            watch.channel.stop_waiting(watch)
        self._watches.clear()


async def answer(
    request: web.BaseRequest,
    hub: Hub,
    server: web.Server,
    table: Table,
    ask: Ask,
    clock: Clock,
    *,
    fields: Mapping[str, str],
    recheck: Recheck,
) -> web.StreamResponse:
    """
    Answer a long poll of many topics now, or park it until there is an answer.

    ``recheck`` tells of a topic why it may not be had any more, if it is so.
    """
    wait = ask.wait or 0.0
    question = SharedQuestion(table, ask, clock, fields)
    for seat in table.seats:
        seat.channel.feed.touch()
    if ask.cursor is None and all(seat.cursor is None for seat in table.seats):
        return (await _first(question, recheck, wait=wait)).told("long_poll")
    parked = SharedParked(question, hub, server, keep_alive=may_go_on(request))
    judgement = Judgement(table, ask, clock, parked.judged, "long_poll")
    standings = judgement.begin()
    if standings is not None:
        question.stand(standings)
    for place in question.places or ():
        if place.has_document and (ask.cursor or place.seat.cursor):  # it came with one, which may be a gap
            hub.metrics.resumed("long_poll", place.seat.channel.replay(place.cursor, place.seat.mode).result)
    reply = question.answer(is_over=wait == 0 or has_more(request))
    if reply is not None:
        judgement.stop()
        return reply.told("long_poll")
    transport = take_over(request, parked, is_parked=True)
    if transport is None:
        judgement.stop()
    else:
        parked.begin(transport, wait, judgement)
    return TakenOver()


async def _first(question: SharedQuestion, recheck: Recheck, *, wait: float) -> Reply:
    """Answer somebody who has no cursor yet: every document there is; raises a Refusal if there will be none."""
    seats = question.table.seats
    longest = max(seat.channel.route.timeout for seat in seats)
    await settle(*(seat.channel for seat in seats), timeout=min(wait or longest, MAX_WAIT))
    refusals = {at: refusal for at, seat in enumerate(seats) if (refusal := recheck(seat))}
    channels = [seat.channel for at, seat in enumerate(seats) if at not in refusals]
    if not channels:
        raise refusals[0]
    question.stand([Standing()] * len(seats), refusals)
    now = question.clock.wall()
    missing = [channel for channel in channels if not channel.has_document and not channel.feed.topic.is_polling]
    for channel in missing:
        if refusal := refusal_for(channel, now=now):
            question.decline(channel, refusal)
    reply = question.answer(is_over=True)
    assert reply is not None, "the wait is over"
    if reply.status == 204 and len(missing) == len(channels) and (refusal := refusal_for(channels[0], now=now)):
        raise refusal
    return reply
