"""One request's turn at an upstream, and the times in which nobody has one."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from ...budgeting import Breaker, Limiter
from ...config.upstreams import Upstream
from ...errors import PAUSE_PATIENCE, PollError, PollFailureReason
from ...tracing import under_way


@dataclass(frozen=True, slots=True)
class Hold:
    """The upstream wants to be left alone until then."""

    until: float
    reason: PollFailureReason
    why: str


def limiter_of(upstream: Upstream) -> Limiter:
    return Limiter(upstream.budget.rate, burst=upstream.budget.burst)


def breaker_of(upstream: Upstream) -> Breaker | None:
    breaker = upstream.breaker
    return None if breaker is None else Breaker(failures=breaker.failures, cooldown=breaker.cooldown)


def paused(upstream: str) -> PollError:
    """Say that nobody may ask because an operator wants it so."""
    detail = f"the upstream {upstream} is paused by an operator"
    return PollError("paused", detail, retry_after=PAUSE_PATIENCE, asked=False)


class Turnstile(Protocol):
    """Lets one request after the other through."""

    def check_open(self) -> None:
        """Raise PollError(``paused``) while an operator wants nobody to be let through."""

    async def enter(self) -> None:
        """Wait for the turn."""

    def leave(self) -> None:
        """Give it back."""


class Turn:
    """The context of one turn: entered when it comes, and left to give it back."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Turnstile) -> None:
        self._gate = gate

    async def __aenter__(self) -> None:
        self._gate.check_open()
        trace, turn = under_way(), self._gate.enter()
        await (turn if trace is None else trace.wait(turn))
        try:
            self._gate.check_open()  # or it was paused after the turn had come, and before this task's had
        except BaseException:
            self._gate.leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave()
