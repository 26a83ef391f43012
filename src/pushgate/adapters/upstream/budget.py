"""
The gate before an upstream: who may ask it now, who waits for whose turn, and when nobody may.

Rule 1: every request takes a turn: each page, redirect, login and token too. Turns do not nest, or a budget of one
request at a time would wait for itself.
Rule 2: who waits stands in one queue, first come, first served. A topic has at most one poll under way, so this is fair
between topics: none gets a second turn before everybody who waits has had one.
Rule 3: nobody waits for an upstream that wants or has to be left alone (``Retry-After``, an empty quota, an open
breaker): the poll ends without a request, and is told when to come back.
Rule 4: while an operator has paused the upstream nobody gets through, and nobody waits.
Rule 5: nothing between looking and taking a turn awaits, so no two requests take the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import structlog

from ...answers import Answer
from ...budgeting import UPSTREAM_FAILURES, Breaker, BreakerState
from ...clock import Clock
from ...config.upstreams import Upstream
from ...errors import PollError, PollFailureReason
from ...metrics import Metrics
from ...pauses import Pauses
from ...quantities import duration_text
from ...schedules.scheduling import clamp_retry_after
from .turns import Hold, Turn, breaker_of, limiter_of, paused

log = structlog.get_logger()

# Those who are sent away come back at moments of their own: later by up to this part of the wait.
RETURN_SPREAD = 0.25

# Loops that jump over idle time need timers that let some of it pass.
TIMER_GRAIN = 1e-6

# The trial that this task, or the one that started it, makes of a half-open upstream.
_trial: ContextVar[object] = ContextVar("pushgate_trial", default=None)

_Waiter = asyncio.Future[None]


class Gate:
    """The gate of one upstream, shared by all routes that poll it."""

    def __init__(self, name: str, upstream: Upstream, clock: Clock, metrics: Metrics, pauses: Pauses) -> None:
        self.name = name
        self.is_up: bool | None = None  # as the latest poll found it; None before the first
        self.quota: int | None = None  # what the upstream last said is left of its own limit
        self._clock, self._metrics = clock, metrics
        self._pauses = pauses
        self._upstream = upstream
        self._limiter = limiter_of(upstream)
        self._breaker = breaker_of(upstream)
        self._under_way, self.requests = 0, 0  # and those that are over
        self._queue: dict[_Waiter, object] = {}  # with the trial that each belongs to
        self._timer: asyncio.TimerHandle | None = None
        self._hold: Hold | None = None
        self._trial: object = None  # of the half-open breaker; None: whoever comes first makes it
        self._configure()

    def _configure(self) -> None:
        budget = self._upstream.budget
        self._is_limited = bool(budget.rate or budget.concurrency)
        self._concurrency = budget.concurrency
        self._patience = self._upstream.timeout.total
        self._stretches = budget.spent == "stretch"

    def is_for(self, upstream: Upstream) -> bool:
        return self._upstream.url == upstream.url

    def revise(self, upstream: Upstream) -> None:
        """Go by another configuration of the same backend; who waits keeps the place, what is the same counts on."""
        before, self._upstream = self._upstream, upstream
        if (upstream.budget.rate, upstream.budget.burst) != (before.budget.rate, before.budget.burst):
            self._limiter = limiter_of(upstream)
        if upstream.breaker != before.breaker:
            self._breaker, self._trial = breaker_of(upstream), None
        self._configure()
        self._pump()

    def __repr__(self) -> str:
        return f"<Gate {self.name}: {self._under_way} under way, {len(self._queue)} waiting>"

    @property
    def breaker_state(self) -> BreakerState | None:
        """What the breaker is; None if there is none."""
        return None if self._breaker is None else self._breaker.state(self._clock.now())

    def turn(self) -> Turn:
        """
        Return a context in which one request may be under way; entering it waits for the turn.

        Raises PollError, with ``asked`` False, if no request may go out: ``budget`` where the budget says ``spent:
        fail`` and the turn does not come within the upstream's ``timeout.total``; otherwise with the reason for which
        the upstream is left alone, and in ``retry_after`` for how long.
        """
        return Turn(self)

    def heard(self, answer: Answer) -> None:
        """Take note of what an answer says about being asked again; the whole upstream is left alone then."""
        quota = answer.quota
        if quota is not None:
            self.quota = quota.remaining
        if answer.status in (429, 503) and answer.retry_after is not None:
            reason: PollFailureReason = "rate_limited" if answer.status == 429 else "http_5xx"
            self._leave_alone(answer.retry_after, reason, f"it answered {answer.status} with Retry-After")
        elif quota is not None and quota.remaining <= 0 and quota.reset_after is not None:
            self._leave_alone(quota.reset_after, "rate_limited", "its own quota is used up")

    def came_out(self, error: PollError | None) -> None:
        """Take note of how one poll ended, all its requests together; call it once for each poll, shared or not."""
        if error is not None and not error.asked:
            return  # nothing was asked, so nothing was learned
        failure = error.reason if error is not None and error.reason in UPSTREAM_FAILURES else None
        self.is_up = failure is None
        if self._breaker is not None:
            self._judge(self._breaker, failure)

    def check_open(self) -> None:
        if self.name in self._pauses.upstreams:
            raise paused(self.name)

    def turn_away(self) -> None:
        """Refuse everybody who waits: an operator has paused the upstream."""
        self._send_away(lambda: paused(self.name))

    # The queue.

    async def enter(self) -> None:
        if self._hold is None and not self._is_limited and self._breaker is None:
            self._under_way += 1  # nothing is ever counted here, and nobody waits
            return
        began = self._clock.now()
        if (refusal := self._refusal(began)) is not None:
            raise refusal
        trial = _trial.get()
        is_free = not self._queue and self._has_room() and self._limiter.ready_at(began) <= began
        if is_free and self._may_ask(trial, began):
            self._let_go(began)
            if self._is_half_open(began) and self._trial is None:
                self._begin_trial(object())
        else:
            await self._wait(trial, began)
        if self._is_limited:
            self._metrics.waited_for_budget(self.name, seconds=self._clock.now() - began)

    def leave(self) -> None:
        """Give the turn back."""
        self._under_way -= 1
        self.requests += 1
        if self._queue:
            self._pump()

    async def _wait(self, trial: object, began: float) -> None:
        if not self._stretches and self._limiter.ready_at(began) > began + self._patience:
            raise self._too_late(began)
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._queue[waiter] = trial
        self._pump()
        try:
            # Where intervals may stretch there is no timeout: the queue is no longer than there are topics, it moves at
            # the budget's pace, and what is under way has a timeout of its own. Who waits for a trial may hold a lock
            # that the trial needs, that of a login; so that has a timeout in any case.
            async with asyncio.timeout(None if self._stretches and self._may_ask(trial, began) else self._patience):
                await waiter
        except TimeoutError:
            self._give_up(waiter)
            raise self._too_late(self._clock.now()) from None
        except BaseException:
            self._give_up(waiter)
            raise
        if self._trial is waiter:
            self._begin_trial(waiter)

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the queue, or give a turn back that came in the same moment."""
        was_let_go = waiter not in self._queue and not waiter.cancelled() and waiter.exception() is None
        self._queue.pop(waiter, None)
        if self._trial is waiter:
            self._trial = None
        if was_let_go:
            self.leave()

    def _pump(self) -> None:
        """Let go whoever's turn it is, and look again when the next one's comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._has_room() and (waiter := self._next()) is not None:
            now = self._clock.now()
            wait = self._limiter.ready_at(now) - now
            if wait > 0:
                self._timer = asyncio.get_running_loop().call_later(max(wait, TIMER_GRAIN), self._pump)
                return
            del self._queue[waiter]
            self._let_go(now)
            if self._is_half_open(now) and self._trial is None:
                self._trial = waiter
            waiter.set_result(None)

    def _next(self) -> _Waiter | None:
        """Return who is first in the queue; while a trial is under way, only its own requests are."""
        now = self._clock.now()
        waiting = (waiter for waiter, trial in self._queue.items() if self._may_ask(trial, now))
        return next((waiter for waiter in waiting if not waiter.done()), None)  # done: cancelled in this very moment

    def _has_room(self) -> bool:
        return self._concurrency is None or self._under_way < self._concurrency

    def _let_go(self, now: float) -> None:
        self._under_way += 1
        self._limiter.count(now)

    def _too_late(self, now: float) -> PollError:
        """Say that a turn did not come in time, and when it is worth another try."""
        waited = duration_text(self._patience)
        if self._breaker is not None and self._is_half_open(now):
            detail = f"no turn within {waited}: it is not clear yet whether the upstream is well again"
            return PollError(self._breaker.reason, detail, retry_after=self._patience, asked=False)
        detail = f"the budget is used up: no turn within {waited}"
        # In step with the turns, the same ones would come too late again and again.
        later = self._patience * self._clock.chance()
        retry_after = max(0.0, self._limiter.ready_at(now) - now) + later
        return PollError("budget", detail, retry_after=retry_after, asked=False)

    # Being left alone.

    def _leave_alone(self, seconds: float, reason: PollFailureReason, why: str) -> None:
        now = self._clock.now()
        until = now + clamp_retry_after(seconds)
        if until <= max(now, self._hold.until if self._hold is not None else now):
            return
        log.info("upstream.held", upstream=self.name, why=why, seconds=round(until - now, 3))
        self._hold = Hold(until, reason, why)
        self._send_away(lambda: self._refusal(now))

    def _refusal(self, now: float) -> PollError | None:
        """Say why nobody may ask now, and when to come back; None if it is only a matter of turns."""
        if self._hold is not None and now < self._hold.until:
            reason, why, wait = self._hold.reason, self._hold.why, self._hold.until - now
        elif self._breaker is not None and self._breaker.state(now) == "open":
            reason, wait = self._breaker.reason, self._breaker.remaining(now)
            why = f"{self._breaker.failures} polls in a row failed"
        else:
            return None
        detail = f"the upstream is left alone because {why}; asked again in {duration_text(max(wait, 0.001))}"
        later = wait * (1 + RETURN_SPREAD * self._clock.chance())
        return PollError(reason, detail, retry_after=later, asked=False)

    def _send_away(self, refuse: Callable[[], PollError | None]) -> None:
        """Refuse everybody who waits, each with a moment of their own to come back."""
        waiting, self._queue = self._queue, {}
        for waiter in waiting:
            refusal = refuse()
            assert refusal is not None, "the upstream is left alone"
            if not waiter.done():
                waiter.set_exception(refusal)

    # The breaker, and its trial: one poll, with all its requests, whatever tasks they are made in.

    def _is_half_open(self, now: float) -> bool:
        return self._breaker is not None and self._breaker.state(now) == "half_open"

    def _may_ask(self, trial: object, now: float) -> bool:
        return not self._is_half_open(now) or self._trial is None or self._trial is trial

    def _begin_trial(self, trial: object) -> None:
        """Mark what this task does, and whatever it starts, as the trial; it ends with the task at the latest."""
        self._trial = trial
        _trial.set(trial)
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _: self._end_trial(trial))

    def _end_trial(self, trial: object) -> None:
        if self._trial is trial:
            self._trial = None
            self._pump()

    def _judge(self, breaker: Breaker, failure: PollFailureReason | None) -> None:
        now = self._clock.now()
        was = breaker.state(now)
        if failure is None:
            breaker.succeeded()
        else:
            breaker.failed(failure, now=now)
        state = breaker.state(now)
        if state == was:
            return
        self._trial = None
        log.warning("breaker.turned", upstream=self.name, state=state, reason=failure)
        if state == "open":
            self._send_away(lambda: self._refusal(now))
        else:
            self._pump()
