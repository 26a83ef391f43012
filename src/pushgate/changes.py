"""
A change, and how it is told in each mode.

Rule 1: a change lies between two versions of a topic's document and has the number of the later one.
Rule 2: it is told as its mode asks only if that is smaller than the whole document; otherwise as a snapshot.
Rule 3: nothing is told that was not proven by applying it. What fails its proof goes out as a snapshot and is marked.
Rule 4: each telling is encoded at most once, however many clients get it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

import msgspec

from .diffing import INEXPRESSIBLE, compare, items_changes, merge_patch, prove
from .equality import canonical, fingerprint
from .patching import Operation
from .values import ABSENT, Document, EventKind, Json, Mode

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Telling:
    """What a change is in one mode: the kind of event and its data, JSON in UTF-8."""

    kind: EventKind
    data: bytes


class Version:
    """A topic's document as it was from one change to the next."""

    __slots__ = ("_snapshot", "at", "digest", "document", "number", "size")

    def __init__(self, number: int, *, at: float, document: Document) -> None:
        text = b"" if document is ABSENT else canonical(document)
        self.number = number
        self.at = at  # when the answer was read, seconds since the epoch
        self.document = document
        self.digest = fingerprint(text)  # equal for equal documents, here and in every other process
        self.size = len(text)  # bytes of a snapshot, to within the order of its keys
        self._snapshot: bytes | None = None  # encoded when first needed; dropped with ``forget_snapshot``

    def __repr__(self) -> str:
        return f"<Version {self.number} {self.digest} {self.size} bytes>"

    @property
    def snapshot(self) -> bytes:
        """The whole document as JSON; the keys keep the order that the upstream gave them."""
        if self._snapshot is None:
            self._snapshot = encode(self.document)
        return self._snapshot

    def forget_snapshot(self) -> None:
        self._snapshot = None

    def tell(self) -> Telling:
        """Tell somebody who knows nothing yet."""
        if self.document is ABSENT:
            return Telling("gone", encode({"at": timestamp(self.at)}))
        return Telling("snapshot", self.snapshot)


class Change:
    """The step from one version to a later one; usually the next, but a catch-up may span several."""

    __slots__ = ("_key", "_told", "after", "before", "disproved", "patch")

    def __init__(self, before: Version | None, after: Version, *, patch: list[Operation], key: str | None) -> None:
        self.before = before
        self.after = after
        self.patch = patch
        self.disproved = False  # a patch did not prove itself: pushgate's own bug, counted and told as a snapshot
        self._key = key
        self._told: dict[Mode, Telling | None] = {}

    @classmethod
    def between(cls, before: Version, after: Version, *, key: str | None) -> Change:
        """Combine all that happened between two versions into one change."""
        if before.document is ABSENT or after.document is ABSENT:
            return cls(before, after, patch=[], key=key)
        difference = compare(before.document, after.document, key=key)
        return cls(before, after, patch=difference.patch if difference else [], key=key)

    def __repr__(self) -> str:
        return f"<Change {self.before and self.before.number} → {self.after.number}>"

    @property
    def weight(self) -> int:
        """About how many bytes it costs to remember this change."""
        telling = self.tell("patch")
        assert telling is not None, "a patch always has something to say"
        return len(telling.data)

    def tell(self, mode: Mode) -> Telling | None:
        """Return the change in a mode; None if there is nothing to tell in it (``items``: only the order changed)."""
        if mode not in self._told:
            self._told[mode] = self._tell(mode)
        return self._told[mode]

    def _tell(self, mode: Mode) -> Telling | None:
        old = ABSENT if self.before is None else self.before.document
        new = self.after.document
        if old is ABSENT or new is ABSENT:
            return self.after.tell()
        match mode:
            case "patch":
                return self._smaller("patch", self._proven_patch(old, new))
            case "merge":
                merge = merge_patch(old, new)
                return self._smaller("merge", None if merge is INEXPRESSIBLE else encode(merge))
            case "items":
                return self._as_items(old, new)
            case "snapshot":
                return self.after.tell()
            case _:
                assert_never(mode)

    def _smaller(self, kind: EventKind, data: bytes | None) -> Telling:
        """Tell it like this if it can be told like this and is worth it; otherwise as a whole."""
        return self.after.tell() if data is None or len(data) >= self.after.size else Telling(kind, data)

    def _proven_patch(self, old: Json, new: Json) -> bytes | None:
        self.disproved = not prove(old, self.patch, new)
        return None if self.disproved else encode(self.patch)

    def _as_items(self, old: Json, new: Json) -> Telling | None:
        items = None if self._key is None else items_changes(old, new, key=self._key)
        if items is None:
            return self.after.tell()
        if not (items.created or items.updated or items.deleted):
            return None
        data = {"created": items.created, "updated": items.updated, "deleted": items.deleted}
        return self._smaller("items", encode(data))


def timestamp(at: float) -> str:
    """Return a moment as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
