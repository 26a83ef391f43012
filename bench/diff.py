"""
What a comparison costs, as ratios to parsing the same body in the same run: ``python bench/diff.py``.

The document is 5,000 nested rows, 0.9 MB of JSON, with floats, strings, booleans and numbers that are 0 or 1, since
those are what a strict verdict is expensive for. Recorded series are added where ``../shared/realdata`` lies beside
the project. Every figure is a median over interleaved polls: each parses a body, compares it with the document held
(itself the outcome of the comparison before), proves the patch and hashes the document. ``in all`` is what a topic
pays for a poll that is not the same bytes: the verdict and the patch with the parsing, where what has not changed is
recalled instead of parsed.
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

import jsonpatch
import msgspec

from pushgate.adapters.upstream.formats.recall import RecallingDecoder
from pushgate.diffing import compare, prove
from pushgate.equality import digest
from pushgate.keys import Keys
from pushgate.values import Json

TARGET = 2.0  # of parsing, for verdict and patch with the parsing, on the synthetic rows
ROUNDS, WARM_UP = 60, 10
SLOW_ROUNDS = 3  # of jsonpatch, which takes a hundred times as long
SHARED = Path(__file__).parents[2] / "shared" / "realdata"
RECORDED = {"usgs_quakes": "id", "ecobici_gbfs": "station_id", "hn_submissions": "id"}

parse = msgspec.json.decode
encode = msgspec.json.encode


@dataclass
class Row:
    """One line of the table: medians in seconds, and the ratios to parsing."""

    case: str
    operations: int
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


def synthetic() -> Iterator[tuple[str, list[bytes], str | None]]:
    """Name a case and give its bodies in order, and the key."""
    base = rows()
    body = encode(base)
    plain = encode(edited(base, insert=False, remove=False, move=False))
    yield "50 edits + insert, delete, move", [body, encode(edited(base))], "id"
    yield "50 edits", [body, plain], "id"
    yield (
        "50 edits, wrapped in /data/rows",
        [b'{"t":1,"data":{"rows":%s}}' % body, b'{"t":1,"data":{"rows":%s}}' % plain],
        "id",
    )
    yield "50 edits + insert, delete; no key", [body, encode(edited(base, move=False))], None
    yield "no change, other bytes", [body, otherwise_spelled(base)], "id"
    named = {row["id"]: row for row in base if isinstance(row, dict)}
    yield "50 edits, an object of objects", [encode(named), encode({r["id"]: r for r in parse(plain)})], "id"
    yield "all rows shuffled", [body, encode(sorted(base, key=digest))], "id"


def recorded() -> Iterator[tuple[str, list[bytes], str | None]]:
    """The recorded series, if they are here."""
    for name, key in RECORDED.items():
        files = sorted((SHARED / name).glob("*.json")) if SHARED.is_dir() else []
        if bodies := [file.read_bytes() for file in files if file.stem.isdigit()]:
            yield f"{name} ({len(bodies)} polls)", bodies, key


def measure(case: str, bodies: list[bytes], key: str | None) -> Row:
    """Poll the bodies forth and back, as a topic does: parse, compare with the document held, prove, digest."""
    timings: dict[str, list[float]] = defaultdict(list)
    operations, keys = 0, Keys.of(key)
    held: Json = parse(bodies[0])
    decoder = RecallingDecoder()
    document = decoder.decode(bodies[0], "")
    decoder.learn(document)
    polls = cycle([*bodies[1:], *bodies[-2::-1]])
    for turn, body in enumerate(islice(polls, WARM_UP + max(ROUNDS, len(bodies)))):
        if turn == WARM_UP:
            timings.clear()
        new = timed(timings["parse"], parse, body)
        difference = timed(timings["compare"], partial(compare, keys=keys), held, new)
        if difference is not None:
            assert timed(timings["prove"], prove, held, difference.patch, difference.document)
            held, operations = difference.document, len(difference.patch)
        timed(timings["digest"], digest, held)
        del new, difference
        document = timed(timings["in all"], poll, decoder, document, body, keys)
    jsonpatches: list[float] = []
    for _ in range(SLOW_ROUNDS):
        timed(jsonpatches, jsonpatch.make_patch, parse(bodies[0]), parse(bodies[1]))
    timings["jsonpatch"] = jsonpatches
    return Row(case, operations, {what: median(times) for what, times in timings.items() if times})


def poll(decoder: RecallingDecoder, document: Json, body: bytes, keys: Keys) -> Json:
    """Decode and compare as a topic does, and return the document that is held from now on."""
    difference = compare(document, decoder.decode(body, ""), keys=keys)
    document = document if difference is None else difference.document
    decoder.learn(document)
    return document


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
    return f"{row.case:36} {row.operations:>5} {row.seconds['parse'] * 1e3:>6.2f}ms{cells}"


def main() -> list[Row]:
    """Measure everything, print the table and return its rows."""
    gc.collect()
    result = [measure(*case) for case in [*synthetic(), *recorded()]]
    print(table(result))
    print(f"target: in all at most {TARGET:.1f} x parsing; first row achieved {result[0].ratio('in all'):.2f}")
    return result


if __name__ == "__main__":
    main()
