"""
The log in this process's memory.

Rule 1: every change of every topic gets its number from one counter, so a single number is a position in any set of
topics and an idle topic never ages out. The epoch is drawn anew at each start: after a restart a cursor is good only
if the document is still the same.
Rule 2: with a limit, the oldest changes of all topics are forgotten first, whichever topic they belong to; whoever
comes with a cursor from before them gets a snapshot. Current documents are never touched here: while they alone are too
much, the store is full, and whoever knows which topics are idle has to forget some.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from ..documents.changes import Change, Sealed
from ..documents.history import History, Limits, Past, nobody_knows
from ..documents.keys import Keys
from ..documents.patching import Operation
from ..values import Document, Encoding

# What a byte of JSON costs in memory: 2.3 to 7.3 bytes as objects, in recorded documents of 20 backends, and now and
# then its text.
MEMORY_PER_BYTE = 5


class MemoryStore:
    """Numbers changes, keeps the histories' epoch, and forgets what is too much. ``limit``: bytes of memory."""

    def __init__(self, epoch: str, *, limit: int | None = None) -> None:
        self._epoch = epoch
        self._number = 0
        self.limit = limit
        self._sizes: dict[History, int] = {}  # as they were last counted
        self._size = 0  # their sum
        # A heap: whose oldest change is the oldest of all. Views have the number of their parent's, so an id decides.
        self._oldest: list[tuple[int, int, History]] = []
        self._listed: dict[History, int] = {}  # the entry in the heap that counts; others are of the past

    def open(
        self,
        *,
        scope: str,
        limits: Limits,
        keys: Keys,
        past: Past = nobody_knows,
        encoding: Encoding | None = None,
    ) -> History:
        """Return the history of a topic; ``scope`` is its name and what its documents are made of."""
        return History(epoch=self._epoch, scope=scope, limits=limits, keys=keys, past=past, encoding=encoding)

    def append(
        self,
        history: History,
        *,
        at: float,
        document: Document | Sealed,
        patch: list[Operation],
        number: int | None = None,
    ) -> Change:
        """Log a new document of the topic; ``patch`` leads to it from the latest one. Views give a number of theirs."""
        change = history.append(number or self._next_number(), at=at, document=document, patch=patch)
        self._grown(history)
        return change

    def end(self, history: History, *, at: float, number: int | None = None) -> Change:
        """Log that the topic has ended; there must be a document."""
        change = history.end(number or self._next_number(), at=at)
        self._grown(history)
        return change

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def forget(self, history: History) -> None:
        """Forget a topic altogether."""
        self._size -= self._sizes.pop(history, 0)
        self._listed.pop(history, None)
        if len(self._oldest) > 2 * len(self._listed) + 16:
            self._oldest = [(number, id(listed), listed) for listed, number in self._listed.items()]
            heapify(self._oldest)

    def revise(self, *, limit: int | None) -> None:
        """Go by another limit from now on."""
        self.limit = limit
        self._forget_what_is_too_much()

    def is_full(self) -> bool:
        """Whether there is more than may be, and nothing left to forget but current documents."""
        return self.limit is not None and self._size > self.limit

    @property
    def size(self) -> int:
        """What all documents and histories take of memory, about, in bytes."""
        return self._size

    def usage(self) -> Iterator[tuple[str, int]]:
        """Yield what takes how many bytes of memory, about."""
        documents = sum(history.latest.size for history in self._sizes if history.latest is not None)
        yield "documents", documents * MEMORY_PER_BYTE
        yield "histories", sum(history.bytes for history in self._sizes) * MEMORY_PER_BYTE - documents * MEMORY_PER_BYTE

    def _grown(self, history: History) -> None:
        self._count(history)
        if history not in self._listed:
            self._list(history)
        self._forget_what_is_too_much()

    def _count(self, history: History) -> None:
        size = history.bytes * MEMORY_PER_BYTE
        self._size += size - self._sizes.get(history, 0)
        self._sizes[history] = size

    def _list(self, history: History) -> None:
        """Enter a history into the heap, by the oldest change that it remembers; at most one entry of it counts."""
        self._listed.pop(history, None)
        if (oldest := history.oldest) is not None:
            self._listed[history] = oldest
            heappush(self._oldest, (oldest, id(history), history))

    def _forget_what_is_too_much(self) -> None:
        while self.is_full() and self._oldest:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Forget the oldest change of all, or find that the history has forgotten it by itself."""
        number, _, history = heappop(self._oldest)
        if self._listed.get(history) != number:
            return
        if history.oldest == number:
            history.forget_oldest()
        self._count(history)
        self._list(history)
