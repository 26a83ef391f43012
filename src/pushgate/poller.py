"""
Drives topics: wait, fetch, feed the topic, obey what it says.

Here a poll becomes a change: ``Feed._poll`` fetches, ``Feed._understand`` turns the answer into what happened, and
``Topic.handle`` decides what follows. Nothing here knows who listens; an ``Outlet`` is told what is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

import structlog

from .answers import NO_VALIDATORS, Accepted, Answer
from .changes import Change
from .clock import Clock
from .errors import PollError
from .history import History, Limits
from .metrics import Metrics, Outcome
from .patching import Operation
from .routes import Route, TopicName
from .topic import (
    Announce,
    Answered,
    Append,
    Command,
    Due,
    Failed,
    Happening,
    Joined,
    Left,
    Missing,
    Poll,
    Topic,
    Unchanged,
    WakeAt,
)
from .values import Document, Json, Status, UpstreamRequest, Validators

log = structlog.get_logger()


class Fetch(Protocol):
    """Asks an upstream. Raises PollError for what never became an answer: timeout, refusal, a cut or endless body."""

    async def __call__(self, route: Route, request: UpstreamRequest, validators: Validators) -> Answer: ...


class Log(Protocol):
    """Where changes are numbered and kept."""

    def open(self, *, scope: str, limits: Limits, key: str | None) -> History: ...

    def append(self, history: History, *, at: float, document: Document, patch: list[Operation]) -> Change: ...


class Outlet(Protocol):
    """Who is told what is new about a topic."""

    def appended(self, change: Change) -> None: ...

    def announced(self) -> None: ...

    def settled(self) -> None:
        """A poll ended, well or badly."""


class Decoder(Protocol):
    """Makes JSON values of the successive answers of one topic."""

    def decode(self, body: bytes, content_type: str) -> Json:
        """Return the value of a body; raises PollError(``decode``)."""

    def learn(self, document: Document | None) -> None:
        """Hear what was published for the latest body, because the next one may be much the same."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every feed needs from the world."""

    clock: Clock
    fetch: Fetch
    decoder: Callable[[Route], Decoder]
    log: Log
    tasks: asyncio.TaskGroup
    metrics: Metrics


class Feed:
    """One topic that is polled, and its history."""

    def __init__(self, route: Route, name: TopicName, means: Means, outlet: Outlet) -> None:
        self.route = route
        self.name = name
        self.request = route.request(name.values)
        self.topic = Topic(route.terms, now=means.clock.now(), is_standing=name in route.standing)
        self.history = means.log.open(scope=f"{name.text}\n{route.definition}", limits=route.limits, key=route.key)
        self.accepted = Accepted()
        self._means = means
        self._outlet = outlet
        self._decoder = means.decoder(route)
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

    def start(self) -> None:
        """Begin to poll a standing topic, although nobody listens."""
        self._handle(Due())

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

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _handle(self, event: Happening) -> list[Command]:
        clock = self._means.clock
        commands = self.topic.handle(event, now=clock.now(), chance=clock.chance())
        for command in commands:
            self._obey(command)
        return commands

    def _obey(self, command: Command) -> None:
        match command:
            case Poll():
                self._task = self._means.tasks.create_task(
                    self._poll(is_conditional=command.conditional), name=f"poll {self.name.text}"
                )
            case WakeAt():
                self._cancel_timer()
                delay = max(0.0, command.when - self._means.clock.now())
                self._timer = asyncio.get_running_loop().call_later(delay, self._handle, Due())
            case Append():
                self._append(command)
            case Announce():
                log.info("topic.state", topic=self.name.text, state=self.topic.state, reason=self.topic.reason)
                self._outlet.announced()
            case _:
                assert_never(command)

    def _append(self, command: Append) -> None:
        means = self._means
        change = means.log.append(self.history, at=command.at, document=command.document, patch=list(command.patch))
        means.metrics.changed(self.route.name, keyless=command.keyless)
        self._outlet.appended(change)
        if change.disproved:
            means.metrics.patch_rejected(self.route.name)
            log.error("patch.rejected", topic=self.name.text)

    async def _poll(self, *, is_conditional: bool) -> None:
        began = self._means.clock.now()
        try:
            validators = self.accepted.validators if is_conditional else NO_VALIDATORS
            answer = await self._means.fetch(self.route, self.request, validators)
            seconds = self._means.clock.now() - began
            event = self._understand(answer, validators)
            commands = self._handle(event)
            self._remember(answer, event)
        except Exception as error:
            seconds = self._means.clock.now() - began
            event = self._failure(error)
            commands = self._handle(event)
        self._means.metrics.polled(self.route.name, _outcome(event, commands), seconds=seconds)
        self._outlet.settled()

    def _failure(self, error: Exception) -> Failed:
        """Say what a failed poll means. A bug of ours is one too: it must not take the other topics down with it."""
        if not isinstance(error, PollError):
            log.exception("poll.crashed", topic=self.name.text)
            error = PollError("decode", f"pushgate failed on the answer: {type(error).__name__}")
        log.info("poll.failed", topic=self.name.text, reason=error.reason, detail=error.detail)
        self._means.metrics.poll_failed(self.route.name, error.reason)
        return Failed(error.reason, error.retry_after)

    def _understand(self, answer: Answer, asked_with: Validators) -> Happening:
        """Turn an answer into what happened to the topic; raises PollError if it is no good."""
        if answer.status == 304:
            if asked_with == NO_VALIDATORS:
                raise PollError("protocol", "the upstream answered 304 although it was shown nothing to compare")
            return Unchanged(not_modified=True)
        try:
            verdict = self.route.verdict(answer.status)
        except PollError as error:
            error.retry_after = answer.retry_after
            raise
        match verdict:
            case "keep" if not self.topic.has_document:
                raise PollError("protocol", f"the upstream answered {answer.status}, and there is nothing to keep yet")
            case "gone":
                return Missing(answer.at)
            case "document" if not self.accepted.is_same(answer):
                value = self._decoder.decode(answer.body, answer.content_type)
                return Answered(self.route.document(value), answer.at)
            case _:
                return Unchanged()

    def _remember(self, answer: Answer, event: Happening) -> None:
        """Keep what the next poll asks with; only of an answer that was accepted, or something would be lost."""
        match event:
            case Unchanged():
                self.accepted = self.accepted.confirmed_by(answer)
            case Missing() if self.topic.state != "gone":
                self.accepted = self.accepted.in_doubt()
            case Missing():
                self.accepted = Accepted()
            case Answered():
                self.accepted = Accepted.of(answer, with_body=self.route.config.short_poll == "raw")
                self._decoder.learn(self.topic.document)
            case _:
                raise AssertionError("a failed poll is never remembered")


def _outcome(event: Happening, commands: Sequence[Command]) -> Outcome:
    """Say what a poll came to, as ``pushgate_polls_total`` counts it."""
    match event:
        case Failed():
            return "failed"
        case Missing():
            return "gone"
        case Unchanged(not_modified=True):
            return "not_modified"
        case _:
            return "changed" if any(isinstance(command, Append) for command in commands) else "unchanged"
