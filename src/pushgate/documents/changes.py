"""
A change, and how it is told in each mode.

Rule 1: a change lies between two versions of a topic's document and has the number of the later one.
Rule 2: it is told as its mode asks only if that is smaller than the whole document; otherwise as a snapshot.
Rule 3: nothing is told that was not proven by applying it. What fails its proof goes out as a snapshot and is marked.
Rule 4: each telling is encoded at most once, however many clients get it.
Rule 5: a big document is sealed: it was read, compared and proven elsewhere, and is only its bytes here. What was told
of its changes there can be told here, and everything else as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pickle import PickleBuffer
from typing import Any, Literal, SupportsIndex, assert_never

import msgspec

from ..packing import MIN_BYTES, Parcel
from ..values import ABSENT, UNREAD, Document, EventKind, Json, Mode, Unread
from .diffing import INEXPRESSIBLE, compare, items_changes, merge_patch, prove
from .equality import canonical, fingerprint
from .keys import Keys
from .patching import Operation

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Telling:
    """
    What a change is in one mode: the kind of event and its data, JSON in UTF-8.

    ``parcel``: the data as it is compressed once for all who are told it; None: it is too little for that.
    """

    kind: EventKind
    data: bytes
    parcel: Parcel | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, kind: EventKind, data: bytes) -> Telling:
        """Return a telling whose data may be worth to be compressed."""
        return cls(kind, data, Parcel(data) if len(data) >= MIN_BYTES else None)


@dataclass(frozen=True, slots=True)
class Sealed:
    """
    A document as another process made it, to be passed on and not to be looked into.

    ``told``: the change that led to it, in those modes in which it is told otherwise than as a whole; None: it has
    nothing to say there. ``disproved``: its patch failed the proof. ``deflated``: the snapshot once more, compressed.
    """

    snapshot: bytes = field(repr=False)
    digest: str
    size: int
    told: Mapping[Mode, Telling | None] = field(default_factory=dict)
    disproved: bool = False
    deflated: bytes | None = field(default=None, repr=False)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Leave the bytes of the document out of the pickle, if it is one that can (PEP 574)."""
        snapshot, deflated = PickleBuffer(self.snapshot), None if self.deflated is None else PickleBuffer(self.deflated)
        return Sealed, (snapshot, self.digest, self.size, self.told, self.disproved, deflated)


class Version:
    """A topic's document as it was from one change to the next."""

    __slots__ = ("_document", "_parcel", "at", "digest", "is_end", "number", "size")

    def __init__(self, number: int, *, at: float, document: Document | Sealed) -> None:
        self.number = number
        self.at = at  # when the answer was read, seconds since the epoch
        self.is_end = False  # nothing follows
        self._document: Document | Literal[Unread.UNREAD]
        self._parcel: Parcel | None  # the snapshot, encoded when first needed; dropped with ``forget_snapshot``
        # The digest is equal for equal documents, here and in every other process; the size is that of a snapshot in
        # bytes, to within the order of its keys.
        if isinstance(document, Sealed):
            self._document, self._parcel = UNREAD, Parcel(document.snapshot, document.deflated)
            self.digest, self.size = document.digest, document.size
        else:
            text = b"" if document is ABSENT else canonical(document)
            self._document, self._parcel = document, None
            self.digest, self.size = fingerprint(text), len(text)

    def ended(self, number: int, *, at: float) -> Version:
        """Return the version after this one, which says that there will be no other: the same document."""
        end = object.__new__(Version)
        end.number, end.at, end.is_end = number, at, True
        end._document, end.digest, end.size, end._parcel = self._document, self.digest, self.size, self._parcel
        return end

    def __repr__(self) -> str:
        return f"<Version {self.number} {self.digest} {self.size} bytes>"

    @property
    def is_absent(self) -> bool:
        """Whether the upstream said that there is no document."""
        return self._document is ABSENT

    @property
    def is_sealed(self) -> bool:
        """Whether there is nothing but bytes, if those."""
        return self._document is UNREAD

    @property
    def document(self) -> Document:
        """The document itself. A sealed one is opened for good, which takes as long as to parse it."""
        document = self._document
        if document is UNREAD:
            document = self._document = _decode(self.snapshot)
        return document

    @property
    def snapshot(self) -> bytes:
        """The whole document as JSON; the keys keep the order that the upstream gave them."""
        return self.parcel.data

    @property
    def parcel(self) -> Parcel:
        """The same as it is compressed once for all who get it."""
        if self._parcel is None:
            assert self._document is not UNREAD, "the bytes of a sealed document are forgotten when it is succeeded"
            self._parcel = Parcel(encode(self._document))
        return self._parcel

    def forget_snapshot(self) -> None:
        self._parcel = None

    @property
    def can_tell(self) -> bool:
        """Whether the document is still here, in whatever form."""
        return self._parcel is not None or not self.is_sealed

    def tell(self) -> Telling:
        """Tell somebody who knows nothing yet."""
        if self.is_absent:
            return Telling("gone", encode({"at": timestamp(self.at)}))
        parcel = self.parcel
        return Telling("snapshot", parcel.data, parcel)


class Change:
    """The step from one version to a later one; usually the next, but a catch-up may span several."""

    __slots__ = ("_keys", "_told", "after", "before", "disproved", "is_sealed", "patch")

    def __init__(self, before: Version | None, after: Version, *, patch: list[Operation], keys: Keys) -> None:
        self.before = before
        self.after = after
        self.patch = patch
        self.disproved = False  # a patch did not prove itself: pushgate's own bug, counted and told as a snapshot
        # Whether nothing can be found out about it here that was not told elsewhere.
        self.is_sealed = after.is_sealed or (before is not None and before.is_sealed)
        self._keys = keys
        self._told: dict[Mode, Telling | None] = {}

    @classmethod
    def sealed(cls, before: Version | None, after: Version, *, by: Sealed, keys: Keys) -> Change:
        """Take over a change that was made where its document was."""
        change = cls(before, after, patch=[], keys=keys)
        change.disproved = by.disproved
        change._told.update(by.told)
        return change

    @classmethod
    def between(cls, before: Version, after: Version, *, keys: Keys) -> Change:
        """Combine all that happened between two versions into one change."""
        change = cls(before, after, patch=[], keys=keys)
        if change.is_sealed:
            return change
        old, new = before.document, after.document
        if old is not ABSENT and new is not ABSENT and (difference := compare(old, new, keys=keys)) is not None:
            change.patch = difference.patch
        return change

    def __repr__(self) -> str:
        return f"<Change {self.before and self.before.number} → {self.after.number}>"

    def can_tell(self, mode: Mode) -> bool:
        """Whether it can still be told in this mode, if only as a whole."""
        return mode in self._told or not self.is_sealed or self.after.can_tell

    @property
    def weight(self) -> int:
        """About how many bytes it costs to remember this change."""
        if self.is_sealed:
            return sum(len(telling.data) for telling in self._told.values() if telling is not None)
        telling = self.tell("patch")
        assert telling is not None, "a patch always has something to say"
        return len(telling.data)

    def tell(self, mode: Mode) -> Telling | None:
        """Return the change in a mode; None if there is nothing to tell in it (``items``: only the order changed)."""
        if mode in self._told:
            return self._told[mode]
        if self.after.is_end and self.before is not None and self.before.digest == self.after.digest:
            return Telling("end", encode({"at": timestamp(self.after.at)}))
        if self.is_sealed:
            return self.after.tell()  # and do not remember it: what is big is kept once
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
        return self.after.tell() if data is None or len(data) >= self.after.size else Telling.of(kind, data)

    def _proven_patch(self, old: Json, new: Json) -> bytes | None:
        self.disproved = not prove(old, self.patch, new)
        return None if self.disproved else encode(self.patch)

    def _as_items(self, old: Json, new: Json) -> Telling | None:
        items = items_changes(old, new, keys=self._keys)
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
