"""
The bounded log of a topic's latest changes, and what somebody at a cursor has missed.

Rule 1: a cursor is ``E.N.S.H``: the store's epoch, the number of a change, what the cursor is for, and the hash of the
document at that change. It is good if all four agree with this log; anything else is a gap, and a gap is answered with
the whole document: never with silence, never with a part.
Rule 2: the log holds versions and the changes between them, so there is always one version more than changes; the
oldest version is the floor. A number below the floor cannot be continued.
Rule 3: nothing here counts time: old changes leave when a new one comes, never by themselves.
Rule 4: somebody else may remember what this log does not (``past``): a view's documents are parts of its parent's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ..values import Document, Encoding, Event, Mode
from .changes import Change, Sealed, Telling, Version, encode, timestamp
from .cursors import Cursor, Family, family_of, scope_of
from .keys import Keys
from .patching import Operation

# Up to this many bytes, whoever is behind gets every change there was rather than their sum.
REPLAY_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past a topic keeps: changes, bytes of what was told of them, and seconds."""

    events: int
    bytes: int
    age: float


@dataclass(frozen=True, slots=True)
class Replay:
    """
    What brings a cursor up to date.

    ``result`` is a label value of ``pushgate_resumes_total``. ``current`` has no events; ``snapshot`` has one and says
    that the cursor was unknown, or that everything else would have been larger. ``disproved``: a patch that was made
    for this replay failed its proof. ``missed``: how many changes it stands for, as far as they are remembered.
    """

    result: Literal["current", "replayed", "combined", "snapshot"]
    events: tuple[Event, ...] = ()
    disproved: bool = False
    missed: int = 0


def nobody_knows(number: int) -> Version | None:
    """What the past is to a log that has nobody to ask."""
    return None


# What the document was as of the change with a number that this log does not know; None if nobody does.
Past: TypeAlias = Callable[[int], Version | None]


class History:
    """
    The log of one topic. ``scope`` is what its cursors are for: the topic's name and the route's definition.

    ``encoding``: that of its documents, if they are bytes.
    """

    def __init__(
        self,
        *,
        epoch: str,
        scope: str,
        limits: Limits,
        keys: Keys,
        past: Past = nobody_knows,
        encoding: Encoding | None = None,
    ) -> None:
        self._epoch = epoch
        self._scopes: dict[Family, str] = {family: scope_of(family, scope) for family in get_args(Family)}
        self.limits = limits  # another may be set; it counts from the next change on
        self._keys = keys
        self._past = past
        self._encoding = encoding
        self._versions: list[Version] = []  # the floor first; a deque would cost every topic a kilobyte
        self._changes: list[Change] = []  # _changes[i] leads from _versions[i] to _versions[i + 1]
        self._weight = 0
        self._combined: dict[tuple[int, Mode], Telling | None] = {}  # since a number, until the next change
        self._first: Event | None = None  # likewise

    def __repr__(self) -> str:
        numbers = f"{self._versions[0].number}..{self._versions[-1].number}" if self._versions else "empty"
        return f"<History {numbers}, {self._weight} bytes>"

    @property
    def epoch(self) -> str:
        """The store's: numbers of another one mean nothing here."""
        return self._epoch

    @property
    def latest(self) -> Version | None:
        """The current document; None until the first answer was accepted."""
        return self._versions[-1] if self._versions else None

    @property
    def etag(self) -> str:
        """A weak entity tag's text: what the document is for and what it is, not its number, so a restart keeps it."""
        latest = self._head()
        return f"{self._scopes['document']}.{latest.digest}"

    def head(self, mode: Mode) -> str:
        """Return the cursor of the current document, for somebody who follows it in this mode."""
        return self._cursor(self._head(), family_of(mode))

    def cursor(self, version: Version, mode: Mode) -> str:
        """Return the cursor of a version of this log, for somebody who follows it in this mode."""
        return self._cursor(version, family_of(mode))

    def scope(self, mode: Mode) -> str:
        """Return what the cursors of somebody who follows it in this mode are for."""
        return self._scopes[family_of(mode)]

    def append(self, number: int, *, at: float, document: Document | Sealed, patch: list[Operation]) -> Change:
        """Log a new document; ``patch`` leads to it from the latest one. Numbers must rise."""
        version = Version(number, at=at, document=document)
        if isinstance(document, Sealed):
            return self._append(Change.sealed(self.latest, version, by=document, keys=self._keys))
        return self._append(Change(self.latest, version, patch=patch, keys=self._keys))

    def end(self, number: int, *, at: float) -> Change:
        """Log that the document will not change any more; there must be one."""
        latest = self._head()
        return self._append(Change(latest, latest.ended(number, at=at), patch=[], keys=self._keys))

    def clear(self) -> None:
        """Forget everything: whoever comes with a cursor has a gap."""
        self._versions.clear()
        self._changes.clear()
        self._combined.clear()
        self._first, self._weight = None, 0

    def _append(self, change: Change) -> Change:
        self._versions.append(change.after)
        self._combined.clear()
        self._first = None
        if change.before is not None:
            change.before.forget_snapshot()
            self._changes.append(change)
            self._weight += change.weight
            self._forget_oldest()
        return change

    def event(self, change: Change, mode: Mode) -> Event | None:
        """Return the event that tells a change in a mode; None if it has nothing to say there."""
        telling = change.tell(mode)
        return None if telling is None else self._event(change.after, telling)

    def first(self) -> Event:
        """Return what somebody gets who has no cursor: the whole document, or ``gone``."""
        if self._first is None:
            latest = self._head()
            self._first = self._event(latest, latest.tell())
        return self._first

    @property
    def is_ended(self) -> bool:
        """Whether the document will not change any more."""
        return bool(self._versions) and self._versions[-1].is_end

    def end_event(self) -> Event:
        """Return what tells somebody who has everything that there will be no more."""
        latest = self._head()
        return self._event(latest, Telling("end", encode({"at": timestamp(latest.at)})))

    def is_over(self, cursor: str | None, mode: Mode) -> bool:
        """Whether a client at this cursor has everything that there will ever be."""
        return self.is_ended and cursor is not None and self.replay(cursor, mode).result == "current"

    def replay(self, cursor: str | None, mode: Mode, *, as_one: bool = False) -> Replay:
        """
        Return what a client at this cursor has missed; the log must hold a document.

        ``as_one``: as one event at most, whatever the size; only the end of the topic is told beside it.
        """
        position = None if cursor is None else self._find(cursor, mode)
        if position is None:
            return Replay("snapshot", (self.first(),), missed=1 + len(self._changes) if cursor else 0)
        if isinstance(position, Version):
            return self._since_before(position, mode)
        if position == len(self._changes):
            return Replay("current")
        if as_one and not self.is_ended and position < len(self._changes) - 1:
            return self._since(self._versions[position], mode)
        return self._replay_from(position, mode)

    def at(self, number: int) -> Version | None:
        """Return the document as of the change with this number; None if that is forgotten, or was never known."""
        index = self._index(number)
        return None if index < 0 else self._versions[index]

    def recall(self, number: int) -> Version | None:
        """Return the same, also if only the past knows."""
        return self.at(number) or self._past(number)

    def _index(self, number: int) -> int:
        return bisect_right(self._versions, number, key=lambda version: version.number) - 1

    def _head(self) -> Version:
        assert self._versions, "the caller looks at `latest` first"
        return self._versions[-1]

    def _find(self, text: str, mode: Mode) -> int | Version | None:
        """Return the index of the version that a cursor stands at, or one that only the past knows; None is a gap."""
        cursor = Cursor.parse(text)
        scopes = self._scopes.values() if mode == "items" else [self._scopes["document"]]
        if cursor is None or cursor.scope not in scopes:
            return None
        if cursor.epoch != self._epoch:  # from before a restart: good only if nothing has changed since
            return len(self._changes) if cursor.digest == self._head().digest else None
        index = self._index(cursor.number)
        if index >= 0 and self._versions[index].digest == cursor.digest:
            return index
        before = self._past(cursor.number)
        return before if before is not None and before.digest == cursor.digest else None

    def _replay_from(self, index: int, mode: Mode) -> Replay:
        missed = [self._changes[i] for i in range(index, len(self._changes))]
        if not all(change.can_tell(mode) for change in missed):
            return self._since(self._versions[index], mode)
        events = tuple(event for change in missed if (event := self.event(change, mode)))
        if not events:
            return Replay("current")
        size = sum(len(event.data) for event in events)
        if size <= REPLAY_BYTES or size < self._head().size:
            return Replay("replayed", events)
        return self._since(self._versions[index], mode)

    def _since(self, before: Version, mode: Mode) -> Replay:
        """Make one event of all that happened since a version."""
        latest = self._head()
        disproved = False
        if (before.number, mode) not in self._combined:
            change = Change.between(before, latest, keys=self._keys)
            self._combined[before.number, mode] = change.tell(mode)
            disproved = change.disproved
        telling = self._combined[before.number, mode]
        if telling is None:
            return Replay("current")
        result: Literal["combined", "snapshot"] = "snapshot" if telling.kind == "snapshot" else "combined"
        missed = len(self._versions) - 1 - self._index(before.number)
        return Replay(result, (self._event(latest, telling),), disproved, missed)

    def _since_before(self, before: Version, mode: Mode) -> Replay:
        """Tell what happened since a version from before this log; often nothing."""
        latest = self._head()
        if before.digest != latest.digest:
            return self._since(before, mode)
        has_ended = latest.is_end and not before.is_end
        return Replay("combined", (self.end_event(),)) if has_ended else Replay("current")

    def _event(self, version: Version, telling: Telling) -> Event:
        family: Family = "items" if telling.kind == "items" else "document"
        encoding = self._encoding if telling.kind == "snapshot" else None
        # The end has a number of its own: what brings somebody to the last document comes before it.
        number = version.number - (version.is_end and telling.kind != "end")
        cursor = self._cursor(version, family, number=number)
        return Event(telling.kind, cursor, version.at, telling.data, encoding, telling.parcel)

    def _cursor(self, version: Version, family: Family, *, number: int | None = None) -> str:
        return str(Cursor(self._epoch, number or version.number, self._scopes[family], version.digest))

    # What the memory cap sees.

    @property
    def bytes(self) -> int:
        """What it holds, as JSON: the current document, and what is remembered of the changes that led to it."""
        return self._weight if self.latest is None else self._weight + self.latest.size

    def recent(self, count: int) -> list[Change]:
        """Return the latest changes that are remembered, the oldest of them first."""
        return self._changes[-count:]

    @property
    def oldest(self) -> int | None:
        """The number of the oldest change that is remembered; None if there is none."""
        return self._changes[0].after.number if self._changes else None

    def forget_oldest(self) -> None:
        """Forget the oldest change; a cursor from before it is a gap from now on. There must be one."""
        self._weight -= self._changes.pop(0).weight
        self._versions.pop(0)

    def _forget_oldest(self) -> None:
        horizon = self._versions[-1].at - self.limits.age
        while len(self._changes) > self.limits.events or (
            self._changes and (self._weight > self.limits.bytes or self._changes[0].after.at < horizon)
        ):
            self.forget_oldest()
