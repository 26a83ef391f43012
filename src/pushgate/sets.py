"""
One position in a set of topics: ``E.N.S.H``, like a position in one of them.

Rule 1: N is the largest number that was told of any topic, and every other topic was told up to N too: numbers come
from one counter. S is what exactly these topics' own cursors are for, H the sum (XOR) of what each topic weighs: a hash
of its scope and its document. A topic without a document weighs nothing.
Rule 2: it is good if the documents of the log at N add up to H; then each topic continues from a cursor of its own.
Rule 3: documents that add up to H are those that the client holds, wherever its cursor is from. After a restart that
may show only when all topics have a document again: ``Recognition``.
Rule 4: anything else is a gap, for all of the set.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias

from .documents.changes import Version
from .documents.cursors import Cursor
from .documents.equality import fingerprint
from .documents.history import History
from .values import Mode

# A topic of a set: its log, and how it is followed.
Member: TypeAlias = tuple[History, Mode]


@lru_cache(maxsize=16_384)
def weigh(scope: str, digest: str) -> int:
    """Return what a topic adds to the sum: 64 bits that depend on what it is and on its document."""
    return int.from_bytes(blake2b(f"{scope}\n{digest}".encode(), digest_size=8).digest(), "big")


def weight_of(member: Member) -> int:
    """Return what a topic weighs as it is now."""
    history, mode = member
    return 0 if history.latest is None else weigh(history.scope(mode), history.latest.digest)


def scope_of_set(scopes: Iterable[str]) -> str:
    """Return what the cursor of a set is for; the order in which somebody asked for its topics means nothing."""
    return fingerprint("\n".join(["set", *sorted(scopes)]).encode())


def _text_of(total: int) -> str:
    return urlsafe_b64encode(total.to_bytes(8, "big"))[:11].decode()


@dataclass(frozen=True, slots=True)
class Standing:
    """
    Where one topic of a set continues: its own cursor, None for the beginning.

    ``weight``: of what the client holds of it, as of the change with this number. ``is_over``: that is everything that
    there will ever be.
    """

    cursor: str | None = None
    weight: int = 0
    number: int = 0
    is_over: bool = False


NOWHERE = Standing()


class Position:
    """Where a connection stands in its set. Told of each topic that moves, it knows the set's cursor at any moment."""

    __slots__ = ("_epoch", "_number", "_total", "came_with", "scope")

    def __init__(self, epoch: str, scope: str, came_with: str | None = None) -> None:
        self.scope = scope
        self.came_with = came_with  # the client's own cursor, as long as nothing else is known
        self._epoch = epoch
        self._number = 0
        self._total = 0

    def move(self, before: int, after: int, number: int) -> None:
        """Take note that a topic that weighed so much weighs something else since the change with this number."""
        self._total ^= before ^ after
        self._number = max(self._number, number)

    @property
    def text(self) -> str | None:
        if not self._number:
            return self.came_with
        return str(Cursor(self._epoch, self._number, self.scope, _text_of(self._total)))


def head(members: Iterable[Member], scope: str) -> str | None:
    """Return the cursor of a set as it is now; None while no topic has a document."""
    position: Position | None = None
    for member in members:
        history, _ = member
        if (latest := history.latest) is not None:
            position = position or Position(history.epoch, scope)
            position.move(0, weight_of(member), latest.number)
    return None if position is None else position.text


def continued(cursor: str | None, member: Member) -> Standing:
    """Return where a topic continues from a cursor of its own."""
    history, mode = member
    latest = history.latest
    if latest is None or not history.is_over(cursor, mode):
        return Standing(cursor)
    return Standing(cursor, weight_of(member), latest.number, is_over=True)


def resume(cursor: Cursor, members: Sequence[Member]) -> list[Standing] | None:
    """Return where each topic continues; None if the log does not hold the documents that the cursor speaks of."""
    if any(history.epoch != cursor.epoch for history, _ in members):
        return None
    standings = [_as_of(member, cursor.number) for member in members]
    total = 0
    for standing in standings:
        total ^= standing.weight
    return standings if _text_of(total) == cursor.digest else None


def _as_of(member: Member, number: int) -> Standing:
    history, _ = member
    version = history.recall(number) if history.latest is not None else None
    return NOWHERE if version is None else _at(member, version)


def _at(member: Member, version: Version) -> Standing:
    history, mode = member
    scope = history.scope(mode)
    own = Cursor(history.epoch, version.number, scope, version.digest)
    return Standing(str(own), weigh(scope, version.digest), version.number, version.is_end)


class Recognition:
    """
    Whether the documents that there are after a restart are those that a cursor from before it speaks of.

    Each topic is judged by the document that it had when the client came, or else by its first one. ``missing``: the
    indexes of topics that may still get one.
    """

    def __init__(self, cursor: Cursor, members: Sequence[Member], *, hopeless: Iterable[int] = ()) -> None:
        self._cursor = cursor
        self._members = members
        self._standings = [NOWHERE] * len(members)
        self._total = 0
        self.missing = set(range(len(members)))
        for index, (history, _) in enumerate(members):
            if history.latest is not None:
                self.add(index)
        self.missing -= set(hopeless)

    def add(self, index: int) -> None:
        """Take a topic in that has its document now."""
        if index not in self.missing:
            return
        self.missing.discard(index)
        latest = self._members[index][0].latest
        if latest is not None:
            standing = _at(self._members[index], latest)
            # Whether the client knows of the end is not said by its document.
            self._standings[index] = replace(standing, is_over=False)
            self._total ^= standing.weight

    def give_up(self) -> None:
        """Wait no longer for those that have no document yet."""
        self.missing.clear()

    @property
    def verdict(self) -> list[Standing] | None:
        """Where each topic continues, which in the end is the beginning; None: that is not known yet."""
        if _text_of(self._total) == self._cursor.digest:
            return self._standings
        return None if self.missing else [NOWHERE] * len(self._members)
