"""Which members tell the items of an array apart."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from pushgate.documents.keys import NO_KEYS, Key, Keys, key_at, key_value, keyless_arrays, keys_of
from pushgate.values import Json


def key_for(keys: Keys, *tokens: str) -> Key | None:
    here = keys.root
    for token in tokens:
        here = None if here is None else here.inner(token)
    return key_at(here)


def test_a_name_applies_at_any_depth() -> None:
    """A compound key as well; without a key no array has any."""
    assert key_for(Keys.of("id")) == key_for(Keys.of("id"), "a", "0", "b") == "id"
    assert key_for(Keys.of(("a", "b")), "rows", "7") == ("a", "b")
    assert Keys.of(None) == NO_KEYS
    assert key_for(NO_KEYS) is None
    assert key_for(NO_KEYS, "a") is None


def test_pointers_apply_where_they_point() -> None:
    """The document itself has the empty pointer, ``*`` is any member, and a name counts more than a ``*``."""
    keys = Keys.of({"": "id", "/*/rows": "name", "/a/rows": ("x", "y"), "/b~1c": "n"})
    assert keys.of_document == "id"
    assert key_for(keys, "z", "rows") == "name"
    assert key_for(keys, "a", "rows") == ("x", "y")
    assert key_for(keys, "b/c") == "n"
    assert key_for(keys, "rows") is None
    assert key_for(keys, "a", "rows", "0") is None
    assert Keys.of({}).root is None


def test_keys_are_values() -> None:
    """Equal if they say the same, hashable, and the same in another process."""
    for written in ("id", ("a", "b"), {"/a": "id", "/b/*": ("x", "y")}, None):
        keys = Keys.of(written)
        copied = pickle.loads(pickle.dumps(keys))
        assert copied == keys and hash(copied) == hash(keys) and len({copied, keys}) == 1
        assert key_for(copied, "a") == key_for(keys, "a")
    assert Keys.of("id") != Keys.of(("id",))


@pytest.mark.parametrize("key", ["id", ("id",), ("id", "same"), ("same", "id")])
def test_keys_are_told_apart_as_json_tells_values_apart(key: Key) -> None:
    """1 and "1" and true are three keys, 1 and 1.0 are one, null is one; alone or as a part of a compound key."""

    def keys(*values: Json) -> Any:
        return keys_of([{"id": value, "same": True} for value in values], key)

    assert len(set(keys(1, "1", True, None, False, 0, "", "null"))) == 8
    assert keys(1, 1.0) is None
    assert keys(0, -0.0) is None
    assert keys(True, True) is None
    assert keys(None, None) is None
    assert keys(2**53, 2**53 + 1) is not None
    assert keys(1, 2) == keys(1.0, 2.0)
    assert keys(True, 2) != keys(1, 2)
    assert keys() == []


@pytest.mark.parametrize("key", ["id", ("id", "n"), ("n", "id")])
@pytest.mark.parametrize(
    "bad", [{"n": 3}, {"id": [3], "n": 3}, {"id": {}, "n": 3}, "id", ["id"], None, 3, {"id": 1, "n": 1}]
)
def test_an_array_has_keys_only_if_all_its_items_have_one(key: Key, bad: Json) -> None:
    """Objects with every member of the key, all of them scalars, and no key twice."""
    assert keys_of([{"id": 1, "n": 1}, {"id": 2, "n": 1}], key) is not None
    assert keys_of([{"id": 1, "n": 1}, bad], key) is None


def test_members_that_only_look_alike_together_do_not_collide() -> None:
    """A compound key is no text that was glued together."""
    rows = [{"a": "x", "b": "yz"}, {"a": "xy", "b": "z"}, {"a": "", "b": "xyz"}, {"a": None, "b": "xyz"}]
    assert keys_of(rows, ("a", "b")) is not None


def test_a_key_is_told_as_json() -> None:
    """A scalar as the upstream wrote it, or an array of them."""
    item = {"id": True, "n": 1.0}
    assert key_value(item, "id") is True
    assert key_value(item, ("n", "id")) == [1.0, True]
    assert key_value(item, ("id",)) == [True]


def test_arrays_without_keys_are_found_in_a_document() -> None:
    """With a name: arrays of objects, at any depth. With pointers: whatever is not empty where they point."""
    document: Json = {
        "good": [{"id": 1, "in": [{"id": 1}, {"id": 1}]}],
        "a/b": [{"id": 1}, {}],
        "texts": ["x", "y"],
        "empty": [],
    }
    assert [*keyless_arrays(document, Keys.of("id"))] == ["/good/0/in", "/a~1b"]
    by_pointer = Keys.of({"/texts": "id", "/empty": "id", "/none": "id", "/good": "id", "/good/*/in": ("id", "x")})
    assert sorted(keyless_arrays(document, by_pointer)) == ["/good/0/in", "/texts"]
    assert [*keyless_arrays([{}], Keys.of({"": "id"}))] == [""]
    assert [*keyless_arrays(document, NO_KEYS)] == []
