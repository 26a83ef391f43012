"""Is a document plausible, or must the next poll confirm it?"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pushgate.config.pipeline import Guards
from pushgate.documents.guarding import Doubt, doubt
from pushgate.documents.keys import NO_KEYS, Key, Keys
from pushgate.values import ABSENT, Document, Json

ID = Keys.of("id")


def guards(**written: Any) -> Guards:
    return Guards.model_validate(written)


def rows(*keys: Json) -> list[Json]:
    return [{"id": key, "n": 1} for key in keys]


def many(count: int, begin: int = 0) -> list[Json]:
    return rows(*range(begin, begin + count))


def judge(old: Document, new: Json, *, keys: Keys = ID, **written: Any) -> tuple[str, str] | None:
    """Name the guard that fails and what it says."""
    before, after = copy.deepcopy(old), copy.deepcopy(new)
    found = doubt(old, new, guards=guards(**written), keys=keys)
    assert old == before and new == after
    return found and (found.guard, found.detail)


def test_a_plausible_document_is_not_in_doubt() -> None:
    """Items come, go and move, values change, and members appear."""
    assert judge({"a": many(20), "n": 1}, {"a": [*many(15, 5)[::-1], *many(3, 100)], "n": 2.5, "new": None}) is None
    assert judge(many(10), many(10)) is None
    assert judge("text", "other text", keys=NO_KEYS) is None


@pytest.mark.parametrize(
    ("new", "word"),
    [(None, "null"), ([], "an empty array"), ({}, "an empty object"), ("", "an empty string")],
)
def test_nothing_where_there_was_something_is_in_doubt(new: Json, word: str) -> None:
    """An empty array where objects were is one emptiness, not another type and a loss besides."""
    assert judge(many(20), new) == ("empty", f"{word}, where there was an array of 20")
    assert judge({"a": 1}, new) == ("empty", f"{word}, where there was an object of 1")
    assert judge(0, new) == ("empty", f"{word}, where there was a number")
    assert judge(many(20), new, empty="accept") is None


@pytest.mark.parametrize("old", [None, [], {}, ""])
@pytest.mark.parametrize("new", [None, [], {}, ""])
def test_nothing_after_nothing_is_not_in_doubt(old: Json, new: Json) -> None:
    """Backends write an empty object as an empty array, and the other way round."""
    assert judge(old, new) is None


def test_what_was_an_empty_array_may_become_an_object() -> None:
    """And the other way round; but not a text that says sorry."""
    assert judge([], {"a": 1}) is None
    assert judge({}, many(3)) is None
    assert judge({"a": [], "b": 1}, {"a": {"id": 1}, "b": 1}) is None
    assert judge([], "sorry") == ("type", "a string, where there was an array")
    assert judge({"a": [], "b": 1}, {"a": "sorry", "b": 1}) == ("type", "at /a: a string, where there was an array")


@pytest.mark.parametrize("value", [False, 0, 0.0, " ", [None], {"a": None}])
def test_a_small_value_is_not_nothing(value: Json) -> None:
    """Zero, false and an array of null are something."""
    found = judge([1], value)
    assert found is None or found[0] == "type"


def test_where_nothing_was_accepted_nothing_is_in_doubt() -> None:
    """No document yet, or the upstream said that it does not exist; whatever follows null is good news."""
    assert judge(ABSENT, []) is None
    assert judge(ABSENT, None) is None
    assert judge(None, {"a": 1}) is None
    assert judge(None, many(10)) is None


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ({"a": 1}, "Service Unavailable", "a string, where there was an object"),
        (many(3), {"error": 1}, "an object, where there was an array"),
        ({"a": 1}, [{"a": 1}], "an array, where there was an object"),
        (True, 1, "a number, where there was a boolean"),
        ("1", 1, "a number, where there was a string"),
        ({"a": many(2)}, {"a": {"id": 1}}, "at /a: an object, where there was an array"),
        ({"a": {"b/c": many(2)}}, {"a": {"b/c": None}}, "at /a/b~1c: null, where there was an array"),
    ],
)
def test_another_type_is_in_doubt(old: Json, new: Json, detail: str) -> None:
    """Of the document, or of an array with keys: an XML list of one item is no list any more."""
    assert judge(old, new) == ("type", detail)
    assert judge(old, new, type="accept") is None


def test_other_members_may_change_their_type() -> None:
    """Integers and other numbers are one type, arrays without keys and what has none are as they like."""
    assert judge(1, 1.5) is None
    assert judge({"a": [1, 2], "b": {"c": 1}, "d": rows(1, 1)}, {"a": 1, "b": [], "d": {}}) is None
    assert judge({"a": many(2)}, {"b": 1}) is None
    assert judge({"a": many(2)}, {"a": 1}, keys=NO_KEYS) is None


@pytest.mark.parametrize(("left", "is_doubted"), [(0, True), (1, True), (20, True), (21, False), (99, False)])
def test_a_loss_of_many_items_is_in_doubt(left: int, is_doubted: bool) -> None:
    """80 % unless the route says otherwise, that part itself included."""
    expected = ("shrink", f"at /a: {left} of 100 items are left") if is_doubted else None
    assert judge({"a": many(100)}, {"a": many(left)}) == expected
    assert judge({"a": many(100)}, {"a": many(left)}, shrink="accept") is None


def test_how_large_a_loss_is_doubted_is_the_routes_choice() -> None:
    """Any percentage, down to a single item."""
    assert judge(many(20), many(9), shrink={"by": "55%"}) == ("shrink", "9 of 20 items are left")
    assert judge(many(20), many(10), shrink={"by": "55%"}) is None
    assert judge(many(20), many(19), shrink={"by": "0%"}) == ("shrink", "19 of 20 items are left")
    assert judge(many(20), many(20), shrink={"by": "0%"}) is None
    assert judge(many(20), many(1), shrink={"by": "100%"}) is None


def test_losses_count_from_ten_items_up() -> None:
    """Small lists empty themselves all the time."""
    assert judge(many(9), many(1)) is None
    assert judge(many(10), many(1)) == ("shrink", "1 of 10 items are left")


def test_a_keyed_array_loses_those_whose_keys_are_gone() -> None:
    """Other items in their place make up for nothing; without keys it is the number of items that counts."""
    assert judge(many(20), many(20, 18)) == ("shrink", "2 of 20 items are left")
    assert judge(many(20), many(20, 18), keys=NO_KEYS) is None
    assert judge(many(20), many(2), keys=NO_KEYS) == ("shrink", "2 of 20 items are left")
    assert judge(many(20), rows(1, 1, 2)) == ("shrink", "3 of 20 items are left")
    assert judge(many(20), rows(*[1] * 20)) is None
    assert judge(rows(*[1] * 20), rows(1, 1)) == ("shrink", "2 of 20 items are left")
    assert judge({"a": rows(*[1] * 20)}, {"a": rows(1)}) is None


def test_an_array_that_is_gone_has_lost_everything() -> None:
    """With what was around it, too."""
    assert judge({"a": {"b": many(12)}, "c": 1}, {"c": 1}) == ("shrink", "at /a/b: 0 of 12 items are left")
    assert judge({"a": {"b": many(12)}}, {"a": "gone"}) == ("shrink", "at /a/b: 0 of 12 items are left")
    assert judge({"a": many(12)}, {"a": None}, type="accept") == ("shrink", "at /a: 0 of 12 items are left")


def test_keys_for_pointers_say_which_arrays_are_looked_at() -> None:
    """Inside items, too: those with the same key, or at the same place of an array that is as long as before."""
    keys: dict[str, Key] = {"/hosts": ("dc", "name"), "/hosts/*/disks": "id", "/*/0/x": "id"}

    def hosts(*disks: tuple[str, int]) -> Json:
        return {"hosts": [{"dc": 1, "name": name, "disks": many(count)} for name, count in disks], "o": many(20)}

    old, by_pointer = hosts(("a", 30), ("b", 5), ("c", 3)), Keys.of(keys)
    assert judge(old, hosts(("b", 5), ("a", 30), ("c", 3)), keys=by_pointer) is None
    found = judge(old, hosts(("b", 5), ("a", 1)), keys=by_pointer)
    assert found == ("shrink", "at /hosts/0/disks: 1 of 30 items are left")
    assert judge(old, {**hosts(("a", 30), ("b", 5)), "o": []}, keys=by_pointer) is None
    inner = Keys.of({"/*/rows": "id"})
    assert judge([{"rows": many(30)}, 1], [{"rows": []}, 1], keys=inner) == (
        "shrink",
        "at /0/rows: 0 of 30 items are left",
    )
    assert judge([{"rows": many(30)}, 1], [{"rows": []}], keys=inner) is None


def test_a_key_for_all_looks_through_objects_only() -> None:
    """Rows of a table come and go with what is in them, whether the table is an array or a large object."""
    assert judge([{"id": 1, "rows": many(30)}, *many(5, 2)], [{"id": 1, "rows": many(1)}, *many(5, 2)]) is None
    table: Json = {str(n): {"rows": many(30)} for n in range(100)}
    assert judge(table, {str(n): {"rows": many(1)} for n in range(100)}) is None
    assert judge({"a": table}, {"a": {}}, shrink={"by": "10%"}) is None


def test_a_verdict_is_the_routes() -> None:
    """Confirm unless it says otherwise; what is accepted is not in doubt, and the next guard is asked."""
    confirmed = doubt(many(20), many(1), guards=guards(), keys=ID)
    assert confirmed == Doubt("shrink", "confirm", "1 of 20 items are left")
    rejected = doubt({"a": 1}, "x", guards=guards(type="reject"), keys=ID)
    assert rejected == Doubt("type", "reject", "a string, where there was an object")
    nothing = doubt([1], [], guards=guards(empty="reject"), keys=ID)
    assert nothing == Doubt("empty", "reject", "an empty array, where there was an array of 1")
    assert judge(many(20), {"error": 1}, type="accept") == ("shrink", "0 of 20 items are left")
