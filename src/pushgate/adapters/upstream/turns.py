"""One request's turn at an upstream, and the times in which nobody has one."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from ...errors import PollFailureReason


@dataclass(frozen=True, slots=True)
class Hold:
    """The upstream wants to be left alone until then."""

    until: float
    reason: PollFailureReason
    why: str


class Turnstile(Protocol):
    """Lets one request after the other through."""

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
        await self._gate.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave()
