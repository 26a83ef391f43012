"""The words for what goes into a step of a poll and what comes out."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from pushgate.answers import Answer, Quota
from pushgate.documents.keys import Keys
from pushgate.errors import PollFailureReason
from pushgate.tools.narration import answer_lines, cut, key_lines, matches, preview, remedy, shape
from pushgate.values import ABSENT, Json, Validators


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": 1}, "an object of 1 member"),
        ([1] * 1200, "an array of 1,200 items"),
        ("", "a text of 0 characters"),
        (None, "null"),
        (True, "a boolean"),
        (1.5, "a number"),
        (ABSENT, "nothing"),
    ],
)
def test_the_shape_of_a_value(value: Any, told: str) -> None:
    assert shape(value) == told


def test_long_values_are_cut() -> None:
    """To 200 characters in one line, with the length of the whole."""
    assert preview({"a": [1]}) == '{"a":[1]}'
    assert preview("x" * 500) == f'"{"x" * 199} … (502)'
    assert cut("a\n  b") == "a b"


def test_what_an_answer_says_about_itself() -> None:
    """Size and compression, validators, freshness, quota and Retry-After."""
    answer = Answer(
        200, "text/csv", b"x" * 2000, Validators('"e"', None), 100.0, retry_after=30.0, fresh_for=60.0,
        modified_at=40.0, quota=Quota(12, 60.0),
    )  # fmt: skip
    fields = {"Content-Encoding": "gzip", "Content-Length": "300", "Cache-Control": "max-age=60"}
    assert [*answer_lines(answer, fields, seconds=0.25)] == [
        "200 text/csv, 2,000 bytes (gzip, 300 over the wire), in 250ms",
        'ETag "e"',
        "it vouches for that for 1m (Cache-Control: max-age=60)",
        "it last changed 1m before",
        "12 requests left of its own limit for the next 1m",
        "it asks to be left alone for 30s (Retry-After)",
    ]
    plain = [*answer_lines(Answer(200, "", b"", Validators(), 0.0), {}, seconds=1.25)]
    assert plain == [
        "200 without a type, 0 bytes, not compressed, in 1s200ms",
        "neither ETag nor Last-Modified: every poll transfers the whole answer",
    ]


@pytest.mark.parametrize(
    ("pointer", "count"),
    [("/a/*/t", 2), ("/a/1/t", 1), ("/a", 1), ("/no", 0), ("/a/*/no/x", 0), ("/b~1c", 1), ("/*", 2)],
)
def test_matches_are_counted(pointer: str, count: int) -> None:
    assert matches({"a": [{"t": 1}, {"t": 2}, {}], "b/c": 1}, pointer) == count


@pytest.mark.parametrize(
    ("document", "key", "told"),
    [
        ([{"id": 1}, {"id": 2}], "id", ["the document: 2 items by `id`"]),
        ([{"id": 1}, {"id": 1.0}], "id", ["the document: compared by index: 1 is the key of items 0, 1"]),
        ({"r": [{"id": 1}, {"x": 2}]}, "id", ['/r: compared by index: item 1 has no `id`: {"x":2}']),
        ([{"id": [1]}], "id", ["the document: compared by index: `id` of item 0 is an array of 1 item"]),
        ([{"id": 1}, 7], "id", ["the document: compared by index: item 1 is a number, not an object"]),
        ([{"a": 1, "b": 2}], ["a", "b"], ["the document: 1 item by `a + b`"]),
        ([1, 2], "id", []),
        ({"r": [1]}, None, []),
    ],
)
def test_each_array_is_told_whether_it_has_keys(document: Json, key: Any, told: list[str]) -> None:
    """And if not, which is the first item that has none, or which key is there twice."""
    keys = Keys.of(tuple(key) if isinstance(key, list) else key)
    assert [*key_lines(document, keys)] == told


def test_many_arrays_at_one_place_are_told_together() -> None:
    document: Json = {"s": [{"id": 1, "d": [{"id": 1}, {"id": 2}]}, {"id": 2, "d": [{"id": 3}, {"id": 3}]}]}
    assert [*key_lines(document, Keys("id"))] == [
        "/s: 2 items by `id`",
        "/s/*/d: 4 items in 2 arrays by `id`",
        "/s/*/d: compared by index (1 of 2 arrays): /s/1/d 3 is the key of items 0, 1",
    ]


@pytest.mark.parametrize("reason", [*get_args(PollFailureReason), "paused"])
def test_every_failure_has_a_remedy(reason: PollFailureReason) -> None:
    assert remedy(reason, upstream="bikes")
