"""
The channel of a view: a part of another topic's document, as those see it who follow that part.

Rule 1: it has no poll; its feed is its parent's, which is kept awake by whoever listens here.
Rule 2: while somebody listens, the parent says when to look; while nobody does, it looks by itself when it is asked.
So a view that nobody follows costs nothing, and can be forgotten at any time.
Rule 3: its changes have the numbers of the parent's, and what it does not remember, the parent's log does: a cursor
from before it was opened is judged by the part of the version that the parent had then.
"""

from __future__ import annotations

from asyncio import Future
from dataclasses import replace

import structlog

from .channel import Channel
from .documents.changes import Change, Version
from .documents.history import History
from .errors import PollError, Refusal
from .happenings import News
from .polled import PolledChannel
from .poller import Means
from .routes import TopicName
from .values import ABSENT, Document, State, Status
from .views import Parts, ViewRoute, news_of

log = structlog.get_logger()


class ViewChannel(Channel):
    """One view, as those see it who listen to it."""

    def __init__(self, route: ViewRoute, name: TopicName, parent: PolledChannel, means: Means) -> None:
        super().__init__(route, name, means)
        self.parent = parent
        self.feed = parent.feed
        self._log = means.log
        self._listeners = 0
        self._announced: tuple[State, str | None] = ("cold", None)
        self._refusal: Refusal | None = None  # of whoever still asks for it, once it is no more
        parent.views[self] = None
        self._open(route, name)

    def _open(self, route: ViewRoute, name: TopicName) -> None:
        self.become(route, name)
        self._keys = route.keys
        self._shelf = route.shelf
        self._part = route.part(name.values)
        self._history = self._log.open(
            scope=f"{name.key}\n{route.definition}", limits=route.limits, keys=route.keys, past=self._past
        )
        self._seen: Version | None = None  # of the parent's versions, the one that was looked at last
        self._shown: Document = ABSENT  # its part

    @property
    def history(self) -> History:
        if not self._listeners:
            self._catch_up_with_parent()
        return self._history

    @property
    def state(self) -> State:
        state, latest = self.feed.topic.state, self.history.latest
        is_gone = latest is not None and latest.is_absent and state in ("live", "stale")
        return "gone" if is_gone else state

    @property
    def status(self) -> Status:
        status, state = self.feed.status, self.state
        latest = self.history.latest
        return status if state == status.state or latest is None else replace(status, state=state, since=latest.at)

    def denial(self) -> Refusal | None:
        return self._refusal or self.parent.denial()

    def settlement(self) -> Future[None]:
        return self.parent.settlement()

    # Who listens.

    @property
    def is_idle(self) -> bool:
        """Whether the view may be forgotten."""
        return not self._listeners

    def joined(self) -> None:
        if not self._listeners:
            self._catch_up_with_parent()
            self._announced = self.state, self.feed.topic.reason
            self.parent.follow(self)
        self._listeners += 1
        self.parent.feed.joined()

    def left(self) -> None:
        self._listeners -= 1
        if not self._listeners:
            self.parent.unfollow(self)
        self.parent.feed.left()

    def close(self) -> None:
        """Forget the view; nobody listens."""
        del self.parent.views[self]
        self._log.forget(self._history)

    # What a new configuration makes of it.

    def revise(self, route: ViewRoute, name: TopicName) -> None:
        """Go on: what is published here is made as before."""
        self.become(route, name)
        self._history.limits = route.limits

    def renew(self, route: ViewRoute, name: TopicName, parent: PolledChannel) -> None:
        """Begin anew for the same clients, maybe as a part of another topic's document."""
        self.start_over()
        self._log.forget(self._history)
        if parent is not self.parent:
            self._move(parent)
        self.feed = parent.feed
        self._open(route, name)
        latest = parent.history.latest
        if self._listeners and latest is not None:
            self._seen, self._shown = latest, self._look_in(parent.parts(self._shelf))
            # A number of its own: the parent's latest may be that of the last change that was told here.
            self.appended(self._append(News(self._shown), None, at=latest.at))
            if latest.is_end:
                self.appended(self._log.end(self._history, at=latest.at))
        self.announced()

    def _move(self, parent: PolledChannel) -> None:
        before, self.parent = self.parent, parent
        del before.views[self]
        parent.views[self] = None
        if self._listeners:
            before.unfollow(self)
            parent.follow(self)
        for _ in range(self._listeners):
            parent.feed.joined()
            before.feed.left()

    def end(self, refusal: Refusal) -> None:
        """Send everybody away, and look no more: the view is no more. Who is slow to leave may take a while."""
        self._refusal = refusal
        self.send_away(refusal)
        self.parent.unfollow(self)

    # What the parent says.

    def look(self) -> None:
        changes = self._catch_up_with_parent()
        for change in changes:
            self.appended(change)
        if changes and "gone" in (self.state, self._announced[0]):
            self.announced()  # any other state is the parent's, and announced there

    def announced(self) -> None:
        news = state, _ = self.state, self.feed.topic.reason
        if news != self._announced and state != "ended":  # the event `end` says that
            self._announced = news
            super().announced()

    def dropped(self, refusal: Refusal) -> None:
        self._history.clear()
        self._seen, self._shown = None, ABSENT
        self.send_away(refusal)

    # From the parent's versions to the view's.

    def _catch_up_with_parent(self) -> list[Change]:
        """Log what the parent's current version shows, and return the changes; mostly there are none."""
        latest = self.parent.history.latest
        if latest is self._seen or latest is None:
            return []
        self._seen = latest
        shown = self._look_in(self.parent.parts(self._shelf))
        news = self._news(shown)
        self._shown = shown
        # What the parent's end has ended came before it.
        changes = [] if news is None else [self._append(news, latest.number - latest.is_end, at=latest.at)]
        if latest.is_end:
            changes.append(self._log.end(self._history, at=latest.at, number=latest.number))
        return changes

    def _look_in(self, parts: Parts) -> Document:
        try:
            return parts.find(self._part)
        except PollError as error:
            log.warning("view.failed", topic=self.name.text, detail=error.detail)
            return ABSENT

    def _news(self, shown: Document) -> News | None:
        published = self._history.latest
        if published is None:
            return News(shown)
        if shown is self._shown:
            return None
        return news_of(published.document, shown, keys=self._keys)

    def _append(self, news: News, number: int | None, *, at: float) -> Change:
        change = self._log.append(self._history, at=at, document=news.document, patch=list(news.patch), number=number)
        self.ledger.changed(at=at, keyless=news.keyless_count)
        if change.disproved:
            self.ledger.rejected += 1
            log.error("patch.rejected", topic=self.name.text)
        return change

    def _past(self, number: int) -> Version | None:
        """Return what the view showed as of a change of the parent's, as far as that remembers."""
        version = self.parent.history.at(number)
        if version is None or not version.can_tell:
            return None
        shown = self._look_in(Parts(version.document, self._shelf))
        past = Version(version.number, at=version.at, document=shown)
        past.is_end = version.is_end
        return past
