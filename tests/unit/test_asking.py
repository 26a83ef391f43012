"""What is asked of an upstream, and that no value leaves its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest

from pushgate.asking import Question
from pushgate.config.requests import Request
from pushgate.config.upstreams import Upstream
from pushgate.errors import BadRequest
from pushgate.escaping import outside_strings
from pushgate.values import UpstreamRequest

NASTY = ["plain", 'a"b', "a\\b", "a&b=c", "<x>", "]]>", "{id}", "é☃", "a\nb", "' or 1=1", "%2e%2e"]


def ask(values: dict[str, str], **config: Any) -> UpstreamRequest:
    upstream = Upstream.model_validate({"url": "http://u/api"})
    question = Question("/r", Request.model_validate({"method": "POST", **config}), "u", {"u": upstream})
    return question.ask(values, query=[], headers=[])


def content_type(request: UpstreamRequest) -> str | None:
    return {name.lower(): value for name, value in request.headers}.get("content-type")


@pytest.mark.parametrize("value", NASTY)
def test_a_value_in_a_mapping(value: str) -> None:
    """A map is sent as JSON; a value stays inside its string."""
    request = ask({"id": value}, body={"query": "query { user(id: $id) { name } }", "variables": {"id": "{id}"}})
    assert json.loads(request.body or b"") == {
        "query": "query { user(id: $id) { name } }",
        "variables": {"id": value},
    }
    assert content_type(request) == "application/json"


@pytest.mark.parametrize("value", NASTY)
def test_a_value_in_json_text(value: str) -> None:
    """Braces that name nothing are literal."""
    request = ask({"id": value}, body='{"a": {"b": "{id}"}, "c": "{other}"}')
    assert json.loads(request.body or b"") == {"a": {"b": value}, "c": "{other}"}


@pytest.mark.parametrize("value", NASTY)
def test_a_value_in_xml(value: str) -> None:
    """In text and in attributes alike."""
    request = ask({"id": value}, body='<a b="{id}">{id}</a>')
    element = ElementTree.fromstring(request.body or b"")
    assert element.text == value
    assert content_type(request) == "text/xml; charset=utf-8"


def test_what_xml_cannot_carry() -> None:
    """A control character is refused rather than sent."""
    with pytest.raises(BadRequest):
        ask({"id": "\x01"}, body="<a>{id}</a>")


@pytest.mark.parametrize("value", NASTY)
def test_a_value_in_a_form(value: str) -> None:
    """One value stays one value."""
    request = ask({"id": value}, form={"station": "{id}", "x": "1"})
    assert parse_qs((request.body or b"").decode()) == {"station": [value], "x": ["1"]}
    assert content_type(request) == "application/x-www-form-urlencoded"


def test_other_bodies_are_sent_as_they_are() -> None:
    """Where nothing can be escaped no value stands for a brace; the configured type wins."""
    request = ask({"id": "1"}, body="id={id}", headers={"content-type": "text/csv"})
    assert (request.body, content_type(request)) == (b"id={id}", "text/csv")


def test_a_body_from_a_file(tmp_path: Path) -> None:
    """A SOAP envelope is best kept in a file of its own."""
    file = tmp_path / "orders.xml"
    file.write_text('<?xml version="1.0"?><Envelope><user>{user}</user></Envelope>', encoding="utf-8")
    request = ask({"user": "a<b"}, body_file=str(file), headers={"Content-Type": "application/soap+xml"})
    assert b"<user>a&lt;b</user>" in (request.body or b"")


def test_a_socket_has_a_host_too() -> None:
    """What stands for the host of a unix socket is `localhost`."""
    upstream = Upstream.model_validate({"url": "unix:///run/app.sock"})
    request = Question("/r", Request(), "u", {"u": upstream}).ask({}, query=[("a", "b c")], headers=[])
    assert (request.method, request.url, request.body) == ("GET", "http://localhost/r?a=b%20c", None)


@pytest.mark.parametrize(
    ("body", "outside"),
    [('{"a": {id}}', ["id"]), ('{"a": "{id}"}', []), ('{"a": "\\"{id}"}', []), ('["{id}", {id}]', ["id"]), ("{}", [])],
)
def test_where_no_quote_holds_a_value(body: str, outside: list[str]) -> None:
    """Outside the strings of a JSON text a value could be any JSON at all."""
    assert outside_strings(body, ["id"]) == outside
