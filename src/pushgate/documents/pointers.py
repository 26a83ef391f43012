"""
What belongs to the places in a document that JSON Pointers name (RFC 6901, with ``*`` for any member or item).

Rule 1: pointers are compiled into one ``Place`` per step, so that a walk through a document carries its place along
and never matches a pointer against a path.
Rule 2: several pointers may name one place; what they say stands in order, the one with a name instead of a ``*``
last. Where only one thing can hold, it is the last.
Rule 3: a token names a member of an object and, written as a number, an item of an array.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeAlias, TypeVar

from ..values import Json
from .patching import unescape

T = TypeVar("T")

_Path: TypeAlias = "tuple[list[str], T]"


class Place(Generic[T]):
    """
    Where a walk stands, as the pointers see it. ``values``: what is said of the value right here.

    ``named`` and ``other`` lead on: to the members that are named, and to all the others; ``None`` leads nowhere.
    """

    __slots__ = ("named", "other", "values")

    def __init__(self, values: Iterable[T] = (), named: dict[str, Place[T]] | None = None) -> None:
        self.values = tuple(values)
        self.named = named or {}
        self.other: Place[T] | None = None

    def __repr__(self) -> str:
        return f"<Place {self.values} {sorted(self.named)}{' *' if self.other else ''}>"

    @property
    def leads_on(self) -> bool:
        """Whether anything is said of what is inside."""
        return bool(self.named) or self.other is not None

    def tokens(self, members: dict[str, Json]) -> list[str]:
        """Return the names of the members of which something is said, or of what is inside them."""
        return [*members] if self.other is not None else [name for name in self.named if name in members]

    def inner(self, token: str) -> Place[T] | None:
        """Return the place of a member or item; None if nothing is said of it or of what is inside it."""
        return self.named.get(token, self.other)


def place(pairs: Iterable[tuple[str, T]]) -> Place[T]:
    """Return the document's place, from pointers and what they say; the empty pointer is the document itself."""
    return _place([(list(map(unescape, pointer.split("/")[1:])), said) for pointer, said in pairs])


def everywhere(said: T) -> Place[T]:
    """Return a place where, and everywhere inside which, the same is said."""
    here = Place([said])
    here.other = here
    return here


def _place(paths: list[_Path[T]]) -> Place[T]:
    inner = [(tokens, said) for tokens, said in paths if tokens]
    here = Place([said for tokens, said in paths if not tokens])
    anywhere = [(tokens[1:], said) for tokens, said in inner if tokens[0] == "*"]
    here.other = _place(anywhere) if anywhere else None
    for name in {tokens[0]: None for tokens, _ in inner if tokens[0] != "*"}:
        here.named[name] = _place([*anywhere, *((tokens[1:], said) for tokens, said in inner if tokens[0] == name)])
    return here
