"""Which parts of an answer become the document."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from pushgate.documents.selecting import Ignore, compile_select
from pushgate.errors import PollError

ANSWER: dict[str, Any] = {"a": 1, "b/~c": {"d": 2}, "rows": [{"id": 1, "t": 5}, {"id": 2}, 3], "": {"e": 4}}


@pytest.mark.parametrize(
    ("pointers", "removed"),
    [
        (["/a"], {"b/~c": {"d": 2}, "rows": [{"id": 1, "t": 5}, {"id": 2}, 3], "": {"e": 4}}),
        (["/b~1~0c/d", "//e", "/a"], {"b/~c": {}, "rows": [{"id": 1, "t": 5}, {"id": 2}, 3], "": {}}),
        (["/rows/*/t"], {**ANSWER, "rows": [{"id": 1}, {"id": 2}, 3]}),
        (["/*/e"], {**ANSWER, "": {}}),
        (["/rows/*"], {**ANSWER, "rows": []}),
        (["/*"], {}),
        (["/rows/2"], {**ANSWER, "rows": [{"id": 1, "t": 5}, {"id": 2}]}),
        (["/rows/0/t"], {**ANSWER, "rows": [{"id": 1}, {"id": 2}, 3]}),
    ],
)
def test_pointers_remove(pointers: list[str], removed: Any) -> None:
    """RFC 6901 with ``*`` for any member or item."""
    assert Ignore(pointers)(deepcopy(ANSWER)) == removed


@pytest.mark.parametrize(
    "pointer", ["/none", "/a/b", "/rows/9", "/rows/x", "/rows/-", "/rows/00", "/rows/-1", "/rows/²", "/rows/٠", "/A"]
)
def test_what_is_not_there_is_no_error(pointer: str) -> None:
    """Fields come and go; a pointer that addresses nothing removes nothing."""
    assert Ignore([pointer])(deepcopy(ANSWER)) == ANSWER


def test_pointers_address_the_answer_as_it_came() -> None:
    """What one pointer removes does not move what another one addresses."""
    assert Ignore(["/0", "/1"])([1, 2, 3, 4]) == [3, 4]
    assert Ignore(["/1", "/0"])([1, 2, 3, 4]) == [3, 4]


@pytest.mark.parametrize("answer", [None, 1, "text", [], {}])
def test_any_answer_may_come(answer: Any) -> None:
    """An answer of another shape is no reason to fail."""
    assert Ignore(["/a", "/*/b", "/0"])(deepcopy(answer)) == answer


def test_pointers_that_overlap_remove_what_any_of_them_addresses() -> None:
    """A name beside a ``*``, and what is inside something that is removed as a whole."""
    answer = {"a": {"t": 1, "u": 2}, "b": {"t": 1, "u": 2}, "c": {"t": 1}}
    assert Ignore(["/*/t", "/a/u", "/a/*", "/c", "/c/t"])(deepcopy(answer)) == {"a": {}, "b": {"u": 2}}


def test_a_pointer_that_matches_nothing_in_twenty_answers_is_idle() -> None:
    """And no longer as soon as it matches, whichever topic's answer it is."""
    ignore = Ignore(["/a", "/b", "/rows/*/t"])
    for _ in range(19):
        ignore({"a": 1})
    assert ignore.idle() == []
    ignore({"a": 1})
    assert ignore.idle() == ["/b", "/rows/*/t"]
    ignore({"rows": [{}, {"t": 1}]})
    assert ignore.idle() == ["/b"]
    for _ in range(20):
        ignore({"b": 1})
    assert ignore.idle() == ["/a", "/rows/*/t"]


def test_pointers_that_address_the_same_are_all_at_work() -> None:
    """Neither a name beside a ``*`` nor what is inside something removed can match by itself; that is no mistake."""
    ignore = Ignore(["/*/t", "/a/t", "/x", "/x/y", "/*/t/u"])
    for _ in range(30):
        ignore({"a": {"t": {"u": 1}}, "x": {"y": 1}})
    assert ignore.idle() == []
    for _ in range(20):
        ignore({})
    assert ignore.idle() == ["/*/t", "/a/t", "/x"]


def test_an_answer_of_recalled_parts_says_less_about_its_pointers() -> None:
    """What was removed from a part when it came first is not in it again, however often the part is recalled."""
    ignore = Ignore(["/meta/version", "/never"])
    ignore({"meta": {"version": 1}})
    for _ in range(40):
        ignore({"meta": {}}, is_whole=False)
    assert ignore.idle() == ["/never"]


def test_select_picks() -> None:
    """JMESPath; without an expression the answer is the document, null included."""
    assert compile_select("rows[?id].{key: id}")({"rows": [{"id": 1}, {}]}) == [{"key": 1}]
    assert compile_select(None)(None) is None
    assert compile_select("rows[*].x")({"rows": [1]}) == []


@pytest.mark.parametrize("expression", ["nothing.here", "a.b", "length(a)"])
def test_select_that_finds_nothing_fails_the_poll(expression: str) -> None:
    """Null is never a document that somebody meant, and a type error is no document either."""
    with pytest.raises(PollError) as caught:
        compile_select(expression)({"a": 1})
    assert caught.value.reason == "select"


def test_a_reason_does_not_repeat_the_answer() -> None:
    """What a function was given by mistake may be the whole answer, which belongs into no log."""
    with pytest.raises(PollError) as caught:
        compile_select("sum(@)")({"secret": "abc"})
    assert caught.value.detail == "select: sum() takes array-number, and was given object"
