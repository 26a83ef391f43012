"""
Which members tell the items of an array apart.

Rule 1: a plain name, or a compound key of several, applies to every array at any depth; keys given for pointers apply
to the arrays at these pointers and to no other.
Rule 2: an array has keys if all its items are objects with these members, all scalar, and no two items have the same.
Rule 3: keys are equal as JSON values are: ``1`` and ``1.0`` are one key, ``1``, ``"1"`` and ``true`` are three.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeAlias

from ..values import Json
from .patching import escape
from .pointers import Place, everywhere, place

# The name of a member, or the names of several that make the key together.
Key: TypeAlias = "str | tuple[str, ...]"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a document's arrays. ``root`` is where a walk through the document begins; None if there are none."""

    anywhere: Key | None = None
    at: tuple[tuple[str, Key], ...] = ()
    root: Place[Key] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        root = place(self.at) if self.at else None if self.anywhere is None else everywhere(self.anywhere)
        object.__setattr__(self, "root", root)

    def __reduce__(self) -> tuple[Any, ...]:
        return Keys, (self.anywhere, self.at)

    @classmethod
    def of(cls, key: Key | Mapping[str, Key] | None) -> Keys:
        """Read the value of ``key:``: a name, the names of a compound key, or one of these for each array's pointer."""
        if isinstance(key, Mapping):
            return cls(at=tuple(key.items()))
        return cls(key)

    @property
    def of_document(self) -> Key | None:
        """The key of the document itself, if that is an array."""
        return key_at(self.root)


NO_KEYS = Keys()


def key_at(here: Place[Key] | None) -> Key | None:
    """Return the key of an array at a place; None if it has none."""
    return here.values[-1] if here is not None and here.values else None


def keys_of(array: list[Any], key: Key) -> list[Hashable] | None:
    """Return the key of every item, or ``None`` unless all are objects that have it, scalar and unique."""
    try:
        if isinstance(key, str):
            keys, distinct = _column(array, key)
        else:
            keys = [*zip(*(_column(array, name)[0] for name in key), strict=True)]
            distinct = len(set(keys))
    except (KeyError, TypeError):  # no such member; not an object, or the member not a scalar
        return None
    return keys if distinct == len(keys) else None


def _column(array: list[Any], name: str) -> tuple[list[Hashable], int]:
    """Return a member of every item, and how many different ones there are."""
    values: list[Hashable] = list(map(itemgetter(name), array))  # nothing but an object has a member by name
    unique = set(values)
    if True in unique or False in unique:  # or 1, or 0, which Python takes for them
        values = [(value,) if isinstance(value, bool) else value for value in values]
        unique = set(values)
    return values, len(unique)


def key_value(item: Any, key: Key) -> Json:
    """Return the key of an item that has it, as JSON: a scalar, or an array for a compound key."""
    return item[key] if isinstance(key, str) else [item[name] for name in key]


def lacks_keys(array: list[Json], key: Key, keys: Keys) -> bool:
    """Tell of an array without usable keys whether it should have them: pointers mean it, a name means objects."""
    return bool(keys.at and array) or any(isinstance(item, dict) for item in array)


def keyless_arrays(document: Json, keys: Keys) -> Iterator[str]:
    """Yield the pointers of the arrays that should have keys and have none: they are compared by index."""
    if keys.root is not None:
        yield from _keyless("", document, keys.root, keys)


def _keyless(path: str, value: Json, here: Place[Key], keys: Keys) -> Iterator[str]:
    if isinstance(value, dict):
        members = [(escape(name), name, member) for name, member in value.items()]
    elif isinstance(value, list):
        members = [(str(at), str(at), item) for at, item in enumerate(value)]
        key = key_at(here)
        if key is not None and keys_of(value, key) is None and lacks_keys(value, key, keys):
            yield path
    else:
        return
    for token, name, member in members:
        inner = here.inner(name)
        if inner is not None and isinstance(member, dict | list):
            yield from _keyless(f"{path}/{token}", member, inner, keys)
