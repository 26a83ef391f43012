"""What is big is read elsewhere; what is well below that is read here again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import pushgate.reception
from pushgate.adapters.upstream.formats import decoder_for
from pushgate.answers import NO_VALIDATORS, Answer, hash_of
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.documents.changes import Sealed, Version
from pushgate.happenings import Answered, News, Unchanged
from pushgate.reception import Reception
from pushgate.routes import Route
from pushgate.values import ABSENT
from pushgate.workbench import Base, Commission, Finished

BIG = 1000


@pytest.fixture(autouse=True)
def _big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushgate.reception, "BIG_BYTES", BIG)


def reception(*, has_views: bool = False, **config: Any) -> Reception:
    upstreams = {"u": Upstream.model_validate({"url": "http://u"})}
    route = Route("/t", RouteConfig.model_validate({"upstream": "u", **config}), upstreams, has_views=has_views)
    return Reception(route, decoder_for(route))


def answer(size: int, *, status: int = 200, **fields: Any) -> Answer:
    body = msgspec.json.encode("x" * (size - 2))
    return Answer(status, "application/json", body, NO_VALIDATORS, 1000.0, **fields)


def published(size: int) -> Version:
    text = answer(size).body
    return Version(1, at=0, document=Sealed(text, "digest", size))


def test_a_big_answer_is_commissioned_with_what_is_published() -> None:
    """Whoever reads it learns which document it is to be compared with, and which bytes need not be read again."""
    here = reception()
    here.accepted = here.accepted.of(answer(10), b"hash", with_body=False)

    assert here.commission(answer(BIG), None) is None
    commission = here.commission(answer(BIG + 1), published(900))

    assert commission is not None and here.is_away
    assert commission.base == Base("digest", answer(900).body)
    assert (commission.body, commission.at, commission.known) == (answer(BIG + 1).body, 1000.0, b"hash")


def test_what_does_not_exist_is_nothing_to_compare_with() -> None:
    """A topic that is gone is as one that never was."""
    commission = reception().commission(answer(BIG + 1), Version(1, at=0, document=ABSENT))
    assert commission is not None and commission.base is None


def test_a_big_document_is_reason_enough() -> None:
    """Some formats say in few bytes what is many as JSON."""
    assert reception().commission(answer(10), published(BIG + 1)) is not None


def test_a_topic_comes_home_when_it_is_well_below_the_limit() -> None:
    """One that is now a little larger, now a little smaller, stays where it is."""
    here = reception()
    assert here.commission(answer(BIG + 1), None)
    assert here.commission(answer(BIG // 2 + 1), published(10))
    assert here.commission(answer(10), published(BIG // 2 + 1))

    assert here.commission(answer(10), published(400)) is None
    assert not here.is_away
    outcome = here.understand(answer(400), NO_VALIDATORS, has_document=True)
    assert isinstance(outcome, Answered) and outcome.news is None, "it knows what is published"


@pytest.mark.parametrize("status", [304, 404, 500, 204])
def test_only_a_document_goes_away(status: int) -> None:
    """What a status means needs no reading."""
    assert reception(on_status={204: "keep"}).commission(answer(BIG + 1, status=status), published(5000)) is None


@pytest.mark.parametrize(
    "here",
    [
        reception(has_views=True),
        reception(accumulate={"query": "since", "since": "max_by(@, &id).id", "key": "id"}),
    ],
    ids=["views", "accumulate"],
)
def test_what_needs_the_document_keeps_it_here(here: Reception) -> None:
    """Views show parts of it, and what accumulates grows out of what was there."""
    assert here.commission(answer(BIG + 1), None) is None


def test_what_was_read_already_is_not_sent_away() -> None:
    """The pages of an answer, and the parts of a batch, were taken apart before they get here."""
    assert reception().commission(answer(BIG + 1, value=[1]), None) is None


def commissioned(here: Reception) -> Commission:
    commission = here.commission(answer(BIG + 1), None)
    assert commission is not None
    return commission


def test_what_comes_back_is_what_the_answer_means() -> None:
    """The times that the upstream told stayed here, and the freshness in the body comes along."""
    here, asked = reception(), answer(BIG + 1, fresh_for=7.0, modified_at=5.0)
    commissioned(here)
    made = Answered(News(Sealed(asked.body, "d", BIG + 1)), 1000.0)

    outcome = here.finish(asked, Finished(b"hash", made, ttl=3.0, made="d"))
    here.remember(asked, outcome, "live")

    assert isinstance(outcome, Answered) and outcome.news is made.news
    assert (outcome.freshness.fresh_for, outcome.freshness.modified_at, outcome.freshness.ttl) == (7.0, 5.0, 3.0)
    assert here.accepted.body_hash == b"hash"


def test_bytes_that_are_known_are_no_change() -> None:
    """And the freshness that they told is that which they told before."""
    here, asked = reception(), answer(BIG + 1)
    commissioned(here)
    here.remember(asked, here.finish(asked, Finished(b"hash", Answered(None, 1.0), ttl=3.0)), "live")

    outcome = here.finish(asked, Finished(b"hash"))

    assert isinstance(outcome, Unchanged) and outcome.freshness.ttl == 3.0


def test_small_answers_are_told_apart_by_their_bytes() -> None:
    """The same bytes are not even parsed."""
    here = reception()
    here.remember(answer(9), here.understand(answer(9), NO_VALIDATORS, has_document=False), "live")

    assert here.accepted.body_hash == hash_of(answer(9).body)
    assert isinstance(here.understand(answer(9), NO_VALIDATORS, has_document=True), Unchanged)
    assert isinstance(here.understand(answer(10), NO_VALIDATORS, has_document=True), Answered)
