"""
The log in this process's memory.

Every change of every topic gets its number from one counter, so a single number is a position in any set of topics and
an idle topic never ages out. The epoch is drawn anew at each start: after a restart a cursor is good only if the
document is still the same.
"""

from __future__ import annotations

from ..changes import Change
from ..history import History, Limits
from ..patching import Operation
from ..values import Document


class MemoryStore:
    """Numbers changes and keeps the histories' epoch."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._number = 0

    def open(self, *, scope: str, limits: Limits, key: str | None) -> History:
        """Return the history of a topic; ``scope`` is its name and what its documents are made of."""
        return History(epoch=self._epoch, scope=scope, limits=limits, key=key)

    def append(self, history: History, *, at: float, document: Document, patch: list[Operation]) -> Change:
        self._number += 1
        return history.append(self._number, at=at, document=document, patch=patch)
