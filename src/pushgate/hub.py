"""
Who listens to what: the topics that are alive, and the clients that are here.

There are never more topics, nor more of them in memory, than may be: idle ones make room, the oldest first, and if none
is idle, a new one is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import structlog

from .alarms import Alarms
from .channel import Channel
from .errors import Overloaded, Refusal
from .exposition import Sample, Sighting
from .leases import Leases
from .naming import fill_text
from .polled import Dependent, PolledChannel
from .poller import Means
from .rations import Charge, TopicRation
from .routes import Route, TopicName
from .subscriber import Asker, Newcomer, Stream, Subscriber
from .values import Parting, Principal, Transport
from .viewing import ViewChannel
from .views import ViewRoute
from .wheel import Wheel

log = structlog.get_logger()

# How often it is told that documents in use take more memory than there may be.
FULL_REMINDER = 60.0

# When to come back to a gateway that has no room, in seconds.
COME_BACK = 30.0


class Hub:
    """All channels and all clients; ``heartbeat`` is the interval of streams that ask for none of their own."""

    def __init__(self, means: Means, *, max_topics: int, heartbeat: float) -> None:
        self._means = means
        self.metrics = means.metrics
        self.max_topics = max_topics
        self._channels: dict[str, PolledChannel] = {}
        self._views: dict[str, ViewChannel] = {}  # as many as topics may be; they cost less
        self._per_route: dict[str, int] = {}
        self.wheel: Wheel[Stream] = Wheel(heartbeat)
        self.parked: Alarms[Asker] = Alarms()  # each with the end of its wait
        self.unproved: Alarms[Newcomer] = Alarms()  # each with the time by which it must have said who it is
        self.leases = Leases(means.clock.wall)
        self.charges: dict[object, Charge] = {}  # what connections count towards, by the protocols of their sockets
        self.topic_ration = TopicRation(None)
        self._reminded_at = float("-inf")
        self._streams: Counter[Transport] = Counter()
        self.metrics.watch_topics(self._sightings)
        self.metrics.watch_connections(self._count_connections)

    def channel(
        self,
        route: Route | ViewRoute,
        name: TopicName,
        *,
        principal: Principal | None = None,
        instead_of: TopicName | None = None,
    ) -> Channel:
        """
        Return the topic's channel. ``principal``: for whom it is woken, if it is not alive; ``instead_of``: what is let
        go for it, and ``vacated`` then: it takes the place of that one.

        Raises Overloaded if there are as many live topics as may be, TooMany if the principal keeps as many alive as it
        may, and BadRequest for one that cannot be asked for.
        """
        polled = name.parent or name
        before = None if instead_of is None else self.find(instead_of.parent or instead_of)
        if self.topic_ration.most is not None and principal is not None and not self._is_alive(polled.key):
            other = None if before is None else before.name.key
            self.topic_ration.wake(principal, polled.key, self._is_alive, instead_of=other)
        return self._view(route, name, before) if isinstance(route, ViewRoute) else self._topic(route, name, before)

    def vacated(self, name: TopicName) -> None:
        """Do not keep a topic for those who may come back, if it was left for another one and there is no room."""
        channel = self.find(name.parent or name)
        if channel is None or channel.feed.topic.listeners or channel.feed.topic.is_polling:
            return
        route = channel.route
        if self._per_route[route.name] > route.config.max_topics or len(self._channels) > self.max_topics:
            self._forget(channel)

    def topics(self) -> list[PolledChannel]:
        """Return the topics that are alive."""
        return [*self._channels.values()]

    def views(self) -> list[ViewChannel]:
        """Return the views that are alive."""
        return [*self._views.values()]

    def _is_alive(self, key: str) -> bool:
        """Whether anybody needs a topic that is polled."""
        channel = self._channels.get(key)
        return channel is not None and not _is_idle(channel)

    def find(self, name: TopicName) -> PolledChannel | None:
        """Return the channel of a topic that is polled, if it is alive."""
        return self._channels.get(name.key)

    def _topic(self, route: Route, name: TopicName, before: PolledChannel | None = None) -> PolledChannel:
        channel = self._channels.get(name.key)
        if channel is None:
            if name not in route.standing:  # what the file names fails at each poll, where it can be seen
                route.request(name)
            self._make_room(route, vacant=before is not None and before.feed.topic.listeners <= 1)
            channel = self._channels[name.key] = PolledChannel(route, name, self._means)
            self._per_route[route.name] = self._per_route.get(route.name, 0) + 1
        return channel

    def _view(self, route: ViewRoute, name: TopicName, before: PolledChannel | None) -> ViewChannel:
        view = self._views.get(name.key)
        if view is None:
            assert name.parent is not None, "a view is named with its parent"
            if len(self._views) >= self.max_topics:
                self._forget_one_view()
            parent = self._topic(route.parent, name.parent, before)
            view = self._views[name.key] = ViewChannel(route, name, parent, self._means)
        return view

    def _forget_one_view(self) -> None:
        for view in self._views.values():
            if view.is_idle:
                self._forget_view(view)
                return
        complaint = f"there are {self.max_topics} live views already (server.limits.topics)"
        raise Overloaded(complaint, retry_after=COME_BACK)

    def _forget_view(self, view: Dependent) -> None:
        view.close()
        del self._views[view.name.key]

    def _make_room(self, route: Route, *, vacant: bool) -> None:
        """Forget what nobody needs as long as there is too much. ``vacant``: a topic of this route is let go for it."""
        while self._per_route.get(route.name, 0) - vacant >= route.config.max_topics:
            self._forget_one(route, f"{route.name} has {route.config.max_topics} live topics already (max_topics)")
        while len(self._channels) - vacant >= self.max_topics:
            self._forget_one(None, f"there are {self.max_topics} live topics already (server.limits.topics)")
        self._relieve_memory()
        if self._means.log.is_full():
            complaint = "the documents in use take all the memory there may be (server.limits.memory)"
            raise Overloaded(complaint, retry_after=COME_BACK)

    def _forget_one(self, route: Route | None, complaint: str) -> None:
        """Forget the oldest topic that nobody needs (of a route, or of all); raises Overloaded if there is none."""
        for channel in self._channels.values():
            if (route is None or channel.route is route) and _is_idle(channel):
                self._forget(channel)
                return
        raise Overloaded(complaint, retry_after=route.terms.linger if route else COME_BACK)

    def _forget(self, channel: PolledChannel) -> None:
        """Forget a topic and its views, to which nobody listens either: that would be listening to the topic."""
        for view in list(channel.views):
            self._forget_view(view)
        channel.feed.stop()
        self._means.log.forget(channel.history)
        del self._channels[channel.name.key]
        self._per_route[channel.route.name] -= 1

    def _relieve_memory(self) -> None:
        """Forget idle views and topics while there is too much in memory; the log has forgotten the past already."""
        memory = self._means.log
        if not memory.is_full():
            return
        for view in list(self._views.values()):
            if memory.is_full() and view.is_idle:
                self._forget_view(view)
        for channel in list(self._channels.values()):
            if memory.is_full() and _is_idle(channel):
                self._forget(channel)
        if not memory.is_full():
            return
        now = self._means.clock.now()
        if now >= self._reminded_at + FULL_REMINDER:
            self._reminded_at = now
            log.warning("memory.full", topics=len(self._channels), hint="raise server.limits.memory")

    # What a new configuration makes of them.

    def end(self, channel: PolledChannel, refusal: Refusal) -> None:
        """Let go of a topic that is no more; what becomes of its views is the caller's."""
        channel.end(refusal)
        self._means.log.forget(channel.history)
        del self._channels[channel.name.key]

    def end_view(self, view: ViewChannel, refusal: Refusal) -> None:
        view.end(refusal)
        self._forget_view(view)

    def recount(self) -> None:
        """Count each route's topics anew: some have another route than before."""
        self._per_route = Counter(channel.route.name for channel in self._channels.values())

    def polled_upstreams(self) -> set[str]:
        """Return the names of all upstreams that anything polls right now."""
        now = self._means.clock.now()
        return {
            fill_text(channel.route.config.upstream, channel.name.values)
            for channel in self._channels.values()
            if channel.feed.topic.is_wanted(now) and not channel.feed.topic.is_paused_by_operator
        }

    @property
    def connections(self) -> int:
        """Sockets that are ours: streams, parked long polls, and who has yet to say who it is."""
        return len(self.wheel) + len(self.parked) + len(self.unproved)

    def connected(self, asker: Asker) -> None:
        """Count a connection that is parked for the first time."""
        self.metrics.connected(asker.transport_name)

    def lost(self, asker: Asker, parting: Parting) -> None:
        """Count a connection that ended while it was parked."""
        self.settle(asker)
        self.metrics.disconnected(asker.transport_name, parting)

    def settle(self, owner: object) -> None:
        """Give back what a connection was charged to, since it has ended or does not last any more."""
        if self.charges and (charge := self.charges.pop(owner, None)) is not None:
            charge.lift(owner)

    def pass_on(self, owner: object, heir: object) -> None:
        """Charge to the new protocol of a socket what its old one was charged to."""
        if self.charges and (charge := self.charges.pop(owner, None)) is not None:
            self.charges[heir] = charge

    def finish_waiting(self) -> None:
        """Answer every parked long poll with whatever there is to say, and send those away who are nobody yet."""
        for asker in self.parked.everyone():
            asker.finish()
        for newcomer in self.unproved.everyone():
            newcomer.finish()

    # Streams.

    def enter(self, stream: Stream) -> None:
        self.wheel.enter(stream)
        self._streams[stream.transport_name] += 1
        if stream.stay is not None:
            stream.stay.begin(stream)
        self.metrics.connected(stream.transport_name)

    def exit(self, stream: Stream) -> None:
        self.wheel.exit(stream)
        self._streams[stream.transport_name] -= 1
        self.settle(stream)
        if stream.stay is not None:
            stream.stay.end()
        self.metrics.disconnected(stream.transport_name, stream.parting)

    def turn_wheel(self) -> Iterator[None]:
        """Give the streams whose turn it is their heartbeat, some between two yields, and look after the memory."""
        self._relieve_memory()
        yield from self.wheel.turn()

    def everyone(self) -> list[Stream]:
        return self.wheel.everyone()

    def subscribers(self) -> list[Subscriber]:
        """Return everything that is followed over streams; a connection may have many."""
        return [subscriber for stream in self.everyone() for subscriber in stream.subscriptions]

    def close(self) -> None:
        """End all polling."""
        for channel in self._channels.values():
            channel.feed.stop()

    # What Prometheus sees.

    def _count_connections(self) -> list[Sample]:
        counts = {"long_poll": len(self.parked), **self._streams}
        return [([transport], number) for transport, number in counts.items()]

    def _sightings(self) -> Iterator[Sighting]:
        """Look at all topics, and have each account for the time that it has spent in its state."""
        now = self._means.clock.now()
        for channel in self._channels.values():
            topic = channel.feed.topic
            channel.feed.spend()
            is_told = topic.is_wanted(now) and topic.confirmed_at is not None
            yield Sighting(channel.route.name, topic.state, channel.status.confirmed_at if is_told else None)


def _is_idle(channel: PolledChannel) -> bool:
    """Whether a topic may be forgotten; not while a poll is under way, since somebody may wait for how that ends."""
    return channel.feed.is_idle() and not channel.feed.topic.is_polling
