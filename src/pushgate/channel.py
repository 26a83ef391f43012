"""
One topic as those see it who listen to it: who they are, and how news reaches them.

Rule 1: a subscriber is a cursor and a transport. One that can be written to and has seen the latest change is *live*:
it stands in a lane with all who follow the topic in the same mode and form, gets the same bytes, and has no cursor of
its own, because its cursor is the topic's. Every other one is *behind*: it keeps its cursor and nothing else.
Rule 2: there is one way to get from behind to live, ``Channel.catch_up``: first contact, resume, a transport that can
be written to again, and the first document of a cold topic are the same case.
Rule 3: nothing here awaits. Looking at the history and joining a lane are one step, so no change falls in between.
"""

from __future__ import annotations

from asyncio import Future
from collections import Counter

from .answers import Accepted
from .documents.changes import Change
from .documents.history import History, Replay
from .errors import Refusal
from .feed import Feed
from .poller import Means
from .routes import Route, TopicName
from .subscriber import Subscriber, Waiter
from .values import Event, Mode, State, Status
from .views import ViewRoute
from .voice import Voice
from .wave import Errand, Wave, one_by_one, wake
from .wire import Form


class Channel:
    """
    What it is that is listened to, ``PolledChannel`` and ``ViewChannel`` know. ``feed`` polls it, for itself or for the
    topic that it is a part of, and must hear who listens.
    """

    feed: Feed

    def __init__(self, route: Route | ViewRoute, name: TopicName, means: Means) -> None:
        self.route, self.name = route, name
        self.ledger = means.metrics.ledger(route.name)
        self._clock = means.clock
        self._metrics = means.metrics
        self._lanes: dict[tuple[Mode, Form], dict[Subscriber, None]] = {}
        self._behind: dict[Subscriber, bool] = {}  # whether it has been told before, on this connection
        self._voice = Voice(name.text, self.ledger, means.clock.wall)
        self._owed_status: set[Subscriber] = set()  # behind, and the topic's state changed meanwhile
        self._waiters: dict[Waiter, None] = {}
        self.wave = Wave()

    def __repr__(self) -> str:
        return f"<Channel {self.name.text}: {self.count()} listening, {len(self._behind)} behind>"

    @property
    def history(self) -> History:
        """The log of what is published here."""
        raise NotImplementedError

    @property
    def original(self) -> Accepted:
        """The answer of which the document was made, if a short poll is answered with its bytes."""
        return Accepted()

    @property
    def state(self) -> State:
        return self.feed.topic.state

    @property
    def status(self) -> Status:
        return self.feed.status

    def denial(self) -> Refusal | None:
        """Return why the upstream shows nothing to whom it was asked as, while it is not to be asked again yet."""
        raise NotImplementedError

    def settlement(self) -> Future[None]:
        """Return the future that is done when the next poll ends; shared, so it must not be cancelled."""
        raise NotImplementedError

    @property
    def has_document(self) -> bool:
        return self.history.latest is not None

    def become(self, route: Route | ViewRoute, name: TopicName) -> None:
        """Go by another configuration; those who listen are counted where it is listed from now on."""
        self.route, self.name = route, name
        self.ledger.subscribers.subtract(here := Counter(one.transport_name for one in self.listeners()))
        self.ledger = self._voice.ledger = self._metrics.ledger(route.name)
        self.ledger.subscribers.update(here)

    # Joining and leaving.

    def count(self) -> int:
        return len(self.listeners())

    def listeners(self) -> list[Subscriber | Waiter]:
        return [*self._live(), *self._behind, *self._waiters]

    def _live(self) -> list[Subscriber]:
        return [subscriber for lane in self._lanes.values() for subscriber in lane]

    def joined(self) -> None:
        """Somebody listens who did not before."""
        self.feed.joined()

    def left(self) -> None:
        """Somebody no longer listens."""
        self.feed.left()

    def join(self, subscriber: Subscriber, cursor: str | None, *, opening: bytes) -> None:
        """Add a subscriber and write ``opening`` and its first event; from here on it gets everything."""
        self.joined()
        self.ledger.subscribers[subscriber.transport_name] += 1
        subscriber.cursor = None if cursor == "now" else cursor
        subscriber.bare_at = None
        self._behind[subscriber] = False
        latest = self.history.latest
        if subscriber.is_paused:  # one of many on a connection that takes nothing for now
            if cursor == "now" and latest is not None:
                subscriber.cursor = self.history.head(subscriber.mode)
            if self.state != "live":
                self._owed_status.add(subscriber)
            return
        if self.history.is_ended:
            self._finish(subscriber, self._bring_up(subscriber), opening=opening)
            return
        events: list[Event] = []
        if cursor == "now" and latest is not None:
            subscriber.bare_at = latest.number
            self._go_live(subscriber)
        elif latest is not None:
            events += self._bring_up(subscriber)
        if subscriber.is_beating and not events:
            events.append(self._voice.heartbeat(self.status, self.position(subscriber)))
        if self.state != "live":
            events.append(self._voice.status(self.status))
        self._voice.tell(subscriber, events, opening=opening)

    def _finish(self, subscriber: Subscriber, events: list[Event], *, opening: bytes = b"") -> None:
        """Tell somebody the rest, and that it was the rest."""
        if not events or events[-1].kind != "end":
            events.append(self.history.end_event())
        self._voice.tell(subscriber, events, opening=opening)
        subscriber.finish()

    def leave(self, subscriber: Subscriber) -> None:
        self._remove(subscriber)
        self._owed_status.discard(subscriber)
        self.ledger.subscribers[subscriber.transport_name] -= 1
        if subscriber.pace is not None:
            subscriber.pace.stop()
        self.left()

    def wait(self, waiter: Waiter) -> None:
        """Add somebody to wake; the caller has just looked and found nothing to say."""
        self._waiters[waiter] = None
        self.ledger.subscribers[waiter.transport_name] += 1
        self.joined()

    def stop_waiting(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            del self._waiters[waiter]
            self.ledger.subscribers[waiter.transport_name] -= 1
            self.left()

    # News from the publishing half.

    def appended(self, change: Change) -> None:
        self._voice.forget()
        self.wave.begin(change.before, change.after)
        told: list[tuple[dict[Subscriber, None], Errand]] = []
        for (mode, form), lane in self._lanes.items():
            event = self.history.event(change, mode)
            if event is not None and lane:
                told.append((lane, self._voice.errand(event, form, next(iter(lane)).transport_name)))
            for subscriber in lane if event is None else ():
                subscriber.passed()
        self.wave.roll(told, is_patient=not change.after.is_end)
        for subscriber in self._live() if change.after.is_end else ():
            subscriber.finish()
        # Those who share a position with other topics come first, before anything else is said there.
        for subscriber in [one for one in self._behind if not one.is_patient]:
            self.catch_up(subscriber)
        one_by_one(self._behind, self.catch_up)
        wake(self._waiters)

    def send_away(self, refusal: Refusal) -> None:
        """End everybody's subscription: the upstream no longer shows them this."""
        self._voice.forget()
        for listener in self.listeners():
            listener.refuse(refusal)

    def announced(self) -> None:
        self.wave.finish()
        event = self._voice.status(self.status)
        for (_, form), lane in self._lanes.items():
            self._voice.note([*lane], event, form)
        for subscriber in self._behind:
            if subscriber.is_paused or (self.has_document and subscriber.pace is None):  # or it is about to catch up
                self._owed_status.add(subscriber)
            else:
                self._voice.note([subscriber], event, subscriber.form)

    def start_over(self) -> None:
        """Something else will be published here from now on, and nobody has seen it yet."""
        self._voice.forget()
        for subscriber in self._live():
            self.fall_behind(subscriber)

    # Falling behind and catching up.

    def fall_behind(self, subscriber: Subscriber) -> None:
        """Take a live subscriber out of its lane; all that was written to it so far still reaches it."""
        if subscriber.is_live:
            subscriber.cursor = self.position(subscriber)
            self._remove(subscriber)
            self._behind[subscriber] = True

    def hurry(self, subscriber: Subscriber) -> bool:
        """Tell a subscriber now what it would be told in its turn; return whether nothing is left to tell."""
        self.wave.hurry(subscriber)
        self.catch_up(subscriber)
        is_told = subscriber not in self._behind or not self.has_document
        return is_told or subscriber.cursor == self.history.head(subscriber.mode)

    def catch_up(self, subscriber: Subscriber) -> None:
        """Bring a subscriber from its cursor to now and let it go live; on a cold topic it goes on waiting."""
        if subscriber not in self._behind or not self.has_document or not subscriber.is_awake(self._clock.now()):
            return
        events = self._bring_up(subscriber)
        if self.history.is_ended:
            self._finish(subscriber, events)
            return
        if subscriber in self._owed_status:
            self._owed_status.discard(subscriber)
            events.append(self._voice.status(self.status))
        self._voice.tell(subscriber, events)

    def _bring_up(self, subscriber: Subscriber) -> list[Event]:
        """Let a subscriber go live; return what it has missed."""
        pace, is_known = subscriber.pace, self._behind[subscriber]
        replay = self.replay(subscriber.cursor, subscriber.mode, as_one=subscriber.is_terse)
        if pace is not None and replay.events:
            pace.rest(self._clock.now())
        if not is_known and subscriber.cursor is not None:
            self._metrics.resumed(subscriber.transport_name, replay.result)
        elif is_known and pace is None and replay.missed > len(replay.events):  # who is paced has asked for that
            self.ledger.conflations[subscriber.transport_name] += 1
        self._go_live(subscriber)
        return list(replay.events)

    def replay(self, cursor: str | None, mode: Mode, *, as_one: bool = False) -> Replay:
        """Return what brings a cursor up to date, and count what failed its proof on the way."""
        replay = self.history.replay(cursor, mode, as_one=as_one)
        if replay.disproved:
            self.ledger.rejected += 1
        return replay

    def _go_live(self, subscriber: Subscriber) -> None:
        if subscriber.pace is not None:  # it stays behind, and comes for the next change by itself
            self._behind[subscriber] = True
            subscriber.cursor = self.history.head(subscriber.mode)
            return
        self._behind.pop(subscriber, None)
        self._lanes.setdefault((subscriber.mode, subscriber.form), {})[subscriber] = None
        subscriber.is_live = True
        subscriber.cursor = None
        self.wave.reach(self.history.latest)

    def _remove(self, subscriber: Subscriber) -> None:
        if subscriber.is_live:
            subscriber.is_live = False
            self.wave.drop(subscriber)
            del self._lanes[subscriber.mode, subscriber.form][subscriber]
        else:
            self._behind.pop(subscriber, None)

    def position(self, subscriber: Subscriber) -> str | None:
        """Return a subscriber's own cursor: the last change it was sent, else the one it came with, else None."""
        latest = self.history.latest
        held = self.wave.version_of(subscriber) if subscriber.is_live else latest
        if held is not None and subscriber.bare_at == held.number:
            return None
        if held is None or latest is None or not subscriber.is_live:
            return subscriber.cursor
        return self.history.cursor(held, subscriber.mode)

    # Signs of life.

    def beat(self, subscriber: Subscriber, *, opening: bytes = b"") -> None:
        """Send a heartbeat, or count it as missed and give the subscriber up in the end."""
        if not subscriber.is_paused:
            self._voice.beat(subscriber, self.status, self.position(subscriber), opening=opening)
            return
        subscriber.miss_beat()

    def problem(self, refusal: Refusal) -> Event:
        return self._voice.problem(refusal)
