"""
What polls have said of a topic so far: answers in, its state and what is to be published out.

Rule 1: what is in doubt is held until the upstream has said it often enough in a row; a state that nobody confirmed is
never published.
Rule 2: when there is a next poll is no matter here, and why there was this one neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from .happenings import (
    Answered,
    Append,
    Command,
    Denied,
    Drop,
    End,
    Failed,
    Missing,
    News,
    Outcome,
    Unchanged,
)
from .values import ABSENT, State


@dataclass(frozen=True, slots=True)
class Terms:
    """What the route says about the life of its topics; all times in seconds."""

    linger: float
    stale_after: int  # failed polls in a row
    expire: float | None  # how long a stale document is served; None: for ever
    confirmations: int  # how often in a row the upstream must say what is hard to believe


class Condition:
    """How one topic is doing, by the outcomes of its polls."""

    def __init__(self, terms: Terms, *, now: float) -> None:
        self._terms = terms
        self._state: State = "cold"
        self._since = now  # when the state began
        self.has_document = False  # published; also one that is ABSENT
        self.is_absent = False
        self.reason: str | None = None  # of the latest failed poll; None after a good one
        self.denied: int | None = None  # the status with which the upstream sent the caller away
        self.confirmed_at: float | None = None  # when the upstream last vouched for the document
        self.failures = 0  # in a row
        self._setbacks = 0  # those of them in which the upstream had a part

        self._missing = 0  # answers in a row that said the topic does not exist
        self._not_modified = 0  # answers in a row for which we have only the upstream's word
        self._doubts = 0  # answers in a row that failed the same guard
        self._doubted: str | None = None  # that guard

    @property
    def polled_state(self) -> State:
        """The state that the latest polls have brought it into; whether there may be polls is another matter."""
        return self._state

    def is_expired(self, now: float) -> bool:
        """Whether the document has been stale for so long that it is no longer served."""
        return self._state == "stale" and self._terms.expire is not None and now >= self._since + self._terms.expire

    @property
    def _confirming(self) -> str | None:
        """What the next poll has to confirm, for people."""
        if self._doubted is not None:
            return f"an answer that fails the guard `{self._doubted}`"
        return "that it is gone" if self._missing and self._state != "gone" else None

    def _take(self, event: Outcome, now: float) -> list[Command]:
        match event:
            case Answered():
                return self._on_answer(event, now)
            case Unchanged():
                assert self.has_document, "a poll that has nothing to keep has failed before it gets here"
                self._not_modified = self._not_modified + 1 if event.not_modified else 0
                self._confirm("gone" if self.is_absent else "live", now)
                return []
            case Missing():
                return self._on_missing(event, now)
            case Failed():
                self._on_failure(event.reason, now, was_asked=event.was_asked)
                return []
            case Denied():
                self._on_failure("upstream_auth", now, was_asked=True)
                self.denied, self.has_document, self.is_absent = event.status, False, False
                self._enter("cold", now)
                return [Drop(event.status)]
            case _:
                assert_never(event)

    def _on_answer(self, event: Answered, now: float) -> list[Command]:
        if event.doubt is not None and not self._is_confirmed(event.doubt.guard):
            self.failures, self._setbacks, self.reason = 0, 0, None
            self._enter("held", now)
            return []
        self._not_modified = 0
        self._confirm("live", now)
        commands: list[Command] = [] if event.news is None else [self._publish(event.news, event.at)]
        if event.is_last:
            self._enter("ended", now)
            commands.append(End(event.at))
        return commands

    def _is_confirmed(self, guard: str) -> bool:
        """Count an answer that fails a guard; tell whether the upstream has now said so often enough."""
        self._doubts = self._doubts + 1 if guard == self._doubted else 1
        self._doubted = guard
        return self._doubts >= self._terms.confirmations

    def _on_missing(self, event: Missing, now: float) -> list[Command]:
        self._forget_doubt()
        self._missing += 1
        # A topic that never had a document has nothing to lose: there, once is enough.
        if self.has_document and self._missing < self._terms.confirmations:
            return []
        self._confirm("gone", now)
        return [] if self.is_absent else [self._publish(News(ABSENT), event.at)]

    def _on_failure(self, reason: str, now: float, *, was_asked: bool) -> None:
        self.failures += 1
        self.reason = reason
        if was_asked:  # otherwise what was said in a row still is
            self._setbacks += 1
            self._missing = 0
            self._forget_doubt()
        if self._state in ("live", "held", "paused") and self.failures >= self._terms.stale_after:
            self._enter("stale", now)

    def _confirm(self, state: State, now: float) -> None:
        self.failures = self._setbacks = 0
        self.reason = self.denied = None
        self._forget_doubt()
        if state != "gone":
            self._missing = 0
        self.confirmed_at = now
        self._enter(state, now)

    def _forget_doubt(self) -> None:
        self._doubts, self._doubted = 0, None

    def _enter(self, state: State, now: float) -> None:
        if state != self._state:
            self._state, self._since = state, now

    def _publish(self, news: News, at: float) -> Append:
        self.has_document, self.is_absent = True, news.document is ABSENT
        return Append(news, at)
