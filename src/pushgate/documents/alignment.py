"""
Which item of the new array was which item of the old one, and how to bring the old ones into place.

Rules:

- An alignment is a list of origins: for each new item the index of its old self, or ``None`` for a newcomer.
- By key: the same key, the same item, wherever it went. By content, where there is no key: equal items stay in their
  order, and between two of them the rest is paired by index. By content nothing ever moves.
- An alignment is a proposal. It may pair items that differ; operations inside the items make up for it.
- A rearrangement is: removals from the back, then moves and insertions from the front. As few items move as
  possible: the longest rising run of origins stays. All of it takes n log n steps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import compress, count, filterfalse
from operator import ne, not_
from typing import TypeAlias

from msgspec.json import Encoder

from ..values import Json
from .patching import Operation

Origins: TypeAlias = "list[int | None]"

_encode_sorted = Encoder(order="sorted").encode


def by_key(old_keys: list[Hashable], new_keys: list[Hashable]) -> Origins:
    """Align by unique keys."""
    if old_keys == new_keys:
        return [*range(len(old_keys))]
    places = dict(zip(old_keys, count(), strict=False))
    return list(map(places.get, new_keys))


def by_content(old: list[Json], new: list[Json]) -> Origins:
    """Align by equal items and, between those, by index."""
    shorter = min(len(old), len(new))
    head = _equal_run(old, new, shorter)
    tail = _equal_run(reversed(old), reversed(new), shorter - head)
    middle = _pair_gaps(_anchors(old[head : len(old) - tail], new[head : len(new) - tail]))
    return [*range(head), *(None if at is None else at + head for at in middle), *range(len(old) - tail, len(old))]


def _equal_run(old: Iterable[Json], new: Iterable[Json], longest: int) -> int:
    """Count the equal pairs before the first unequal one, at the speed of C."""
    return next(compress(range(longest), map(ne, old, new)), longest)


def _anchors(old: list[Json], new: list[Json]) -> Iterator[tuple[int, int]]:
    """Yield the (new, old) indexes of equal items that can all stay, and at last the two ends."""
    if old and new:
        places = dict(zip(_names(old), count(), strict=False))
        known = [(at, places[name]) for at, name in enumerate(_names(new)) if name in places]
        stays = set(_longest_rise([origin for _, origin in known]))
        yield from ((at, origin) for at, origin in known if origin in stays)
    yield len(new), len(old)


def _names(items: list[Json]) -> list[Hashable]:
    """Name each item by its content; one that occurs again also by how often it came before."""
    contents = list(map(_encode_sorted, items))
    if len(set(contents)) == len(contents):
        return [*contents]
    seen: Counter[bytes] = Counter()
    names: list[Hashable] = []
    for content in contents:
        names.append((content, seen[content]) if content in seen else content)
        seen[content] += 1
    return names


def _pair_gaps(anchors: Iterable[tuple[int, int]]) -> Origins:
    """Pair by index what lies between two anchors; what the new array has more is a newcomer."""
    origins: Origins = []
    begin = 0
    for at, origin in anchors:
        gap = at - len(origins)
        paired = min(gap, origin - begin)
        origins += [*range(begin, begin + paired), *[None] * (gap - paired), origin]
        begin = origin + 1
    return origins[:-1]


def rearrange(path: str, origins: Origins, old_length: int, new: list[Json]) -> list[Operation]:
    """Return the operations that bring the old items into the places of the new ones and insert the newcomers."""
    kept = [origin for origin in origins if origin is not None]
    gone = filterfalse(set(kept).__contains__, range(old_length)) if len(kept) < old_length else ()
    operations: list[Operation] = [{"op": "remove", "path": f"{path}/{at}"} for at in reversed([*gone])]
    waiting = _movers(kept)
    stays = list(filterfalse(set(waiting).__contains__, kept)) if waiting else kept
    return [*operations, *_arrivals(path, origins, stays, waiting, new)]


def _movers(kept: list[int]) -> list[int]:
    """Return the fewest origins, sorted, without which the others stand in their order."""
    ordered = sorted(kept)
    head = _equal_run(kept, ordered, len(kept))
    tail = _equal_run(reversed(kept), reversed(ordered), len(kept) - head)
    middle, in_order = kept[head : len(kept) - tail], ordered[head : len(kept) - tail]
    if middle[1:] == in_order[:-1]:  # nothing moved, or a single one forward, as nearly always
        return middle[:1]
    if middle[:-1] == in_order[1:]:
        return middle[-1:]
    return sorted(set(middle).difference(_longest_rise(middle)))


def _longest_rise(numbers: list[int]) -> list[int]:
    """Return the longest rising subsequence of different numbers (patience sorting, n log n)."""
    tops: list[int] = []  # of the rises of each length so far, the lowest last number
    before: dict[int, int] = {}
    for number in numbers:
        length = len(tops) if not tops or tops[-1] < number else bisect_left(tops, number)
        if length:
            before[number] = tops[length - 1]
        tops[length : length + 1] = [number]
    rise = tops[-1:]
    while rise and rise[-1] in before:
        rise.append(before[rise[-1]])
    return rise[::-1]


def _arrivals(
    path: str, origins: Origins, stays: list[int], waiting: list[int], new: list[Json]
) -> Iterator[Operation]:
    """
    Yield the moves and insertions, from the front.

    Before the step for the new index ``at``, the array is the items ``new[:at]`` and the staying ones, in their final
    order, with every item that still waits to move where it always was. So an index is a count of final items plus a
    count of ``waiting`` origins, which is sorted, in front of it.
    """
    is_arriving = list(map({None, *waiting}.__contains__, origins))
    landings = list(compress(count(), map(not_, is_arriving)))
    for at in compress(count(), is_arriving):
        origin = origins[at]
        passed = bisect_left(landings, at)  # how many staying items are in front of this place
        last = stays[passed - 1] if passed else 0
        if origin is None:
            yield {"op": "add", "path": f"{path}/{at + bisect_left(waiting, last)}", "value": new[at]}
            continue
        place = bisect_left(waiting, origin)
        del waiting[place]  # shifts pointers: still small beside the rest at 20,000 moves
        rank = bisect_left(stays, origin)  # how many staying items were in front of it
        source = place + (landings[rank] if rank < passed else at + rank - passed)
        target = at + bisect_left(waiting, last)
        if source != target:
            yield {"op": "move", "from": f"{path}/{source}", "path": f"{path}/{target}"}
