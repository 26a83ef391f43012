"""Many topics in one request, and which part of its answer is whose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pushgate.answers import Answer
from pushgate.batching import Shares, joined
from pushgate.config.pipeline import Batch
from pushgate.errors import PollError
from pushgate.values import UpstreamRequest, Validators


def batch(**settings: Any) -> Batch:
    return Batch.model_validate({"param": "cities", "value": "{city}", **settings})


def shares(value: Any, **settings: Any) -> Shares:
    answer = Answer(200, "application/json", b"whole", Validators('"e"'), 1000.0, fresh_for=5.0)
    return Shares(batch(**settings), answer, value, ttl=7.0)


def test_the_names_stand_in_one_parameter() -> None:
    """Joined as configured, each escaped."""
    request = UpstreamRequest("GET", "http://u/bikes?f=json", ())
    assert joined(batch(), request, ["paris", "a&b"]).url == "http://u/bikes?f=json&cities=paris,a%26b"
    assert (
        joined(batch(join="|"), UpstreamRequest("GET", "http://u/b", ()), ["x", "y"]).url == "http://u/b?cities=x%7Cy"
    )


def test_a_list_is_taken_apart_by_a_member() -> None:
    """Each topic's part is its document's source; validators are those of the whole, and so of none."""
    part = shares({"data": [{"city": "paris", "n": 1}, {"city": 7}]}, items="/data", match="city").of("paris")
    assert part.value == {"city": "paris", "n": 1} == json.loads(part.body)
    assert (part.status, part.validators, part.fresh_for, part.ttl, part.verdict) == (200, Validators(), 5.0, 7.0, None)
    assert shares([{"city": 7}], match="city").of("7").value == {"city": 7}


def test_an_object_is_taken_apart_by_its_names() -> None:
    """Some APIs answer keyed by name."""
    one = shares({"paris": {"n": 1}, "lyon": None})
    assert one.of("paris").value == {"n": 1} and one.of("lyon").value is None


@pytest.mark.parametrize("verdict", ["gone", "keep"])
def test_what_is_left_out(verdict: Any) -> None:
    """``missing`` says what it means."""
    assert shares([], match="city", missing=verdict).of("paris").verdict == verdict


def test_what_is_left_out_may_be_a_failure() -> None:
    """Of the one topic that was left out."""
    one = shares([{"city": "lyon"}], match="city", missing="fail")
    assert one.of("lyon").value == {"city": "lyon"}
    with pytest.raises(PollError, match="nothing for paris"):
        one.of("paris")


def test_two_parts_for_one_topic() -> None:
    """Nobody knows which one is right."""
    with pytest.raises(PollError, match="2 items for paris"):
        shares([{"city": "paris"}, {"city": "paris"}], match="city").of("paris")


@pytest.mark.parametrize(("value", "match"), [("x", "city"), (None, "city"), ([{"city": "paris"}], None)])
def test_what_cannot_be_taken_apart(value: Any, match: str | None) -> None:
    """A list needs ``match``; anything else is no answer to a batch."""
    with pytest.raises(PollError) as caught:
        shares(value, match=match)
    assert caught.value.reason == "select"
