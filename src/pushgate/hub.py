"""
Who listens to what: the topics that are alive, and the wheel that gives every stream its heartbeat.
"""

from __future__ import annotations

from collections.abc import Iterator

from .channel import Channel, Subscriber, Waiter
from .errors import Overloaded
from .poller import Means
from .routes import Route, TopicName

# Into so many turns the heartbeat interval is cut, so that many subscribers do not all get theirs at once.
WHEEL_TURNS = 16


class Hub:
    """All channels, and the wheel that gives every stream its heartbeat."""

    def __init__(self, means: Means, *, max_topics: int) -> None:
        self._means = means
        self._max_topics = max_topics
        self._channels: dict[str, Channel] = {}
        self._per_route: dict[str, int] = {}
        self._wheel: list[dict[Subscriber, None]] = [{} for _ in range(WHEEL_TURNS)]
        self._turn = 0
        self._parked: dict[Waiter, None] = {}
        self._streams = 0
        means.metrics.watch_subscribers(self._count_subscribers)

    def channel(self, route: Route, name: TopicName) -> Channel:
        """Return the topic's channel; raises Overloaded if there are as many live topics as may be."""
        channel = self._channels.get(name.text)
        if channel is None:
            self._make_room(route)
            channel = self._channels[name.text] = Channel(route, name, self._means)
            self._per_route[route.name] = self._per_route.get(route.name, 0) + 1
        return channel

    def _make_room(self, route: Route) -> None:
        if self._per_route.get(route.name, 0) >= route.config.max_topics:
            self._forget_one(route, f"{route.name} has {route.config.max_topics} live topics already (max_topics)")
        if len(self._channels) >= self._max_topics:
            self._forget_one(None, f"there are {self._max_topics} live topics already (server.limits.topics)")

    def _forget_one(self, route: Route | None, complaint: str) -> None:
        """Forget the oldest topic that nobody needs (of a route, or of all); raises Overloaded if there is none."""
        for name, channel in self._channels.items():
            if (route is None or channel.route is route) and channel.feed.is_idle():
                channel.feed.stop()
                del self._channels[name]
                self._per_route[channel.route.name] -= 1
                return
        raise Overloaded(complaint, retry_after=route.terms.linger if route else 30.0)

    @property
    def connections(self) -> int:
        """Sockets that are ours: streams and parked long polls."""
        return self._streams + len(self._parked)

    def park(self, waiter: Waiter) -> None:
        self._parked[waiter] = None
        self._means.metrics.connected(waiter.transport_name)

    def unpark(self, waiter: Waiter) -> None:
        self._parked.pop(waiter, None)

    def finish_waiting(self) -> None:
        """Answer every parked long poll with whatever there is to say."""
        for waiter in list(self._parked):
            waiter.finish()

    # The heartbeat wheel.

    def enter(self, subscriber: Subscriber) -> None:
        """Take a stream in; the turn that has just passed comes last, a whole interval from now."""
        subscriber.turn = (self._turn - 1) % WHEEL_TURNS
        self._wheel[subscriber.turn][subscriber] = None
        self._streams += 1
        self._means.metrics.connected(subscriber.transport_name)

    def exit(self, subscriber: Subscriber) -> None:
        if subscriber in self._wheel[subscriber.turn]:
            del self._wheel[subscriber.turn][subscriber]
            self._streams -= 1

    def turn_wheel(self) -> None:
        """Give the subscribers of the next turn their heartbeat."""
        for subscriber in list(self._wheel[self._turn]):
            subscriber.channel.beat(subscriber)
        self._turn = (self._turn + 1) % WHEEL_TURNS

    def everyone(self) -> list[Subscriber]:
        return [subscriber for turn in self._wheel for subscriber in turn]

    def close(self) -> None:
        """End all polling."""
        for channel in self._channels.values():
            channel.feed.stop()

    def _count_subscribers(self) -> Iterator[tuple[str, str, int]]:
        counts: dict[tuple[str, str], int] = {}
        clients: list[Subscriber | Waiter] = [*self.everyone(), *self._parked]
        for client in clients:
            key = (client.channel.route.name, client.transport_name)
            counts[key] = counts.get(key, 0) + 1
        yield from ((route, transport, number) for (route, transport), number in counts.items())
