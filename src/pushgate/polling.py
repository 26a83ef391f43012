"""
What a topic's upstream is asked, and what its answers mean.

Rule: an answer is understood by the route of now, also if that was revised while the upstream was asked, or while
somebody else read a big one.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from .answers import Answer
from .documents.history import History
from .documents.selecting import IDLE_AFTER
from .errors import BadRequest, PollError, PollErrorReason
from .happenings import Answered, Denied, Failed, Outcome
from .poller import Means
from .reception import Reception
from .routes import Route, TopicName
from .tracing import under_way
from .values import State, UpstreamRequest, Validators

log = structlog.get_logger()


# So many failed polls of a topic are remembered.
SETBACKS_KEPT = 5


@dataclass(frozen=True, slots=True)
class Setback:
    """A failed poll; ``at``: since the epoch. ``detail`` holds no body and no secret."""

    at: float
    reason: PollErrorReason
    detail: str


class Polling:
    """Asks for one topic, and takes in the answers. ``history``: of what was published of them."""

    def __init__(self, route: Route, name: TopicName, means: Means, history: History) -> None:
        self.reception = Reception(route, means.decoder(route))
        self._route = route
        self._name = name
        self._means = means
        self._history = history
        self._usual: UpstreamRequest | None = None  # the request of a poll that asks for everything
        self.setbacks: tuple[Setback, ...] = ()  # the latest, the newest first

    def revise(self, route: Route, name: TopicName) -> None:
        """Go on by another configuration that publishes the same; a poll under way is not disturbed."""
        self._route, self._name, self._usual = route, name, None
        was_away = self.reception.is_away
        self.reception.revise(route, self._history.latest)
        if was_away and not self.reception.is_away:
            self._forget_away()

    def stop(self) -> None:
        """Nothing more will be asked."""
        if self.reception.is_away:
            self._forget_away()

    def _forget_away(self) -> None:
        if self._means.workshop is not None:
            self._means.workshop.forget(self._name.key)

    async def ask(self, began: float, *, is_conditional: bool) -> tuple[Answer, Outcome]:
        """Return what the upstream says, and what that means; ``began``: when the poll did, in monotonic seconds."""
        request = self._request(self.reception.since(began))
        validators = self.reception.validators(is_conditional=is_conditional)
        answer = await self._means.fetch(self._route, self._name, request, validators)
        read_at = self._means.clock.now()
        event = await self._understand(answer, validators)
        if (trace := under_way()) is not None and trace.is_kept:
            trace.note("fetch", began, read_at)
            trace.note("refine", read_at, self._means.clock.now())
        if isinstance(event, Answered):
            self._means.metrics.ledger(self._route.name).diffs.add(self._means.clock.now() - read_at)
        return answer, event

    def _request(self, extra: tuple[str, str] | None) -> UpstreamRequest:
        """Return what to ask; what is the same for every poll of a topic takes a fifth of a poll to make."""
        if extra is not None:
            return self._route.request(self._name, extra=extra)
        if self._usual is None:
            self._usual = self._route.request(self._name)
        return self._usual

    async def _understand(self, answer: Answer, asked_with: Validators) -> Outcome:
        reception, workshop = self.reception, self._means.workshop
        if workshop is not None:
            was_away = reception.is_away
            commission = reception.commission(answer, self._history.latest)
            if commission is not None:
                route = self._route
                finished = await workshop.refine(self._name.key, commission)
                if self._route is not route:  # it may be read elsewhere now, or end elsewhere
                    return await self._understand(answer, asked_with)
                return reception.finish(answer, finished)
            if was_away and not reception.is_away:
                workshop.forget(self._name.key)
        return reception.understand(answer, asked_with, has_document=self._history.latest is not None)

    def remember(self, answer: Answer, event: Outcome, state: State) -> None:
        """Keep what is to be kept of an answer; ``state``: the topic's, by its polls and this event."""
        self.reception.remember(answer, event, state)
        if isinstance(event, Denied):
            self._set_back("upstream_auth", f"the upstream answered {event.status} to this caller")
        if held := self.reception.held:
            log.info("poll.held", topic=self._name.text, guard=held.doubt.guard, detail=held.doubt.detail)
        if idle := self._route.recipe.newly_idle():
            log.warning("ignore.idle", route=self._route.name, pointers=idle, polls=IDLE_AFTER)

    def fail(self, error: Exception) -> Failed:
        """Say what a failed poll means. A bug of ours is one too: it must not take the other topics down with it."""
        if isinstance(error, BadRequest):
            error = PollError("protocol", error.message)
        if not isinstance(error, PollError):
            log.exception("poll.crashed", topic=self._name.text)
            error = PollError("decode", f"pushgate failed on the answer: {type(error).__name__}")
        failed = Failed(error.reason, error.retry_after, was_asked=error.asked)
        if failed.is_turned_away:  # an operator wants it so, which is said once and not for each topic
            return failed
        if failed.is_skipped:
            log.info("poll.skipped", **self._told(error.reason, error.detail))
        else:
            self._set_back(error.reason, error.detail)
        if failed.was_asked:
            self.reception.held = None
        return failed

    def _set_back(self, reason: PollErrorReason, detail: str) -> None:
        """Count a failed poll, and say so."""
        self._means.metrics.ledger(self._route.name).failures[reason] += 1
        trace = under_way()
        log.warning("poll.failed", **self._told(reason, detail), **({"trace_id": trace.trace.id} if trace else {}))
        setback = Setback(self._means.clock.wall(), reason, detail)
        self.setbacks = (setback, *self.setbacks[: SETBACKS_KEPT - 1])

    def _told(self, reason: PollErrorReason, detail: str) -> dict[str, str]:
        return {"topic": self._name.text, "route": self._route.name, "reason": reason, "detail": detail}
