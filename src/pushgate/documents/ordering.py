"""
Arrays whose order means nothing: ``unordered``.

Rule 1: a new document is arranged like the published one before they are compared. What is in both stands where it
stood; newcomers follow at the end, in the upstream's order. So an order that merely changed is no change, the digest
stays, and a patch tells what came and went.
Rule 2: what is in both is told by the key, if the array has keys; otherwise by being equal, as often as it occurs,
where neither the order of unordered arrays inside nor, if nothing equal is left, a quiet member makes a difference.
Rule 3: nothing is changed in place; a document has the same items before and after.

By key it costs little, by content up to four times as much as parsing: items that are not where they were are encoded.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec.json import Encoder

from ..values import Json
from .alignment import Origins, by_content, by_key
from .equality import canonical, unlike
from .keys import NO_KEYS, Key, Keys, key_at, keys_of
from .pointers import Place, place
from .quieting import NO_QUIET, Quiet, Tolerance

_encode = Encoder().encode


class Unordered:
    """The unordered arrays of a route's documents: pointers, ``*`` for any; the empty one is the document itself."""

    __slots__ = ("_root",)

    def __init__(self, pointers: Sequence[str], *, keys: Keys = NO_KEYS, quiet: Quiet = NO_QUIET) -> None:
        order = place((pointer, True) for pointer in pointers) if pointers else None
        self._root = _Here(order, keys.root, quiet.root)

    def arrange(self, published: Json, document: Json) -> Json:
        """Return the document in the order of the published one, where order means nothing."""
        return _arrange(published, document, self._root)


@dataclass(frozen=True, slots=True)
class _Here:
    """Where a walk stands, as the pointers of ``unordered``, ``key`` and ``quiet`` see it."""

    order: Place[bool] | None
    keys: Place[Key] | None
    quiet: Place[Tolerance] | None

    @property
    def is_unordered(self) -> bool:
        return self.order is not None and bool(self.order.values)

    @property
    def is_quiet(self) -> bool:
        return self.quiet is not None and bool(self.quiet.values)

    def inner(self, token: str) -> _Here:
        return _Here(
            None if self.order is None else self.order.inner(token),
            None if self.keys is None else self.keys.inner(token),
            None if self.quiet is None else self.quiet.inner(token),
        )


def _arrange(old: Json, new: Json, here: _Here) -> Json:
    if old is new or here.order is None:
        return new
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in here.order.tokens(new) if name in old]
        return new | {name: _arrange(old[name], new[name], here.inner(name)) for name in names}
    if isinstance(old, list) and isinstance(new, list):
        return _arrange_array(old, new, here, leads_on=here.order.leads_on)
    return new


def _arrange_array(old: list[Json], new: list[Json], here: _Here, *, leads_on: bool) -> list[Json]:
    origins = _align(old, new, here)
    places = list(range(len(new)))
    if here.is_unordered:
        places.sort(key=lambda at: len(old) if (origin := origins[at]) is None else origin)
    if not leads_on:
        return [new[at] for at in places]
    return [
        new[at] if (origin := origins[at]) is None else _arrange(old[origin], new[at], here.inner(str(index)))
        for index, at in enumerate(places)
    ]


def _align(old: list[Json], new: list[Json], here: _Here) -> Origins:
    key = key_at(here.keys)
    if key is not None:
        old_keys, new_keys = keys_of(old, key), keys_of(new, key)
        if old_keys is not None and new_keys is not None:
            return by_key(old_keys, new_keys)
    if here.is_unordered:
        return _by_equality(old, new, here)
    contents = [
        [_content(item, here=here.inner(str(at))).decode() for at, item in enumerate(array)] for array in (old, new)
    ]
    return by_content([*contents[0]], [*contents[1]])


def _by_equality(old: list[Json], new: list[Json], here: _Here) -> Origins:
    """Pair every item with one that it equals: one in the same place, one of the same bytes, or at last any."""
    shorter = min(len(old), len(new))
    origins: Origins = [*range(shorter), *[None] * (len(new) - shorter)]
    for at in unlike(old[:shorter], new[:shorter]):
        origins[at] = None
    inner = here.inner("*")  # where order means nothing, an index does not either
    _pair_leftovers(old, new, origins, _encode)  # different bytes prove nothing, but the same bytes do
    _pair_leftovers(old, new, origins, partial(_content, here=inner))
    if inner.quiet is not None:
        _pair_leftovers(old, new, origins, partial(_content, here=inner, is_quiet_out=True))
    return origins


def _pair_leftovers(old: list[Json], new: list[Json], origins: Origins, name: Callable[[Json], bytes]) -> None:
    """Pair those items that have no partner yet with one that has the same name."""
    newcomers = [at for at, origin in enumerate(origins) if origin is None]
    if not newcomers:
        return
    waiting: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for at in sorted(set(range(len(old))).difference(origins)):
        waiting[name(old[at])].append(at)
    for at in newcomers:
        if same_as := waiting.get(name(new[at])):
            origins[at] = same_as.popleft()


def _content(item: Json, *, here: _Here, is_quiet_out: bool = False) -> bytes:
    """Encode an item so that those which differ only in what means nothing become the same bytes."""
    return canonical(_meaning(item, here, is_quiet_out=is_quiet_out))


def _meaning(value: Json, here: _Here, *, is_quiet_out: bool) -> Json:
    """Return a value with its unordered arrays sorted and, if they are left out, null for its quiet members."""
    if is_quiet_out and here.is_quiet:
        return None
    if here.order is None and not (is_quiet_out and here.quiet is not None):
        return value
    if isinstance(value, dict):
        return {name: _meaning(inner, here.inner(name), is_quiet_out=is_quiet_out) for name, inner in value.items()}
    if isinstance(value, list):
        items = [_meaning(item, here.inner(str(at)), is_quiet_out=is_quiet_out) for at, item in enumerate(value)]
        return sorted(items, key=canonical) if here.is_unordered else items
    return value
