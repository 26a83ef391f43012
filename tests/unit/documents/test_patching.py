"""patching.py: applying JSON Patch and JSON Merge Patch, and nothing else."""

from __future__ import annotations

import copy
import json

import pytest

from pushgate.documents.equality import same
from pushgate.documents.patching import Operation, PatchFailed, apply_merge, apply_patch, escape, unescape
from pushgate.values import Json
from shared_data import shared


def operation(op: str, path: str, **rest: Json) -> Operation:
    return {"op": op, "path": path, **{name.rstrip("_"): value for name, value in rest.items()}}


@pytest.mark.parametrize("name", ["tests.json", "spec_tests.json"])
def test_the_public_json_patch_vectors_hold(name: str) -> None:
    """What json-patch-tests expects to succeed succeeds as expected, and what it expects to fail fails."""
    cases = json.loads(shared(f"vectors/json-patch-tests/{name}").read_text())
    for case in cases:
        if "patch" not in case or case.get("disabled"):
            continue
        before = copy.deepcopy(case["doc"])
        if "error" in case:
            with pytest.raises(PatchFailed):
                apply_patch(case["doc"], case["patch"])
        else:
            assert same(apply_patch(case["doc"], case["patch"]), case.get("expected", case["doc"])), case
        assert case["doc"] == before, case


def test_the_table_of_rfc_7396_holds() -> None:
    """Every row of appendix A: original, patch, result."""
    for case in json.loads(shared("vectors/merge_patch_rfc7396.json").read_text())["cases"]:
        before = copy.deepcopy(case["original"])
        assert same(apply_merge(case["original"], case["patch"]), case["result"]), case
        assert case["original"] == before, case


def test_what_a_patch_does_not_touch_is_shared_with_the_document() -> None:
    """Containers on the way to a change are copied, once; their other children are the very same objects."""
    document: dict[str, Json] = {"rows": [{"n": 1}, {"n": 2}], "head": {"a": [1]}}
    rows = document["rows"]
    result = apply_patch(document, [operation("replace", "/rows/0/n", value=5), operation("add", "/rows/0/m", value=6)])
    assert result == {"rows": [{"n": 5, "m": 6}, {"n": 2}], "head": {"a": [1]}}
    assert document == {"rows": [{"n": 1}, {"n": 2}], "head": {"a": [1]}}
    assert isinstance(result, dict) and isinstance(result["rows"], list) and isinstance(rows, list)
    assert result["rows"][1] is rows[1]
    assert result["head"] is document["head"]


def test_values_of_a_patch_are_never_written_to() -> None:
    """A later operation inside an added value changes the document, not the patch."""
    patch = [operation("add", "/a", value={"b": []}), operation("add", "/a/b/-", value=1)]
    assert apply_patch({}, patch) == {"a": {"b": [1]}}
    assert patch[0]["value"] == {"b": []}


def test_a_copy_and_its_origin_go_their_own_ways() -> None:
    """After a copy, a change of one does not show in the other, even where both were written to before."""
    patch = [
        operation("add", "/a/x", value=1),
        operation("copy", "/b", from_="/a"),
        operation("add", "/b/y", value=2),
        operation("add", "/a/z", value=3),
    ]
    assert apply_patch({"a": {}}, patch) == {"a": {"x": 1, "z": 3}, "b": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("document", "bad"),
    [
        ({"a": 1}, operation("add", "a", value=1)),  # no pointer
        ({"a": 1}, operation("add", "/a~2", value=1)),
        ({"a": 1}, operation("add", "/b~", value=1)),
        ({"a": 1}, operation("add", "/a/b", value=1)),  # a scalar has no members
        ({"a": 1}, operation("add", "/b/c", value=1)),
        ({"a": 1}, operation("add", "/b")),
        ({"a": 1}, operation("replace", "/b", value=1)),
        ({"a": 1}, operation("remove", "/b")),
        ({"a": 1}, operation("remove", "")),
        ({"a": {}}, operation("move", "/a/b", from_="/a")),  # into itself
        ({"a": 1}, operation("move", "/b", from_="/c")),
        ({"a": 1}, operation("move", "/b")),
        ({"a": 1}, operation("copy", "/b", from_="/c")),
        ({"a": 1}, operation("test", "/a", value=True)),
        ({"a": 1}, operation("test", "/a", value="1")),
        ({"a": 1}, operation("merge", "/a", value=1)),
        ([1], operation("add", "/2", value=1)),
        ([1], operation("add", "/01", value=1)),
        ([1], operation("add", "/+0", value=1)),
        ([1], operation("add", "/\u0661", value=1)),  # a digit, but not one of ASCII
        ([1], operation("add", "/1e0", value=1)),
        ([1], operation("add", f"/{'9' * 5_000}", value=1)),
        ([1], operation("remove", "/-")),
        ([1], operation("replace", "/1", value=1)),
        ([1], operation("replace", "/-1", value=1)),
    ],
)
def test_what_rfc_6902_forbids_fails(document: Json, bad: Operation) -> None:
    """A patch that cannot be applied raises, and the document is as it was."""
    before = copy.deepcopy(document)
    with pytest.raises(PatchFailed):
        apply_patch(document, [bad])
    assert document == before


def test_the_whole_document_is_a_member_like_any_other() -> None:
    """The empty pointer can be tested, replaced, added to, copied and moved to."""
    assert apply_patch({"a": 1}, [operation("replace", "", value=[1])]) == [1]
    assert apply_patch({"a": 1}, [operation("add", "", value=None)]) is None
    assert apply_patch({"a": {"b": 1}}, [operation("move", "", from_="/a")]) == {"b": 1}
    assert apply_patch({"a": 1}, [operation("copy", "/b", from_="")]) == {"a": 1, "b": {"a": 1}}
    assert apply_patch(1, [operation("test", "", value=1.0)]) == 1


def test_names_are_escaped_as_rfc_6901_says() -> None:
    """``~`` and ``/`` are escaped, in an order that keeps ``~1`` readable; empty names are names."""
    for name in ["", "a", "/", "~", "~1", "~01", "a/b~c", "é\U0001f600"]:
        assert unescape(escape(name)) == name
        assert apply_patch({name: 1}, [operation("replace", f"/{escape(name)}", value=2)]) == {name: 2}
    assert escape("m~n/o") == "m~0n~1o"


def test_a_merge_shares_what_it_leaves_alone() -> None:
    """Only the objects on the way to a change are new."""
    document: dict[str, Json] = {"a": {"x": 1, "y": [1]}, "b": {"z": 1}}
    result = apply_merge(document, {"a": {"x": None}})
    assert result == {"a": {"y": [1]}, "b": {"z": 1}}
    assert isinstance(result, dict) and result["b"] is document["b"]
    assert document["a"] == {"x": 1, "y": [1]}
