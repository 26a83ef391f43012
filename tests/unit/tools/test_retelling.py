"""A change as people read it."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.documents.keys import NO_KEYS, Keys
from pushgate.tools.narration import CUT
from pushgate.tools.retelling import COUNTED, TOLD, Difference, retell
from pushgate.values import ABSENT

BY_ID = Keys.of("id")


def lines(before: Any, after: Any, keys: Keys = NO_KEYS) -> list[tuple[str | None, ...]]:
    return [(one.kind, one.where, one.was, one.now) for one in retell(before, after, keys).told]


def test_a_member_is_named_by_its_path() -> None:
    before = {"a": {"b": 1, "same": [1, 2]}, "odd name": 1, "gone": "x"}
    after = {"a": {"b": 2, "same": [1, 2]}, "odd name": 2, "new": None}
    assert lines(before, after) == [
        ("changed", "a.b", "1", "2"),
        ("changed", '["odd name"]', "1", "2"),
        ("removed", "gone", '"x"', None),
        ("added", "new", None, "null"),
    ]


def test_an_item_is_named_by_its_key() -> None:
    """Whatever its position; that the others are in another order is one more difference."""
    before = {"rows": [{"id": "a", "n": 1}, {"id": "b", "n": 1}, {"id": "c", "n": 1}]}
    after = {"rows": [{"id": "c", "n": 1}, {"id": "b", "n": 2}, {"id": "d", "n": 1}]}
    assert lines(before, after, BY_ID) == [
        ("removed", "rows[a]", '{"id":"a","n":1}', None),
        ("changed", "rows[b].n", "1", "2"),
        ("added", "rows[d]", None, '{"id":"d","n":1}'),
        ("moved", "rows", None, None),
    ]


def test_the_parts_of_a_compound_key_are_joined() -> None:
    keys = Keys.of(("line", "stop"))
    before, after = ([{"line": "M1", "stop": 4, "at": at}] for at in ("10:00", "10:02"))
    assert lines(before, after, keys) == [("changed", "[M1/4].at", '"10:00"', '"10:02"')]


def test_without_keys_items_are_compared_by_their_places() -> None:
    assert lines([1, [2, 3]], [1, [2, 4, 5]]) == [("changed", "[1][1]", "3", "4"), ("added", "[1][2]", None, "5")]
    assert lines([{"id": 1}, {"id": 1}], [{"id": 1}, {"id": 2}], BY_ID) == [("changed", "[1].id", "1", "2")]


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), ({"a": 1}, [1])])
def test_what_is_of_another_type_has_changed(before: Any, after: Any) -> None:
    assert [kind for kind, *_ in lines(before, after)] == ["changed"]


def test_equal_documents_have_no_difference() -> None:
    assert lines({"a": [1.0, {"b": 2}]}, {"a": [1, {"b": 2.0}]}) == []


def test_a_document_comes_and_goes() -> None:
    assert retell(ABSENT, {"a": 1}, NO_KEYS).told == (Difference("added", "", None, '{"a":1}'),)
    assert retell({"a": 1}, ABSENT, NO_KEYS).told == (Difference("removed", "", '{"a":1}', None),)


def test_no_line_is_long_and_what_is_left_out_is_counted() -> None:
    (only,) = retell("", "x" * 5000, NO_KEYS).told
    assert only.now is not None
    assert len(only.now) < 250
    assert CUT in only.now
    many = retell([*range(5000)], [*range(1, 5001)], NO_KEYS)
    assert (len(many.told), many.more) == (TOLD, COUNTED)
