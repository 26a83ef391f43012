"""`proxy:` with real sockets: what goes through it byte for byte, and what it says itself."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets

from backends import PATIENCE
from gateways import config_of, eventually, http_client, route
from passages import OPEN, Came, ask, connection, get, passage, serving
from pushgate.adapters.downstream.proxying.upload import MAX_KEPT_BYTES
from reloads import reloadable_gateway
from upstreams import raw_backend, respond

AUTH = {"staff": {"kind": "api_key", "carriers": ["header", "query"], "keys": [{"name": "acme", "key": "k" * 32}]}}
BEARER = "Authorization: Bearer " + "k" * 32
SIGNED = {"auth": "staff", "credentials": "upstream"}


def fields_of(answer: bytes) -> list[str]:
    return answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


class TestTheRequest:
    @pytest.mark.parametrize(
        "target",
        ["/", "/a/b.php?x=1&x=2&&y", "/a%2Fb/%e9/%C3%A9", "/a//b/", "/a/./b/../c", "/a;v=1/b;c",
         "/a?b?c=/../d", "/a:@!$&'()*+,=~"],
    )  # fmt: skip
    async def test_the_target_is_what_the_client_wrote(self, target: str) -> None:
        """Whatever pushgate makes of a path to know whose it is, the backend reads it as it was sent."""
        async with passage() as (backend, gateway):
            assert b" 200 OK" in await ask(gateway, get(target))
            assert backend.last.line == f"GET {target} HTTP/1.1"

    async def test_it_goes_below_the_path_of_the_upstream(self) -> None:
        """As a route's own path does; `base_path` is the gateway's and stays here."""
        async with passage(below="/api", server={"base_path": "/live"}) as (backend, gateway):
            assert b" 200 OK" in await ask(gateway, get("/live/a?b"))
            assert backend.last.target == "/api/a?b"
            assert b" 404 " in await ask(gateway, get("/a"))

    async def test_what_belongs_to_the_connection_stays_behind(self) -> None:
        """The hop-by-hop fields, those that `Connection` names, and what only pushgate may say."""
        sent = ["Connection: close, X-Mine", "X-Mine: 1", "Keep-Alive: timeout=5", "TE: trailers",
                "Proxy-Authorization: x", "Upgrade: websocket", "Trailer: X", "Proxy-Connection: close"]  # fmt: skip
        async with passage() as (backend, gateway):
            await ask(gateway, "\r\n".join(["GET / HTTP/1.1", "Host: a", *sent, "\r\n"]).encode())
            names = [name for name, _ in backend.last.fields]
            assert names == ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "via", "x-request-id"]

    async def test_all_else_keeps_its_order_and_its_spelling(self) -> None:
        """Fields that come twice come twice, and nothing is added that the client did not say."""
        async with passage() as (backend, gateway):
            await ask(
                gateway,
                get("/", "X-One: a", "aCCept: */*", "X-One: b, c", "Cookie: a=1", "Cookie: b=2", "X-E: \xc3\xa9"),
            )
            assert (
                b"X-One: a\r\naCCept: */*\r\nX-One: b, c\r\nCookie: a=1\r\nCookie: b=2\r\nX-E: \xc3\xa9\r\n"
                in backend.last.head
            )
            assert backend.last.one("user-agent") is backend.last.one("accept-encoding") is None

    @pytest.mark.parametrize("is_trusted", [True, False])
    async def test_where_it_came_from(self, is_trusted: bool) -> None:
        """Said by pushgate; what the client says of it counts only if a trusted proxy repeats it."""
        said = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example",
                "Forwarded: for=192.0.2.1", "X_Forwarded_For: 192.0.2.3", "X-Real-IP: 192.0.2.2",
                "Via: 1.0 front"]  # fmt: skip
        server = {"trusted_proxies": ["127.0.0.0/8"]} if is_trusted else {}
        async with passage(server=server) as (backend, gateway):
            await ask(gateway, get("/", *said))
            came = backend.last
            told = [came.one(f"x-forwarded-{what}") for what in ("for", "proto", "host")]
            assert told == (
                ["192.0.2.1, 127.0.0.1", "https", "a.example"]
                if is_trusted
                else ["127.0.0.1", "http", "gateway.example"]
            )
            assert (came.one("x-real-ip") is None) is not is_trusted
            assert came.one("forwarded") is came.one("x_forwarded_for") is None
            assert came.all("via") == ["1.0 front", "1.1 pushgate"]

    async def test_the_host_is_the_upstreams_own(self) -> None:
        """Or the one that `host:` names."""
        async with passage() as (backend, gateway):
            await ask(gateway, get("/"))
            assert backend.last.one("host") == backend.url.removeprefix("http://")
        async with passage(upstream={"host": "www.bikes.example"}) as (backend, gateway):
            await ask(gateway, get("/"))
            assert backend.last.one("host") == "www.bikes.example"

    async def test_to_a_unix_socket(self, tmp_path: Path) -> None:
        """The upstream is reached as polls reach it: its socket, its TLS, its outbound proxy."""
        async with raw_backend(respond("200 OK", b"hello"), path=tmp_path / "app.sock") as backend:
            config = config_of(backend.url, {}, upstream={}, server={}, proxy={"/": OPEN})
            async with serving(config) as gateway:
                assert (await ask(gateway, get("/a"))).endswith(b"hello")
                assert (backend.asked[0].target, backend.asked[0].fields["host"]) == ("/a", "localhost")

    @pytest.mark.parametrize("body", [b"", b"abc", bytes(range(256)) * 1000])
    async def test_a_body_of_known_length(self, body: bytes) -> None:
        """It has that length upstream, too."""
        async with passage() as (backend, gateway):
            await ask(gateway, get("/", f"Content-Length: {len(body)}", method="PUT", body=body))
            assert (backend.last.one("content-length"), backend.last.one("transfer-encoding")) == (str(len(body)), None)
            assert backend.last.body == body

    async def test_a_body_in_chunks(self) -> None:
        """It goes on in chunks, and its trailers stay behind."""
        body = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
        async with passage() as (backend, gateway):
            await ask(gateway, get("/", "Transfer-Encoding: chunked", method="POST", body=body))
            assert (backend.last.one("content-length"), backend.last.one("transfer-encoding")) == (None, "chunked")
            assert b"".join(backend.last.body.split(b"\r\n")[1::2]) == b"abcde"
            assert b"Trailer" not in backend.last.body

    async def test_a_compressed_body_stays_compressed(self) -> None:
        async with passage() as (backend, gateway), http_client(base_url=gateway.base) as client:
            body = gzip.compress(b"x" * 1000)
            await client.post("/", content=body, headers={"Content-Encoding": "gzip"})
            assert (backend.last.body, backend.last.one("content-encoding")) == (body, "gzip")

    async def test_it_is_streamed(self) -> None:
        """The backend has the beginning of a body long before its end is there."""
        begun = asyncio.Event()

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(8) == b"3\r\nabc\r\n"
            begun.set()
            assert await reader.readexactly(8) == b"3\r\ndef\r\n"
            writer.write(respond("200 OK", b"both"))

        async with passage(serve) as (backend, gateway), connection(gateway) as (reader, writer):
            backend.reads_bodies = False
            writer.write(get("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n")
            await begun.wait()
            writer.write(b"3\r\ndef\r\n0\r\n\r\n")
            assert (await reader.read()).endswith(b"both")

    async def test_the_go_ahead_is_pushgates(self) -> None:
        """Old backends do not know `Expect`, and would be waited for; so it is answered here, and not passed on."""
        async with passage() as (backend, gateway), connection(gateway) as (reader, writer):
            writer.write(get("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await reader.read()).endswith(b"hello")
            assert (backend.last.body, backend.last.one("expect")) == (b"abc", None)

    async def test_no_go_ahead_for_who_would_not_understand(self) -> None:
        """To a client of HTTP/1.0 it would be the answer (RFC 9110 section 10.1.1)."""
        request = b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
        async with passage() as (backend, gateway):
            assert (await ask(gateway, request)).startswith(b"HTTP/1.1 200 ")
            assert backend.last.body == b"hi"

    async def test_no_go_ahead_for_who_is_refused(self) -> None:
        async with passage(entry={"methods": "GET"}) as (backend, gateway):
            async with connection(gateway) as (reader, writer):
                writer.write(get("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
                answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 405 ") and b"\r\nAllow: GET\r\n" in answer
            assert not backend.came


class TestTheAnswer:
    async def test_it_is_what_the_backend_said(self) -> None:
        """With its fields as bytes, in their order, as often as they come: nothing is to the gateway's taste."""
        said = [
            b"Server: old/1.0",
            b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
            b"Set-Cookie: b=2; Path=/",
            b"X-L: caf\xe9",
            b"Set-Cookie: a=1",
        ]
        async with passage(b"HTTP/1.1 299 As you like\r\n%s\r\nContent-Length: 2\r\n\r\nok" % b"\r\n".join(said)) as (
            _,
            gateway,
        ):
            answer = await ask(gateway, get("/"))
            assert answer.startswith(b"HTTP/1.1 299 As you like\r\n%s\r\nVia: 1.1 pushgate\r\n" % b"\r\n".join(said))
            assert answer.endswith(b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    async def test_what_belongs_to_the_connection_stays_behind(self) -> None:
        said = respond(
            "200 OK",
            b"ok",
            "Connection: close, X-Mine",
            "X-Mine: 1",
            "Keep-Alive: 5",
            "Proxy-Authenticate: x",
            "Trailer: y",
        )
        async with passage(said) as (_, gateway):
            names = [line.partition(":")[0] for line in fields_of(await ask(gateway, get("/")))[1:]]
            assert names == ["Via", "X-Request-Id", "Content-Length", "Connection", "Date"]

    async def test_early_words_are_not_the_answer(self) -> None:
        """1xx that the client has not asked for would only confuse it."""
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        async with passage(early + respond("200 OK", b"ok")) as (_, gateway):
            answer = await ask(gateway, get("/"))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"103" not in answer

    async def test_chunks_come_in_chunks(self) -> None:
        """Trailers stay behind; and the connection can be used again."""
        said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
        async with passage(said) as (_, gateway), connection(gateway) as (reader, writer):
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                head, body = await reader.readuntil(b"\r\n\r\n"), await reader.readuntil(b"\r\n0\r\n\r\n")
                assert b"\r\nTransfer-Encoding: chunked\r\n" in head and b"Content-Length" not in head
                assert b"".join(body.split(b"\r\n")[1::2]) == b"abcde" and b"Trailer" not in head + body

    async def test_a_client_of_1_0_gets_no_chunks(self) -> None:
        said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        async with passage(said) as (_, gateway):
            answer = await ask(gateway, b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            assert b"Transfer-Encoding" not in answer and answer.endswith(b"\r\n\r\nabc")

    async def test_a_backend_of_1_0_ends_its_body_by_closing(self) -> None:
        """For the client it is in chunks, so that it sees the end; `Via` says what the backend speaks."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nabc")
            await writer.drain()
            writer.close()

        async with passage(serve) as (_, gateway):
            answer = await ask(gateway, get("/"))
            assert b"\r\nVia: 1.0 pushgate\r\n" in answer and answer.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    @pytest.mark.parametrize(
        ("method", "said", "length"),
        [
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", b"1234"),
            ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 1234\r\n\r\n", b"1234"),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ],
    )
    async def test_answers_without_a_body(self, method: str, said: bytes, length: bytes | None) -> None:
        """They say how long it would be, if the backend does, and the connection goes on."""
        async with passage(said) as (_, gateway), connection(gateway) as (reader, writer):
            for _ in range(2):
                writer.write(b"%s / HTTP/1.1\r\nHost: a\r\n\r\n" % method.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.split(b"\r\n")[0] == said.split(b"\r\n")[0]
                assert (b"\r\nContent-Length: %s\r\n" % length in head) if length else b"Content-Length" not in head

    async def test_it_stays_compressed(self) -> None:
        """What a client accepts it tells the backend itself."""
        body = gzip.compress(b"x" * 1000)
        async with passage(respond("200 OK", body, "Content-Encoding: gzip")) as (backend, gateway):
            answer = await ask(gateway, get("/", "Accept-Encoding: br, gzip"))
            assert answer.endswith(body) and b"\r\nContent-Encoding: gzip\r\n" in answer
            assert backend.last.one("accept-encoding") == "br, gzip"

    async def test_an_answer_before_the_end_of_the_body(self) -> None:
        """A backend that has seen enough is believed."""

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(respond("413 Too much", b"stop", "Connection: close"))
            await writer.drain()

        async with passage(serve) as (backend, gateway), connection(gateway) as (reader, writer):
            backend.reads_bodies = False
            writer.write(get("/", "Content-Length: 1000000", method="POST", body=b"x" * 10))
            assert (await reader.readuntil(b"stop")).startswith(b"HTTP/1.1 413 Too much\r\n")

    @pytest.mark.parametrize(
        ("said", "seen"),
        [
            ("{origin}/api/login?a#b", "/live/login?a#b"),
            ("https://www.bikes.example/api", "/live"),
            ("/api/login", "/live/login"),
            ("login", "login"),
            ("/other", "/other"),
            ("https://id.example/api/", "https://id.example/api/"),
            ("//id.example/api", "//id.example/api"),
            ("/live/login", "/live/login"),
        ],
    )
    async def test_where_it_sends_to(self, said: str, seen: str) -> None:
        """A place of the backend is a place of the gateway; a redirect is the client's to follow."""

        def answer(came: Came) -> bytes:
            return respond("302 Found", b"", "Location: " + said.format(origin=backend.url))

        options: dict[str, Any] = {"server": {"base_path": "/live"}, "upstream": {"host": "www.bikes.example"}}
        async with passage(answer, below="/api", **options) as (backend, gateway):
            assert f"Location: {seen}" in fields_of(await ask(gateway, get("/live/")))
            assert len(backend.came) == 1

    async def test_cookies_come_back(self) -> None:
        """They are for the gateway then: neither the backend's name nor its path would bring them here again."""
        cookies = [
            "a=1; Domain=bikes.example; Path=/api; HttpOnly",
            "b=2; path=/api/x; domain=.id.example",
            "c=3; Path=/",
        ]
        said = respond("200 OK", b"", *[f"Set-Cookie: {cookie}" for cookie in cookies])
        async with passage(said, below="/api", upstream={"host": "www.bikes.example"}) as (_, gateway):
            seen = [line for line in fields_of(await ask(gateway, get("/"))) if line.startswith("Set-Cookie")]
            assert seen == [
                "Set-Cookie: a=1; Path=/; HttpOnly",
                "Set-Cookie: b=2; path=/x; domain=.id.example",
                "Set-Cookie: c=3; Path=/",
            ]


class TestWhatIsPassedOn:
    @pytest.mark.parametrize(
        "target",
        ["/quotes/no-such", "/quotes/EUR%20", "//quotes/EUR", "/quotes/EUR/", "/x/../quotes/EUR",
         "/x/%2e%2e/quotes/EUR",
         "/quotes%2FEUR", "/quotes/a%2Fb", "/QUOTES/EUR", "/quotes;a=b/EUR", "/quotes%5CEUR",
         "/x/%252e%252e/quotes/EUR", "/-/nothing", "/%2D/events", "//-/events", "/x/..;/quotes/EUR"],
    )  # fmt: skip
    async def test_nothing_that_may_mean_a_route(self, target: str) -> None:
        """Whatever a backend makes of its paths, there is no way round a route."""
        routes = {"/quotes/{symbol}": route(params={"symbol": "[A-Z]{3}"}, poll={"every": "1h"}, auth="none")}
        async with passage(respond("200 OK", b"{}"), routes=routes) as (backend, gateway):
            assert (await ask(gateway, get(target))).startswith(b"HTTP/1.1 404 ")
            assert not backend.came

    async def test_other_methods_of_a_route_are_none(self) -> None:
        async with passage(routes={"/quotes": route()}) as (backend, gateway):
            assert (await ask(gateway, get("/quotes", method="DELETE"))).startswith(b"HTTP/1.1 405 ")
            assert not backend.came

    @pytest.mark.parametrize("target", ["/../x", "/a%00", "/%c0%ae%c0%ae/x", "/public/..%2fadmin", "/a#b", "/%zz"])
    async def test_nothing_that_nobody_can_place(self, target: str) -> None:
        """Also if only the backend that it was written for would read it so."""
        proxy = {"/": {**OPEN}, "/admin": {**OPEN, "auth": "staff"}}
        async with passage(proxy=proxy, auth=AUTH) as (backend, gateway):
            assert (await ask(gateway, get(target))).startswith(b"HTTP/1.1 400 ")
            assert not backend.came

    @pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "x_method_override"])
    async def test_no_method_that_only_the_backend_sees(self, name: str) -> None:
        """Some frameworks go by a field where it is there; `methods` counts for that, too."""
        async with passage(entry={"methods": ["POST", "PUT"]}) as (backend, gateway):
            for method, status in (("delete", b"405"), ("PUT", b"200")):
                answer = await ask(gateway, get("/", f"{name}: {method}", "Content-Length: 0", method="POST"))
                assert answer.split()[1] == status
            assert len(backend.came) == 1

    async def test_the_longest_entry_counts(self) -> None:
        proxy = {"/a": {**OPEN, "methods": "GET"}, "/a/b": {**OPEN, "methods": "POST"}}
        async with passage(proxy=proxy) as (_, gateway):
            found = [
                (await ask(gateway, get(target))).split()[1] for target in ("/", "/ab", "/a", "/a/bc", "/a/b", "/a/b/c")
            ]
            assert found == [b"404", b"404", b"200", b"200", b"405", b"405"]

    async def test_a_plain_get_of_a_topic_without_short_polls(self) -> None:
        """Clients of the old path keep what they had, if the route's rules and the entry's let them."""
        routes = {
            "/quotes/{symbol}": route(
                params={"symbol": "[A-Z]{3}"}, transports="sse", auth="staff", poll={"every": "1h"}
            )
        }

        def answer(came: Came) -> bytes:
            return respond("200 OK", b"" if came.method == "HEAD" else b"hello")

        async with passage(answer, routes=routes, auth=AUTH) as (backend, gateway):
            assert (await ask(gateway, get("/quotes/EUR?callback=f"))).startswith(b"HTTP/1.1 401 ")
            assert (await ask(gateway, get("/quotes/no", BEARER))).startswith(b"HTTP/1.1 404 ")
            assert (await ask(gateway, get("/quotes/EUR?wait=0", BEARER))).startswith(b"HTTP/1.1 406 ")
            assert not backend.came
            assert (await ask(gateway, get("/quotes/EUR?callback=f", BEARER))).endswith(b"hello")
            assert backend.last.target == "/quotes/EUR?callback=f"
            head = await ask(gateway, get("/quotes/EUR", BEARER, method="HEAD"))
            assert head.startswith(b"HTTP/1.1 200 ") and backend.last.method == "HEAD"

    async def test_tokens_for_the_route_end_here(self) -> None:
        """Whoever the entry lets in: the backend and its logs have no use for what pushgate has asked for."""
        staff = {**AUTH["staff"], "carriers": ["query", "ticket"]}
        routes = {"/quotes": route(transports="sse", auth="staff", poll={"every": "1h"})}
        async with passage(routes=routes, auth={"staff": staff}) as (backend, gateway):
            cookies = "Cookie: pushgate_ticket_a=1; b=2"
            assert (await ask(gateway, get(f"/quotes?x=1&access_token={'k' * 32}", cookies))).endswith(b"hello")
            assert (backend.last.target, backend.last.one("cookie")) == ("/quotes?x=1", "b=2")
            assert (await ask(gateway, get("/quotes/x?ticket=ST-1", cookies))).endswith(b"hello")
            assert (backend.last.target, backend.last.one("cookie")) == ("/quotes/x?ticket=ST-1", "b=2")

    async def test_a_topic_that_the_backend_takes_for_another_is_not_passed_on(self) -> None:
        """A parameter may hold what the backend reads otherwise; the rules of the other route count then."""
        routes = {
            "/{kind}/{name}": route(transports="sse", auth="none", poll={"every": "1h"}),
            "/quotes/{symbol}": route(transports="sse", auth="staff", poll={"every": "1h"}),
            "/quotes/secret": route(auth="staff", poll={"every": "1h"}),
        }
        async with passage(routes=routes, auth=AUTH) as (backend, gateway):
            for target in ("/quotes;v=1/EUR", "/Quotes/EUR", "/%2571uotes/EUR", "/-;/poll", "/quotes;/secret"):
                assert (await ask(gateway, get(target))).startswith(b"HTTP/1.1 404 ")
            for target in ("/quotes/Secret", "/quotes/secret;v=1", "/quotes/%2573ecret"):
                assert (await ask(gateway, get(target, BEARER))).startswith(b"HTTP/1.1 404 ")
            assert not backend.came
            assert (await ask(gateway, get("/news/today"))).endswith(b"hello")

    async def test_preflights_are_answered_here_unless_they_are_passed_on(self) -> None:
        ask_first = get("/a", "Origin: https://app.example", "Access-Control-Request-Method: POST", method="OPTIONS")
        async with passage() as (backend, gateway):
            assert (await ask(gateway, ask_first)).startswith(b"HTTP/1.1 204 ")
            assert not backend.came
        said = respond("200 OK", b"", "Access-Control-Allow-Origin: https://app.example")
        async with passage(said, entry={"methods": ["OPTIONS"]}) as (backend, gateway):
            assert b"\r\nAccess-Control-Allow-Origin: https://app.example\r\n" in await ask(gateway, ask_first)

    async def test_it_is_counted(self) -> None:
        async with passage(respond("404 Not Found", b"")) as (_, gateway):
            await ask(gateway, get("/"))
            await ask(gateway, get("/", method="OPTIONS"))
            assert await gateway.metric("pushgate_proxy_requests_total", upstream="u", code="404") == 1


class TestANewConfiguration:
    async def test_other_entries_count_at_once(self, tmp_path: Path) -> None:
        """And a download that is under way goes on, though its upstream is no more."""
        more = asyncio.Event()

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
            await more.wait()
            writer.write(b"half")

        async with (
            passage(serve) as (old, _),
            passage() as (new, _),
            reloadable_gateway(old.url, {}, tmp_path, proxy={"/": OPEN}) as gateway,
            connection(gateway.running) as (reader, writer),
        ):
            writer.write(get("/download"))
            await reader.readuntil(b"half")
            await gateway.rewrite(upstreams={"v": {"url": new.url}}, proxy={"/new": {**OPEN, "upstream": "v"}})
            assert (await ask(gateway.running, get("/new"))).endswith(b"hello")
            assert (await ask(gateway.running, get("/download"))).startswith(b"HTTP/1.1 404 ")
            more.set()
            assert await reader.read() == b"half"


class TestCredentials:
    async def test_the_clients_own_go_on(self) -> None:
        """The backend knows its users, as it always did."""
        async with passage(respond("200 OK", b"", "Set-Cookie: SID=1")) as (backend, gateway):
            answer = await ask(gateway, get("/?access_token=t", "Authorization: Basic YTpi", "Cookie: SID=1; x=y"))
            assert (backend.last.one("authorization"), backend.last.one("cookie")) == ("Basic YTpi", "SID=1; x=y")
            assert backend.last.target == "/?access_token=t"
            assert b"\r\nSet-Cookie: SID=1\r\n" in answer

    async def test_the_entry_says_who_may(self) -> None:
        """Nothing is sent for anybody else; and pushgate's own tokens are for nobody but pushgate."""
        async with passage(auth=AUTH, entry={"auth": "staff"}) as (backend, gateway):
            answer = await ask(gateway, get("/a"))
            assert answer.startswith(b"HTTP/1.1 401 ") and b"\r\nWWW-Authenticate: " in answer
            assert not backend.came
            target = f"/a?x=%20&access_token={'k' * 32}&%61ccess_token=u&ticket=t&y"
            protocols = "Sec-WebSocket-Protocol: chat, pushgate.token.abc"
            assert (await ask(gateway, get(target, "Cookie: pushgate_ticket_a=1; b=2", protocols))).endswith(b"hello")
            assert backend.last.target == "/a?x=%20&y"
            assert (backend.last.one("cookie"), backend.last.one("sec-websocket-protocol")) == ("b=2", "chat")

    async def test_pushgates_own(self) -> None:
        """Instead of the client's; no cookie goes either way, since the session is not the client's."""
        said = respond("200 OK", b"", "Set-Cookie: SID=pushgate")
        upstream = {
            "credentials": {"kind": "basic", "username": "u", "password": "p"},
            "headers": {"X-Key": "k", "User-Agent": "acme"},
        }
        async with passage(said, auth=AUTH, entry=SIGNED, upstream=upstream) as (backend, gateway):
            answer = await ask(gateway, get("/", BEARER, "Cookie: SID=1", "X-Key: mine", "User-Agent: curl"))
            assert backend.last.one("authorization") == "Basic dTpw"
            assert (backend.last.one("x-key"), backend.last.one("user-agent")) == ("k", "acme")
            assert backend.last.one("cookie") is None and b"Set-Cookie" not in answer

    @pytest.mark.parametrize(
        ("fields", "status"),
        [((), 403), (("Origin: https://evil.example",), 403), (("Origin: http://gateway.example",), 200)],
    )
    async def test_no_other_sites_page_borrows_a_visitors_cookie(self, fields: tuple[str, ...], status: int) -> None:
        """Where pushgate decides who may. Otherwise cookies are between the client and the backend, as they were."""
        staff = {**AUTH["staff"], "carriers": ["cookie"], "cookie_name": "SID"}
        request = get("/", f"Cookie: SID={'k' * 32}", "Content-Length: 0", *fields, method="POST")
        async with passage(auth={"staff": staff}, entry=SIGNED) as (backend, gateway):
            assert int((await ask(gateway, request)).split()[1]) == status
            assert len(backend.came) == (status == 200)
        async with passage() as (_, gateway):
            assert b" 200 " in await ask(gateway, request)

    async def test_a_key_in_the_query_is_not_the_clients_to_choose(self) -> None:
        upstream = {"credentials": {"kind": "api_key", "query": "key", "value": "ours"}}
        async with passage(auth=AUTH, entry=SIGNED, upstream=upstream) as (backend, gateway):
            await ask(gateway, get("/a?key=mine&b=1", BEARER))
            assert backend.last.target == "/a?b=1&key=ours"

    @pytest.mark.parametrize(
        ("said", "seen"),
        [("/a/?b=1&key=ours#c", "/a/?b=1#c"), ("/a/?key=ours", "/a/"), ("{origin}/a/?%6bey=ours&b", "/a/?b")],
    )
    async def test_nor_told_to_it_by_a_redirect(self, said: str, seen: str) -> None:
        """Many servers add a slash to a path, and repeat the query as it came."""

        def answer(came: Came) -> bytes:
            return respond("301 Moved", b"", f"Location: {said.format(origin=backend.url)}")

        upstream = {"credentials": {"kind": "api_key", "query": "key", "value": "ours"}}
        async with passage(answer, auth=AUTH, entry=SIGNED, upstream=upstream) as (backend, gateway):
            assert f"Location: {seen}" in fields_of(await ask(gateway, get("/a?b=1", BEARER)))

    async def test_its_refusal_is_not_the_clients_fault(self) -> None:
        """A 401 would have the client doubt its own credentials, and ask its user for the backend's."""
        said = respond("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="x"')
        upstream = {"credentials": {"kind": "bearer", "token": "t"}}
        async with passage(said, auth=AUTH, entry=SIGNED, upstream=upstream) as (_, gateway):
            answer = await ask(gateway, get("/", BEARER))
            assert answer.startswith(b"HTTP/1.1 502 ") and b"WWW-Authenticate" not in answer

    async def test_a_small_body_is_sent_again_where_the_first_try_was_to_learn_something(self) -> None:
        """Such as the session of Transmission; what is too large to be kept has to be sent again by the client."""

        def answer(came: Came) -> bytes:
            if came.one("x-session") != "s":
                return respond("409 Conflict", b"", "X-Session: s")
            return respond("200 OK", b"done")

        upstream = {"credentials": {"kind": "session", "status": 409, "header": "X-Session"}}
        for size, first, requests in ((5, b"HTTP/1.1 200 ", 2), (MAX_KEPT_BYTES + 1, b"HTTP/1.1 502 ", 1)):
            post = get("/", BEARER, f"Content-Length: {size}", method="POST", body=b"x" * size)
            async with passage(answer, auth=AUTH, entry=SIGNED, upstream=upstream) as (backend, gateway):
                refused = await ask(gateway, post)
                assert refused.startswith(first) and len(backend.came) == requests
                assert (b"\r\nRetry-After: 1\r\n" in refused) is (requests == 1)
                assert (await ask(gateway, post)).endswith(b"done")
                assert backend.last.body == b"x" * size

    async def test_a_session_is_not_the_clients_to_choose(self) -> None:
        upstream = {"credentials": {"kind": "session", "status": 409, "header": "X-Session"}}
        async with passage(auth=AUTH, entry=SIGNED, upstream=upstream) as (backend, gateway):
            await ask(gateway, get("/", BEARER, "X-Session: mine", "x_session: mine"))
            assert backend.last.one("x-session") is backend.last.one("x_session") is None

    async def test_a_login(self) -> None:
        """It is pushgate's, and its cookies never leave the gateway."""

        def answer(came: Came) -> bytes:
            if came.target == "/login":
                return respond("200 OK", b"", "Set-Cookie: SID=1; Path=/")
            return respond("200 OK", json.dumps(came.all("cookie")).encode())

        login = {
            "kind": "login",
            "request": {"method": "POST", "path": "/login", "form": {"p": "x"}},
            "expired": {"status": 401},
        }
        async with passage(answer, auth=AUTH, entry=SIGNED, upstream={"credentials": login}) as (backend, gateway):
            assert (await ask(gateway, get("/a", BEARER, "Cookie: SID=evil"))).endswith(b'["SID=1"]')
            assert [came.target for came in backend.came] == ["/login", "/a"]

    async def test_only_what_pushgate_asks_takes_a_turn(self) -> None:
        """With the client's own credentials it is as if there were no gateway; with pushgate's, its budget counts."""
        spent = {
            "budget": {"rate": "1/h", "spent": "fail"},
            "timeout": {"total": "100ms"},
            "credentials": {"kind": "bearer", "token": "t"},
        }
        for entry, second in (({}, b" 200 "), (SIGNED, b" 502 ")):
            async with passage(auth=AUTH, entry=entry, upstream=spent) as (_, gateway):
                assert b" 200 " in await ask(gateway, get("/", BEARER))
                assert second in await ask(gateway, get("/", BEARER))


class TestUpgrades:
    async def test_a_websocket_goes_through(self) -> None:
        """With its subprotocol and its extensions, as the two sides agree."""

        async def echo(socket: websockets.ServerConnection) -> None:
            async for message in socket:
                await socket.send(message)

        async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("chat")]) as server:
            port = server.sockets[0].getsockname()[1]
            async with passage(proxy={"/": {**OPEN, "upstream": "w"}}, **_another(port)) as (_, gateway):
                url = gateway.base.replace("http", "ws")
                async with websockets.connect(
                    f"{url}/chat?room=1", subprotocols=[websockets.Subprotocol("chat")]
                ) as socket:
                    assert socket.subprotocol == "chat"
                    for message in ("hello", b"\x00" * 200_000, "bye"):
                        await socket.send(message)
                        assert await socket.recv() == message
                assert await gateway.metric("pushgate_proxy_requests_total", upstream="w", code="101") == 1

    async def test_its_end_is_the_end_on_both_sides(self) -> None:
        """Bytes are bytes: whatever is spoken, nobody is left talking to nobody."""
        ended = asyncio.Event()

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
            if await reader.read(3) == b"bye":
                writer.close()
                return
            await reader.read()
            ended.set()

        async with passage(serve) as (backend, gateway):
            for word, rest in ((b"bye", b""), (b"any", None)):
                async with connection(gateway) as (reader, writer):
                    writer.write(
                        get("/", method="GET").replace(b"Connection: close", b"Connection: Upgrade\r\nUpgrade: echo")
                    )
                    head = await reader.readuntil(b"hello")
                    assert head.startswith(b"HTTP/1.1 101 ") and b"\r\nUpgrade: echo\r\n" in head
                    writer.write(word)
                    if rest is not None:
                        assert await reader.read() == rest
            await asyncio.wait_for(ended.wait(), PATIENCE)
            assert (backend.last.one("connection"), backend.last.one("upgrade")) == ("Upgrade", "echo")

    @pytest.mark.parametrize("protocol", ["h2c", "HTTP/2.0", "TLS/1.0", "websocket, h2c"])
    async def test_no_upgrade_to_another_http(self, protocol: str) -> None:
        """Behind it, requests would come that nobody looks at."""
        async with passage() as (backend, gateway):
            fields = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQAAP__")
            answer = await ask(gateway, get("/", *fields))
            assert answer.endswith(b"hello")
            assert (
                backend.last.one("upgrade")
                is backend.last.one("connection")
                is backend.last.one("http2-settings")
                is None
            )

    async def test_an_upgrade_that_is_declined(self) -> None:
        """The answer is like any other, and the connection goes on."""
        async with (
            passage(respond("426 Upgrade Required", b"no")) as (_, gateway),
            connection(gateway) as (reader, writer),
        ):
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                assert (await reader.readuntil(b"\r\n\r\nno")).startswith(b"HTTP/1.1 426 ")

    @pytest.mark.parametrize(
        ("origin", "status"), [("https://evil.example", b"403"), ("http://gateway.example", b"200")]
    )
    async def test_another_sites_page_opens_none_with_cookies(self, origin: str, status: bytes) -> None:
        """Cross-site WebSocket hijacking ends here, whatever the backend looks at."""
        request = get("/", f"Origin: {origin}", "Cookie: SID=1").replace(
            b"Connection: close", b"Connection: Upgrade, close\r\nUpgrade: websocket"
        )
        async with passage() as (backend, gateway):
            assert (await ask(gateway, request)).split()[1] == status
            assert len(backend.came) == (status == b"200")


def _another(port: int) -> dict[str, Any]:
    return {"upstreams": {"u": {"url": "http://127.0.0.1:1"}, "w": {"url": f"http://127.0.0.1:{port}"}}}


class TestRefresh:
    @pytest.mark.parametrize(
        ("target", "status", "polls"),
        [
            ("/add.php", "200 OK", 2),
            ("/./add.php?x", "500 Oh", 2),
            ("/ADD.php", "200 OK", 2),
            ("/add.php%3fx", "200 OK", 2),
            ("/add.php", "400 No", 1),
            ("/other.php", "200 OK", 1),
        ],
    )
    async def test_topics_are_polled_after_it(self, target: str, status: str, polls: int) -> None:
        """Unless it was refused: then nothing has changed."""

        def answer(came: Came) -> bytes:
            return respond("200 OK", b'"document"') if came.method == "GET" else respond(status, b"")

        routes = {"/stations/{city}": route(poll={"every": "1h"})}
        entry = {"refresh": {"POST /add.php": ["/stations/*"]}}
        async with (
            passage(answer, routes=routes, entry=entry) as (backend, gateway),
            http_client(base_url=gateway.base) as client,
        ):
            assert (await client.get("/stations/paris")).json() == "document"
            assert (await client.post(target, content="x")).status_code == int(status[:3])
            await client.get("/stations/paris?wait=0")

            async def count() -> int:
                return [came.target for came in backend.came].count("/stations/paris")

            assert await eventually(count, lambda count: count >= polls) == polls
            assert [came.method for came in backend.came][:2] == ["GET", "POST"]


class TestSomebodyElsesClients:
    async def test_curl(self) -> None:
        """An upload that waits for the go-ahead, and a download."""
        async with passage() as (backend, gateway):
            command = ["curl", "-sS", "--data-binary", "@-", "-H", "Expect: 100-continue", f"{gateway.base}/a"]
            curl = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
            out, _ = await asyncio.wait_for(curl.communicate(b"x" * 2_000_000), PATIENCE)
            assert (out, len(backend.last.body)) == (b"hello", 2_000_000)

    async def test_aiohttp_sends_and_gets_much(self) -> None:
        """Both ways at once, and every byte of it."""
        block = bytes(range(256)) * 256

        async def serve(came: Came, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            size = -1
            while size:
                line = await reader.readuntil(b"\r\n")
                size = int(line, 16)
                writer.write(line + await reader.readexactly(size + 2))
                await writer.drain()

        async def body() -> Any:
            for _ in range(100):
                yield block

        async with passage(serve) as (backend, gateway), aiohttp.ClientSession() as session:
            backend.reads_bodies = False
            async with session.post(f"{gateway.base}/", data=body()) as answer:
                assert await answer.read() == block * 100
