"""
Two successive documents and what lies between them: as a patch, as a merge patch, as changed items.

Rules:

- Equality is that of ``equality.py``; an order of keys is no change.
- The new document keeps every subtree that did not change as the old one's own object. So versions share what they
  have in common, and the next comparison of it is a comparison of identities.
- Items of an array that has keys (``keys.py``) in both versions are found by their keys, wherever they went. An array
  that should have keys and has none is diffed by index, counted and named.
- A container is replaced as a whole where that is shorter than an operation for much of what it holds. A large array
  is so, too, where a sample of its items says that telling them apart would take nearly as many bytes.
- Every patch is meant to be proven by ``prove`` before it is sent: nothing here is trusted.

Measured with ``bench/diff.py``, as multiples of parsing the body (5,000 nested rows, 0.9 MB): 1.4 for 50 edits, 0.4
more if rows also came, went and moved, 0.1 for the proof; jsonpatch takes 30. Three quarters of it is reading both
documents once, out of the cache; looking up the keys is a fifth.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from operator import is_not
from typing import Any, Final, TypeAlias

from msgspec.json import Encoder

from ..values import Json
from .alignment import Origins, by_content, by_key, rearrange
from .equality import same, unlike
from .keys import NO_KEYS, Key, Keys, key_at, key_value, keys_of, lacks_keys
from .patching import Operation, PatchFailed, apply_merge, apply_patch, escape
from .pointers import Place

_encode = Encoder().encode

_NAMED = 5  # arrays without keys that are named; more are only counted
_LARGE = 64  # members from which an object's values are judged together before they are looked at one by one
_SAMPLE = 16  # items of a large array that are compared first
_UPHEAVAL = 0.6  # of an array's bytes: operations that take more are not worth making, proving and applying
_SCALARS = frozenset({str, int, float, bool})  # of one type, Python's == is JSON's
_CONTAINERS = frozenset({dict, list})
_MISSING: Any = object()

_Here: TypeAlias = "Place[Key] | None"  # where the walk stands, as the keys see it


@dataclass(frozen=True, slots=True)
class Difference:
    """
    What one comparison found.

    ``document`` is the new document, sharing with the old one whatever is the same; ``patch`` leads from the old one
    to it; ``keyless`` names the first five changed arrays in which keys were missing or not unique, by their pointers
    in the new document, and ``keyless_count`` counts them all.
    """

    document: Json
    patch: list[Operation]
    keyless: tuple[str, ...] = ()
    keyless_count: int = 0


@dataclass(frozen=True, slots=True)
class Items:
    """The change of an array of uniquely keyed items, as a set: the order of items is not part of it."""

    created: list[Json]
    updated: list[Json]
    deleted: list[Json]


class Inexpressible(Enum):
    """The one answer of ``merge_patch`` that is not a patch; ``None`` would be one."""

    INEXPRESSIBLE = "RFC 7396 has no words for this change"


INEXPRESSIBLE: Final = Inexpressible.INEXPRESSIBLE


def compare(old: Json, new: Json, *, keys: Keys = NO_KEYS) -> Difference | None:
    """
    Return the difference, or ``None`` if the documents are the same.

    Neither is changed. Both are nested at most 200 levels deep. The values of the patch are parts of the new document:
    they are there to be encoded, not to be written to.
    """
    comparison = _Comparison(keys)
    document = comparison.settle("", old, new, keys.root)
    return comparison.difference(document) if comparison.patch else None


def prove(old: Json, patch: list[Operation], new: Json) -> bool:
    """Tell whether the patch leads from ``old`` to ``new``."""
    try:
        return same(apply_patch(old, patch), new)
    except PatchFailed:
        return False


def merge_patch(old: Json, new: Json) -> Json | Inexpressible:
    """
    Return the merge patch (RFC 7396) from one object to another, or ``INEXPRESSIBLE``.

    It has no words for a member that becomes ``null``, and for anything but two objects it would be the new document
    itself. What comes out was proven by applying it.
    """
    if not isinstance(old, dict) or not isinstance(new, dict):
        return INEXPRESSIBLE
    patch = _merge(old, new)
    return patch if same(apply_merge(old, patch), new) else INEXPRESSIBLE


def items_changes(old: Json, new: Json, *, keys: Keys) -> Items | None:
    """
    Return what became of the items, or ``None`` unless both documents are arrays of uniquely keyed items.

    ``deleted`` has the keys of the items that are gone: scalars, or arrays where the key is a compound one.
    """
    key = keys.of_document
    if key is None or not isinstance(old, list) or not isinstance(new, list):
        return None
    old_keys, new_keys = keys_of(old, key), keys_of(new, key)
    if old_keys is None or new_keys is None:
        return None
    before: dict[Hashable, Json] = dict(zip(old_keys, old, strict=True))
    after: dict[Hashable, Json] = dict(zip(new_keys, new, strict=True))
    return Items(
        created=[item for name, item in after.items() if name not in before],
        updated=[item for name, item in after.items() if name in before and not same(before[name], item)],
        deleted=[key_value(item, key) for name, item in before.items() if name not in after],
    )


def _merge(old: dict[str, Json], new: dict[str, Json]) -> dict[str, Json]:
    """Return the only merge patch that can work, whether or not it does."""
    patch: dict[str, Json] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if name in old and same(before, value):
            continue
        patch[name] = _merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return patch


class _Comparison:
    """One walk over two documents, collecting the patch."""

    __slots__ = ("keyless", "keyless_count", "keys", "patch")

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.keyless: list[str] = []
        self.keyless_count = 0
        self.patch: list[Operation] = []

    def difference(self, document: Json) -> Difference:
        return Difference(document, self.patch, tuple(self.keyless), self.keyless_count)

    def settle(self, path: str, old: Json, new: Json, here: _Here) -> Json:
        """Write down what leads from ``old`` to ``new`` and return ``new`` as it is kept."""
        if old is new:
            return old
        if isinstance(old, dict) and isinstance(new, dict):
            return self.object(path, old, new, here)
        if isinstance(old, list) and isinstance(new, list):
            return self.array(path, old, new, here)
        if same(old, new):
            return old
        self.patch.append({"op": "replace", "path": path, "value": new})
        return new

    def object(self, path: str, old: dict[str, Json], new: dict[str, Json], here: _Here) -> Json:
        begin = len(self.patch)
        self.patch += [{"op": "remove", "path": f"{path}/{escape(name)}"} for name in old if name not in new]
        settled = self.shared(old, new) if len(new) >= _LARGE else dict(new)
        for name, value in settled.items():
            before = old.get(name, _MISSING)
            if type(before) is type(value) and type(value) in _SCALARS and before == value:
                settled[name] = before
            elif before is _MISSING:
                self.patch.append({"op": "add", "path": f"{path}/{escape(name)}", "value": value})
            else:
                inner = None if here is None else here.inner(name)
                settled[name] = self.settle(f"{path}/{escape(name)}", before, value, inner)
        if len(self.patch) == begin:
            return old
        self.shorten(begin, path, settled, settled.values())
        return settled

    def shared(self, old: dict[str, Json], new: dict[str, Json]) -> dict[str, Json]:
        """Return ``new`` with most of the same members taken from ``old``: many are faster judged together."""
        names = [name for name in new if name in old]
        olds, news = [old[name] for name in names], [new[name] for name in names]
        settled = new | dict(zip(names, olds, strict=True))
        settled.update((names[at], news[at]) for at in unlike(olds, news))
        return settled

    def array(self, path: str, old: list[Json], new: list[Json], here: _Here) -> Json:
        begin = len(self.patch)
        origins, is_keyless = self.align(old, new, key_at(here))
        settled = [item if origin is None else old[origin] for item, origin in zip(new, origins, strict=True)]
        if len(new) >= _LARGE and self.is_upheaval(settled, new, here):
            if is_keyless:
                self.note_keyless(path)
            self.patch.append({"op": "replace", "path": path, "value": new})
            return new
        if len(old) != len(new) or any(map(is_not, settled, old)):
            self.patch += rearrange(path, origins, len(old), new)
        is_rearranged = len(self.patch) - begin > len(new)
        for at in unlike(settled, new):
            inner = None if here is None else here.inner(str(at))
            settled[at] = self.settle(f"{path}/{at}", settled[at], new[at], inner)
        if len(self.patch) == begin:
            return old
        if is_keyless:
            self.note_keyless(path)
        self.shorten(begin, path, settled, [] if is_rearranged else settled)
        return settled

    def is_upheaval(self, olds: list[Json], news: list[Json], here: _Here) -> bool:
        """Estimate from a few items whether nearly all of an array has to be told; ``olds``: what each was before."""
        step = len(news) // _SAMPLE
        sample = range(step // 2, len(news), step)
        if sum(old is new or old == new for old, new in ((olds[at], news[at]) for at in sample)) * 2 > len(sample):
            return False
        trial = _Comparison(self.keys)
        for at in sample:
            trial.settle(f"/{at}", olds[at], news[at], None if here is None else here.inner(str(at)))
        size = len(_encode([news[at] for at in sample]))
        return len(_encode(trial.patch)) > size * _UPHEAVAL

    def shorten(self, begin: int, path: str, settled: Json, members: Iterable[Json]) -> None:
        """Replace a flat container as a whole, if that takes fewer bytes than the operations written for it."""
        if len(self.patch) - begin > 1 and _CONTAINERS.isdisjoint(map(type, members)):
            whole: Operation = {"op": "replace", "path": path, "value": settled}
            if len(_encode(whole)) < len(_encode(self.patch[begin:])):
                self.patch[begin:] = [whole]

    def align(self, old: list[Json], new: list[Json], key: Key | None) -> tuple[Origins, bool]:
        """Align by key, else by content; tell whether these items should have had keys."""
        if key is None:
            return by_content(old, new), False
        old_keys, new_keys = keys_of(old, key), keys_of(new, key)
        if old_keys is not None and new_keys is not None:
            return by_key(old_keys, new_keys), False
        return by_content(old, new), lacks_keys(new, key, self.keys)

    def note_keyless(self, path: str) -> None:
        self.keyless_count += 1
        if len(self.keyless) < _NAMED:
            self.keyless.append(path)
