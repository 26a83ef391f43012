"""Whether ETag and Last-Modified can be trusted."""

from __future__ import annotations

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.tools.probing import Sample
from pushgate.tools.probing.honesty import is_always_now, judge_validators
from pushgate.values import Validators


def poll(body: str, etag: str | None = None, *, asked: str | None = None, status: int = 200, at: float = 0.0) -> Sample:
    answer = Answer(status, "", body.encode(), Validators(etag), at)
    return Sample(answer, 0.1, Validators(asked))


def test_no_validators_at_all_cost_whole_bodies() -> None:
    """Then bytes are compared, which always works."""
    assert "neither ETag nor Last-Modified" in judge_validators([poll("a"), poll("a")])[0]


def test_an_etag_that_changes_alone_is_no_use() -> None:
    """The body is the same: that is no change."""
    notes = judge_validators([poll("a", '"1"'), poll("a", '"2"'), poll("a", '"3"')])
    assert "although the body does not (2 of 2 times)" in notes[0]


def test_an_etag_that_stays_when_the_body_changes_is_a_lie() -> None:
    """It would make a 304 of a change."""
    assert "a 304 cannot be trusted" in judge_validators([poll("a", '"1"'), poll("b", '"1"')])[0]


def test_a_server_that_answers_304_saves_the_body() -> None:
    """As it should be."""
    samples = [poll("a", '"1"'), poll("", '"1"', asked='"1"', status=304), poll("a", '"1"')]
    assert judge_validators(samples) == [
        "unchanged answers are 304 (1 of 1 conditional polls): those cost only headers"
    ]


def test_a_server_that_never_answers_304_is_told_of() -> None:
    """It sends validators and does not look at them."""
    samples = [poll("a", '"1"'), *[poll("a", '"1"', asked='"1"')] * 3]
    assert judge_validators(samples) == ["conditional polls are never answered 304 (3 times the same body again)"]


def test_a_last_modified_that_is_always_now_is_useless() -> None:
    """It follows the clock, not the document."""

    def dated(at: float, modified: float) -> Sample:
        validators = Validators(last_modified=f"at {modified}")
        return Sample(Answer(200, "", b"a", validators, at, modified_at=modified), 0.1)

    restless = [dated(at, at - 0.5) for at in (100.0, 101.0, 103.0)]
    assert judge_validators(restless) == ["Last-Modified is always the time of the answer, and so useless"]
    assert not is_always_now([dated(at, 40.0).answer for at in (100.0, 101.0, 103.0)])
    assert judge_validators([dated(100.0, 40.0), dated(103.0, 40.0)]) == []


def test_nothing_but_304_says_nothing() -> None:
    """There is no body that the validators could be compared with."""
    assert judge_validators([Sample(Answer(304, "", b"", NO_VALIDATORS, 0.0), 0.1)]) == []
