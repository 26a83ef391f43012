"""diffing.py, alignment.py and keys.py: what lies between two documents, and in how few words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pushgate.documents.diffing import INEXPRESSIBLE, Difference, Items, compare, items_changes, merge_patch, prove
from pushgate.documents.equality import same
from pushgate.documents.keys import NO_KEYS, Key, Keys, keys_of
from pushgate.documents.patching import apply_merge, apply_patch
from pushgate.values import Json

ID = Keys.of("id")


def rows(*keys: Json) -> list[Any]:
    """Rows too wide to be worth replacing as a whole."""
    return [{"id": key, "name": f"the row named {key!r}", "n": {"of": 0, "at": "somewhere else"}} for key in keys]


def difference(old: Json, new: Json, *, key: Key | dict[str, Key] | None = "id") -> Difference:
    """Compare, and check on the way what holds for every comparison."""
    before, after = copy.deepcopy(old), copy.deepcopy(new)
    found = compare(old, new, keys=Keys.of(key))
    assert found is not None
    assert same(apply_patch(old, found.patch), new)
    assert same(found.document, new)
    assert old == before and new == after, "a comparison changes neither document"
    return found


def ops(found: Difference) -> list[str]:
    return [str(operation["op"]) for operation in found.patch]


def test_the_same_documents_have_no_difference() -> None:
    """Whitespace, an order of keys and 1.0 for 1 are no change."""
    assert compare({"a": 1, "b": [2.0, True]}, {"b": [2, True], "a": 1.0}) is None
    assert compare(None, None) is None


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), ("1", 1), ([], {}), (None, False), ({}, None)])
def test_a_change_of_type_is_a_change(old: Json, new: Json) -> None:
    """At the root as anywhere below it, in arrays of any length."""
    assert difference(old, new).patch == [{"op": "replace", "path": "", "value": new}]
    assert difference({"a": old}, {"a": new}).patch[0]["op"] == "replace"
    assert difference([old] * 40, [old] * 39 + [new]).patch == [{"op": "replace", "path": "/39", "value": new}]


def test_members_are_added_removed_and_replaced_by_their_escaped_names() -> None:
    """Names are escaped as JSON Pointer demands; the empty name is a name."""
    old: Json = {"a/b": "one of many", "m~n": "another one", "": "the nameless", "stays": "x" * 100}
    new: Json = {"a/b": "one of few", "": "the nameless", "stays": "x" * 100, "__proto__": None}
    assert difference(old, new).patch == [
        {"op": "remove", "path": "/m~0n"},
        {"op": "replace", "path": "/a~1b", "value": "one of few"},
        {"op": "add", "path": "/__proto__", "value": None},
    ]


def test_what_did_not_change_is_the_old_object_itself() -> None:
    """Versions share what they have in common, however deep, and so does what moved."""
    old: Json = {"meta": {"at": 1}, "rows": rows(1, 2, 3)}
    new: dict[str, Any] = {"meta": {"at": 1}, "rows": rows(3, 1, 4, 2)}
    new["rows"][1]["n"]["of"] = 7
    document: Any = difference(old, new).document
    assert isinstance(old, dict) and isinstance(old["rows"], list)
    assert document["meta"] is old["meta"]
    assert document["rows"][0] is old["rows"][2]
    assert document["rows"][3] is old["rows"][1]
    assert document["rows"][1] is not old["rows"][0] and document["rows"][1]["name"] is old["rows"][0]["name"]


def test_one_edit_in_a_keyed_row_is_one_operation_where_the_row_is_now() -> None:
    """Rows are found by their key, wherever they went meanwhile."""
    new = rows(*range(100))
    new[40]["n"]["of"] = 7
    new.insert(0, *rows("new"))
    assert difference(rows(*range(100)), new).patch == [
        {"op": "add", "path": "/0", "value": new[0]},
        {"op": "replace", "path": "/41/n/of", "value": 7},
    ]


@pytest.mark.parametrize("key", ["id", None])
def test_an_insertion_at_the_front_is_one_operation(key: str | None) -> None:
    """With a key or without: nothing that only slid down is told."""
    old, new = rows(*range(50)), rows("x", *range(50))
    assert difference(old, new, key=key).patch == [{"op": "add", "path": "/0", "value": new[0]}]


@pytest.mark.parametrize("key", ["id", None])
def test_a_sliding_window_is_one_removal_and_one_insertion(key: str | None) -> None:
    """A feed that gains an entry at its head and loses one at its tail, with a key or without."""
    old, new = rows(*range(50)), rows("x", *range(49))
    assert ops(difference(old, new, key=key)) == ["remove", "add"]


@pytest.mark.parametrize(
    "order", [[*range(1, 50), 0], [49, *range(49)], [*range(10), 30, *range(10, 30), *range(31, 50)]]
)
def test_a_single_item_that_moved_is_a_single_move(order: list[int]) -> None:
    """To the end, to the front, or somewhere between."""
    assert ops(difference(rows(*range(50)), rows(*order))) == ["move"]


def test_as_few_items_move_as_possible() -> None:
    """The longest run that kept its order stays where it is."""
    assert ops(difference(rows(*range(9)), rows(6, 7, 8, 0, 1, 2, 3, 4, 5))) == ["move"] * 3
    assert len(difference(rows(*range(9)), rows(*reversed(range(9)))).patch) == 8


def test_a_reshuffle_of_many_rows_stays_within_n_log_n() -> None:
    """20,000 rows in no order at all: moves, found in a moment."""
    old: Json = [{"id": n, "text": "x" * 30} for n in range(20_000)]
    new: Json = [{"id": n * 7_919 % 20_000, "text": "x" * 30} for n in range(20_000)]
    assert set(ops(difference(old, new))) == {"move"}


def test_keys_of_other_types_are_other_keys() -> None:
    """1, "1" and true are three keys, 1 and 1.0 are one; null is a key as good as any."""
    assert keys_of(rows(1, "1", True, None, False, 0), "id") is not None
    assert keys_of(rows(1, 1.0), "id") is None
    assert ops(difference(rows(1, 2, 3, 4, 5, 6), rows("1", 2, 3, 4, 5, 6))) == ["remove", "add"]
    assert ops(difference(rows(1, 2, 3, 4, 5, 6), rows(True, 2, 3, 4, 5, 6))) == ["remove", "add"]
    assert compare(rows(1, 2), rows(1.0, 2.0), keys=ID) == difference(rows(1, 2), rows(1.0, 2.0))


def test_arrays_without_a_usable_key_are_diffed_by_index_and_counted() -> None:
    """A missing or repeated key, or one that is no scalar, in either version; arrays of scalars never had any."""
    new = rows(1, 2, 3)
    new[1]["n"]["of"] = 7
    assert difference(rows(1, 2, 3), new).keyless_count == 0
    for bad in (rows(1, 2, 2), rows(1, 2, [3]), [*rows(1, 2), {"no": "key"}], [*rows(1, 2), "x"]):
        assert difference(bad, new).keyless_count == 1
        assert difference(new, bad).keyless == ("",)
    assert difference({"a": rows(1, 1)}, {"a": rows(1, 1), "b": 1}).keyless_count == 0, "it did not change"
    assert difference([1, 2], [1, 3]).keyless_count == 0
    assert difference(rows(1, 1), rows(1, 1, 1), key=None).keyless_count == 0


def test_the_first_five_arrays_without_keys_are_named_and_all_are_counted() -> None:
    """By their pointers in the new document, so that a person finds them."""
    old: Json = {f"a/{n}": rows(1, 1) for n in range(9)}
    new: Json = {f"a/{n}": rows(1, 1, 1) for n in range(9)}
    found = difference(old, new)
    assert found.keyless == ("/a~10", "/a~11", "/a~12", "/a~13", "/a~14")
    assert found.keyless_count == 9


def test_a_key_applies_at_any_depth() -> None:
    """Arrays inside keyed rows have rows with keys, too."""
    old: Json = [{"id": 1, "parts": rows(*range(30))}]
    new: Json = [{"id": 1, "parts": rows(29, *range(29))}]
    assert difference(old, new).patch == [{"op": "move", "from": "/0/parts/29", "path": "/0/parts/0"}]


def test_a_flat_container_that_mostly_changed_is_replaced_as_a_whole() -> None:
    """Where naming each member would take more bytes than the container has."""
    old: Json = {"row": {"a": 1, "b": 2, "c": 3}, "stays": 1}
    new: Json = {"row": {"a": 4, "b": 5, "c": 6}, "stays": 1}
    assert difference(old, new).patch == [{"op": "replace", "path": "/row", "value": {"a": 4, "b": 5, "c": 6}}]
    assert difference(rows(*range(100)), rows(0)).patch == [{"op": "replace", "path": "", "value": rows(0)}]


def test_large_objects_are_told_member_by_member() -> None:
    """An object of many objects is no worse off than an array of rows."""
    old: dict[str, Any] = {f"k{n}": {"n": n, "on": n % 2 == 0} for n in range(200)}
    new: dict[str, Any] = {f"k{n}": {"n": n, "on": n % 2 == 0} for n in range(1, 201)}
    new["k7"]["on"] = 0
    found = difference(old, new)
    assert sorted(ops(found)) == ["add", "remove", "replace"]
    document: Any = found.document
    assert document["k9"] is old["k9"]


def test_documents_may_be_nested_two_hundred_levels_deep() -> None:
    """That is as deep as anybody's caller may let them be."""
    old: Json = 1
    new: Json = 2
    for level in range(200):
        old, new = ({"a": old}, {"a": new}) if level % 2 else ([old], [new])
    assert len(difference(old, new).patch) == 1


def test_a_proof_fails_for_a_wrong_patch() -> None:
    """One that leads elsewhere, though only by a type, and one that cannot be applied."""
    assert prove({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2})
    assert not prove({"a": 1}, [], {"a": True})
    assert not prove({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}], {"a": 2})


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "c": 3}, {"a": None, "c": 3}),
        ({"a": {"x": 1, "y": None}}, {"a": {"x": 2, "y": None}}, {"a": {"x": 2}}),
        ({"a": [1, None]}, {"a": [None]}, {"a": [None]}),
        ({"a": 1}, {"a": {"b": {}}}, {"a": {"b": {}}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
        ({"a": 1}, {"a": 1.0}, {}),
    ],
)
def test_a_merge_patch_tells_what_changed(old: Json, new: Json, patch: Json) -> None:
    """Members set, members removed with null, arrays as a whole."""
    assert merge_patch(old, new) == patch
    assert same(apply_merge(old, patch), new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": 1}, {"a": None}),
        ({}, {"a": {"b": None}}),
        ({"a": [1]}, {"a": {"b": None}}),
        ([1], [2]),
        ({}, []),
        (1, {}),
    ],
)
def test_what_a_merge_patch_cannot_say_is_inexpressible(old: Json, new: Json) -> None:
    """A member that becomes null, and every change that is not one of objects."""
    assert merge_patch(old, new) is INEXPRESSIBLE


def test_items_are_created_updated_and_deleted() -> None:
    """An order of items is not part of it, and neither is 1.0 for 1."""
    old, new = rows(1, 2, 3, 4), rows(4, 5, 2, 3)
    new[0]["id"], new[2]["name"] = 4.0, "renamed"
    assert items_changes(old, new, keys=ID) == Items(created=[new[1]], updated=[new[2]], deleted=[1])
    assert items_changes(rows(1, 2), rows(2, 1), keys=ID) == Items([], [], [])
    assert items_changes(rows(True, 2), rows(1, 2), keys=ID) == Items(rows(1), [], [True])


@pytest.mark.parametrize("other", [{}, None, rows(1, 1), [1], [{"no": "key"}]])
def test_items_need_an_array_of_uniquely_keyed_objects(other: Json) -> None:
    """In both versions."""
    assert items_changes(rows(1), other, keys=ID) is None
    assert items_changes(other, rows(1), keys=ID) is None


def test_items_that_are_gone_are_named_by_their_whole_key() -> None:
    """A compound key is an array of its members, in the order of the configuration, even if it is one member only."""
    old: Json = [{"host": "a", "port": 80}, {"host": "a", "port": 81}, {"host": "b", "port": 80}]
    new: Json = [{"port": 80, "host": "b", "up": True}, {"host": "c", "port": None}]
    changes = items_changes(old, new, keys=Keys.of(("host", "port")))
    assert changes == Items(created=[new[1]], updated=[new[0]], deleted=[["a", 80], ["a", 81]])
    assert items_changes(rows(1, 2), rows(2), keys=Keys.of(("id",))) == Items([], [], [[1]])


def test_items_need_a_key_of_the_document_itself() -> None:
    """Keys of arrays further down are none of its items."""
    assert items_changes(rows(1), rows(2), keys=NO_KEYS) is None
    assert items_changes(rows(1), rows(2), keys=Keys.of({"/*": "id"})) is None
    assert items_changes(rows(1), rows(2), keys=Keys.of({"": "id"})) == Items(rows(2), [], [1])


def test_a_compound_key_finds_items_wherever_they_went() -> None:
    """Two members that repeat, each by itself, name an item together."""
    names = [(host, port) for host in "abcdef" for port in range(6)]
    old: Json = [{"host": host, "port": port, "state": "up and running"} for host, port in names]
    new = copy.deepcopy(old)
    assert isinstance(new, list) and isinstance(new[20], dict)
    new[20]["state"] = "down"
    new.insert(0, new.pop(30))
    assert difference(old, new, key=("host", "port")).patch == [
        {"op": "move", "from": "/30", "path": "/0"},
        {"op": "replace", "path": "/21/state", "value": "down"},
    ]
    assert difference(old, new, key="host").keyless == ("",)


def test_keys_for_pointers_apply_there_and_nowhere_else() -> None:
    """An array that no pointer names is diffed by index, and that is nothing to complain about."""
    key: dict[str, Key] = {"/hosts": "id", "/hosts/*/disks": ("bus", "slot")}
    disks: list[Json] = [{"bus": n % 3, "slot": n // 3, "text": "x" * 50} for n in range(12)]
    old: Json = {"hosts": [{"id": 1, "disks": disks, "users": rows(1, 2, 3)}, {"id": 2}], "other": rows(1, 1)}
    new: Json = {
        "other": rows(1, 1, 1),
        "hosts": [{"id": 2}, {"id": 1, "disks": [disks[-1], *disks[:-1]], "users": rows(3, 1, 2)}],
    }
    found = difference(old, new, key=key)
    assert {"op": "move", "from": "/hosts/1", "path": "/hosts/0"} in found.patch
    assert {"op": "move", "from": "/hosts/1/disks/11", "path": "/hosts/1/disks/0"} in found.patch
    assert not any(step["op"] == "move" and "users" in str(step["path"]) for step in found.patch)
    assert found.keyless_count == 0


def test_an_array_that_a_pointer_names_should_have_keys() -> None:
    """Even if it holds no objects; an empty one lacks nothing."""
    key: dict[str, Key] = {"/a": "id"}
    assert difference({"a": [1, 2]}, {"a": [1, 3]}, key=key).keyless == ("/a",)
    assert difference({"a": rows(1)}, {"a": []}, key=key).keyless == ()
    assert difference({"a": []}, {"a": rows(1)}, key=key).keyless == ()
    assert difference(rows(1, 1), rows(1), key=key).keyless == ()
    assert difference({"a": rows(1, 1)}, {"a": rows(1)}, key={}).keyless == ()


def test_an_upheaval_of_a_large_array_is_told_as_the_array() -> None:
    """Where most items change in most of what they hold, operations for each would take nearly as many bytes."""
    old = [{"id": n, "a": n, "b": n, "c": "same"} for n in range(200)]
    new = [{"id": n, "a": n + 1, "b": -n, "c": "same"} for n in range(200)]

    difference = compare({"rows": old, "n": 1}, {"rows": new, "n": 1}, keys=Keys.of("id"))

    assert difference is not None
    assert [(operation["op"], operation["path"]) for operation in difference.patch] == [("replace", "/rows")]
    assert prove({"rows": old, "n": 1}, difference.patch, difference.document)


def test_a_small_change_of_every_item_is_told_item_by_item() -> None:
    """One member of many is less than the item."""
    old = [{"id": n, "a": n, "text": "x" * 300} for n in range(200)]
    new = [{**row, "a": -1} for row in old]

    difference = compare(old, new, keys=Keys.of("id"))

    assert difference is not None and len(difference.patch) == 200
