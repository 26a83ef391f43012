"""What goes on through `proxy:` and what ends there; the exchange itself is in tests/integration/test_proxy.py."""

from __future__ import annotations

import pytest

from pushgate.errors import BadRequest, UpstreamFailed
from pushgate.forwarding import (
    Arrival,
    Fields,
    Withheld,
    answer_fields,
    check_framing,
    length_of,
    request_fields,
    upgrade_of,
)
from pushgate.places import Backend, backend_at, query_without

HERE = Arrival("192.0.2.1", "https", "gateway.example")
SAID = (
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "gateway.example"),
    ("Via", "1.1 pushgate"),
)
BACKEND = backend_at("http://10.0.0.1:8000/api", alias="bikes.example", base_path="/live", keeps_cookies=False)


def seen(name: str, value: str, backend: Backend = BACKEND) -> str | None:
    fields = answer_fields(((name.encode(), value.encode()),), backend, version="1.1")
    return None if len(fields) == 1 else fields[0][1].decode()


class TestTheRequest:
    @pytest.mark.parametrize(
        "name",
        ["Connection", "keep-alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding",
         "Upgrade", "HTTP2-Settings", "Host", "Content-Length", "Expect", "Forwarded", "X-Forwarded-For",
         "x_forwarded_for", "X-Forwarded_Proto", "X-FORWARDED-HOST", "X-Real-IP", "X-Forwarded-Port",
         "X-Forwarded-Ssl", "True-Client-IP", "X-Original-URL", "X_Rewrite_URL"],
    )  # fmt: skip
    def test_what_ends_here(self, name: str) -> None:
        """What is about the connection, and what pushgate says itself, however it is spelled."""
        assert request_fields(((name, "x"),), HERE) == SAID

    def test_what_connection_names_ends_here(self) -> None:
        """But a client cannot have anything removed that pushgate says."""
        fields = (("Connection", "x-a ,Via,X-Forwarded-For, x_c"), ("X-A", "1"), ("Via", "1.1 x"), ("X-B", "2"),
                  ("X_A", "1"), ("X_C", "3"))  # fmt: skip
        assert request_fields(fields, HERE) == (("X-B", "2"), *SAID)

    def test_all_else_goes_on(self) -> None:
        fields = (
            ("A", "1"),
            ("b", ""),
            ("A", "2"),
            ("Authorization", "x"),
            ("Cookie", "a=1;b=2"),
            ("Upgrade-Insecure", "1"),
        )
        assert request_fields(fields, HERE) == (*fields, *SAID)

    def test_a_trusted_proxy_is_believed(self) -> None:
        """Its list of addresses goes on, with its own at the end."""
        arrival = Arrival("10.0.0.1", "https", "inner", is_trusted=True)
        fields = (
            ("X-Forwarded-For", "a"),
            ("X-Forwarded-For", "b, c"),
            ("X-Forwarded-Host", "outer"),
            ("X-Real-IP", "a"),
        )
        told = dict(request_fields(fields, arrival))
        assert (told["X-Forwarded-For"], told["X-Forwarded-Host"], told["X-Real-IP"]) == (
            "a, b, c, 10.0.0.1",
            "outer",
            "a",
        )

    def test_nothing_is_said_of_an_address_that_nobody_knows(self) -> None:
        assert request_fields((), Arrival(None, "http", "h")) == (
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", "h"),
            SAID[-1],
        )

    def test_what_is_pushgates_is_withheld(self) -> None:
        fields: Fields = (("Cookie", "pushgate_ticket_1=x"), ("COOKIE", " a=1; pushgate_ticket_2=y"), ("X_Key", "k"),
                          ("Sec-WebSocket-Protocol", "pushgate.v1, pushgate.token.abc"))  # fmt: skip
        assert request_fields(fields, HERE) == (*(fields[:2]), *fields[2:], *SAID)
        withheld = Withheld(frozenset(["x-key"]), has_tokens=True)
        kept = request_fields(fields, HERE, withheld=withheld)[: -len(SAID)]
        assert kept == (("COOKIE", "a=1"), ("Sec-WebSocket-Protocol", "pushgate.v1"))

    def test_a_name_with_underscores_is_withheld_as_any_other(self) -> None:
        """A client that spells it otherwise is not heard beside pushgate."""
        fields: Fields = (("X_Key", "mine"), ("X-Key", "mine"), ("X-Empty", ""), ("Cookie", ""))
        withheld = Withheld(frozenset(["x_key"]), has_tokens=True)
        assert request_fields(fields, HERE, withheld=withheld) == (("X-Empty", ""), ("Cookie", ""), *SAID)

    @pytest.mark.parametrize(
        ("query", "kept"),
        [
            ("", ""),
            ("a=1&access_token=x&b=%20", "a=1&b=%20"),
            ("%61ccess_token=x&ACCESS_TOKEN=y", "ACCESS_TOKEN=y"),
            ("access_token&&c", "&c"),
        ],
    )
    def test_so_is_what_stands_in_the_query(self, query: str, kept: str) -> None:
        assert query_without(query, {"access_token"}) == kept
        assert query_without(query, ()) == query

    def test_what_cannot_be_repeated_is_refused(self) -> None:
        with pytest.raises(BadRequest):
            request_fields((("X", "\udce9"),), HERE)

    def test_a_circle_is_noticed(self) -> None:
        """A few gateways one behind the other are none."""
        request_fields((("Via", "1.1 front, 1.1 pushgate"),), HERE)
        with pytest.raises(UpstreamFailed, match="circles"):
            request_fields((("Via", "1.1 pushgate, 1.1 pushgate"), ("via", ", ".join(["1.1 Pushgate"] * 3))), HERE)


class TestTheLength:
    @pytest.mark.parametrize(
        "fields",
        [(), (("Content-Length", "0"),), (("Transfer-Encoding", " Chunked"),)],
    )
    def test_it_is_said_once(self, fields: Fields) -> None:
        check_framing(fields, version=(1, 1))

    @pytest.mark.parametrize(
        "fields",
        [
            (("Content-Length", "1"), ("transfer-encoding", "chunked")),
            (("Content-Length", "1"), ("Content-Length", "1")),
            (("Content-Length", "1, 1"),),
            (("Content-Length", "-1"),),
            (("Content-Length", "\u0661"),),
            (("Content-Length", ""),),
            (("Transfer-Encoding", "gzip, chunked"),),
            (("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")),
            (("Transfer-Encoding", ""),),
        ],
    )
    def test_or_the_message_is_refused(self, fields: Fields) -> None:
        """In requests; in answers the same length said twice is one length (RFC 9112 section 6.3)."""
        with pytest.raises(BadRequest):
            check_framing(fields, version=(1, 1))
        raw = tuple((name.encode(), value.encode("latin-1", "replace")) for name, value in fields)
        if len({value for _, value in raw}) == len(raw):
            with pytest.raises(UpstreamFailed):
                answer_fields(raw, BACKEND, version="1.1")

    @pytest.mark.parametrize("version", [(1, 0), (2, 0), (0, 9)])
    def test_only_http_1_1_has_chunks(self, version: tuple[int, int]) -> None:
        with pytest.raises(BadRequest):
            check_framing((("Transfer-Encoding", "chunked"),), version=version)

    def test_what_an_answer_says(self) -> None:
        assert length_of(((b"content-LENGTH", b"12"),)) == 12
        assert length_of(((b"X", b"12"),)) is None


class TestTheUpgrade:
    @pytest.mark.parametrize("protocol", ["websocket", "WebSocket", "echo/1.0"])
    def test_it_is_asked_for(self, protocol: str) -> None:
        fields = (("connection", "keep-alive, Upgrade"), ("Upgrade", protocol))
        assert upgrade_of(fields) == protocol
        assert request_fields(fields, HERE, upgrade=protocol) == (
            *SAID,
            ("Connection", "Upgrade"),
            ("Upgrade", protocol),
        )

    @pytest.mark.parametrize(
        "fields",
        [
            (("Upgrade", "websocket"),),
            (("Connection", "upgrade"),),
            (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Upgrade", "h2c")),
            *[(("Connection", "Upgrade"), ("Upgrade", name)) for name in ("h2c", "H2C", "HTTP/2.0", "TLS/1.2", "a, b")],
        ],
    )
    def test_it_is_not_or_must_not_be(self, fields: Fields) -> None:
        """Behind an upgrade to another HTTP nobody would look at the requests any more."""
        assert upgrade_of(fields) is None


class TestTheAnswer:
    @pytest.mark.parametrize(
        ("name", "value"),
        [(b"", b"x"), (b"A B", b"x"), (b"A", b"x\ry"), (b"A", b"x\ny"), (b"A", b"\x00"), (b"A\xe9", b"x")],
    )
    def test_a_field_that_is_none(self, name: bytes, value: bytes) -> None:
        with pytest.raises(UpstreamFailed):
            answer_fields(((name, value),), BACKEND, version="1.1")

    def test_bytes_stay_bytes(self) -> None:
        fields = ((b"X", b"caf\xe9\t\xff"), (b"x", b""))
        assert answer_fields(fields, BACKEND, version="1.0") == (*fields, (b"Via", b"1.0 pushgate"))

    @pytest.mark.parametrize(
        ("cookie", "here"),
        [
            ("a=1", "a=1"),
            ("a=1; Domain=bikes.example; Secure", "a=1; Secure"),
            ("a=1; domain = .Bikes.Example", "a=1"),
            ("a=1; Domain=10.0.0.1", "a=1"),
            ("a=1; Domain=evil.example", "a=1; Domain=evil.example"),
            ("a=1; Path=/api; X", "a=1; Path=/live; X"),
            ("a=1; path=/api/x", "a=1; path=/live/x"),
            ("a=1; Path=/apis", "a=1; Path=/apis"),
            ('a="x; Path=/"', 'a="x; Path=/"'),
        ],
    )
    def test_cookies_are_for_the_gateway(self, cookie: str, here: str) -> None:
        assert seen("Set-Cookie", cookie) == here

    def test_cookies_that_are_pushgates_own_stay_here(self) -> None:
        private = backend_at("http://b", alias=None, base_path="", keeps_cookies=True)
        assert seen("Set-Cookie", "SID=1", private) is None

    @pytest.mark.parametrize(
        ("location", "here"),
        [
            ("http://10.0.0.1:8000/api/x?a=/api#f", "/live/x?a=/api#f"),
            ("HTTPS://Bikes.example/api", "/live"),
            ("http://bikes.example/other", "http://bikes.example/other"),
            ("http://bikes.example.evil/api", "http://bikes.example.evil/api"),
            ("/api?x", "/live?x"),
            ("/apis", "/apis"),
            ("/live/x", "/live/x"),
            ("?page=2", "?page=2"),
            ("//evil.example/api", "//evil.example/api"),
            ("", ""),
        ],
    )
    def test_places_are_those_of_the_gateway(self, location: str, here: str) -> None:
        assert seen("Location", location) == here
        assert seen("content-location", location) == here

    @pytest.mark.parametrize(
        ("location", "here"),
        [
            ("/api", "/"),
            ("/api?x", "/?x"),
            ("/api/x", "/x"),
            ("/api//evil.example/x", "/.//evil.example/x"),
            ("/api/\\evil.example", "/./\\evil.example"),
            ("/api/\t/evil.example", "/./\t/evil.example"),
            ("http://b/api//evil.example", "/.//evil.example"),
        ],
    )
    def test_a_place_is_never_at_another_host(self, location: str, here: str) -> None:
        """What is left of a path without the backend's own may look like one, or like a place beside this."""
        assert seen(
            "Location", location, backend_at("http://b/api", alias=None, base_path="", keeps_cookies=False)
        ) == (here)

    def test_nor_is_one_with_a_backslash(self) -> None:
        backend = backend_at("http://b", alias=None, base_path="", keeps_cookies=False)
        assert seen("Location", "http://b/\\evil.example", backend) == "/./\\evil.example"
        assert seen("Location", "http://b//evil.example", backend) == "http://b//evil.example"
