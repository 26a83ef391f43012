"""
A new generation of routes takes over the living topics and their clients, in one step.

Rule 1: nothing here awaits, so nobody ever meets half of it.
Rule 2: topics first, then the views that are a part of them, then what is polled by itself.
Rule 3: no upstream is stormed: topics that are polled anew begin one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

import structlog

from .auth.keeper import Keeper
from .budgeting import start_delays
from .channel import Channel
from .errors import Refusal, Reloaded
from .generation import Ended, Generation, Kept, Renewed, refusal_of
from .hub import Hub
from .polled import PolledChannel
from .routes import Route, TopicName
from .subscriber import Subscriber, Waiter
from .viewing import ViewChannel
from .views import ViewRoute

log = structlog.get_logger()


@dataclass(slots=True)
class Tally:
    """What a change of configuration did: to topics, views included, and to clients that were sent away."""

    kept: int = 0
    renewed: int = 0  # they publish something else now
    closed: int = 0
    added: int = 0  # polled by themselves from now on
    clients_closed: int = 0


class Succession:
    """Hands the topics of a hub over to a generation. ``keeper``: goes by it already; ``chance``: from 0 up to 1."""

    def __init__(self, hub: Hub, generation: Generation, keeper: Keeper, *, chance: float) -> None:
        self._hub = hub
        self._generation = generation
        self._keeper = keeper
        self._chance = chance
        self._tally = Tally()

    def run(self) -> Tally:
        """Hand everything over, and return what became of it."""
        silent = self._silent()
        begun = [channel for channel in self._hub.topics() if self._hand_over(channel)]
        self._hub.recount()
        # The idle ones first: those that are followed may need room, for which idle ones are forgotten.
        for view in sorted(self._hub.views(), key=lambda view: not view.is_idle):
            self._hand_over_view(view)
        begin([*begun, *self._standing()], chance=self._chance)
        for channel in [*self._hub.topics(), *self._hub.views()]:
            self._check_listeners(channel)
        for subscriber, channel in silent:
            self._point(subscriber, channel)
        return self._tally

    def _silent(self) -> list[tuple[Subscriber, Channel]]:
        """Return who follows nothing now, but may do so again: a WebSocket that has unsubscribed; and its topic."""
        channels = [*self._hub.topics(), *self._hub.views()]
        heard = {listener for channel in channels for listener in channel.listeners()}
        return [
            (one, one.channel)
            for one in self._hub.subscribers()
            if one not in heard and isinstance(one.channel, Channel) and one.channel.denial() is None
        ]

    def _point(self, subscriber: Subscriber, channel: Channel) -> None:
        """Let somebody who may subscribe again find the topic as it is now, also if it was forgotten meanwhile."""
        match self._generation.fate(channel.route, channel.name, has_ended=False):
            case Ended(refusal):
                self._refuse(subscriber, refusal)
            case Kept(entry, name) | Renewed(entry, name):
                channel.route, channel.name = entry, name
                worse = refusal_of(entry, subscriber.transport_name, None)
                if worse or (worse := self._keeper.recheck(entry, name, subscriber.principal)):
                    self._refuse(subscriber, worse)

    def _hand_over(self, channel: PolledChannel) -> bool:
        """Hand a topic over, and tell whether it has to be polled anew."""
        match self._generation.fate(channel.route, channel.name, has_ended=channel.history.is_ended):
            case Kept(entry, name):
                assert isinstance(entry, Route), "an heir is of the same kind"
                self._tally.kept += 1
                if entry is not channel.route:
                    channel.revise(entry, name)
            case Renewed(entry, name):
                assert isinstance(entry, Route), "an heir is of the same kind"
                self._tally.renewed += 1
                if channel.feed.topic.listeners or name in entry.standing:
                    channel.renew(entry, name)
                    return True
                self._hub.end(channel, _made_anew())  # whoever asks next makes it anew
            case Ended(refusal):
                self._tally.closed += 1
                self._tally.clients_closed += len(channel.listeners())
                self._hub.end(channel, refusal)
            case fate:
                assert_never(fate)
        return False

    def _hand_over_view(self, view: ViewChannel) -> None:
        fate = self._generation.fate(view.route, view.name, has_ended=view.history.is_ended)
        is_orphan = self._hub.find(view.parent.name) is not view.parent
        match fate:
            case Kept(entry, name) if not is_orphan:
                assert isinstance(entry, ViewRoute), "an heir is of the same kind"
                self._tally.kept += 1
                if entry is not view.route:
                    view.revise(entry, name)
            case Kept(entry, name) | Renewed(entry, name):
                assert isinstance(entry, ViewRoute), "an heir is of the same kind"
                self._tally.renewed += 1
                self._renew_view(view, entry, name)
            case Ended(refusal):
                self._tally.closed += 1
                self._end_view(view, refusal)
            case _:
                assert_never(fate)

    def _renew_view(self, view: ViewChannel, entry: ViewRoute, name: TopicName) -> None:
        if view.is_idle:
            self._end_view(view, _made_anew())  # whoever asks next makes it anew
            return
        assert name.parent is not None, "a view is named with its parent"
        try:
            parent = self._hub.channel(entry.parent, name.parent)
            assert isinstance(parent, PolledChannel), "what has views is polled"
            view.renew(entry, name, parent)
        except Refusal as refusal:
            self._end_view(view, refusal)

    def _end_view(self, view: ViewChannel, refusal: Refusal) -> None:
        self._tally.clients_closed += len(view.listeners())
        self._hub.end_view(view, refusal)

    def _standing(self) -> list[PolledChannel]:
        found = [*open_standing(self._hub, self._generation)]
        self._tally.added += len(found)
        return found

    def _check_listeners(self, channel: Channel) -> None:
        """Send those away whose transport or mode the route no longer has, or who may not follow it any more."""
        for listener in channel.listeners():
            refusal = refusal_of(channel.route, listener.transport_name, listener.mode)
            if refusal or (refusal := self._keeper.recheck(channel.route, channel.name, listener.principal)):
                self._refuse(listener, refusal)

    def _refuse(self, listener: Subscriber | Waiter, refusal: Refusal) -> None:
        self._tally.clients_closed += 1
        listener.refuse(refusal)


def open_standing(hub: Hub, generation: Generation) -> Iterable[PolledChannel]:
    """Yield the topics that are to be polled by themselves and are not alive yet."""
    for route in generation.routes.values():
        for name in sorted(route.standing, key=lambda name: name.text):
            if hub.find(name) is not None:
                continue
            try:
                channel = hub.channel(route, name)
            except Refusal as refusal:  # there is no room, and nobody whom that could be said to
                log.warning("topic.refused", topic=name.text, reason=refusal.message)
                continue
            assert isinstance(channel, PolledChannel), "a view has no poll of its own"
            yield channel


def begin(channels: Iterable[PolledChannel], *, chance: float) -> None:
    """Begin to poll topics: no stampede, but one after the other of each upstream's."""
    for channel, delay in staggered(channels, chance=chance):
        channel.feed.start(delay=delay)


def staggered(channels: Iterable[PolledChannel], *, chance: float) -> Iterator[tuple[PolledChannel, float]]:
    """Yield topics and how many seconds each waits, so that those of one upstream follow one after the other."""
    queues: dict[str, dict[object, list[PolledChannel]]] = {}
    for channel in channels:
        queue = queues.setdefault(channel.route.upstream_of(channel.name), {})
        together = channel if channel.route.config.batch is None else channel.route  # what one request asks for
        queue.setdefault(together, []).append(channel)
    for queue in queues.values():
        delays = start_delays([group[0].route.pace for group in queue.values()], chance=chance)
        for group, delay in zip(queue.values(), delays, strict=True):
            yield from ((channel, delay) for channel in group)


def _made_anew() -> Reloaded:
    return Reloaded("this topic is made differently now; come back to see it", retry_after=1.0)
