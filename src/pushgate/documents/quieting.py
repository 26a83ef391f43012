"""
Members that are delivered but are no change by themselves: ``quiet``.

Rule 1: documents are compared with the one that was published last, so a slow drift is told once it has gone further
than its tolerance.
Rule 2: a tolerance is a distance between two numbers, itself included, or anything at all; of containers, too.
Rule 3: what comes or goes is a change, and so is an item in another place: only the value of a quiet member is quiet.
Rule 4: numbers are those that are written: 1.1 is 0.1 away from 1.0, though as doubles they are further apart. Formats
that know only text write numbers as text; so two texts that are numbers have a distance, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_UP, Context, Decimal
from typing import Literal, TypeAlias

from ..values import Json
from .equality import same
from .pointers import Place, place

# How far a number may be from the published one; ``any``: whatever it was and is.
Tolerance: TypeAlias = float | Literal["any"]

_is_number = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?").fullmatch
_measure = Context(prec=40, rounding=ROUND_UP).subtract  # a distance may look greater than it is, never smaller


class Quiet:
    """The quiet members of a route's documents: pointers, ``*`` for any, each with its tolerance."""

    __slots__ = ("root",)

    def __init__(self, rules: Mapping[str, Tolerance]) -> None:
        self.root: Place[Tolerance] | None = place(rules.items()) if rules else None

    def hides(self, published: Json, document: Json) -> bool:
        """Tell whether two different documents differ in nothing but quiet members, and by no more than they may."""
        return self.root is not None and _is_alike(published, document, self.root)


NO_QUIET = Quiet({})


def is_within(old: Json, new: Json, tolerance: Tolerance) -> bool:
    """Tell whether a value is as near to the old one as it may be and quiet."""
    if tolerance == "any":
        return True
    if isinstance(old, str) is not isinstance(new, str):
        return False
    before, after = _number(old), _number(new)
    return before is not None and after is not None and abs(_measure(before, after)) <= Decimal(repr(tolerance))


def _number(value: Json) -> Decimal | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, str) and _is_number(value) else None


def _is_alike(old: Json, new: Json, here: Place[Tolerance] | None) -> bool:
    if old is new:
        return True
    if here is None:
        return same(old, new)
    if here.values and is_within(old, new, here.values[-1]):
        return True
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_is_alike(old[name], new[name], here.inner(name)) for name in new)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(
            _is_alike(old[at], item, here.inner(str(at))) for at, item in enumerate(new)
        )
    return same(old, new)
