"""
Which member tells the items of an array apart: one that is unique *and* stays with its item.

A number that counts the rows is unique too, and a trap: when a row is inserted at the head, every later row seems to
have changed. So a candidate is put to three tests:

- It is unique in every answer, and not merely the place of the item (0, 1, 2, … in each answer). One that is called
  ``id`` and counts the rows has the benefit of the doubt: unless items move under it, or come and go without a trace.
- It stays with what it names. Between two answers, values that only one item has ("telling" ones) say which item became
  which; a candidate that says otherwise for many items moves about.
- It stays at all: a candidate most of whose values are new in each answer is a measurement, not a name.

What is left is ranked by how well it stays, then by its name, text before numbers, and its place in the item.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any, TypeAlias

from msgspec.json import Encoder

from .names import A_KEY, LIKE_A_KEY, name_rank

Names: TypeAlias = tuple[str, ...]
Items: TypeAlias = list[dict[str, Any]]

# Of a pair of answers, more items need not be looked at to know whether they moved.
_ITEMS_LOOKED_AT = 300
_MAX_MOVED = 0.25  # of the items that telling values say something about
_MIN_STAYED = 0.3  # of the items of the shorter array
_NEARLY = 0.95  # of what the best candidate achieves
_COMPOUND_MEMBERS = 10  # of which pairs are tried

_MEASURED = re.compile(r"-?\d+\.\d+(?:[eE][+-]?\d+)?|-?\d+[eE][+-]?\d+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WHOLE = re.compile(r"-?\d+")

_encode = Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Key:
    """
    What was found out about one array, wherever it stands: its key or None, and why.

    ``fits``: what would do as well, the key included. ``traps``: what is unique and yet only says where an item stands.
    """

    names: Names | None
    reason: str
    traps: tuple[str, ...] = ()
    fits: tuple[Names, ...] = ()


@dataclass(slots=True)
class _Candidate:
    """How one candidate did, over all pairs of successive answers."""

    names: Names
    stayed: int = 0  # items whose key was there before
    kept: int = 0  # items that telling values say are the same item as before
    moved: int = 0  # and those that they say were another one
    counts: bool = False  # it goes up by one from row to row

    @property
    def moves(self) -> float:
        return self.moved / max(1, self.moved + self.kept)

    def is_steady(self, *, has_resized: bool) -> bool:
        if self.counts:
            return self.moved == 0 and (self.kept > 0 or not has_resized)
        return self.moves <= _MAX_MOVED or self.moved < 2


@dataclass(slots=True)
class _Evidence:
    """What the successive answers of one array say about all candidates."""

    candidates: list[_Candidate]
    possible: int = 0  # items that could have stayed
    came_and_went: int = 0
    pairs: int = 0
    has_resized: bool = False
    traps: list[str] = field(default_factory=list)
    has_unique: bool = False


def find_key(histories: Sequence[Sequence[Items]]) -> Key:
    """
    Return the key of an array.

    A history is what one array was in the successive answers; arrays at the same place of sibling items, as the lines
    of several orders, have one each.
    """
    arrays = [items for history in histories for items in history]
    if max(map(len, arrays), default=0) < 2:
        return _lone(arrays)
    singles: list[Names] = [(name,) for name in _members(arrays) if _is_unique(arrays, (name,))]
    evidence = _judge(histories, singles)
    ranked = _ranked(evidence, arrays)
    if not ranked:
        traps = evidence.traps
        evidence = _judge(histories, _compounds(arrays, singles))
        evidence.traps[:0] = traps
        evidence.has_unique = bool(singles)
        ranked = _ranked(evidence, arrays)
    if not ranked:
        return Key(None, _no_key(evidence), tuple(evidence.traps))
    best = ranked[0]
    fits = tuple(each.names for each in ranked if _called(each.names) == _called(best.names))
    return Key(best.names, _praise(best, evidence, len(arrays)), tuple(evidence.traps), fits)


def key_values(items: Sequence[Any], names: Names) -> list[Hashable] | None:
    """Return the key of each item, or None unless all have one and no two the same."""
    if not all(isinstance(item, dict) and all(_may_name(item.get(name)) for name in names) for item in items):
        return None
    values: list[Hashable] = [tuple(_token(item[name]) for name in names) for item in items]
    return values if len(set(values)) == len(values) else None


def _lone(arrays: list[Items]) -> Key:
    """Return a key for an array that never had two items: nothing but a name to go by."""
    named = [name for name in _members(arrays) if name_rank(name) <= LIKE_A_KEY]
    if not named:
        return Key(None, "there were never two items, and no member is called like a key")
    name = min(named, key=name_rank)
    return Key((name,), "it is called like a key; there were never two items to tell apart", fits=((name,),))


def _members(arrays: list[Items]) -> list[str]:
    """Return the members that every item has and whose values could name something, in the order of the items."""
    items = [item for items in arrays for item in items]
    names = list(items[0]) if items else []
    return [name for name in names if all(_may_name(item.get(name)) for item in items)]


def _may_name(value: Any) -> bool:
    """Whether it is text or a whole number; what has a decimal point was measured."""
    if isinstance(value, str):
        return bool(value) and not _MEASURED.fullmatch(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_unique(arrays: Iterable[Items], names: Names) -> bool:
    return all(key_values(items, names) is not None for items in arrays)


def _compounds(arrays: list[Items], singles: list[Names]) -> list[Names]:
    """Return the pairs of members that are unique together; neither is unique, and both vary."""
    unique = {names[0] for names in singles}
    members = [name for name in _members(arrays) if name not in unique and _varies(arrays, name)]
    return [pair for pair in combinations(members[:_COMPOUND_MEMBERS], 2) if _is_unique(arrays, pair)]


def _varies(arrays: list[Items], name: str) -> bool:
    return any(len({_token(item[name]) for item in items}) > 1 for items in arrays)


def _judge(histories: Sequence[Sequence[Items]], candidates: list[Names]) -> _Evidence:
    counting = [names for names in candidates if len(names) == 1 and _counts_rows(histories, names[0])]
    traps = [names[0] for names in counting if name_rank(names[0]) > A_KEY]
    kept = [_Candidate(names, counts=names in counting) for names in candidates if names[0] not in traps]
    evidence = _Evidence(kept, traps=traps)
    for history in histories:
        for before, after in pairwise(history):
            if before != after:
                _compare(evidence, before, after)
    return evidence


def _counts_rows(histories: Sequence[Sequence[Items]], name: str) -> bool:
    """Whether the member is the item's place: it goes up by one from row to row, and from the same start always."""
    starts: set[int] = set()
    for items in (items for history in histories for items in history if len(items) > 1):
        if not all(_is_number(item[name]) for item in items):
            return False
        numbers = [int(item[name]) for item in items]
        if numbers != [*range(numbers[0], numbers[0] + len(numbers))]:
            return False
        starts.add(numbers[0])
    return len(starts) == 1


def _compare(evidence: _Evidence, before: Items, after: Items) -> None:
    """Count for every candidate how many items kept it from one answer to the next."""
    evidence.pairs += 1
    evidence.possible += min(len(before), len(after))
    votes = list(_votes(before, after))
    for candidate in evidence.candidates:
        old = dict(zip(key_values(before, candidate.names) or (), range(len(before)), strict=True))
        new = key_values(after, candidate.names) or []
        stayed = sum(value in old for value in new)
        candidate.stayed += stayed
        for at, said in votes:
            if (origin := old.get(new[at])) is not None:
                _count(candidate, origin, said, after[at])
    most = max((candidate.stayed for candidate in evidence.candidates), default=0)
    evidence.came_and_went += bool(most < evidence.possible or len(before) != len(after))
    evidence.has_resized |= len(before) != len(after)


def _count(candidate: _Candidate, origin: int, said: Mapping[str, int], item: Mapping[str, Any]) -> None:
    """
    Compare the item that the candidate says it was with those that its telling values say it was.

    Numbers have no say against a text: measurements change places, and names do not.
    """
    is_text = not any(_is_number(item[name]) for name in candidate.names)
    heard = [name for name in said if name not in candidate.names and not (is_text and _is_measured(item[name]))]
    tally = Counter(said[name] for name in heard)
    own = tally.pop(origin, 0)
    others = max(tally.values(), default=0)
    candidate.kept += own >= others and own > 0
    candidate.moved += others > own


def _votes(before: Items, after: Items) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield for items of the new array, by member, the index of the only old item that had its telling value."""
    names = [*dict.fromkeys(name for item in (*before[:1], *after[:1]) for name in item)]
    places = {name: _telling(before, name) for name in names}
    telling = {name: _telling(after, name) for name in names}
    for at, item in enumerate(after[:_ITEMS_LOOKED_AT]):
        said: dict[str, int] = {}
        for name in names:
            token = _token(item.get(name))
            if token in telling[name] and token in places[name]:
                said[name] = places[name][token]
        yield at, said


def _telling(items: Items, name: str) -> dict[Hashable, int]:
    """Return where each value stands that only one of the items has."""
    tokens = [_token(item.get(name)) for item in items]
    often = Counter(tokens)
    return {token: at for at, token in enumerate(tokens) if often[token] == 1 and token is not None}


def _token(value: Any) -> Hashable:
    """Return what stands for a value in a set: 1, "1" and true are three."""
    return _encode(value) if isinstance(value, dict | list | bool | float) else value


def _ranked(evidence: _Evidence, arrays: list[Items]) -> list[_Candidate]:
    """Return the candidates that passed all tests, the best first."""
    steady = [each for each in evidence.candidates if each.is_steady(has_resized=evidence.has_resized)]
    evidence.traps += [" + ".join(each.names) for each in evidence.candidates if each not in steady]
    most = max((each.stayed for each in steady), default=0)
    staying = [
        each for each in steady if each.stayed >= _NEARLY * most and each.stayed >= _MIN_STAYED * evidence.possible
    ]
    return sorted(staying, key=lambda each: _rank(each, arrays))


def _rank(candidate: _Candidate, arrays: list[Items]) -> tuple[Any, ...]:
    first = next(item for items in arrays for item in items)
    places = [list(first).index(name) for name in candidate.names]
    numbers = sum(_is_number(first[name]) and name_rank(name) > LIKE_A_KEY for name in candidate.names)
    return (round(candidate.moves, 1), _called(candidate.names), numbers, places)


def _is_measured(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value) is not None)


def _called(names: Names) -> int:
    """Say how much the names sound like a key; 0 is best."""
    return sum(map(name_rank, names))


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) or _WHOLE.fullmatch(value) is not None


def _praise(best: _Candidate, evidence: _Evidence, arrays: int) -> str:
    unique = "unique in every answer" if arrays > 1 else "unique"
    if not evidence.pairs:
        return f"{unique}; nothing changed while it was watched, so whether it stays with its item is not proven"
    if best.counts:
        return f"{unique}; it counts the rows as well: remove it if it turns out to say only where an item stands"
    if best.moved == 0 and not evidence.came_and_went:
        return f"{unique}, and stays with its item; no item came or went meanwhile"
    return f"{unique}, and stays with its item while others come and go"


def _no_key(evidence: _Evidence) -> str:
    if evidence.traps:
        return f"no member is a key: {', '.join(evidence.traps)} only says where an item stands, and moves about"
    if evidence.has_unique:
        return "no member is a key: those that are unique are new in each answer"
    return "no member, and no two together, are there in every item and unique"
