"""Backends that only tell what is new."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.config.pipeline import Accumulate
from pushgate.errors import PollError
from pushgate.gathering import Gathering

SINCE = {"query": "since_id", "since": "max_by(@, &id).id", "key": "id"}


def gathering(**settings: Any) -> Gathering:
    return Gathering(Accumulate.model_validate({**SINCE, **settings}))


def told(one: Gathering, *ids: int, now: float = 0.0) -> tuple[Any, list[Any]]:
    """Make a poll that is accepted; return what it asked with, and the ids that there are then."""
    asked = one.since(now)
    items: Any = one.add([{"id": id} for id in ids])
    one.accept()
    return asked, [item["id"] for item in items]


def test_what_is_new_is_added() -> None:
    """Everything at first, then what came since the latest id; nothing new leaves all as it was."""
    one = gathering()
    assert told(one, 1, 2) == (None, [1, 2])
    assert told(one, 3) == (("since_id", "2"), [1, 2, 3])
    assert told(one) == (("since_id", "3"), [1, 2, 3])


def test_what_is_told_again_is_replaced_where_it_stands() -> None:
    """An edited comment keeps its place."""
    one = gathering()
    told(one, 1, 2, 3)
    one.since(0)
    assert one.add([{"id": 2, "text": "edited"}]) == [{"id": 1}, {"id": 2, "text": "edited"}, {"id": 3}]


def test_what_is_not_accepted_is_asked_for_again() -> None:
    """A held or failed answer moves nothing."""
    one = gathering()
    told(one, 1)
    one.since(0)
    one.add([{"id": 2}])
    assert one.since(0) == ("since_id", "1")


def test_the_oldest_leave() -> None:
    """``keep`` bounds what is remembered."""
    one = gathering(keep=2)
    assert told(one, 1, 2, 3) == (None, [2, 3])
    assert told(one, 4) == (("since_id", "3"), [3, 4])


def test_a_resync_asks_for_everything() -> None:
    """What the upstream no longer tells is gone then."""
    one = gathering(resync="10m")
    told(one, 1, 2)
    assert told(one, 3, now=599) == (("since_id", "2"), [1, 2, 3])
    assert told(one, 3, now=600) == (None, [3])
    assert told(one, now=1199) == (("since_id", "3"), [3])


def test_a_resync_is_done_when_it_was_accepted() -> None:
    """One that failed, or that a guard holds back, is asked for again: what was deleted would come back otherwise."""
    one = gathering(resync="10m")
    told(one, 1, 2)
    assert one.since(600) is None
    assert one.since(602) is None
    assert one.add([{"id": 2}]) == [{"id": 2}]
    one.accept()
    assert one.since(1201) == ("since_id", "2")
    assert one.since(1202) is None


def test_the_list_may_be_inside() -> None:
    """``items`` says where."""
    one = gathering(items="/data/rows")
    one.since(0)
    assert one.add({"data": {"rows": [{"id": 1}]}}) == [{"id": 1}]
    assert one.add({"data": {}}) == []


@pytest.mark.parametrize("answer", [{"a": 1}, "x", [{"no": 1}], [1], [{"id": [1]}]])
def test_what_cannot_be_gathered(answer: Any) -> None:
    """Items need the key, and there must be a list of them."""
    one = gathering()
    one.since(0)
    with pytest.raises(PollError, match="accumulate"):
        one.add(answer)


def test_a_position_must_be_something_to_send() -> None:
    """Text or a number."""
    one = gathering(since="@")
    told(one, 1)
    with pytest.raises(PollError, match="since"):
        one.since(0)
