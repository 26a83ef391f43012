"""
What stood at one place in each version of a document.

A strand follows one value through all versions: a member by its name, an item by its key where its array has one, else
by its index. Strands at the same place of different items have the same pointer, with ``*`` for the item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ...documents.patching import escape
from ...values import Json
from .keys import Items, Key, find_key, key_values

ANY: Final = "*"
Place: TypeAlias = tuple[str, ...]


class _Missing:
    """Stands where there is nothing; ``None`` would be JSON's null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

# Arrays without a key that are longer are followed no further: nobody ignores their 1,001st item.
_MAX_BY_INDEX = 1_000


@dataclass(frozen=True, slots=True)
class Strand:
    """``path`` has an item's index if it was the same in all versions, and ``*`` if the item moved."""

    path: Place
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Weave:
    """All scalar strands by place, and for each array of objects what is known about its key; ``*`` for any item."""

    leaves: dict[Place, list[Strand]]
    keys: dict[Place, Key]
    lists: set[Place]  # where an array stood
    objects: set[Place]  # where an object stood


def pointer(place: Place) -> str:
    """Return a place as a JSON Pointer, as ``ignore`` understands it."""
    return "".join(f"/{escape(token)}" for token in place)


def weave(documents: Sequence[Json]) -> Weave:
    """Follow every value of the successive versions of a document."""
    result = Weave({}, {}, set(), set())
    waiting: dict[Place, list[Strand]] = {(): [Strand((), tuple(documents))]}
    while waiting:
        place, strands = waiting.popitem()
        if any(_is_scalar(value) for strand in strands for value in strand.values):
            result.leaves[place] = [_only(strand, _is_scalar) for strand in strands]
        waiting.update(_members(result, place, strands))
        items = _items(result, place, strands)
        if items:
            waiting[(*place, ANY)] = items
    return result


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list | _Missing)


def _only(strand: Strand, keep: Any) -> Strand:
    return Strand(strand.path, tuple(value if keep(value) else MISSING for value in strand.values))


def _members(result: Weave, place: Place, strands: list[Strand]) -> dict[Place, list[Strand]]:
    """Return the strands of the members of all objects that stood here."""
    found: dict[Place, list[Strand]] = defaultdict(list)
    for strand in strands:
        objects = [value if isinstance(value, dict) else {} for value in strand.values]
        if any(isinstance(value, dict) for value in strand.values):
            result.objects.add(place)
        for name in dict.fromkeys(name for each in objects for name in each):
            values = tuple(each.get(name, MISSING) for each in objects)
            found[(*place, name)].append(Strand((*strand.path, name), values))
    return found


def _items(result: Weave, place: Place, strands: list[Strand]) -> list[Strand]:
    """Return the strands of the items of all arrays that stood here."""
    arrays = [[value for value in strand.values if isinstance(value, list)] for strand in strands]
    if not any(arrays):
        return []
    result.lists.add(place)
    names = None
    if any(any(history) for history in arrays) and _are_objects(arrays):
        result.keys[place] = key = find_key(arrays)
        names = key.names
    found: list[Strand] = []
    for strand in strands:
        found += _by_index(strand) if names is None else _by_key(strand, names)
    return found


def _are_objects(arrays: list[list[Items]]) -> bool:
    return all(isinstance(item, dict) for history in arrays for items in history for item in items)


def _by_key(strand: Strand, names: tuple[str, ...]) -> list[Strand]:
    found: dict[Hashable, list[Any]] = {}
    places: dict[Hashable, set[int]] = defaultdict(set)
    for version, items in enumerate(strand.values):
        if not isinstance(items, list):
            continue
        for at, value in enumerate(key_values(items, names) or ()):
            found.setdefault(value, [MISSING] * len(strand.values))[version] = items[at]
            places[value].add(at)
    return [
        Strand((*strand.path, ANY if len(places[value]) > 1 else str(min(places[value]))), tuple(values))
        for value, values in found.items()
    ]


def _by_index(strand: Strand) -> list[Strand]:
    """Follow items by index; those of a list of scalars whose length varies mean nothing by it."""
    lengths = {len(value) for value in strand.values if isinstance(value, list)}
    longest = max(lengths, default=0)
    has_objects = any(isinstance(item, dict | list) for value in strand.values
                      if isinstance(value, list) for item in value[:1])  # fmt: skip
    if longest > _MAX_BY_INDEX or (len(lengths) > 1 and not has_objects):
        return []
    token = str if len(lengths) == 1 else lambda at: ANY
    return [
        Strand(
            (*strand.path, token(at)),
            tuple(value[at] if isinstance(value, list) and at < len(value) else MISSING for value in strand.values),
        )
        for at in range(longest)
    ]
