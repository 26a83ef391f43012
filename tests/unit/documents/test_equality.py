"""equality.py: which documents are the same, and which bytes and digests they have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pushgate.documents.equality import canonical, digest, same, unlike
from pushgate.values import Json

SAME: list[tuple[Json, Json]] = [
    (1, 1.0),
    (0, -0.0),
    (10**22, 1e22),
    (-(10**16), -1e16),
    (2**53, float(2**53)),
    ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}),
    ([{"x": [1.0, True]}], [{"x": [1, True]}]),
    ({"a": "x.0,", "b": 12.0}, {"b": 12, "a": "x.0,"}),
    (int(1.5e300), 1.5e300),
]
DIFFERENT: list[tuple[Json, Json]] = [
    (1, True),
    (0, False),
    (0.0, False),
    (None, False),
    ("1", 1),
    (2**53 + 1, float(2**53)),
    (2**70, 2**70 + 1),
    ([], {}),
    ("", None),
    ("é", "e\u0301"),
    ([True, 1], [1, True]),
    ({"a": {"b": [0]}}, {"a": {"b": [False]}}),
    ({"a": None}, {}),
    ([1, 2], [2, 1]),
    (["1.0,"], ["1,"]),
    (['":1.0,'], ['":1,']),
    ({"a": ':1.0}"'}, {"a": ':1}"'}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_is_the_same_however_it_is_spelled(one: Json, other: Json) -> None:
    """1 is 1.0, -0.0 is 0, 1e22 is 10**22, and an order of keys means nothing: one verdict, one digest."""
    assert same(one, other) and same(other, one)
    assert canonical(one) == canonical(other)
    assert digest(one) == digest(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_is_different_however_alike_it_looks(one: Json, other: Json) -> None:
    """A boolean is no number, a big integer is not its neighbour's double, and text is what it is."""
    assert not same(one, other) and not same(other, one)
    assert digest(one) != digest(other)


def test_large_arrays_are_judged_no_less_strictly() -> None:
    """What is judged many at a time is judged as each by itself, integers beyond 64 bits included."""
    old: list[Json] = [{"n": n, "flag": n % 2 == 0, "big": 2**70 if n % 5 == 0 else n} for n in range(100)]
    new: list[Json] = [{"n": n, "flag": n % 2 == 0, "big": 2**70 if n % 5 == 0 else n} for n in range(100)]
    assert same(old, new)
    new[51] = {"n": 51, "flag": 0, "big": 51}
    assert not same(old, new)
    may_differ = unlike(old, new)
    assert 51 in may_differ
    assert all(n % 5 == 0 for n in may_differ if n != 51)


def test_a_digest_is_eleven_characters_and_the_same_everywhere() -> None:
    """It names a position for years: no process, version or machine may see another one."""
    document: Json = {"b": [1.0, True, None, "é"], "a": {"n": 10**22}}
    assert canonical(document) == '{"a":{"n":10000000000000000000000},"b":[1,true,null,"é"]}'.encode()
    assert digest(document) == "3d35jOWUy3g"
    code = (
        "from pushgate.documents.equality import digest; "
        "print(digest({'b': [1, True, None, 'é'], 'a': {'n': 1e22}}), end='')"
    )
    other = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout == digest(document)
