"""What becomes of a client's write: what goes upstream of it, and what it makes out of date."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from pushgate.config.refresh import Reach
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.errors import BadRequest, Forbidden, Refusal
from pushgate.naming import Template
from pushgate.routes import Route
from pushgate.values import ANYBODY, Caller, Principal
from pushgate.writes import Order, Sent

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
NASTY = ["plain", 'a"b', "a\\b", "a&b=c", "<x>", "{city}", "{data.x}", "é☃", "a\nb", "%2e%2e", "../..", "a/b?c#d"]


def order(
    write: dict[str, Any],
    sent: Sent | None = None,
    *,
    asked: dict[str, str] | None = None,
    caller: Caller = ANYBODY,
    **route: Any,
) -> Order:
    """What a write to /stations/paris comes to."""
    config = RouteConfig.model_validate({"upstream": "u", "write": {"POST": write}, **route})
    compiled = Route("/stations/{city}", config, {"u": Upstream.model_validate({"url": "http://u/api"})})
    name = compiled.topic({"city": "paris"}, asked or {}, caller)
    return compiled.order("POST", name, caller, sent or Sent(b""))


def as_json(document: Any) -> Sent:
    return Sent(json.dumps(document).encode(), JSON)


def fields(order: Order) -> dict[str, str]:
    return {name: value for name, value in order.request.headers if name != "User-Agent"}


class TestWithoutMoreWords:
    def test_the_clients_own_body_goes_where_the_topic_is_polled(self) -> None:
        """Method, path, body and the two fields that are about bodies; of other fields, nothing is passed on."""
        written = order({}, Sent(b"\x00 any bytes", "image/png", "text/html"), request={"path": "/s/{city}.json"})
        assert (written.request.method, written.request.url) == ("POST", "http://u/api/s/paris.json")
        assert written.request.body == b"\x00 any bytes"
        assert fields(written) == {"Accept": "text/html", "Content-Type": "image/png"}

    def test_the_listed_query_goes_along(self) -> None:
        """As it does when the topic is polled; with a path of its own, the write says itself what it asks."""
        listed = {"page": {"as": "p", "pattern": "[0-9]+"}}
        assert order({}, asked={"page": "2"}, query=listed).request.url.endswith("/stations/paris?p=2")
        elsewhere = order({"path": "/rent"}, asked={"page": "2"}, query=listed)
        assert elsewhere.request.url == "http://u/api/rent"

    def test_the_routes_own_topic_is_out_of_date(self) -> None:
        """Whatever its query, and whosever it is."""
        [reach] = order({}).reaches
        assert reach == Reach(("stations", "paris"), {})
        assert order({}).wait == 1.0

    def test_no_body_is_no_body(self) -> None:
        """A type without anything that has it is not passed on either."""
        written = order({}, Sent(b"", JSON))
        assert (written.request.body, fields(written)) == (None, {})


class TestWithValues:
    def test_they_stand_everywhere(self) -> None:
        """In the path, the query, header fields and the body, beside the topic's own."""
        write = {
            "path": "/{city}/{data.station}/rent",
            "query": {"who": "{data.user.name}"},
            "headers": {"X-Bikes": "{data.bikes}"},
            "body": {"electric": "{data.electric}", "city": "{city}"},
        }
        data = {"station": "a b", "user": {"name": "Ann & Bob"}, "bikes": 2, "electric": True}
        request = order(write, as_json(data)).request
        assert request.url == "http://u/api/paris/a%20b/rent?who=Ann%20%26%20Bob"
        assert json.loads(request.body or b"") == {"electric": "true", "city": "paris"}
        assert dict(request.headers)["X-Bikes"] == "2"
        assert dict(request.headers)["Content-Type"] == JSON

    @pytest.mark.parametrize("value", NASTY)
    def test_they_stay_in_their_places(self, value: str) -> None:
        """Whatever they are: one value, of a form or of JSON, and never a template again."""
        form = order({"form": {"x": "{data.x}", "y": "1"}}, as_json({"x": value})).request
        assert parse_qs((form.body or b"").decode(), strict_parsing=True) == {"x": [value], "y": ["1"]}
        body = order({"body": {"x": "{data.x}", "literal": "{x}"}}, as_json({"x": value})).request
        assert json.loads(body.body or b"") == {"x": value, "literal": "{x}"}

    @pytest.mark.parametrize("value", ["..", ".", "a/b", "a\\b", "", "a\nb"])
    def test_what_cannot_stand_in_a_path_is_refused(self, value: str) -> None:
        """Rather than lead somewhere else."""
        with pytest.raises(BadRequest):
            order({"path": "/x/{data.x}"}, as_json({"x": value}))
        with pytest.raises(BadRequest):
            order({"refresh": "/x/{data.x}"}, as_json({"x": value}))

    @pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\x00", "é"])
    def test_what_cannot_stand_in_a_header_is_refused(self, value: str) -> None:
        """A line end would begin another field."""
        with pytest.raises(BadRequest):
            order({"headers": {"X-Value": "{data.x}"}}, as_json({"x": value}))

    def test_a_form_has_fields(self) -> None:
        """Their names may have dots; JSON may have such names too, before dots lead further down."""
        form = Sent(b"a.b=1+2&c=%26", f"{FORM}; charset=UTF-8")
        assert order({"form": {"x": "{data.a.b}", "y": "{data.c}"}}, form).request.body == b"x=1+2&y=%26"
        dotted = as_json({"a.b": "near", "a": {"b": "far"}})
        assert order({"form": {"x": "{data.a.b}"}}, dotted).request.body == b"x=near"

    def test_numbers_are_exact(self) -> None:
        """As the client wrote them, however large."""
        sent = Sent(b'{"x": 123456789012345678901234567890}', "application/vnd.api+json")
        assert order({"form": {"x": "{data.x}"}}, sent).request.body == b"x=123456789012345678901234567890"

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            (b'{"y": 1}', JSON, 400),
            (b'{"x": null}', JSON, 400),
            (b'{"x": {"y": 1}}', JSON, 400),
            (b'{"x": [1]}', JSON, 400),
            (b"[1]", JSON, 400),
            (b'{"x": ', JSON, 400),
            (b'{"x": "\xff"}', JSON, 400),
            (b'{"x": "\\ud800"}', JSON, 400),
            (b"[" * 100_000, JSON, 400),
            (b'{"a":' * 100_000, JSON, 400),
            (b"", JSON, 400),
            (b"y=1", FORM, 400),
            (b"x=1&x=2", FORM, 400),
            (b"x=%ff", FORM, 400),
            (b"x=\xff", FORM, 400),
            (b"&".join(b"a%d=1" % number for number in range(2000)), FORM, 400),
            (b"x=1", "multipart/form-data; boundary=b", 415),
            (b'{"x": 1}', "text/plain", 415),
            (b'{"x": 1}', None, 415),
        ],
    )
    def test_a_body_without_them(self, body: bytes, content_type: str | None, status: int) -> None:
        """Is refused with what is wrong, and nothing is sent."""
        with pytest.raises(Refusal) as refused:
            order({"form": {"x": "{data.x}"}}, Sent(body, content_type))
        assert refused.value.status == status

    def test_without_need_no_body_is_read(self) -> None:
        """What the configuration does not ask for need not be there, nor be of any kind."""
        assert order({}, Sent(b"{", JSON)).request.body == b"{"

    def test_braces_that_name_nothing_are_literal(self) -> None:
        """A GraphQL mutation may have as many as it likes; a listed query parameter has to be there."""
        write = {"body": {"query": "mutation { rent {id}}", "variables": {"p": "{page}"}}}
        listed = {"page": "[0-9]+"}
        body = order(write, asked={"page": "1"}, query=listed).request.body
        assert json.loads(body or b"") == {"query": "mutation { rent {id}}", "variables": {"p": "1"}}
        with pytest.raises(BadRequest, match="'page'"):
            order(write, query=listed)


class TestWhoWrites:
    def test_as_the_caller(self) -> None:
        """What is forwarded when the topic is polled is forwarded with a write; the configuration's own fields win."""
        caller = Caller(None, {"authorization": "Bearer ann", "x-other": "1"}, {"SID": "s", "other": "o"})
        forward = {"headers": ["Authorization"], "cookies": ["SID"]}
        sent = Sent(b"x", "text/plain", "text/html")
        written = order({"headers": {"Accept": JSON}}, sent, caller=caller, share="identity", forward=forward)
        assert fields(written) == {
            "Accept": JSON,
            "Authorization": "Bearer ann",
            "Cookie": "SID=s",
            "Content-Type": "text/plain",
        }

    def test_with_a_claim(self) -> None:
        """Of who proved to have it, also where everybody sees the same; who has none is refused."""
        who = Caller(Principal("a", "i", "ann", {"sub": "ann"}))
        write = {"form": {"by": "{claims.sub}"}}
        assert order(write, caller=who).request.body == b"by=ann"
        with pytest.raises(Forbidden):
            order(write)

    def test_data_are_no_claims(self) -> None:
        """What the client says about itself reaches no credentials."""
        assert order({"form": {"by": "{data.sub}"}}, as_json({"sub": "root"})).request.claims == {}

    @pytest.mark.parametrize("value", ["text/\x00", "é", "a\r\nb: c"])
    def test_a_field_that_cannot_be_passed_on(self, value: str) -> None:
        """Is refused, not sent in another form."""
        with pytest.raises(BadRequest):
            order({}, Sent(b"x", value))


class TestWhatIsOutOfDate:
    @pytest.mark.parametrize(
        ("entry", "path", "values"),
        [
            ("/stations/{city}", "/stations/{city}", {"city": "paris"}),
            ("/stations/{data.x}", "/stations/{city}", {"city": "*"}),
            ("/stations/*", "/stations/{city}", {}),
            ("/stations/*", "/stations/{city}/bikes", None),
            ("/*/{city}", "/{country}/{city}", {"city": "paris"}),
            ("/stations/{city}?lang=de", "/stations/{city}", {"city": "paris", "lang": "de"}),
            ("/stations/{city}?x={data.x}", "/stations/{city}", {"city": "paris", "x": "*"}),
            ("/stations/a-{city}.json", "/stations/{id}-{city}.json", {"id": "a", "city": "paris"}),
            ("/stations/lyon", "/stations/{city}", {"city": "lyon"}),
            ("/stations/l%79on", "/stations/lyon", {}),
            ("/other", "/stations/{city}", None),
            ("/other/x", "/stations/{city}", None),
        ],
    )
    def test_entries(self, entry: str, path: str, values: dict[str, str] | None) -> None:
        """An asterisk of the configuration is anything; one that a client sends is an asterisk."""
        [reach] = order({"refresh": entry}, as_json({"x": "*"})).reaches
        assert reach.within(Template.parse(path, {})) == values
