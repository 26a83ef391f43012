"""
Drives topics: wait, fetch, feed the topic, obey what it says.

Here a poll becomes a change: its ``Polling`` asks and turns the answer into what happened, and ``Topic.handle`` decides
what follows. Nothing here knows who listens; an ``Outlet`` is told what is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import assert_never

import structlog

from .answers import Cost
from .happenings import (
    Announce,
    Append,
    Command,
    Drop,
    Due,
    End,
    Happening,
    Joined,
    Left,
    Paused,
    Poked,
    Poll,
    Refreshed,
    Resumed,
    WakeAt,
)
from .ledger import Account, outcome_of
from .poller import Means, Outlet
from .polling import Polling, Setback
from .reception import Reception
from .routes import Route, TopicName
from .timetable import Moment
from .topic import Topic
from .tracing import PollTrace, begin, under_way
from .values import Status

log = structlog.get_logger()


class Feed:
    """One topic that is polled, and its history."""

    def __init__(self, route: Route, name: TopicName, means: Means, outlet: Outlet, *, listeners: int = 0) -> None:
        self.route = route
        self.name = name
        now = means.clock.now()
        is_standing = name in route.standing
        self.topic = Topic(route.terms, route.timetable(now), now=now, is_standing=is_standing, listeners=listeners)
        self.history = means.log.open(
            scope=f"{name.key}\n{route.definition}", limits=route.limits, keys=route.keys, encoding=route.encoding
        )
        self.polling = Polling(route, name, means, self.history)
        self.account = Account(means.metrics.ledger(route.name), now=now)
        self._means = means
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()  # Python 3.11 asks the kernel each time who the process is
        self._timer: asyncio.TimerHandle | None = None
        self._due_at: float | None = None  # when the poll that begins should have; None: now
        self._task: asyncio.Task[None] | None = None  # the poll under way, or the last one
        if self.shall_pause:
            self.topic.handle(Paused(), self._moment())  # nobody has heard of it yet

    def __repr__(self) -> str:
        return f"<Feed {self.name.text} {self.topic!r}>"

    @property
    def reception(self) -> Reception:
        """Who takes in the answers."""
        return self.polling.reception

    @property
    def status(self) -> Status:
        topic, clock = self.topic, self._means.clock

        def wall(moment: float | None) -> float | None:
            return None if moment is None else clock.wall_at(moment)

        return Status(
            topic.state, clock.wall_at(topic.since), topic.reason, wall(topic.confirmed_at), wall(topic.next_poll_at)
        )

    @property
    def setbacks(self) -> Sequence[Setback]:
        """The latest few failed polls, the newest first."""
        return self.polling.setbacks

    @property
    def age(self) -> float | None:
        """Seconds since the upstream last confirmed the document; None if it never did."""
        confirmed_at = self.topic.confirmed_at
        return None if confirmed_at is None else self._means.clock.now() - confirmed_at

    def start(self, *, delay: float = 0.0) -> None:
        """Begin to poll a standing topic in so many seconds, although nobody listens."""
        if delay > 0:
            self._wake_in(delay)
        else:
            self._handle(Due())

    @property
    def shall_pause(self) -> bool:
        """Whether an operator wants no polls of this topic."""
        return self._means.pauses.cover(self.route.name, self.route.upstream_of(self.name))

    def tell(self, wish: Poked | Refreshed | Paused | Resumed) -> None:
        """Have the topic obey somebody who knows more, or an operator."""
        self._handle(wish)

    def joined(self) -> None:
        self._handle(Joined())

    def left(self) -> None:
        self._handle(Left())

    def touch(self) -> None:
        """Count somebody who listens for a moment only: whoever asks once."""
        self.joined()
        self.left()

    def is_idle(self) -> bool:
        """Whether the topic may be forgotten: nobody listens, and its linger is over or it has no document anyway."""
        return self.topic.is_worthless or not self.topic.is_wanted(self._means.clock.now())

    def is_expired(self) -> bool:
        return self.topic.is_expired(self._means.clock.now())

    def spend(self) -> None:
        """Account for the time that the topic has spent in its state up to now."""
        now = self._means.clock.now()
        self.account.spend(self.topic.state, until=min(now, self.topic.wanted_until), now=now)

    def stop(self) -> None:
        """End for good: no timer, no poll."""
        self.spend()
        self._cancel_timer()
        if self._task is not None:
            self._task.cancel()
        self.polling.stop()

    def revise(self, route: Route, name: TopicName) -> None:
        """Go on by another configuration that publishes the same; a poll under way is not disturbed."""
        self.spend()
        self.account.ledger = self._means.metrics.ledger(route.name)
        is_same = route.config.pacing == self.route.config.pacing
        timetable = None if is_same else route.timetable(self._means.clock.now())
        self.route, self.name = route, name
        self.history.limits = route.limits
        self.polling.revise(route, name)
        is_standing = name in route.standing
        self._obey_all(self.topic.revise(route.terms, timetable, is_standing=is_standing, at=self._moment()))

    def renewed(self, route: Route, name: TopicName) -> Feed:
        """End for good, and return the feed of what the topic is now, for the same listeners."""
        self.stop()
        self._means.log.forget(self.history)
        return Feed(route, name, self._means, self._outlet, listeners=self.topic.listeners)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _handle(self, event: Happening) -> list[Command]:
        commands = self._decide(event, self._moment())
        self._obey_all(commands)
        return commands

    def _decide(self, event: Happening, at: Moment) -> list[Command]:
        """Return what the topic wants done; if it changes, the time up to here was spent as what it was."""
        topic = self.topic
        state, until = topic.state, topic.wanted_until
        commands = topic.handle(event, at)
        if topic.state != state or topic.wanted_until != until:
            self.account.spend(state, until=min(at.now, until), now=at.now)
        return commands

    def _obey_all(self, commands: list[Command]) -> None:
        for command in commands:
            self._obey(command)

    def _moment(self) -> Moment:
        clock = self._means.clock
        return Moment(clock.now(), clock.wall(), clock.chance())

    def _wake_in(self, delay: float) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(delay, self._due)

    def _due(self) -> None:
        at, due_at = self._moment(), self.topic.next_poll_at  # None while a poll is under way
        self._obey_all(self._decide(Due(), at))
        if due_at is not None and self.topic.is_polling:  # from the next turn of the loop on
            self._due_at = due_at
            self.account.ledger.lags.add(max(0.0, at.now - due_at))

    def _obey(self, command: Command) -> None:
        match command:
            case Poll():
                self._task = self._means.tasks.create_task(
                    self._poll(is_conditional=command.conditional), name=f"poll {self.name.text}"
                )
            case WakeAt():
                self._wake_in(max(0.0, command.when - self._means.clock.now()))
            case Append():
                self._append(command)
            case End():
                self._outlet.appended(self._means.log.end(self.history, at=command.at))
            case Drop():
                self._drop(command.status)
            case Announce():
                if self._means.are_turns_told:
                    log.info("topic.turned", topic=self.name.text, state=self.topic.state, reason=self.topic.reason)
                self._outlet.announced()
            case _:
                assert_never(command)

    def _append(self, command: Append) -> None:
        means, trace = self._means, under_way()
        news, began = command.news, means.clock.now()
        change = means.log.append(self.history, at=command.at, document=news.document, patch=list(news.patch))
        self.account.ledger.changed(at=command.at, keyless=news.keyless_count)
        published = means.clock.now()
        self._outlet.appended(change)
        if trace is not None and trace.is_kept:
            trace.note("publish", began, published)
            self._outlet.when_told(partial(self._end_trace, trace, published, change.after.number))
        if change.disproved:
            self.account.ledger.rejected += 1
            log.error("patch.rejected", topic=self.name.text)

    def _end_trace(self, trace: PollTrace, published: float, number: int) -> None:
        trace.note("deliver", published, self._means.clock.now())
        of = {"pushgate.route": self.route.name, "pushgate.topic": self.name.text}
        self._means.tracer.tell(trace.story({**of, "pushgate.change": number}))

    def _drop(self, status: int) -> None:
        self.history.clear()
        self._outlet.dropped(status)

    async def _poll(self, *, is_conditional: bool) -> None:
        began, failures = self._means.clock.now(), self.topic.failures
        due_at, self._due_at = self._due_at, None
        trace = begin(self._means.clock, self._means.tracer, due_at=began if due_at is None else due_at)
        try:
            answer, event = await self.polling.ask(began, is_conditional=is_conditional)
            at = self._moment()
            self._count(answer.cost, at.now - began - trace.waited)
            commands = self._decide(event, at)
            # Before anybody is told of it, who may ask for its very bytes.
            self.polling.remember(answer, event, self.topic.polled_state)
            self._obey_all(commands)
            if failures and not self.topic.failures:
                log.info("poll.recovered", topic=self.name.text, failures=failures)
        except Exception as error:
            event = self.polling.fail(error)
            if event.was_asked:
                self._count(Cost(), self._means.clock.now() - began - trace.waited)
            commands = self._handle(event)
        self.account.ledger.polls[outcome_of(event, commands)] += 1
        self._outlet.settled()

    def _count(self, cost: Cost, seconds: float) -> None:
        """Count a poll that has reached the upstream, and how long it took beside waiting for its turn."""
        self.account.polled(cost, followers=self.topic.listeners)
        self.account.ledger.durations.add(seconds)
