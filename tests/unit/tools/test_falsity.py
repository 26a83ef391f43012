"""Changes that told nobody anything."""

from __future__ import annotations

from typing import Any

from pushgate.documents.diffing import compare
from pushgate.tools.falsity import Falsity, Published, judge
from pushgate.values import ABSENT

EPOCH = 1_700_000_000.0


def judged(*documents: Any, polls: list[int] | None = None, every: float = 60.0) -> Falsity:
    """Judge documents that were published by successive polls; ``polls``: by which."""
    numbers = polls or [*range(1, len(documents) + 1)]
    series: list[Published] = []
    for number, document in zip(numbers, documents, strict=True):
        before = series[-1].document if series else ABSENT
        found = None if ABSENT in (before, document) else compare(before, document)  # type: ignore[arg-type]  # just seen
        series.append(Published(number, EPOCH + number * every, document, tuple(found.patch) if found else ()))
    return judge(series, polls=numbers[-1])


def clocked(*values: Any) -> list[Any]:
    return [{"now": EPOCH + (at + 1) * 60.0 - 0.5, "v": value} for at, value in enumerate(values)]


def test_a_change_of_nothing_but_the_time_is_false() -> None:
    """What else changes once makes that change a true one; the member is named, and how often it was to blame."""
    found = judged(*clocked(1, 1, 1, 2, 2, 2))
    assert (found.by_noise, found.by_flaps, found.pointers) == (4, 0, {"/now": 4})
    assert [noise.pointer for noise in found.noise if noise.is_ignored] == ["/now"]


def test_a_value_that_changes_all_the_time_is_news() -> None:
    """A price is no clock."""
    found = judged(*[{"price": price} for price in (101.5, 99.25, 100.75, 98.5, 102.25, 97.0)])
    assert (found.by_noise, found.by_flaps) == (0, 0)


def test_what_the_next_poll_undoes_is_a_flap() -> None:
    """The way there and the way back, one each; what lasted longer is news."""
    assert judged([1], [], [1]).by_flaps == 2
    assert judged([1], [], [1], polls=[1, 2, 4]).by_flaps == 0
    assert judged([1], [2], [1], [3]).by_flaps == 2
    assert judged([1], ABSENT, [1]).by_flaps == 2
    assert judged([1], [2], [3]).by_flaps == 0


def test_a_flap_is_seen_through_noise() -> None:
    """The document is what it was before, although its clock went on."""
    found = judged(*clocked(1, 1, 2, 1, 1, 1))
    assert (found.by_noise, found.by_flaps) == (3, 2)


def test_a_change_belongs_to_one_flap() -> None:
    """Three in a row are one flap and a change."""
    assert judged([1], [2], [1], [2]).by_flaps == 2


def test_items_are_named_by_a_star() -> None:
    assert judged([{"a": 1}, {"a": 2}], [{"a": 5}, {"a": 6}], [{"a": 1}, {"a": 2}]).pointers == {"/*/a": 2}


def test_a_text_has_no_members_that_could_be_noise() -> None:
    found = judged("load 1", "load 2", "load 1")
    assert (found.by_noise, found.by_flaps, found.pointers) == (0, 2, {"": 2})
