"""
What a comparison costs, as ratios to parsing the same body in the same run: ``python bench/diff.py``.

The document is 5,000 nested rows, 0.9 MB of JSON, with floats, strings, booleans and numbers that are 0 or 1, since
those are what a strict verdict is expensive for. Recorded series are added where ``../shared/realdata`` lies beside
the project. Every figure is a median over interleaved polls: each parses a body, compares it with the document held
(itself the outcome of the comparison before), proves the patch and hashes the document. ``in all`` is what a topic
pays for a poll that is not the same bytes: decode, select, compare and prove, where what has not changed is recalled
instead of parsed if nothing is selected. With a ``select``, the ratios are to parsing and evaluating it with jmespath.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import jmespath
import jsonpatch
import msgspec

from pushgate.adapters.upstream.formats import decoder_of
from pushgate.config.formats import JsonFormat
from pushgate.documents.diffing import compare, prove
from pushgate.documents.equality import digest
from pushgate.documents.keys import Keys
from pushgate.documents.selecting import compile_select
from pushgate.refinery import Decoder
from pushgate.values import Json

TARGET = 2.5  # of parsing, and of evaluating the select, for all that is done in a poll
LARGE_BYTES = 100_000  # documents to which the target applies
ROUNDS, WARM_UP = 60, 10
SLOW_ROUNDS = 3  # of jsonpatch, which takes a hundred times as long
SHARED = Path(__file__).parents[2] / "shared" / "realdata"
RECORDED = {"usgs_quakes": "id", "ecobici_gbfs": "station_id", "hn_submissions": "id"}
SELECTS = {
    "ecobici_gbfs": "data.stations[*].{station_id: station_id, bikes: num_bikes_available, docks: num_docks_available}",
    "usgs_quakes": "features[*].{id: id, mag: properties.mag, place: properties.place, at: geometry.coordinates}",
}

parse = msgspec.json.decode
encode = msgspec.json.encode


@dataclass
class Row:
    """One line of the table: medians in seconds, and the ratios to parsing."""

    case: str
    operations: int
    size: int
    has_target: bool
    seconds: dict[str, float] = field(default_factory=dict)

    def ratio(self, what: str) -> float | None:
        return self.seconds[what] / self.seconds["parse"] if what in self.seconds else None


def rows(count: int = 5_000) -> list[Json]:
    """Rows of about 180 bytes each; every third value could be taken for another type by a careless equality."""
    return [
        {
            "id": f"st-{n:05}",
            "name": f"Quai n°{n % 97}",
            "online": n % 7 != 0,
            "renting": n % 2,
            "position": {"lat": round(48.8 + n / 7_000, 6), "lon": round(2.3 + n / 9_000, 6), "indoor": n % 11 == 0},
            "bikes": {"free": n % 23, "ebikes": n % 5, "disabled": n % 2},
            "price": 1.0 + (n % 40) / 8,
        }
        for n in range(count)
    ]


def edited(array: list[Any], *, insert: bool = True, remove: bool = True, move: bool = True) -> list[Any]:
    """50 edits deep in rows, then one insertion at the front, one removal and one move."""
    array = parse(encode(array))
    step = len(array) // 50
    for n in range(step // 2, len(array), step):
        array[n]["bikes"]["free"] += 1
    if move:
        array.insert(len(array) // 5, array.pop(len(array) * 4 // 5))
    if remove:
        del array[len(array) // 2]
    if insert:
        array.insert(0, {**array[0], "id": "st-new"})
    return array


def otherwise_spelled(document: Json) -> bytes:
    """The same document in other bytes: indented, as backends do who changed their mind."""
    return msgspec.json.format(encode(document), indent=1)


@dataclass(frozen=True)
class Case:
    """A series of bodies in their order, what tells items apart, and what is selected."""

    name: str
    bodies: list[bytes]
    key: str | None
    select: str | None = None
    has_target: bool = True


def synthetic() -> Iterator[Case]:
    base = rows()
    body = encode(base)
    plain = encode(edited(base, insert=False, remove=False, move=False))
    yield Case("50 edits + insert, delete, move", [body, encode(edited(base))], "id")
    yield Case("50 edits", [body, plain], "id")
    wrapped = [b'{"t":1,"data":{"rows":%s}}' % rows for rows in (body, plain)]
    yield Case("50 edits, wrapped in /data/rows", wrapped, "id")
    picked = "data.rows[*].{id: id, name: name, free: bikes.free}"
    yield Case("50 edits, wrapped; select", wrapped, "id", picked)
    yield Case("50 edits + insert, delete; no key", [body, encode(edited(base, move=False))], None, has_target=False)
    yield Case("no change, other bytes", [body, otherwise_spelled(base)], "id", has_target=False)
    named = {row["id"]: row for row in base if isinstance(row, dict)}
    by_name = [encode(named), encode({r["id"]: r for r in parse(plain)})]
    yield Case("50 edits, an object of objects", by_name, "id")
    yield Case("all rows shuffled", [body, encode(sorted(base, key=digest))], "id", has_target=False)


def recorded() -> Iterator[Case]:
    """The recorded series, if they are here."""
    for name, key in RECORDED.items():
        files = sorted((SHARED / name).glob("*.json")) if SHARED.is_dir() else []
        if bodies := [file.read_bytes() for file in files if file.stem.isdigit()]:
            is_large = len(bodies[0]) >= LARGE_BYTES
            yield Case(f"{name} ({len(bodies)} polls)", bodies, key, has_target=is_large)
            if name in SELECTS:
                yield Case(f"{name}; select", bodies, key, SELECTS[name], has_target=is_large)


def _as_it_is(value: Json) -> Json:
    return value


def measure(case: Case) -> Row:
    """Poll the bodies forth and back, as a topic does: parse, compare with the document held, prove, digest."""
    timings: dict[str, list[float]] = defaultdict(list)
    operations, keys, bodies = 0, Keys.of(case.key), case.bodies
    evaluate: Callable[[Json], Json] = _as_it_is if case.select is None else jmespath.compile(case.select).search
    held: Json = evaluate(parse(bodies[0]))
    topic = Topic(case)
    topic.poll(bodies[0])
    polls = cycle([*bodies[1:], *bodies[-2::-1]])
    for turn, body in enumerate(islice(polls, WARM_UP + max(ROUNDS, len(bodies)))):
        if turn == WARM_UP:
            timings.clear()
        new = timed(timings["parse"], lambda body: evaluate(parse(body)), body)
        difference = timed(timings["compare"], partial(compare, keys=keys), held, new)
        if difference is not None:
            assert timed(timings["prove"], prove, held, difference.patch, difference.document)
            held, operations = difference.document, len(difference.patch)
        timed(timings["digest"], digest, held)
        del new, difference
        timed(timings["in all"], topic.poll, body)
    jsonpatches: list[float] = []
    for _ in range(SLOW_ROUNDS):
        timed(jsonpatches, jsonpatch.make_patch, evaluate(parse(bodies[0])), evaluate(parse(bodies[1])))
    timings["jsonpatch"] = jsonpatches
    medians = {what: median(times) for what, times in timings.items() if times}
    return Row(case.name, operations, len(bodies[0]), case.has_target, medians)


class Topic:
    """What a topic does with each answer."""

    def __init__(self, case: Case) -> None:
        self._decoder: Decoder = decoder_of(JsonFormat(kind="json"), keeps_shape=case.select is None)
        self._select = compile_select(case.select)
        self._keys = Keys.of(case.key)
        self._document: Json = None

    def poll(self, body: bytes) -> None:
        new = self._select(self._decoder.decode(body, ""))
        difference = compare(self._document, new, keys=self._keys)
        if difference is not None:
            assert prove(self._document, difference.patch, difference.document)
            self._document = difference.document
        self._decoder.learn(self._document)


def timed(times: list[float], call: Callable[..., Any], *arguments: Any) -> Any:
    begin = perf_counter()
    result = call(*arguments)
    times.append(perf_counter() - begin)
    return result


def table(lines: Iterable[Row]) -> str:
    columns = f"{'in all':>7} {'compare':>7} {'prove':>7} {'digest':>7} {'jsonpatch':>9}"
    head = f"{'times parsing':36} {'ops':>5} {'parse':>8}  {columns}"
    return "\n".join([head, *map(line, lines)])


def line(row: Row) -> str:
    cells = "".join(
        f"{'-' if (ratio := row.ratio(what)) is None else f'{ratio:.2f}':>{width}}"
        for what, width in (("in all", 9), ("compare", 8), ("prove", 8), ("digest", 8), ("jsonpatch", 10))
    )
    verdict = (
        "" if not row.has_target else "  met" if row.seconds["in all"] <= TARGET * row.seconds["parse"] else "  MISSED"
    )
    return f"{row.case:36} {row.operations:>5} {row.seconds['parse'] * 1e3:>6.2f}ms{cells}{verdict}"


def main() -> list[Row]:
    """Measure everything, print the table and return its rows."""
    gc.collect()
    result = [measure(case) for case in [*synthetic(), *recorded()]]
    print(table(result))
    print(f"target, for documents of {LARGE_BYTES // 1000} KB and more: in all at most {TARGET:.1f} x parsing")
    return result


if __name__ == "__main__":
    main()
