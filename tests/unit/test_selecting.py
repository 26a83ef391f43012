"""Which parts of an answer become the document."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from pushgate.errors import PollError
from pushgate.selecting import Ignore, compile_select

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
