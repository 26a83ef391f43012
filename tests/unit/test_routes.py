"""A route made ready to run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.errors import BadRequest, Forbidden, PollError
from pushgate.routes import Route
from pushgate.values import Caller, Principal


def route(path: str = "/t/{x}", *, upstream: dict[str, Any] | None = None, **config: Any) -> Route:
    settings = {"url": "http://u/api/", **(upstream or {})}
    return Route(
        path, RouteConfig.model_validate({"upstream": "u", **config}), {"u": Upstream.model_validate(settings)}
    )


def test_a_topic_is_its_path_and_its_listed_query() -> None:
    """Sorted, with defaults filled in, and without what is dropped."""
    one = route(query={"lang": {"default": "en"}, "page": "[0-9]+", "_": "drop"})
    assert one.topic({"x": "a b"}, {}).text == "/t/a%20b?lang=en"
    assert one.topic({"x": "a"}, {"page": "2", "_": "123", "lang": "de"}).text == "/t/a?lang=de&page=2"


@pytest.mark.parametrize("query", [{"foo": "1"}, {"page": "x"}, {"page": "1\n"}, {"page": ""}])
def test_a_query_that_is_not_let_through(query: dict[str, str]) -> None:
    """Unknown parameters and values that do not fit are refused, so that nobody multiplies topics."""
    with pytest.raises(BadRequest):
        route(query={"page": "[0-9]+"}).topic({"x": "a"}, query)


def test_a_query_that_the_request_needs() -> None:
    """What the request's template names must be given."""
    one = route("/t", query={"id": "[0-9]+"}, request={"path": "/things/{id}"})
    with pytest.raises(BadRequest, match="id"):
        one.topic({}, {})
    assert one.request(one.topic({}, {"id": "7"})).url == "http://u/api/things/7"


def test_the_default_request_is_the_routes_own_path() -> None:
    """GET on the same path below the upstream's URL, with the listed query."""
    one = route(query={"lang": "[a-z]+"})
    request = one.request(one.topic({"x": "a-b?"}, {"lang": "de"}))
    assert (request.method, request.url) == ("GET", "http://u/api/t/a-b%3F?lang=de")


def test_a_listed_parameter_may_have_another_name_upstream() -> None:
    """``as`` renames; a fixed query of the request comes along."""
    one = route("/t", query={"page": {"as": "p"}}, request={"query": {"fmt": "json"}})
    assert one.request(one.topic({}, {"page": "2&q=3"})).url == "http://u/api/t?fmt=json&p=2%26q%3D3"


def test_a_parameter_that_is_used_elsewhere_is_not_sent_twice() -> None:
    """A query parameter that stands in the request's template goes there and nowhere else."""
    one = route("/t", query={"id": "[0-9]+"}, request={"query": {"filter": "id={id}"}})
    assert one.request(one.topic({}, {"id": "7"})).url == "http://u/api/t?filter=id%3D7"


def test_headers_are_the_upstreams_and_the_requests() -> None:
    """The request's own win; values are filled in and cannot start another line."""
    one = route(upstream={"headers": {"A": "1", "B": "2"}}, request={"headers": {"B": "3", "C": "{x}"}})
    assert dict(one.request(one.topic({"x": "v"}, {})).headers) == {"A": "1", "B": "3", "C": "v"}
    with pytest.raises(BadRequest):
        one.request(one.topic({"x": "v\r\nD: 4"}, {}))


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, "document"), (201, "document"), (299, "document"), (404, "gone"), (410, "gone")],
)
def test_what_a_status_means(status: int, verdict: str) -> None:
    """2xx is an answer, 404 and 410 are gone."""
    assert route().verdict(status) == verdict


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *((301, "protocol"), (400, "http_4xx"), (401, "upstream_auth"), (403, "upstream_auth"), (418, "http_4xx")),
        *((429, "rate_limited"), (500, "http_5xx"), (503, "http_5xx")),
    ],
)
def test_the_rest_fail(status: int, reason: str) -> None:
    """Everything else is a failed poll, for a reason that a metric counts."""
    with pytest.raises(PollError) as caught:
        route().verdict(status)
    assert caught.value.reason == reason


def test_on_status_names_others() -> None:
    """Any status may be given another meaning, 2xx included."""
    one = route(on_status={"204": "keep", "404": "fail", "500": "gone", "206": "fail"})
    assert one.verdict(204) == "keep"
    assert one.verdict(500) == "gone"
    for status, reason in [(404, "http_4xx"), (206, "protocol")]:
        with pytest.raises(PollError) as caught:
            one.verdict(status)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"upstream": {"url": "http://other"}},
        {"request": {"path": "/elsewhere"}},
        {"request": {"query": {"a": "1"}}},
        {"request": {"headers": {"A": "1"}}},
        {"ignore": ["/a"]},
        {"select": "a"},
        {"key": "id"},
        {"on_status": {"204": "keep"}},
        {"query": {"page": {"as": "p"}}},
        {"request": {"method": "POST", "body": "{}"}},
        {"format": "csv"},
        {"quiet": {"/a": 1}},
        {"guards": {"empty": "accept"}},
        {"pages": {"next": "link_header"}},
    ],
)
def test_what_makes_every_cursor_a_gap(changes: dict[str, Any]) -> None:
    """The definition of a route is all that its documents are made of."""
    assert route(**changes).definition != route().definition


@pytest.mark.parametrize(
    "changes",
    [
        {"poll": {"every": "1m"}},
        {"emit": ["merge"]},
        {"transports": ["sse"]},
        {"history": {"events": 5}},
        {"description": "words"},
        {"stale": {"after": 9}},
        {"max_topics": 3},
        {"upstream": {"timeout": {"total": "1s"}}},
    ],
)
def test_what_leaves_cursors_alone(changes: dict[str, Any]) -> None:
    """How often it is polled and how it is delivered does not change what a document is."""
    assert route(**changes).definition == route().definition


def test_a_standing_topic_may_name_query_parameters() -> None:
    """``poll.topics`` says what a client would say, so both mean the same topic."""
    one = route(
        path="/q/{s}", query={"lang": "[a-z]{2}"}, poll={"while": "always", "topics": [{"s": "A", "lang": "de"}]}
    )
    assert one.standing == {one.topic({"s": "A"}, {"lang": "de"})}
    assert [name.text for name in one.standing] == ["/q/A?lang=de"]


def test_an_upstream_chosen_by_a_parameter() -> None:
    """Twelve identical devices are one route; each topic asks its own."""
    upstreams = {f"dev-{n}": Upstream.model_validate({"url": f"http://10.0.0.{n}/"}) for n in (1, 2)}
    config = RouteConfig.model_validate(
        {"upstream": "dev-{n}", "params": {"n": ["1", "2"]}, "request": {"path": "/status.xml"}}
    )
    one = Route("/devices/{n}", config, upstreams)
    request = one.request(one.topic({"n": "2"}, {}))
    assert (request.upstream, request.url) == ("dev-2", "http://10.0.0.2/status.xml")


PRINCIPAL = Principal("staff", "https://id", "ann", {"sub": "ann", "tenant": 7, "roles": ["a"]})


def caller(principal: Principal | None = None, **headers: str) -> Caller:
    return Caller(principal, {"authorization": "x", **headers}, {"SID": "1", "other": "2"})


def test_what_is_forwarded_makes_topics_different() -> None:
    """Only what the route names is sent, and only it tells identities apart; the name stays the same."""
    one = route("/me", share="identity", forward={"headers": ["X-User"], "cookies": ["SID"]})
    ann, bob = one.topic({}, {}, caller(**{"x-user": "ann"})), one.topic({}, {}, caller(**{"x-user": "bob"}))
    assert ann.text == bob.text == "/me" and ann.key != bob.key
    assert one.topic({}, {}, caller(**{"x-user": "ann", "authorization": "y"})).key == ann.key
    assert dict(one.request(ann).headers) == {"X-User": "ann", "Cookie": "SID=1"}
    assert one.topic({}, {}, Caller()).key not in (ann.key, bob.key)
    assert "ann" not in repr(ann) and "ann" not in ann.key


def test_a_claim_is_written_into_the_request() -> None:
    """Escaped like any value; whoever lacks the claim is refused, and so is one that is no text."""
    settings = {"path": "/t/{claims.tenant}", "headers": {"X-Sub": "{claims.sub}"}, "query": {"u": "{claims.sub}"}}
    one = route("/me", share={"claims": ["tenant", "sub"]}, request=settings, auth="staff")
    request = one.request(one.topic({}, {}, caller(PRINCIPAL)))
    assert request.url == "http://u/api/t/7?u=ann" and ("X-Sub", "ann") in request.headers
    assert request.claims == {"tenant": "7", "sub": "ann"}
    with pytest.raises(Forbidden):
        one.topic({}, {}, Caller())
    with pytest.raises(Forbidden):
        one.topic({}, {}, caller(replace(PRINCIPAL, claims={"tenant": 7})))
    lists = route("/me", share={"claims": ["roles"]}, request={"path": "/{claims.roles}"}, auth="staff")
    with pytest.raises(Forbidden):
        lists.topic({}, {}, caller(PRINCIPAL))


def test_equal_claims_of_two_issuers_are_two_identities() -> None:
    """Who vouches is a part of what is vouched for."""
    one = route("/me", share={"claims": ["tenant"]}, auth="staff")
    own, same = one.topic({}, {}, caller(PRINCIPAL)), one.topic({}, {}, caller(replace(PRINCIPAL, subject="bob")))
    assert own.key == same.key
    for other in (replace(PRINCIPAL, issuer="https://evil"), replace(PRINCIPAL, auth="partners")):
        assert one.topic({}, {}, caller(other)).key != own.key
    by_subject = route("/me", share="identity", auth="staff")
    assert (
        by_subject.topic({}, {}, caller(PRINCIPAL)).key
        != by_subject.topic({}, {}, caller(replace(PRINCIPAL, subject="bob"))).key
    )


@pytest.mark.parametrize("value", ["..", ".", "a/b", "", "a\\b", "\x00"])
def test_a_claim_cannot_leave_its_segment(value: str) -> None:
    """An upstream's URL stays within its origin and its path, whatever an issuer says."""
    one = route("/me", share={"claims": ["sub"]}, request={"path": "/t/{claims.sub}/x"}, auth="staff")
    with pytest.raises(BadRequest):
        one.request(one.topic({}, {}, caller(replace(PRINCIPAL, claims={"sub": value}))))


def test_no_topic_of_a_batch_is_two() -> None:
    """A value that holds what stands between two topics would ask for another one beside it."""
    one = route(request={"path": "/all"}, batch={"param": "ids", "value": "{x}", "match": "id"})
    one.request(one.topic({"x": "a;b"}, {}))
    with pytest.raises(BadRequest, match="','"):
        one.request(one.topic({"x": "a,b"}, {}))
