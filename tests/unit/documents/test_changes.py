"""How a change is told in each mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pushgate.documents.changes import Change, Version, timestamp
from pushgate.documents.diffing import compare
from pushgate.documents.keys import Keys
from pushgate.values import ABSENT, Mode

PAD = "x" * 300
MODES: tuple[Mode, ...] = ("patch", "merge", "items", "snapshot")


def change(old: Any, new: Any, *, key: str | None = "id", patch: list[Any] | None = None) -> Change:
    before, after = Version(1, at=1000.0, document=old), Version(2, at=1001.0, document=new)
    if patch is None:
        difference = None if ABSENT in (old, new) else compare(old, new, keys=Keys.of(key))
        patch = difference.patch if difference else []
    return Change(before, after, patch=patch, keys=Keys.of(key))


def tell(one: Change, mode: Mode) -> tuple[str, Any]:
    telling = one.tell(mode)
    assert telling is not None
    return telling.kind, json.loads(telling.data)


def test_one_change_in_four_modes() -> None:
    """A patch and a merge for an object; ``items`` need an array, so there they are a snapshot."""
    one = change({"n": 1, "pad": PAD}, {"n": 2, "pad": PAD})
    assert tell(one, "patch") == ("patch", [{"op": "replace", "path": "/n", "value": 2}])
    assert tell(one, "merge") == ("merge", {"n": 2})
    assert tell(one, "items") == tell(one, "snapshot") == ("snapshot", {"n": 2, "pad": PAD})


def test_items_are_told_as_a_set() -> None:
    """Created and updated items whole, deleted ones by their key."""
    one = change(
        [{"id": 1, "v": 1}, {"id": "1", "v": 1}, {"id": 3, "pad": PAD}],
        [{"id": 3, "pad": PAD}, {"id": 4}, {"id": 1, "v": 2}],
    )
    expected = {"created": [{"id": 4}], "updated": [{"id": 1, "v": 2}], "deleted": ["1"]}
    assert tell(one, "items") == ("items", expected)


def test_a_new_order_is_no_change_of_items() -> None:
    """There is nothing to tell in ``items``; in other modes there is."""
    one = change([{"id": 1, "pad": PAD}, {"id": 2}], [{"id": 2}, {"id": 1, "pad": PAD}])
    assert one.tell("items") is None
    assert tell(one, "patch")[0] == "patch"


@pytest.mark.parametrize("new", [[{"id": 1}, {"id": 1}], [{"id": 1}, {}], [1], {"id": 1}, None])
def test_what_is_no_set_of_items_is_a_snapshot(new: Any) -> None:
    """Missing or repeated keys, or no array at all: nobody can apply that as items."""
    assert tell(change([{"id": 1, "pad": PAD}], new), "items") == ("snapshot", new)


def test_what_merge_cannot_say_is_a_snapshot() -> None:
    """RFC 7396 has no words for a member that becomes null."""
    one = change({"a": 1, "pad": PAD}, {"a": None, "pad": PAD})
    assert tell(one, "merge")[0] == "snapshot"
    assert tell(one, "patch")[0] == "patch"


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_smaller_is_a_snapshot(mode: Mode) -> None:
    """A change is worth telling as one only if that is smaller than the document."""
    assert tell(change([{"id": 1}], [{"id": 2}]), mode) == ("snapshot", [{"id": 2}])
    assert tell(change({"a": 1}, {"b": 2}), mode) == ("snapshot", {"b": 2})


@pytest.mark.parametrize("mode", MODES)
def test_gone_and_back(mode: Mode) -> None:
    """What is gone is told with its time, what returns as a snapshot, in every mode."""
    assert tell(change({"n": 1}, ABSENT), mode) == ("gone", {"at": "1970-01-01T00:16:41.000Z"})
    assert tell(change(ABSENT, {"n": 1}), mode) == ("snapshot", {"n": 1})


@pytest.mark.parametrize(
    "lie",
    [
        [],
        [{"op": "replace", "path": "/n", "value": 3}],
        [{"op": "replace", "path": "/n", "value": True}],
        [{"op": "remove", "path": "/nothing"}],
        [{"op": "conjure", "path": "/n"}],
        [{"path": "/n"}],
    ],
)
def test_a_patch_that_does_not_prove_itself_is_a_snapshot(lie: list[Any]) -> None:
    """Every patch is applied before it is sent; a wrong one is marked, and everybody gets the document."""
    one = change({"n": 0, "pad": PAD}, {"n": 1, "pad": PAD}, patch=lie)
    assert tell(one, "patch") == ("snapshot", {"n": 1, "pad": PAD})
    assert one.disproved


def test_a_good_patch_is_not_marked() -> None:
    """The mark is for pushgate's own mistakes only."""
    one = change({"n": 0, "pad": PAD}, {"n": 1, "pad": PAD})
    assert tell(one, "patch")[0] == "patch"
    assert not one.disproved


def test_each_telling_is_encoded_once() -> None:
    """However many ask, they get the same bytes."""
    one = change({"n": 0, "pad": PAD}, {"n": 1, "pad": PAD})
    for mode in MODES:
        assert one.tell(mode) is one.tell(mode)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_worth_it_is_compressed_once(mode: Mode) -> None:
    """Whatever is told of a change has one parcel for all; what is too little to be compressed has none."""
    old, new = ({"n": n, "pad": f"{n}" * 500} for n in (1, 2))
    large = change(old, new).tell(mode)
    assert large is not None and large.parcel is not None
    assert large.parcel.data is large.data and large.parcel.deflated is not None
    small = change({"n": 0, "pad": PAD}, {"n": 1, "pad": PAD}).tell("patch")
    assert small is not None and small.parcel is None


def test_a_document_is_compressed_once() -> None:
    """For all who get the whole of it, with a short poll or as an event; and not again because it has ended."""
    version = Version(1, at=0, document={"pad": PAD * 3})
    parcel = version.parcel
    assert version.tell().parcel is parcel and version.ended(2, at=0).tell().parcel is parcel
    version.forget_snapshot()
    assert version.parcel is not parcel and version.parcel.data == parcel.data


def test_snapshots_keep_the_order_of_keys() -> None:
    """The document is told as the upstream ordered it, though the order is no part of its digest."""
    one, other = (Version(1, at=0, document=document) for document in ({"b": 1, "a": 2}, {"a": 2, "b": 1.0}))
    assert one.snapshot == b'{"b":1,"a":2}'
    assert one.digest == other.digest


@pytest.mark.parametrize(
    ("at", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (1763956801.9996, "2025-11-24T04:00:01.999Z"), (1.5, "1970-01-01T00:00:01.500Z")],
)
def test_times_are_utc_with_milliseconds(at: float, text: str) -> None:
    """RFC 3339, cut and never rounded up into the future."""
    assert timestamp(at) == text
