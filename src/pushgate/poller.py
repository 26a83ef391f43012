"""
What polling needs from the world: somebody to ask, somewhere to write down what is new, and somebody to tell.

The ports are here, their implementations in ``adapters`` and ``store``, and ``gateway.py`` introduces them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .answers import Answer
from .clock import Clock
from .documents.changes import Change, Sealed
from .documents.history import History, Limits, Past, nobody_knows
from .documents.keys import Keys
from .documents.patching import Operation
from .metrics import Metrics
from .pauses import Pauses
from .refinery import Decoder
from .routes import Route, TopicName
from .tracing import NOBODY, Tracer
from .values import Document, Encoding, UpstreamRequest, Validators
from .workbench import Commission, Finished


class Fetch(Protocol):
    """Asks an upstream. Raises PollError for what never became an answer: timeout, refusal, a cut or endless body."""

    async def __call__(
        self, route: Route, name: TopicName, request: UpstreamRequest, validators: Validators
    ) -> Answer: ...


class Log(Protocol):
    """Where changes are numbered and kept."""

    def open(
        self,
        *,
        scope: str,
        limits: Limits,
        keys: Keys,
        past: Past = nobody_knows,
        encoding: Encoding | None = None,
    ) -> History: ...

    def append(
        self,
        history: History,
        *,
        at: float,
        document: Document | Sealed,
        patch: list[Operation],
        number: int | None = None,
    ) -> Change:
        """``number``: that of the change of which this is a part; None: the next one."""

    def end(self, history: History, *, at: float, number: int | None = None) -> Change: ...

    def forget(self, history: History) -> None: ...

    def is_full(self) -> bool:
        """Whether there is more than may be, and only forgetting topics can help."""


class Workshop(Protocol):
    """Where big answers are read, so that nobody else has to wait meanwhile."""

    async def refine(self, topic: str, commission: Commission) -> Finished:
        """Return what an answer means; raises PollError if it is no good, or if the workshop fails on it."""

    def forget(self, topic: str) -> None:
        """Nothing more of this topic will come, or nothing big."""


class Outlet(Protocol):
    """Who is told what is new about a topic."""

    def appended(self, change: Change) -> None: ...

    def announced(self) -> None: ...

    def dropped(self, status: int) -> None:
        """The upstream no longer shows the topic to those who follow it."""

    def when_told(self, tell: Callable[[], None]) -> None:
        """Call this once, when all who follow the topic live have been told of the latest change, or do no more."""

    def settled(self) -> None:
        """A poll ended, well or badly."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every feed needs from the world."""

    clock: Clock
    fetch: Fetch
    decoder: Callable[[Route], Decoder]
    log: Log
    tasks: asyncio.TaskGroup
    metrics: Metrics
    workshop: Workshop | None = None  # None: big answers are read here
    pauses: Pauses = field(default_factory=Pauses)
    tracer: Tracer = NOBODY
    are_turns_told: bool = True  # whether the log tells of each state that a topic comes to
