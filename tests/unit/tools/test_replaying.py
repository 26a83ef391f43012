"""A recorded series through the pipeline of a route."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pushgate.adapters.upstream.formats import decoder_for
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.routes import Route
from pushgate.tools.recordings import recorded, timed
from pushgate.tools.replaying import Replay, runs


def replay(documents: Sequence[Any], **config: Any) -> Replay:
    """Replay documents; bytes are a body as it is, and an int is a status."""
    route = Route(
        "/r",
        RouteConfig.model_validate({"upstream": "u", **config}),
        {"u": Upstream.model_validate({"url": "http://u"})},
    )
    played = Replay(route, decoder_for(route))
    for at, poll in timed([_poll(number, one) for number, one in enumerate(documents, 1)], every=5.0):
        played.take(poll, at=at)
    return played


def _poll(number: int, document: Any) -> Any:
    meta = {"status": document, "headers": {}} if isinstance(document, int) else None
    body = document if isinstance(document, bytes) else b"" if meta else json.dumps(document).encode()
    return recorded(f"{number}.json", body, meta=meta, at=None)


ROWS = [{"id": n, "text": "x" * 40} for n in range(12)]


def test_what_did_not_change_is_told_by_how_that_was_seen() -> None:
    """The same bytes, other bytes of the same document, and the upstream's own word."""
    tally = replay([{"a": 1}, {"a": 1}, b'{ "a": 1.0 }', 304, {"a": 2}]).tally
    assert tally.unchanged == {"the same bytes": 1, "the same document": 1, "not modified": 1}
    assert (tally.polls, tally.changes) == (5, 1)


def test_bytes_polled_and_pushed() -> None:
    """Of every body, of those that a perfect ETag would have let through, and of what a client gets in each mode."""
    changed = [{**ROWS[0], "text": "new"}, *ROWS[1:]]
    bodies = [ROWS, ROWS, changed]
    tally = replay(bodies, key="id", emit=["patch", "items", "snapshot"]).tally
    sizes = [len(json.dumps(body)) for body in bodies]
    assert (tally.polled, tally.distinct) == (sum(sizes), sizes[0] + sizes[2])
    whole = [len(json.dumps(body, separators=(",", ":"))) for body in bodies]
    assert tally.documents == tally.costs["snapshot"].bytes == whole[0] + whole[2]
    patch = json.dumps([{"op": "replace", "path": "/0/text", "value": "new"}], separators=(",", ":"))
    assert tally.costs["patch"].bytes == whole[0] + len(patch)
    assert tally.costs["patch"].events == {"snapshot": 1, "patch": 1}
    assert tally.costs["items"].events == {"snapshot": 1, "items": 1}


@pytest.mark.parametrize(
    ("documents", "fates"),
    [
        ([ROWS, [], []], [("empty", 2, "confirmed", "2 polls in a row said so")]),
        ([ROWS, [], ROWS], [("empty", 2, "dropped", "the next one is plausible")]),
        ([ROWS, [], [*ROWS, {"id": 99}]], [("empty", 2, "dropped", "the next one is plausible")]),
        ([ROWS, [], 500, ROWS], [("empty", 2, "dropped", "the next poll failed: http_5xx")]),
        ([ROWS, [], 404, ROWS], [("empty", 2, "dropped", "the next one says that it is gone")]),
        ([ROWS, {"error": 1}, ROWS[:1], ROWS], [
            ("type", 2, "dropped", "the next one fails `shrink`"), ("shrink", 3, "dropped", "the next one is plausible")
        ]),
        ([ROWS, []], [("empty", 2, "open", "the series ends there")]),
    ],
)  # fmt: skip
def test_what_a_guard_held_was_confirmed_or_dropped(documents: list[Any], fates: list[Any]) -> None:
    """By the polls that followed; only what was confirmed is a change."""
    tally = replay(documents, key="id").tally
    assert [(one.doubt.guard, one.poll, one.fate, one.why) for one in tally.holdings] == fates
    is_confirmed = any(fate == "confirmed" for _, _, fate, _ in fates)
    assert tally.changes == is_confirmed + ({"id": 99} in documents[-1])


def test_failures_are_told_by_reason() -> None:
    """With the polls that failed, and what was wrong with the first."""
    failures = replay([ROWS, 0, 0, b"<html>", 503, 0, 429, ROWS]).tally.failures
    assert {reason: each.polls for reason, each in failures.items()} == {
        "connect": [2, 3, 6], "decode": [4], "http_5xx": [5], "rate_limited": [7],
    }  # fmt: skip
    assert failures["http_5xx"].detail == "the upstream answered 503"


def test_what_is_gone_is_a_change() -> None:
    """As soon as it was said often enough."""
    tally = replay([[1], 404, 404, [1]]).tally
    assert (tally.changes, tally.gone) == (2, 1)
    assert not replay([404, 404]).has_document


def test_the_series_ends_with_until() -> None:
    """What follows would not have been polled."""
    tally = replay([{"done": 0}, {"done": 1}, {"done": 0}], poll={"until": "done == `1`"}).tally
    assert (tally.ended, tally.polls, tally.changes) == (2, 2, 1)


def test_arrays_that_were_compared_by_index_are_counted() -> None:
    """By where they are, the first document included."""
    twice = [{"id": 1, "v": 1}, {"id": 1, "v": 2}]
    assert replay([twice, [{"id": 1, "v": 3}, twice[1]]], key="id").tally.keyless == {"": 2}


def test_what_accumulates_is_the_document() -> None:
    accumulate = {"query": "since", "since": "[-1].id", "key": "id"}
    tally = replay([[{"id": 1}], [{"id": 2}], [], [{"id": 3}]], accumulate=accumulate).tally
    assert (tally.changes, tally.unchanged) == (2, {"the same document": 1})


def test_a_pointer_that_matches_nothing_is_named() -> None:
    assert replay([{"n": n} for n in range(20)], ignore=["/x"]).idle == ["/x"]
    assert replay([{"n": n} for n in range(20)], ignore=["/n"]).idle == []


def test_false_changes_are_those_of_the_published_documents() -> None:
    played = replay([[1], [2], [1], [3]], guards={"empty": "accept"})
    assert (played.falsity().by_flaps, played.tally.changes) == (2, 3)


def test_runs_of_numbers() -> None:
    assert runs([1, 9, 10, 11, 13, 14]) == "1, 9-11, 13-14"
    assert runs([]) == ""
