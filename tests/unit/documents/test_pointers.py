"""What belongs to the places in a document that JSON Pointers name."""

from __future__ import annotations

import pickle

import pytest

from pushgate.documents.keys import Keys
from pushgate.documents.pointers import Place, everywhere, place


def walk(root: Place[str], *tokens: str) -> tuple[str, ...] | None:
    """What is said at the end of a path; None where nothing is said of it or of what is inside it."""
    here: Place[str] | None = root
    for token in tokens:
        here = None if here is None else here.inner(token)
    return None if here is None else here.values


def places(*pointers: str) -> Place[str]:
    return place((pointer, pointer) for pointer in pointers)


@pytest.mark.parametrize(
    ("pointer", "path"),
    [
        ("", []),
        ("/", [""]),
        ("//a", ["", "a"]),
        ("/a~1b/m~0n/~01", ["a/b", "m~n", "~1"]),
        ("/rows/0", ["rows", "0"]),
        ("/rows/*/t", ["rows", "any", "t"]),
        ("/*/*", ["*", ""]),
    ],
)
def test_a_pointer_names_one_place(pointer: str, path: list[str]) -> None:
    """RFC 6901 with ``*``: tokens are names as they are, unescaped; the empty pointer is the document."""
    root = places(pointer)
    assert walk(root, *path) == (pointer,)
    assert walk(root, *path, "x") is None
    assert walk(root, "nowhere", *path) is None or "*" in pointer


def test_a_star_is_any_member_whatever_else_is_named() -> None:
    """A name beside it does not hide it, at any depth; what the name says counts more."""
    root = places("/*/b", "/a/c", "/a/*", "/a/b")
    assert walk(root, "a", "b") == ("/a/*", "/*/b", "/a/b")
    assert walk(root, "x", "b") == ("/*/b",)
    assert walk(root, "a", "c") == ("/a/*", "/a/c")
    assert walk(root, "a", "x") == ("/a/*",)
    assert walk(root, "x", "c") is None


def test_only_names_that_lead_somewhere_are_looked_at() -> None:
    """A walk through a large object does not touch what no pointer names."""
    members: dict[str, object] = {"x": 1, "b": 2, "a": 3}
    assert places("/a/n", "/b", "/none").tokens(members) == ["a", "b"]
    assert places("/a", "/*/n").tokens(members) == ["x", "b", "a"]
    assert not places("").leads_on and places("/*").leads_on


def test_everywhere_is_everywhere() -> None:
    """The same is said of every value at any depth."""
    assert walk(everywhere("yes")) == walk(everywhere("yes"), *"abcdef") == ("yes",)


def test_places_travel_to_other_processes() -> None:
    """Those that lead to themselves, too."""
    keys = pickle.loads(pickle.dumps(Keys.of("id")))
    assert keys == Keys.of("id") and keys.root.inner("a").inner("b").values == ("id",)
    assert walk(pickle.loads(pickle.dumps(places("/a/*"))), "a", "b") == ("/a/*",)
