"""
The channel of a topic that is polled: the outlet of its feed, and the source of the views that are a part of it.

Rule: a view is told of a new version by a look at its part, and works only if that is another object than before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from .answers import Accepted
from .channel import Channel
from .documents.changes import Change, Version
from .documents.history import History
from .errors import Refusal, UpstreamDenied
from .feed import Feed
from .happenings import Paused, Poked, Refreshed, Resumed
from .poller import Means
from .routes import Route, TopicName
from .values import ABSENT
from .views import Parts, Shelf
from .wave import Wave


class Dependent(Protocol):
    """A view of the topic's document."""

    name: TopicName
    wave: Wave

    def count(self) -> int:
        """Return how many listen to it."""

    def close(self) -> None:
        """Forget it; nobody listens."""

    def look(self) -> None:
        """Look whether the new version shows something else; said to those that are followed."""

    def announced(self) -> None: ...

    def dropped(self, refusal: Refusal) -> None: ...


class PolledChannel(Channel):
    """One topic that is polled, as those see it who listen to it."""

    route: Route

    def __init__(self, route: Route, name: TopicName, means: Means) -> None:
        super().__init__(route, name, means)
        self.feed = Feed(route, name, means, self)
        self.views: dict[Dependent, None] = {}
        self._followed: dict[Dependent, None] = {}  # the views that somebody listens to
        self._parts: tuple[Version | None, Parts] = (None, Parts(ABSENT, None))
        self._settlement: asyncio.Future[None] | None = None  # done when the poll under way ends
        self._ended = 0  # polls
        self._vouched = 0  # the latest poll of which the upstream's word is published; they are counted from 1
        self._poked = 0  # the latest poll that somebody poked for
        self._confirmed_at: float | None = None  # as of the latest poll
        self._refusal: Refusal | None = None  # of whoever still asks for it, once it is no more

    @property
    def history(self) -> History:
        return self.feed.history

    @property
    def original(self) -> Accepted:
        return self.feed.reception.accepted

    # What the feed says.

    def appended(self, change: Change) -> None:
        super().appended(change)
        for view in list(self._followed):
            view.look()

    def when_told(self, tell: Callable[[], None]) -> None:
        waves = [self.wave, *(view.wave for view in self._followed)]
        left = len(waves)

        def count() -> None:
            nonlocal left
            left -= 1
            if not left:
                tell()

        for wave in waves:
            wave.when_over(count)

    def announced(self) -> None:
        super().announced()
        for view in list(self._followed):
            view.announced()

    def dropped(self, status: int) -> None:
        refusal = UpstreamDenied(status)
        self.send_away(refusal)
        for view in list(self.views):
            view.dropped(refusal)

    def settled(self) -> None:
        self._ended += 1
        confirmed_at = self.feed.topic.confirmed_at
        if confirmed_at != self._confirmed_at:
            self._vouched, self._confirmed_at = self._ended, confirmed_at
        if self._vouched < self._poked:
            self._distrust()
        self._settle()

    def _settle(self) -> None:
        if self._settlement is not None and not self._settlement.done():
            self._settlement.set_result(None)
        self._settlement = None

    # What a new configuration makes of it.

    def revise(self, route: Route, name: TopicName) -> None:
        """Go on: what is published here is made as before."""
        self.become(route, name)
        self.feed.revise(route, name)

    def renew(self, route: Route, name: TopicName) -> None:
        """Begin anew for the same clients: their cursors are gaps, and nobody has a document yet."""
        self.start_over()
        self.become(route, name)
        self.feed = self.feed.renewed(route, name)
        self._parts, self._confirmed_at = (None, Parts(ABSENT, None)), None
        self.announced()

    def end(self, refusal: Refusal) -> None:
        """Stop polling, and send everybody away: the topic is no more."""
        self.feed.stop()
        self._refusal = refusal
        self.send_away(refusal)
        self._settle()

    # What is asked of it.

    def settlement(self) -> asyncio.Future[None]:
        if self._settlement is None:
            self._settlement = asyncio.get_running_loop().create_future()
        return self._settlement

    def poke(self) -> int | None:
        """
        Poll now, or again after the poll under way, which is too old: somebody has written.

        Returns the number of that poll, for ``is_published``; None if there is none to come, because nothing is
        published yet that could be out of date, or because the topic has ended, or for as long as it is paused.
        """
        return self._ask_for(Poked())

    def refresh(self) -> int | None:
        """Poll as after a poke, because an operator wants it: also what has nothing published yet."""
        return self._ask_for(Refreshed())

    def _ask_for(self, wish: Poked | Refreshed) -> int | None:
        topic = self.feed.topic
        is_late = topic.is_polling
        self.feed.tell(wish)
        if not (topic.is_polling or topic.is_paused_by_operator):
            return None
        self._poked = self._ended + 1 + is_late
        self._distrust()
        return None if topic.is_paused_by_operator else self._poked

    def pause(self) -> None:
        """Begin no poll until ``resume``: an operator wants it so."""
        self.feed.tell(Paused())
        if not self.feed.topic.is_polling:
            self._settle()  # for those who wait for a poll that was about to begin

    def resume(self, *, delay: float) -> None:
        """Poll again; what is due already, in so many seconds."""
        self.feed.tell(Resumed(delay))

    @property
    def is_current(self) -> bool:
        """Whether what clients get is what the upstream would say: not while polls it would take do not take place."""
        return self.state != "ended" and not self.feed.topic.is_paused_by_operator

    def is_published(self, number: int) -> bool:
        """Whether what the upstream said in this poll, or a later one, is what clients get."""
        return self._vouched >= number

    def _distrust(self) -> None:
        """Ask for the whole: what was written in the second of the last answer has the same ``Last-Modified``."""
        self.feed.reception.accepted = self.feed.reception.accepted.in_doubt()

    def denial(self) -> Refusal | None:
        topic = self.feed.topic
        if self._refusal is not None:
            return self._refusal
        if topic.denied is None or topic.is_polling or topic.next_poll_at is None:
            return None
        return UpstreamDenied(topic.denied) if self._clock.now() < topic.next_poll_at else None

    def parts(self, shelf: Shelf | None) -> Parts:
        """Return the current version, ready to be asked for its parts."""
        version, parts = self._parts
        latest = self.history.latest
        if version is not latest:
            parts = Parts(ABSENT if latest is None else latest.document, shelf)
            self._parts = latest, parts
        return parts

    def follow(self, view: Dependent) -> None:
        """Tell a view what is new from now on."""
        self._followed[view] = None

    def unfollow(self, view: Dependent) -> None:
        self._followed.pop(view, None)
