"""
Polls as traces: each has a trace of its own (W3C Trace Context), which goes on at the backend.

Rule 1: what a poll spent its time with is worth keeping only if it changed something; nearly all polls do not. So it is
noted in a list, and told to the ``Tracer`` once the last client has been told of the change.
Rule 2: where nobody keeps traces, nothing is noted. Then a trace is an id: in the log of a failure, and in the
``traceparent`` that the backend sees, which says that nobody else has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from .clock import Clock
from .correlation import Trace

# Shorter than this nobody has waited, in seconds.
WORTH_TELLING: Final = 0.001


@dataclass(frozen=True, slots=True)
class Part:
    """What a poll did for a while; ``began`` and ``ended`` since the epoch."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Story:
    """
    A poll that changed something: ``began`` when it was due, ``ended`` when the last client was told; since the epoch.

    ``id`` is the trace's, and ``asked`` that of the part ``fetch``, which the backend knows as its parent.
    """

    id: str
    asked: str
    began: float
    ended: float
    parts: tuple[Part, ...]
    facts: Mapping[str, str | int]


class Tracer(Protocol):
    """Who keeps traces."""

    @property
    def is_on(self) -> bool: ...

    def wants(self, trace_id: int) -> bool:
        """Whether a trace is one of those that are kept."""

    def tell(self, story: Story) -> None: ...


class NobodyTraces:
    """No traces are kept."""

    is_on = False

    def wants(self, trace_id: int) -> bool:
        return False

    def tell(self, story: Story) -> None:
        """There is nobody to tell."""


NOBODY: Final = NobodyTraces()


@dataclass(slots=True)
class PollTrace:
    """The trace of one poll. All times in monotonic seconds. ``is_kept``: somebody wants to know what it does."""

    clock: Clock
    trace: Trace
    began: float
    is_kept: bool
    waited: float = 0.0  # for the turns of its requests, in seconds
    _parts: list[tuple[str, float, float]] = field(default_factory=list)
    _waited_until: float = 0.0

    def note(self, name: str, began: float, ended: float) -> None:
        """Note what was done in a while."""
        if name == "fetch":  # what was waited for before the first request is no part of it
            began = max(began, self._waited_until)
        self._parts.append((name, began, ended))

    async def wait(self, turn: Awaitable[None]) -> None:
        """Wait for the turn of a request, and note it if there was anything to wait for."""
        began = self.clock.now()
        await turn
        ended = self.clock.now()
        self.waited += ended - began
        if self.is_kept and ended - began >= WORTH_TELLING:
            self._waited_until = self._waited_until or ended
            self.note("wait", began, ended)

    def story(self, facts: Mapping[str, str | int]) -> Story:
        """Return what there is to tell, now that it is over."""
        clock = self.clock
        offset = clock.wall() - clock.now()
        parts = tuple(Part(name, began + offset, ended + offset) for name, began, ended in self._parts)
        return Story(self.trace.id, self.trace.parent, self.began + offset, clock.wall(), parts, facts)


_under_way: ContextVar[PollTrace | None] = ContextVar("pushgate_poll", default=None)


def begin(clock: Clock, tracer: Tracer, *, due_at: float) -> PollTrace:
    """Begin the trace of the poll that this task makes; ``due_at``: when it should have begun."""
    trace_id, span_id = clock.bits(128) or 1, clock.bits(64) or 1  # all zeros are no ids (section 3.2.2)
    is_kept = tracer.is_on and tracer.wants(trace_id)
    trace = PollTrace(clock, Trace(f"{trace_id:032x}", f"{span_id:016x}", is_kept), due_at, is_kept)
    _under_way.set(trace)
    return trace


def under_way() -> PollTrace | None:
    """Return the trace of the poll that this task makes, or that has started it; None if there is none."""
    return _under_way.get()
