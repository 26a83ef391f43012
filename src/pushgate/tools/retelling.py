"""
What a change changed, told to people: where, what was there before, and what is there now.

Rule 1: items of an array with a key are named by it, whatever their position: ``rows[R7].platform``.
Rule 2: what was added or removed is told as a whole, and what was changed by the innermost value that differs.
Rule 3: no line is long, and there are not many of them; what is left out is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Literal

import msgspec

from ..documents.equality import same
from ..documents.keys import Key, Keys, key_at, key_value, keys_of
from ..documents.pointers import Place
from ..values import ABSENT, Document, Json
from .narration import preview

# So many differences of one change are told; more are counted, up to a number at which nobody reads on.
TOLD, COUNTED = 24, 1000

_PLAIN = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; ``was`` and ``now`` as JSON, cut. ``where``: empty for the document itself."""

    kind: Literal["added", "removed", "changed", "moved"]
    where: str
    was: str | None = None
    now: str | None = None


@dataclass(frozen=True, slots=True)
class Retelling:
    """The first differences, and how many more there are, as far as they were counted."""

    told: tuple[Difference, ...]
    more: int


def retell(before: Document, after: Document, keys: Keys) -> Retelling:
    """Say in what a document differs from the one before."""
    if before is ABSENT or after is ABSENT:
        found: Iterator[Difference] = _one("", before, after)
    else:
        found = _between("", before, after, keys.root)
    told = tuple(islice(found, TOLD))
    return Retelling(told, sum(1 for _ in islice(found, COUNTED)))


def _between(where: str, was: Json, now: Json, here: Place[Key] | None) -> Iterator[Difference]:
    if was is now or same(was, now):
        return
    if isinstance(was, dict) and isinstance(now, dict):
        yield from _members(where, was, now, here)
    elif isinstance(was, list) and isinstance(now, list):
        yield from _items(where, was, now, here)
    else:
        yield Difference("changed", where, preview(was), preview(now))


def _members(where: str, was: dict[str, Json], now: dict[str, Json], here: Place[Key] | None) -> Iterator[Difference]:
    for name in {**was, **now}:
        step = _member(where, name)
        if name in was and name in now:
            yield from _between(step, was[name], now[name], None if here is None else here.inner(name))
        else:
            yield from _one(step, was.get(name, ABSENT), now.get(name, ABSENT))


def _items(where: str, was: list[Json], now: list[Json], here: Place[Key] | None) -> Iterator[Difference]:
    key = key_at(here)
    before, after = (None, None) if key is None else (keys_of(was, key), keys_of(now, key))
    if key is None or before is None or after is None:
        for at, (old, new) in enumerate(zip_longest(was, now, fillvalue=ABSENT)):
            step = f"{where}[{at}]"
            if old is ABSENT or new is ABSENT:
                yield from _one(step, old, new)
            else:
                yield from _between(step, old, new, None if here is None else here.inner(str(at)))
        return
    olds, news = dict(zip(before, was, strict=True)), dict(zip(after, now, strict=True))
    for own in {**olds, **news}:
        step = f"{where}[{_named(news.get(own, olds.get(own)), key)}]"
        if own in olds and own in news:
            yield from _between(step, olds[own], news[own], None if here is None else here.inner("*"))
        else:
            yield from _one(step, olds.get(own, ABSENT), news.get(own, ABSENT))
    if [own for own in before if own in news] != [own for own in after if own in olds]:
        yield Difference("moved", where)


def _one(where: str, was: Document, now: Document) -> Iterator[Difference]:
    """Tell of something that is there only before or only after."""
    if now is not ABSENT:
        yield Difference("added", where, None, preview(now))
    elif was is not ABSENT:
        yield Difference("removed", where, preview(was), None)


def _member(where: str, name: str) -> str:
    if not _PLAIN.fullmatch(name):
        return f"{where}[{msgspec.json.encode(name).decode()}]"
    return f"{where}.{name}" if where else name


def _named(item: Any, key: Key) -> str:
    """Return the key of an item as one says it: a text without its quotes, the parts of a compound key by slashes."""
    value = key_value(item, key)
    parts = value if isinstance(value, list) else [value]
    return "/".join(part if isinstance(part, str) else msgspec.json.encode(part).decode() for part in parts)
