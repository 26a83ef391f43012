"""Members that are delivered but are no change by themselves."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pushgate.documents.quieting import NO_QUIET, Quiet, Tolerance, is_within
from pushgate.values import Json

OLD: dict[str, Any] = {
    "load": 10,
    "uptime": 100,
    "name": "web",
    "disks": [{"id": 1, "used": 50.0, "state": "ok"}, {"id": 2, "used": 70.0, "state": "ok"}],
    "a/b": {"~": 1, "at": {"x": 1}},
}
QUIET = Quiet({"/load": 2.0, "/uptime": "any", "/disks/*/used": 1.5, "/a~1b/~0": "any", "/a~1b/at": "any"})


def hides(new: Json) -> bool:
    before, after = copy.deepcopy(OLD), copy.deepcopy(new)
    verdict = QUIET.hides(OLD, new)
    assert before == OLD and after == new, "looking changes neither document"
    return verdict


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "verdict"),
    [
        (10, 12, 2.0, True),  # the tolerance itself is within it
        (10, 12.01, 2.0, False),
        (12, 10, 2.0, True),
        (10, 10.0, 0.0, True),
        (10, 11, 0.0, False),
        (1.0, 1.1, 0.1, True),  # as doubles, 0.10000000000000009
        (0.3, 0.2, 0.1, True),
        (1.0, 1.1000000001, 0.1, False),
        (-1, 1, 2.0, True),
        (2**70, 2**70 + 2, 2.0, True),
        (2**70, 2**70 + 3, 2.0, False),
        (10**400, 10**400 + 1, 1.0, True),
        (10**400, 1.5, 2.0, False),
        (1e300, -1e300, 2.0, False),
        ("10", "11.5", 2.0, True),  # XML, CSV and text know no numbers
        ("10", "12.5", 2.0, False),
        ("+1e2", "1.01E+2", 1.0, True),
        ("007", "008", 1.0, True),
        ("10", 10, 2.0, False),
        ("ten", "eleven", 2.0, False),
        ("nan", "inf", 2.0, False),
        ("", "0", 2.0, False),
        ("1e9999", "2e9999", 2.0, False),
        (True, 1, 2.0, False),
        (0, False, 2.0, False),
        (None, 0, 2.0, False),
        ([1], [2], 2.0, False),
        ([1], {"a": 2}, "any", True),
        (None, "x", "any", True),
        (1, True, "any", True),
    ],
)
def test_a_tolerance_is_a_distance_between_numbers_or_any(
    old: Json, new: Json, tolerance: Tolerance, verdict: bool
) -> None:
    """It includes itself, and numbers are those that are written; a change of type is none of numbers."""
    assert is_within(old, new, tolerance) is verdict


def test_what_differs_in_quiet_members_only_is_hidden() -> None:
    """Each within its own tolerance, all at once, at any depth, with escaped names."""
    disks = [{**OLD["disks"][0], "used": 51.5}, {**OLD["disks"][1], "used": 68.5}]
    assert hides({**OLD, "load": 12, "uptime": None, "disks": disks, "a/b": {"~": "x", "at": []}})
    assert not hides({**OLD, "load": 12.5})
    assert not hides({**OLD, "disks": [{**OLD["disks"][0], "used": 51.6}, OLD["disks"][1]]})


@pytest.mark.parametrize(
    "new",
    [
        {**OLD, "name": "db"},
        {**OLD, "load": 11, "name": "db"},
        {**OLD, "new": 1},
        {name: value for name, value in OLD.items() if name != "uptime"},
        {**OLD, "disks": OLD["disks"][:1]},
        {**OLD, "disks": [*OLD["disks"], {"id": 3, "used": 1, "state": "ok"}]},
        {**OLD, "disks": OLD["disks"][::-1]},
        {**OLD, "disks": [{"id": 1, "state": "ok"}, OLD["disks"][1]]},
        {**OLD, "disks": {}},
        {**OLD, "a/b": None},
        [],
        None,
    ],
)
def test_everything_else_is_a_change(new: Json) -> None:
    """Other members, what comes and goes, quiet members too, another order, another type of what is around them."""
    assert not hides(new)


def test_a_boolean_beside_a_quiet_member_is_not_taken_for_a_number() -> None:
    """What is not quiet is compared as JSON: 1 for 1.0 is no change, true for 1 is one."""
    quiet = Quiet({"/load": "any"})
    assert quiet.hides({"load": 1, "on": 1}, {"load": 2, "on": 1.0})
    assert not quiet.hides({"load": 1, "on": 1}, {"load": 2, "on": True})


def test_a_slow_drift_is_told_at_last() -> None:
    """It is measured from what was published, not from what was seen last."""
    seen = [10, 11, 12, 13]
    assert [QUIET.hides(OLD, {**OLD, "load": load}) for load in seen] == [True, True, True, False]


def test_the_more_specific_pointer_counts() -> None:
    """A name beside a ``*`` says it more exactly."""
    for pointers in (["/*", "/load"], ["/load", "/*"]):
        quiet = Quiet({pointer: 1.0 if pointer == "/load" else "any" for pointer in pointers})
        assert quiet.hides({"load": 1, "x": 1}, {"load": 2, "x": 9})
        assert not quiet.hides({"load": 1}, {"load": 3})


def test_a_document_may_be_one_quiet_value() -> None:
    """A backend that tells a single number: the empty pointer is the document."""
    assert Quiet({"": 2.0}).hides(10, 11)
    assert not Quiet({"": 2.0}).hides(10, 13)


def test_nothing_is_hidden_where_nothing_is_quiet() -> None:
    """A route without ``quiet`` hides no difference."""
    assert not NO_QUIET.hides({"a": 1}, {"a": 2})
