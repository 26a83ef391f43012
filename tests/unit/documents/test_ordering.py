"""Arrays whose order means nothing."""

from __future__ import annotations

import copy
from itertools import permutations
from typing import Any

import pytest

from pushgate.documents.diffing import compare, prove
from pushgate.documents.equality import same
from pushgate.documents.keys import Keys
from pushgate.documents.ordering import Unordered
from pushgate.documents.quieting import Quiet
from pushgate.values import Json

KEYED = Unordered([""], keys=Keys.of("id"))
KEYLESS = Unordered([""])


def arranged(unordered: Unordered, old: Json, new: Json) -> Any:
    """Arrange, and check on the way what holds for every arrangement."""
    before, after = copy.deepcopy(old), copy.deepcopy(new)
    result = unordered.arrange(old, new)
    assert same(old, before) and same(new, after), "nothing is changed in place"
    assert same(unordered.arrange(old, result), result), "arranging again changes nothing"
    difference = compare(old, result)
    assert difference is None or prove(old, difference.patch, difference.document)
    return result


def is_unchanged(unordered: Unordered, old: Json, new: Json) -> bool:
    return compare(old, arranged(unordered, old, new)) is None


@pytest.mark.parametrize("unordered", [KEYED, KEYLESS])
def test_another_order_is_no_change(unordered: Unordered) -> None:
    """With a key or without, however the items are shuffled, and however they are written."""
    old: Json = [{"id": 1, "on": True}, {"id": 2, "on": 1}, {"id": True, "on": 1.0}, {"id": "1", "on": None}]
    for new in permutations(old):
        assert is_unchanged(unordered, old, list(new))
    assert is_unchanged(unordered, old, [{"on": 1.0, "id": 2.0}, {"on": True, "id": 1}, *copy.deepcopy(old[2:])])


def test_items_stay_where_they_were_and_newcomers_follow() -> None:
    """Newcomers in the upstream's order, at the end; what is gone leaves no hole."""
    assert arranged(KEYLESS, [3, 1, 2, 4], [5, 4, 1, 6, 3]) == [3, 1, 4, 5, 6]
    assert arranged(KEYLESS, [1, 2], []) == []
    assert arranged(KEYLESS, [], [2, 1]) == [2, 1]


def test_an_edited_item_keeps_its_place_by_its_key() -> None:
    """Without a key it is another item."""
    old: Json = [{"id": 1, "n": 1}, {"id": 2, "n": 2}, {"id": 3, "n": 3}]
    new: Json = [{"id": 3, "n": 3}, {"id": 2, "n": 9}, {"id": 1, "n": 1}]
    assert [item["id"] for item in arranged(KEYED, old, new)] == [1, 2, 3]
    assert [item["id"] for item in arranged(KEYLESS, old, new)] == [1, 3, 2]


def test_what_occurs_twice_is_there_twice() -> None:
    """An unordered array is no set: each occurrence counts."""
    assert is_unchanged(KEYLESS, ["a", "b", "a"], ["a", "a", "b"])
    assert sorted(arranged(KEYLESS, ["a", "b", "a"], ["b", "a"])) == ["a", "b"]
    assert sorted(arranged(KEYLESS, ["a", "b"], ["a", "b", "a"])) == ["a", "a", "b"]
    assert not is_unchanged(KEYLESS, ["a", "b", "a"], ["a", "b", "b"])


def test_numbers_and_booleans_are_not_confused() -> None:
    """1 and 1.0 are one value; true, "1" and null are others."""
    assert is_unchanged(KEYLESS, [1, True, "1", None], [None, True, 1.0, "1"])
    assert not is_unchanged(KEYLESS, [1, 2], [2, True])


def test_items_without_usable_keys_are_told_apart_by_their_content() -> None:
    """A key that repeats is none."""
    old: Json = [{"id": 1, "n": 1}, {"id": 1, "n": 2}]
    assert is_unchanged(KEYED, old, old[::-1])


def test_only_the_arrays_that_are_named_are_arranged() -> None:
    """Pointers with ``*``, into objects and arrays; any other order still counts."""
    unordered = Unordered(["/tags", "/hosts/*/ips"], keys=Keys.of({"/hosts": "id"}))
    hosts: list[Json] = [{"id": 1, "ips": ["a", "b"], "log": [1, 2]}, {"id": 2, "ips": ["c", "d"], "log": [1, 2]}]
    old: Json = {"tags": [1, 2, 3], "hosts": hosts, "list": [1, 2]}
    assert is_unchanged(unordered, old, {"list": [1, 2], "tags": [3, 2, 1], "hosts": hosts})
    turned: list[Any] = [{**host, "ips": host["ips"][::-1]} for host in copy.deepcopy(hosts) if isinstance(host, dict)]
    assert is_unchanged(unordered, old, {"tags": [3, 2, 1], "hosts": turned, "list": [1, 2]})
    moved = arranged(unordered, old, {"tags": [1, 2, 3], "hosts": turned[::-1], "list": [1, 2]})
    assert [host["ips"] for host in moved["hosts"]] == [["c", "d"], ["a", "b"]]
    assert not is_unchanged(unordered, old, {"tags": [1, 2, 3], "hosts": hosts, "list": [2, 1]})
    assert not is_unchanged(unordered, old, {"tags": None, "hosts": hosts, "list": [1, 2]})


def test_unordered_arrays_may_hold_unordered_arrays() -> None:
    """Items are equal if they are so with the arrays inside in any order."""
    nested = Unordered(["", "/*", "/*/*/deep"])
    old: Json = [[{"deep": [1, 2]}, {"deep": [3]}], [{"deep": [4, 5]}], []]
    assert is_unchanged(nested, old, [[], [{"deep": [5, 4]}], [{"deep": [3]}, {"deep": [2, 1]}]])
    assert not is_unchanged(nested, old, [[], [{"deep": [5, 5]}], [{"deep": [3]}, {"deep": [2, 1]}]])
    assert not is_unchanged(Unordered([""]), [[1, 2], 3], [3, [2, 1]])


def test_an_ordered_array_of_unordered_ones_keeps_its_order() -> None:
    """Without a key, the items are paired by what they are, not by where they are."""
    inner = Unordered(["/*"])
    assert is_unchanged(inner, [[1, 2], [3, 4]], [[2, 1], [4, 3]])
    assert arranged(inner, [[1, 2], [3, 4]], [[9], [2, 1], [4, 3]]) == [[9], [1, 2], [3, 4]]
    assert not is_unchanged(inner, [[1, 2], [3, 4]], [[3, 4], [1, 2]])


def test_a_quiet_member_does_not_make_another_item() -> None:
    """So an item whose load wobbles keeps its place, and the wobble stays quiet."""
    quiet = Quiet({"/*/load": 2.0})
    unordered = Unordered([""], quiet=quiet)
    old: Json = [{"name": "a", "load": 1}, {"name": "b", "load": 5}, {"name": "c", "load": 9}]
    new: Json = [{"name": "c", "load": 9}, {"name": "b", "load": 6}, {"name": "a", "load": 2}]
    assert quiet.hides(old, arranged(unordered, old, new))
    assert not quiet.hides(old, arranged(Unordered([""]), old, new))
    twins: Json = [{"name": "x", "load": 1}, {"name": "x", "load": 50}]
    assert is_unchanged(unordered, twins, twins[::-1])


@pytest.mark.parametrize("new", [None, 1, "text", {}, {"rows": 1}, {"rows": {"a": [1]}}])
@pytest.mark.parametrize("pointer", ["", "/rows", "/rows/*/x"])
def test_any_document_may_come(pointer: str, new: Json) -> None:
    """What is not where it was, or is no array, stays as it came."""
    unordered = Unordered([pointer])
    assert same(unordered.arrange({"rows": [2, 1]}, new), new)
    assert same(unordered.arrange(new, {"rows": [2, 1]}), {"rows": [2, 1]})


def test_without_pointers_nothing_is_arranged() -> None:
    """The document itself comes back."""
    new: Json = [2, 1]
    assert Unordered([]).arrange([1, 2], new) is new
