"""
Is this document plausible, or must the next poll confirm it? Real backends lie with status 200.

Rule 1: a document is judged by the one that was accepted last; where there was none, or the upstream said that it does
not exist, nothing is in doubt.
Rule 2: ``empty`` (null, [], {}, "") is judged first and alone: nothing has neither a type nor items to lose. Then
``type``, then ``shrink``.
Rule 3: ``type`` and ``shrink`` look at the document and at its keyed arrays: with keys for pointers at those, with a
key for all at those that are reached through objects. Numbers are one type; what was null had none, and what was an
empty array may have been an empty object as well: some backends cannot tell them apart.
Rule 4: a keyed array has lost the items whose keys are gone, any other as many as it is shorter. One that is itself
gone has lost them all. Losses count from 10 items up.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..values import ABSENT, Document, Json
from .keys import Key, Keys, key_at, keys_of
from .patching import escape
from .pointers import Place

Guard = Literal["empty", "type", "shrink"]
Verdict = Literal["confirm", "accept", "reject"]

_MANY = 10  # items from which a loss says something
_TABLE = 64  # members above which an object is a table: what is in its rows is looked at no more than in items
_CONTAINERS = frozenset({dict, list})
_MISSING: Any = object()


class Shrink(Protocol):
    """How large a part of the items may be gone: ``by`` is a fraction, and no longer plausible itself."""

    @property
    def by(self) -> float: ...
    @property
    def then(self) -> Verdict: ...


class Guards(Protocol):
    """What is to be done about documents that are hard to believe; no ``shrink`` believes any loss."""

    @property
    def empty(self) -> Verdict: ...
    @property
    def type(self) -> Verdict: ...
    @property
    def shrink(self) -> Shrink | None: ...


@dataclass(frozen=True, slots=True)
class Doubt:
    """Which guard a document fails, what to do about it, and what is wrong, for people."""

    guard: Guard
    verdict: Literal["confirm", "reject"]
    detail: str


def doubt(accepted: Document, document: Json, *, guards: Guards, keys: Keys) -> Doubt | None:
    """Return what makes a document hard to believe after the one that was accepted last; None: nothing."""
    if accepted is ABSENT:
        return None
    if _is_empty(document):
        what = f"{_kind(document, 'empty ')}, where there was {_kind(accepted)}{_size(accepted)}"
        return None if _is_empty(accepted) else _doubt("empty", guards.empty, what)
    arrays = [*_arrays("", accepted, document, keys.root, is_by_pointer=bool(keys.at))]
    shrink = guards.shrink
    found = None if guards.type == "accept" else _doubt("type", guards.type, _flip(accepted, document, arrays))
    if found is not None or shrink is None or shrink.then == "accept":
        return found
    return _doubt("shrink", shrink.then, next(filter(None, (_loss(array, shrink.by) for array in arrays)), None))


def _doubt(guard: Guard, verdict: Verdict, detail: str | None) -> Doubt | None:
    return None if verdict == "accept" or detail is None else Doubt(guard, verdict, detail)


def _is_empty(document: Json) -> bool:
    return document is None or (isinstance(document, str | list | dict) and not document)


def _size(value: Json) -> str:
    return f" of {len(value)}" if isinstance(value, dict | list) else ""


def _kind(value: Json, quality: str = "") -> str:
    """Name the JSON type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return f"an {quality}string" if quality else "a string"
    return f"an {quality}array" if isinstance(value, list) else f"an {quality}object"


@dataclass(frozen=True, slots=True)
class _Array:
    """An array of the accepted document that is judged: ``new`` stands in its place now, or is ``_MISSING``."""

    path: str
    old: list[Json]
    new: Any
    key: Key | None

    @property
    def where(self) -> str:
        return f"at {self.path}: " if self.path else ""


def _arrays(path: str, old: Json, new: Json, here: Place[Key] | None, *, is_by_pointer: bool) -> Iterator[_Array]:
    """Yield the document, if it was an array, and the arrays at places with keys, whether or not they have any."""
    key = key_at(here)
    if isinstance(old, list) and (key is not None or not path):
        yield _Array(path, old, new, key)
    if here is None or not here.leads_on:
        return
    if isinstance(old, dict):
        if len(old) > _TABLE and not is_by_pointer:
            return
        members = new if isinstance(new, dict) else {}
        pairs = [(name, old[name], members.get(name, _MISSING)) for name in here.tokens(old)]
    else:
        pairs = [*_pairs(old, new, key)] if is_by_pointer else []
    for name, before, after in pairs:
        if type(before) in _CONTAINERS and before is not after:
            step = f"{path}/{escape(name)}"
            yield from _arrays(step, before, after, here.inner(name), is_by_pointer=is_by_pointer)


def _pairs(old: Json, new: Json, key: Key | None) -> Iterator[tuple[str, Json, Json]]:
    """Yield the items that are in both arrays, and their old indexes: by key, or by index if there are as many."""
    if not isinstance(old, list) or not isinstance(new, list):
        return
    old_keys, new_keys = (keys_of(old, key), keys_of(new, key)) if key is not None else (None, None)
    if old_keys is not None and new_keys is not None:
        found = dict(zip(new_keys, new, strict=True))
        yield from ((str(at), old[at], found[name]) for at, name in enumerate(old_keys) if name in found)
    elif len(old) == len(new):
        yield from ((str(at), old[at], item) for at, item in enumerate(new))


def _flip(accepted: Json, document: Json, arrays: list[_Array]) -> str | None:
    """Say where a value has another type than before."""
    if _has_flipped(accepted, document):
        return f"{_kind(document)}, where there was {_kind(accepted)}"
    for array in arrays:
        has_flipped = array.new is not _MISSING and _has_flipped(array.old, array.new)
        if has_flipped and array.key is not None and keys_of(array.old, array.key) is not None:
            return f"{array.where}{_kind(array.new)}, where there was an array"
    return None


def _has_flipped(old: Json, new: Json) -> bool:
    if old is None or (not old and isinstance(old, dict | list) and isinstance(new, dict | list)):
        return False
    return _kind(old) != _kind(new)


def _loss(array: _Array, by: float) -> str | None:
    """Say how little is left of an array that lost at least this part of its items."""
    names = None if len(array.old) < _MANY or array.key is None else keys_of(array.old, array.key)
    if len(array.old) < _MANY or (names is None and array.path):
        return None
    lost = _count_lost(array, names)
    if lost == 0 or lost / len(array.old) < by:
        return None
    return f"{array.where}{len(array.old) - lost} of {len(array.old)} items are left"


def _count_lost(array: _Array, old_keys: list[Hashable] | None) -> int:
    if not isinstance(array.new, list):
        return len(array.old)
    new_keys = None if old_keys is None or array.key is None else keys_of(array.new, array.key)
    if old_keys is None or new_keys is None:
        return max(0, len(array.old) - len(array.new))
    return len(set(old_keys).difference(new_keys))
