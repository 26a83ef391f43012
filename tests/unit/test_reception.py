"""What the answers to one topic mean, and what is kept of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.errors import PollError
from pushgate.happenings import Answered, Denied, Freshness, Missing, Outcome, Unchanged
from pushgate.reception import Reception
from pushgate.routes import Route
from pushgate.values import Document, Json, State, Validators

TAGGED = Validators('"1"', "Mon, 01 Jan 2024 00:00:00 GMT")


class JsonDecoder:
    def decode(self, body: bytes, content_type: str) -> Json:
        value: Json = json.loads(body)
        return value

    def learn(self, document: Document | None) -> None:
        """Nothing is remembered."""


def reception(**config: Any) -> Reception:
    route = RouteConfig.model_validate({"upstream": "u", **config})
    return Reception(Route("/t", route, {"u": Upstream.model_validate({"url": "http://u"})}), JsonDecoder())


def answer(document: Any = None, *, status: int = 200, validators: Validators = TAGGED, **more: Any) -> Answer:
    body = b"" if document is None else json.dumps(document).encode()
    return Answer(status, "application/json", body, validators, 1000.0, **more)


def take(one: Reception, said: Answer, state: State = "live", *, asked_with: Validators = NO_VALIDATORS) -> Outcome:
    """Take an answer in as the feed does, after which the topic is in this state."""
    outcome = one.understand(said, asked_with, has_document=True)
    one.remember(said, outcome, state)
    return outcome


def test_an_accepted_answer_leaves_its_validators() -> None:
    """And the next one replaces both, each with what it has."""
    one = reception()
    assert one.validators(is_conditional=True) == NO_VALIDATORS
    take(one, answer([1]))
    assert one.validators(is_conditional=True) == TAGGED
    assert one.validators(is_conditional=False) == NO_VALIDATORS
    take(one, answer([2], validators=Validators('"2"')))
    assert one.validators(is_conditional=True) == Validators('"2"')


def test_a_held_answer_leaves_nothing() -> None:
    """Or the upstream would say "not modified" about what nobody has seen."""
    one = reception()
    take(one, answer([1, 2]))
    outcome = take(one, answer([], validators=Validators('"2"')), "held")
    assert isinstance(outcome, Answered) and outcome.doubt is not None
    assert one.held is not None and (one.held.doubt.guard, one.held.size) == ("empty", 2)
    assert one.validators(is_conditional=True) == TAGGED
    assert take(one, answer([1, 2])) == Unchanged() and one.held is None


def test_the_same_bytes_are_not_looked_at() -> None:
    """A tag that changes while the body does not is no change, and is what the next poll asks with."""
    one = reception()
    take(one, answer([1]))
    assert take(one, answer([1], validators=Validators('"2"'), fresh_for=5.0)) == Unchanged(freshness=Freshness(5.0))
    assert one.validators(is_conditional=True) == Validators('"2"')


def test_the_same_bytes_of_another_type_are_looked_at() -> None:
    """Another charset makes another text of them, and a type that is not expected is a failed poll."""
    one = reception(guards={"content_type": "application/json"})
    take(one, answer([1]))
    outcome = take(one, replace(answer([1]), content_type="application/json; charset=latin-1"))
    assert isinstance(outcome, Answered) and outcome.news is None
    with pytest.raises(PollError) as caught:
        take(one, replace(answer([1]), content_type="text/html"))
    assert caught.value.reason == "guard"


def test_not_modified() -> None:
    """A 304 confirms the document, and may bring a new tag; one that was not asked for is a failed poll."""
    one = reception()
    take(one, answer([1]))
    outcome = take(one, answer(status=304, validators=Validators('"1a"')), asked_with=TAGGED)
    assert outcome == Unchanged(not_modified=True)
    assert one.validators(is_conditional=True) == Validators('"1a"', TAGGED.last_modified)
    with pytest.raises(PollError) as caught:
        take(one, answer(status=304))
    assert caught.value.reason == "protocol"


def test_what_was_given_up_while_it_was_asked_with_stays_given_up() -> None:
    """After a reload the next answer is looked at, also if the poll that was under way ends with a 304."""
    one = reception()
    take(one, answer([1]))
    until = RouteConfig.model_validate({"upstream": "u", "poll": {"until": "[0] == `1`"}})
    one.revise(Route("/t", until, {"u": Upstream.model_validate({"url": "http://u"})}), None)
    assert take(one, answer(status=304), asked_with=TAGGED) == Unchanged(not_modified=True)
    assert one.validators(is_conditional=True) == NO_VALIDATORS
    outcome = take(one, answer([1]))
    assert isinstance(outcome, Answered) and outcome.is_last


def test_missing_once_leaves_nothing_to_ask_with_and_twice_nothing_at_all() -> None:
    """What comes back after that is a whole document again."""
    one = reception()
    take(one, answer([1]))
    assert take(one, answer(status=404), "live") == Missing(1000.0)
    assert one.validators(is_conditional=True) == NO_VALIDATORS
    assert take(one, answer([1])) == Unchanged()
    take(one, answer(status=404), "gone")
    outcome = take(one, answer([1]))
    assert isinstance(outcome, Answered) and outcome.news is not None and outcome.news.patch == ()


def test_the_caller_is_sent_away_only_with_credentials_of_their_own() -> None:
    """With pushgate's, 401 is a failed poll."""
    assert take(reception(share="identity"), answer(status=401), "cold") == Denied(401)
    with pytest.raises(PollError) as caught:
        take(reception(), answer(status=401))
    assert caught.value.reason == "upstream_auth"
    named = reception(share="identity", on_status={"403": "gone"})
    assert take(named, answer(status=403), "gone") == Missing(1000.0)


def test_a_failure_says_when_to_come_back() -> None:
    """What the upstream asked for goes with the failure."""
    with pytest.raises(PollError) as caught:
        take(reception(), answer(status=503, retry_after=30.0))
    assert (caught.value.reason, caught.value.retry_after) == ("http_5xx", 30.0)


def test_keep_needs_something_to_keep() -> None:
    """Without a document it is a failed poll."""
    one = reception(on_status={"204": "keep"})
    assert one.understand(answer(status=204), NO_VALIDATORS, has_document=True) == Unchanged()
    with pytest.raises(PollError, match="nothing to keep"):
        one.understand(answer(status=204), NO_VALIDATORS, has_document=False)


def test_what_accumulates_is_never_the_same() -> None:
    """An empty answer twice means nothing new twice, and no tag speaks for the whole list."""
    one = reception(accumulate={"query": "since", "since": "max_by(@, &id).id", "key": "id"})
    assert one.since(0) is None
    take(one, answer([{"id": 1}]))
    assert one.since(0) == ("since", "1") and one.validators(is_conditional=True) == NO_VALIDATORS
    outcome = take(one, answer([]))
    assert isinstance(outcome, Answered) and outcome.news is None


def test_raw_bytes_are_kept_for_raw_answers_only() -> None:
    """``short_poll: raw`` needs them; nobody else does."""
    raw, plain = reception(short_poll="raw"), reception()
    for one in (raw, plain):
        take(one, answer([1]))
    assert raw.accepted.body is not None and raw.accepted.body.data == b"[1]"
    assert plain.accepted.body is None
