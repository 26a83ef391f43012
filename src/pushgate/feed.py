"""
Drives topics: wait, fetch, feed the topic, obey what it says.

Here a poll becomes a change: ``Feed._poll`` fetches, its ``Reception`` turns the answer into what happened, and
``Topic.handle`` decides what follows. Nothing here knows who listens; an ``Outlet`` is told what is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import assert_never

import structlog

from .answers import Answer
from .documents.selecting import IDLE_AFTER
from .errors import BadRequest, PollError
from .happenings import (
    Announce,
    Answered,
    Append,
    Command,
    Denied,
    Drop,
    Due,
    End,
    Failed,
    Happening,
    Joined,
    Left,
    Missing,
    Outcome,
    Poked,
    Poll,
    Unchanged,
    WakeAt,
)
from .metrics import Outcome as Label
from .poller import Means, Outlet
from .reception import Reception
from .routes import Route, TopicName
from .timetable import Moment
from .topic import Topic
from .values import Status, UpstreamRequest, Validators

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
        self.reception = Reception(route, means.decoder(route))
        self._means = means
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()  # Python 3.11 asks the kernel each time who the process is
        self._usual: UpstreamRequest | None = None  # the request of a poll that asks for everything
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None  # the poll under way, or the last one

    def __repr__(self) -> str:
        return f"<Feed {self.name.text} {self.topic!r}>"

    @property
    def status(self) -> Status:
        topic, clock = self.topic, self._means.clock

        def wall(moment: float | None) -> float | None:
            return None if moment is None else clock.wall_at(moment)

        return Status(
            topic.state, clock.wall_at(topic.since), topic.reason, wall(topic.confirmed_at), wall(topic.next_poll_at)
        )

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

    def poke(self) -> None:
        """Poll now, or again after the poll under way: somebody knows that there may be news."""
        self._handle(Poked())

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

    def stop(self) -> None:
        """End for good: no timer, no poll."""
        self._cancel_timer()
        if self._task is not None:
            self._task.cancel()
        if self.reception.is_away:
            self._forget_away()

    def _forget_away(self) -> None:
        if self._means.workshop is not None:
            self._means.workshop.forget(self.name.key)

    def revise(self, route: Route, name: TopicName) -> None:
        """Go on by another configuration that publishes the same; a poll under way is not disturbed."""
        is_same = route.config.pacing == self.route.config.pacing
        timetable = None if is_same else route.timetable(self._means.clock.now())
        self.route, self.name, self._usual = route, name, None
        self.history.limits = route.limits
        was_away = self.reception.is_away
        self.reception.revise(route, self.history.latest)
        if was_away and not self.reception.is_away:
            self._forget_away()
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
        commands = self.topic.handle(event, self._moment())
        self._obey_all(commands)
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
        due_at = self.topic.next_poll_at  # None while a poll is under way
        self._handle(Due())
        if due_at is not None and self.topic.is_polling:
            self._means.metrics.poll_lagged(self.route.name, seconds=max(0.0, self._means.clock.now() - due_at))

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
                log.info("topic.turned", topic=self.name.text, state=self.topic.state, reason=self.topic.reason)
                self._outlet.announced()
            case _:
                assert_never(command)

    def _append(self, command: Append) -> None:
        means = self._means
        news = command.news
        change = means.log.append(self.history, at=command.at, document=news.document, patch=list(news.patch))
        means.metrics.changed(self.route.name, keyless=news.keyless_count)
        self._outlet.appended(change)
        if change.disproved:
            means.metrics.patch_rejected(self.route.name)
            log.error("patch.rejected", topic=self.name.text)

    def _drop(self, status: int) -> None:
        self.history.clear()
        self._outlet.dropped(status)

    async def _poll(self, *, is_conditional: bool) -> None:
        began, failures = self._means.clock.now(), self.topic.failures
        try:
            answer, event = await self._ask(began, is_conditional=is_conditional)
            at = self._moment()
            seconds = at.now - began
            commands = self.topic.handle(event, at)
            self._remember(answer, event)  # before anybody is told of it, who may ask for its very bytes
            self._obey_all(commands)
            if failures and not self.topic.failures:
                log.info("poll.recovered", topic=self.name.text, failures=failures)
        except Exception as error:
            seconds = self._means.clock.now() - began
            event = self._failure(error)
            commands = self._handle(event)
            if event.was_asked:
                self.reception.held = None
        self._means.metrics.polled(self.route.name, _label(event, commands), seconds=seconds)
        self._outlet.settled()

    def _remember(self, answer: Answer, event: Outcome) -> None:
        self.reception.remember(answer, event, self.topic.state)
        if held := self.reception.held:
            log.info("poll.held", topic=self.name.text, guard=held.doubt.guard, detail=held.doubt.detail)
        if idle := self.route.recipe.newly_idle():
            log.warning("ignore.idle", route=self.route.name, pointers=idle, polls=IDLE_AFTER)

    async def _ask(self, began: float, *, is_conditional: bool) -> tuple[Answer, Outcome]:
        request = self._request(self.reception.since(began))
        validators = self.reception.validators(is_conditional=is_conditional)
        answer = await self._means.fetch(self.route, self.name, request, validators)
        return answer, await self._understand(answer, validators)

    def _request(self, extra: tuple[str, str] | None) -> UpstreamRequest:
        """Return what to ask; what is the same for every poll of a topic takes a fifth of a poll to make."""
        if extra is not None:
            return self.route.request(self.name, extra=extra)
        if self._usual is None:
            self._usual = self.route.request(self.name)
        return self._usual

    async def _understand(self, answer: Answer, asked_with: Validators) -> Outcome:
        reception, workshop = self.reception, self._means.workshop
        if workshop is not None:
            was_away = reception.is_away
            commission = reception.commission(answer, self.history.latest)
            if commission is not None:
                route = self.route
                finished = await workshop.refine(self.name.key, commission)
                if self.route is not route:  # revised meanwhile: it may be read elsewhere now, or end elsewhere
                    return await self._understand(answer, asked_with)
                return reception.finish(answer, finished)
            if was_away and not reception.is_away:
                workshop.forget(self.name.key)
        return reception.understand(answer, asked_with, has_document=self.topic.has_document)

    def _failure(self, error: Exception) -> Failed:
        """Say what a failed poll means. A bug of ours is one too: it must not take the other topics down with it."""
        if isinstance(error, BadRequest):
            error = PollError("protocol", error.message)
        if not isinstance(error, PollError):
            log.exception("poll.crashed", topic=self.name.text)
            error = PollError("decode", f"pushgate failed on the answer: {type(error).__name__}")
        failed = Failed(error.reason, error.retry_after, was_asked=error.asked)
        told = {"topic": self.name.text, "route": self.route.name, "reason": error.reason, "detail": error.detail}
        if failed.is_skipped:
            log.info("poll.skipped", **told)
        else:
            log.warning("poll.failed", **told)
            self._means.metrics.poll_failed(self.route.name, error.reason)
        return failed


def _label(event: Happening, commands: Sequence[Command]) -> Label:
    """Say what a poll came to, as ``pushgate_polls_total`` counts it."""
    match event:
        case Failed(is_skipped=True):
            return "skipped"
        case Failed() | Denied():
            return "failed"
        case Missing():
            return "gone"
        case Unchanged(not_modified=True):
            return "not_modified"
        case Answered() if event.doubt is not None and not any(isinstance(one, Append) for one in commands):
            return "held"
        case _:
            return "changed" if any(isinstance(command, Append) for command in commands) else "unchanged"
