"""What was asked for, as gateway.yaml says it: without the credentials in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.config import parse
from pushgate.tools.probing import Asked, Report, Sample, as_json, infer, write

SECRET = "s3cr3t-value"


def report() -> Report:
    answers = [Answer(200, "application/json", b'{"a":1}', NO_VALIDATORS, 1_795_486_381.0 + at) for at in range(3)]
    return infer([Sample(answer, 0.1) for answer in answers], lambda _form, _answer: {"a": 1})


def loaded(asked: Asked) -> Any:
    environ = dict.fromkeys(asked.placeholders(), "value")
    gateway = parse(write(asked, report()), file="gateway.yaml", environ=environ, base=Path())
    return gateway, next(iter(gateway.routes.values()))


@pytest.mark.parametrize(
    "asked",
    [
        Asked("https://a.example/x", user=f"me:{SECRET}"),
        Asked(f"https://me:{SECRET}@a.example/x"),
        Asked(f"https://a.example/x?api_key={SECRET}&city=paris"),
        Asked("https://a.example/x", headers=(("Authorization", f"Bearer {SECRET}"),)),
        Asked("https://a.example/x", headers=(("X-Whatever", SECRET),)),
        Asked("https://a.example/x", headers=(("Cookie", f"SID={SECRET}"),)),
        Asked("https://a.example/x", "POST", body=f'{{"password": "{SECRET}", "list": ["token:{SECRET}"]}}'),
        Asked("https://a.example/x", "POST", body=f"user=me&passwd={SECRET}"),
        Asked("https://a.example/x", "POST", body=f"<login><password>{SECRET}</password></login>"),
    ],
)
def test_no_credential_is_printed(asked: Asked) -> None:
    """Not in the text, not as JSON, not by repr; a variable stands where it was, and the file loads with it."""
    assert SECRET not in write(asked, report()) + str(as_json(asked, report())) + repr(asked)
    assert asked.placeholders()
    assert "in the environment" in write(asked, report())
    loaded(asked)


def test_a_plain_get_needs_no_request() -> None:
    """The route's own path is what is asked for."""
    gateway, route = loaded(Asked("http://127.0.0.1:8000/a/b.json"))
    assert gateway.upstreams["127-0-0-1"].url == "http://127.0.0.1:8000"
    assert list(gateway.routes) == ["/a/b.json"]
    assert not route.request.model_fields_set


def test_what_is_asked_beside_the_path_is_in_the_request() -> None:
    """Query, method, a body as JSON."""
    _gateway, route = loaded(Asked("https://a.example/rpc/?lang=de", "POST", body='{"method": "stat", "n": [1]}'))
    assert route.request.path == "/rpc/"
    assert route.request.query == {"lang": "de"}
    assert (route.request.method, route.request.body) == ("POST", {"method": "stat", "n": [1]})


def test_harmless_header_fields_are_kept() -> None:
    """What is wanted is no secret; who wants it is."""
    asked = Asked("https://a.example/x", headers=(("Accept", "text/csv"), ("Content-Type", "text/plain")))
    assert asked.upstream()["headers"] == {"Accept": "text/csv"}
    assert asked.request()["headers"] == {"Content-Type": "text/plain"}
    assert asked.placeholders() == []


@pytest.mark.parametrize(
    "url",
    ["https://a.example", "https://a.example/", "https://a.example//x//", "https://a.example/{id}/x",
     "https://a.example/;csv", "https://a.example/a%20b", "https://a.example/x?q=%7Bid%7D", "https://[::1]:8080/x"],
)  # fmt: skip
def test_any_path_becomes_a_route(url: str) -> None:
    """Doubled slashes, braces that are no parameters, nothing at all."""
    loaded(Asked(url))


def test_braces_in_a_query_of_graphql_stay_literal() -> None:
    """{me} would stand for a parameter; with a space it means the same to GraphQL and nothing to pushgate."""
    _gateway, route = loaded(Asked("https://a.example/graphql", "POST", body='{"query": "{me{name}}"}'))
    assert route.request.body == {"query": "{me{ name}}"}


def test_a_form_is_written_as_a_form() -> None:
    """Fields, one by one."""
    _gateway, route = loaded(Asked("https://a.example/x", "POST", body="city=paris&n=1"))
    assert route.request.form == {"city": "paris", "n": "1"}


def test_a_dollar_brace_is_no_variable() -> None:
    """What looks like an expression of gateway.yaml is written as text."""
    asked = Asked("https://a.example/x", "POST", body='{"template": "${HOME:-none}"}')
    assert asked.placeholders() == []
    assert loaded(asked)[1].request.body == {"template": "${HOME:-none}"}


def test_what_would_be_a_parameter_is_told_of() -> None:
    """{id} in a query is sent literally by the probe, and could not be by a route."""
    text = write(Asked("https://a.example/x?q=%7Bid%7D"), report())
    assert "{id} would stand for a parameter" in text
    assert "would stand" not in write(Asked("https://a.example/g", "POST", body='{"query": "{me{name}}"}'), report())


def test_repeated_query_parameters_are_told_of() -> None:
    """A mapping has each name once."""
    assert "cannot repeat a query parameter: a" in write(Asked("https://a.example/x?a=1&a=2"), report())
