"""One poll as steps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.errors import PollError
from pushgate.happenings import Answered, Missing
from pushgate.routes import Route
from pushgate.tools.tracing import Trace, TracedReception, TracedRecipe, view_step
from pushgate.values import ABSENT, Document, Json


class JsonDecoder:
    """Knows JSON."""

    def decode(self, body: bytes, content_type: str) -> Json:
        try:
            value: Json = json.loads(body)
        except ValueError as exc:
            raise PollError("decode", "no JSON") from exc
        return value

    def learn(self, document: Document | None) -> None:
        """Nothing to remember."""


def traced(**config: Any) -> tuple[Trace, TracedReception]:
    route_config = RouteConfig.model_validate({"upstream": "u", **config})
    route = Route("/r", route_config, {"u": Upstream.model_validate({"url": "http://u"})})
    trace = Trace(format="json")
    route.recipe = TracedRecipe(route_config, trace)
    return trace, TracedReception(route, JsonDecoder(), trace)


def answer(document: Any, *, status: int = 200) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status, "application/json", body, NO_VALIDATORS, 1000.0)


def steps(trace: Trace) -> dict[str, tuple[str, ...]]:
    return {step.name: step.lines for step in trace.steps}


def test_every_step_that_the_route_has_is_told() -> None:
    """In the order of the pipeline, each as the answer was then: what is ignored later was still there before."""
    trace, reception = traced(
        guards={"content_type": "application/json", "fail_if": "error"},
        poll={"ttl": "ttl", "until": "length(@) == `2`"},
        ignore=["/rows/*/t", "/no"],
        select="rows",
        key="id",
    )
    document = {"rows": [{"id": 1, "t": 1}, {"id": 1, "t": 2}], "ttl": 60}
    outcome = reception.understand(answer(document), NO_VALIDATORS, has_document=False)
    assert isinstance(outcome, Answered) and outcome is trace.outcome
    assert steps(trace) == {
        "content_type": ("is one of those expected: application/json",),
        "decode": ("json: an object of 2 members", '{"rows":[{"id":1,"t":1},{"id":1,"t":2}],"ttl":60}'),
        "fail_if": ("`error` is not true",),
        "ttl": ("`ttl`: the answer is good for 1m",),
        "ignore": ("/rows/*/t: 2 members removed", "/no: matches nothing"),
        "select": ("`rows`: an array of 2 items", '[{"id":1},{"id":1}]'),
        "key": ("the document: compared by index: 1 is the key of items 0, 1",),
        "guards": ("there is nothing to compare with",),
        "until": ("`length(@) == `2`` is true: no poll follows",),
    }
    assert [step.name for step in trace.steps] == list(steps(trace))


@pytest.mark.parametrize(
    ("config", "document", "at", "reason"),
    [
        ({}, b"<html>", "decode", "decode"),
        ({"guards": {"content_type": "text/csv"}}, {}, "content_type", "guard"),
        ({"guards": {"fail_if": "error"}}, {"error": "x"}, "fail_if", "fail_if"),
        ({"accumulate": {"query": "q", "since": "[0]", "key": "id"}}, {}, "accumulate", "select"),
        ({"select": "rows"}, {}, "select", "select"),
    ],
)
def test_a_failure_is_told_where_it_happens(config: dict[str, Any], document: Any, at: str, reason: str) -> None:
    """What was done before is told; the step that failed has no lines of its own."""
    trace, reception = traced(**config)
    with pytest.raises(PollError) as caught:
        reception.understand(answer(document), NO_VALIDATORS, has_document=False)
    assert (trace.at, trace.error) == (at, caught.value)
    assert caught.value.reason == reason
    assert at not in steps(trace)


def test_a_rejected_document_fails_at_the_guards() -> None:
    trace, reception = traced(guards={"empty": "reject"})
    first = answer([1])
    reception.remember(first, reception.understand(first, NO_VALIDATORS, has_document=False), "live")
    trace.begin()
    with pytest.raises(PollError):
        reception.understand(answer([]), NO_VALIDATORS, has_document=True)
    assert trace.at == "guards"


def test_a_doubt_and_what_accumulates_are_told() -> None:
    """What is held says why; a list that grows says how long it is."""
    trace, reception = traced(accumulate={"query": "q", "since": "[-1].id", "key": "id"})
    first = answer([{"id": 1}])
    reception.since(0.0)
    reception.remember(first, reception.understand(first, NO_VALIDATORS, has_document=False), "live")
    reception.since(1.0)
    trace.begin()
    reception.understand(answer([{"id": 2}]), NO_VALIDATORS, has_document=True)
    assert steps(trace)["accumulate"] == ("an array of 2 items so far, at most 200",)
    assert steps(trace)["guards"] == ("nothing is hard to believe",)
    trace, reception = traced()
    reception.remember(first, reception.understand(first, NO_VALIDATORS, has_document=False), "live")
    trace.begin()
    reception.understand(answer({}), NO_VALIDATORS, has_document=True)
    assert steps(trace)["guards"][0].startswith("fails `empty`: an empty object, where there was an array of 1")


def test_what_is_no_document_is_told_by_its_status() -> None:
    trace, reception = traced()
    assert isinstance(reception.understand(answer({}, status=404), NO_VALIDATORS, has_document=True), Missing)
    assert steps(trace) == {"status": ("404 means that it is gone",)}


def test_the_pages_of_one_poll_are_one_step() -> None:
    """A step that is taken several times in a row gathers its lines."""
    trace = Trace()
    trace.note("request", "GET /1")
    trace.note("request", "GET /2")
    trace.note("answer", "200")
    assert steps(trace) == {"request": ("GET /1", "GET /2"), "answer": ("200",)}


def test_a_view_is_a_step_too() -> None:
    assert view_step({"id": 7}, where="item `7`").lines == ("item `7`: an object of 1 member", '{"id":7}')
    assert view_step(ABSENT, where="item `8`").lines == ("item `8`: there is nothing, so it is gone",)
