"""
Who has how much of what there is: open connections by address and by principal, and live topics by principal.

Rule 1: a connection is charged to everybody whose it is, or refused; what was charged is given back once.
Rule 2: a topic is charged to the principal for whom it was woken, for as long as it lives; who asks for one that is
alive already costs nothing, and is charged nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from .errors import TooMany
from .values import Principal

# After so many seconds it is worth asking for one more topic: others may have been let go by then.
COME_BACK = 30.0

# Principals whose topics have all been forgotten are forgotten when there are so many more of them than the last time.
_SWEEP_AFTER = 1000


def key_of(principal: Principal) -> str:
    """Return what tells a principal from all others, whatever it proved this time."""
    return "\n".join((principal.auth, principal.issuer, principal.subject))


class Ration:
    """How many of something each may have at once; ``most`` is None if that is not limited, and may be changed."""

    __slots__ = ("_held", "most", "name")

    def __init__(self, name: str, most: int | None) -> None:
        self.name = name  # of its key below ``server.limits``
        self.most = most
        self._held: dict[str, int] = {}

    def held(self, who: str) -> int:
        return self._held.get(who, 0)

    def has_room(self, who: str) -> bool:
        return self.most is None or self.held(who) < self.most

    def take(self, who: str) -> None:
        self._held[who] = self.held(who) + 1

    def give_back(self, who: str) -> None:
        left = self._held.pop(who) - 1
        if left:
            self._held[who] = left


class Witness(Protocol):
    """Who writes down what becomes of a connection."""

    def answered(self, status: int, size: int | None) -> None:
        """Hear that the request was answered that the connection was taken over with."""

    def ended(self, owner: object) -> None:
        """Hear that the connection ended, or that ``owner`` let it go."""


class Charge:
    """What one connection is charged to, and its witness, if it has one; ``lift`` it when the connection ends."""

    __slots__ = ("_entries", "witness")

    def __init__(self) -> None:
        self._entries: list[tuple[Ration, str]] = []
        self.witness: Witness | None = None

    def add(self, ration: Ration, who: str, *, retry_after: float) -> None:
        """Charge it to one more, unless it is already; raises TooMany if that one has as many as it may."""
        if ration.most is None or (ration, who) in self._entries:
            return
        if not ration.has_room(who):
            message = f"you have {ration.most} open connections already (server.limits.{ration.name})"
            raise TooMany(message, retry_after=retry_after, limit=ration.name)
        ration.take(who)
        self._entries.append((ration, who))

    def lift(self, owner: object = None) -> None:
        if self.witness is not None:
            self.witness.ended(owner)
        for ration, who in self._entries:
            ration.give_back(who)
        self._entries.clear()


class TopicRation:
    """For how many live topics one principal may be the reason; ``most`` is None if that is not limited."""

    __slots__ = ("_charged", "_sweep_at", "most")

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._charged: dict[str, set[str]] = {}
        self._sweep_at = _SWEEP_AFTER

    def wake(
        self, principal: Principal, topic: str, is_alive: Callable[[str], bool], *, instead_of: str | None = None
    ) -> None:
        """
        Charge a principal with a topic that is not alive yet; raises TooMany if it has as many as it may.

        ``is_alive``: whether a topic is still polled, or followed. ``instead_of``: one that it is about to let go.
        """
        if self.most is None:
            return
        charged = self._charged.setdefault(key_of(principal), set())
        if len(charged) >= self.most and topic not in charged:
            charged -= _dead(charged, is_alive)
        if len(charged - {instead_of}) >= self.most and topic not in charged:
            message = f"you keep {self.most} topics alive already (server.limits.topics_per_principal)"
            raise TooMany(message, retry_after=COME_BACK, limit="topics_per_principal")
        charged.add(topic)
        if len(self._charged) >= self._sweep_at:
            self._sweep(is_alive)

    def _sweep(self, is_alive: Callable[[str], bool]) -> None:
        for who, charged in list(self._charged.items()):
            charged -= _dead(charged, is_alive)
            if not charged:
                del self._charged[who]
        self._sweep_at = 2 * len(self._charged) + _SWEEP_AFTER


def _dead(topics: Iterable[str], is_alive: Callable[[str], bool]) -> set[str]:
    return {topic for topic in topics if not is_alive(topic)}
