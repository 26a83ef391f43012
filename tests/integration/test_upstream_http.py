"""The HTTP client as backends on real sockets see it: what it sends, where it goes, what it reads out of answers."""

from __future__ import annotations

import asyncio
import gzip
import os
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from pushgate import __version__
from pushgate.answers import Quota
from pushgate.clock import Clock
from pushgate.errors import PollError
from pushgate.values import Validators
from upstreams import Asked, fetching, json_body, listening, port_of, raw_backend, read_request, respond

LM = "Mon, 05 Jan 2026 06:00:00 GMT"


class LeapingClock(Clock):
    """A clock that can be put forward."""

    leap = 0.0

    def now(self) -> float:
        return super().now() + self.leap


class TestWhatIsAsked:
    async def test_a_request_is_what_was_prepared_and_polite(self) -> None:
        """The URL byte by byte, who asks, and only the compression that is understood; no body, no cookie."""
        async with raw_backend(respond()) as backend, fetching(backend.url) as fetch:
            await fetch("/a%2Fb/%E2%82%AC?x=%26&y=a+b", headers={"X-Own": "1"})
        (asked,) = backend.asked
        assert asked.line == "GET /a%2Fb/%E2%82%AC?x=%26&y=a+b HTTP/1.1"
        assert asked.fields["user-agent"] == f"pushgate/{__version__}"
        assert (asked.fields["accept-encoding"], asked.fields["x-own"]) == ("gzip, deflate", "1")
        assert not {"content-type", "content-length", "cookie", "authorization"} & set(asked.fields)

    async def test_a_body_goes_with_its_type(self) -> None:
        """And without one, a POST claims none."""
        async with raw_backend(respond()) as backend, fetching(backend.url) as fetch:
            await fetch(method="POST", body=b"<a/>", headers={"Content-Type": "text/xml"})
            await fetch(method="POST")
        assert (backend.asked[0].body, backend.asked[0].fields["content-type"]) == (b"<a/>", "text/xml")
        assert "content-type" not in backend.asked[1].fields

    @pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', "unquoted", '"a, b"', '"ü"'])
    async def test_validators_go_back_exactly_as_they_came(self, etag: str) -> None:
        """Weak, unquoted, with commas, beyond ASCII: only the server has to understand its own ETag."""
        answer = respond("200 OK", b"{}", f"ETag: {etag}".encode().decode("latin-1"), f"Last-Modified: {LM}")
        async with raw_backend(answer) as backend, fetching(backend.url) as fetch:
            said = await fetch()
            await fetch(validators=said.validators)
        assert said.validators == Validators(etag, LM)
        sent = backend.asked[1].fields
        assert (sent["if-none-match"].encode("latin-1").decode(), sent["if-modified-since"]) == (etag, LM)

    async def test_a_validator_that_no_request_can_carry_is_none(self) -> None:
        """Bytes that are no UTF-8 would make every further poll fail."""
        async with raw_backend(respond("200 OK", b"{}", 'ETag: "\xe9"')) as backend, fetching(backend.url) as fetch:
            assert (await fetch()).validators == Validators()

    async def test_connections_are_used_again_unless_they_are_not_to_be(self) -> None:
        async with raw_backend(respond()) as backend:
            for keep_alive, connections in ((True, 1), (False, 3)):
                backend.connections = 0
                async with fetching(backend.url, keep_alive=keep_alive) as fetch:
                    for _ in range(3):
                        await fetch()
                assert backend.connections == connections
        assert backend.asked[-1].fields["connection"] == "close"

    async def test_a_connection_that_was_closed_meanwhile_is_nobodys_fault(self) -> None:
        """The request is made once more, with a turn of its own; it was not answered, so nothing happens twice."""

        def every_other(asked: Asked) -> bytes | None:
            return None if len(backend.asked) % 2 == 0 else respond()

        async with raw_backend(every_other) as backend, fetching(backend.url) as fetch:
            for _ in range(3):
                assert (await fetch()).status == 200
            assert (len(backend.asked), fetch.gate.turns) == (5, 5)

    async def test_who_closes_every_connection_is_asked_once_each_time(self) -> None:
        """A fresh connection that ends without an answer is a failure, not a reason to ask twice as often."""
        async with raw_backend(lambda asked: None) as backend, fetching(backend.url) as fetch:
            for _ in range(3):
                with pytest.raises(PollError, match="connect: the upstream closed the connection without an answer"):
                    await fetch()
            assert (len(backend.asked), fetch.gate.turns) == (3, 3)

    @pytest.mark.parametrize(
        "url", ["http://elsewhere.example/", "{base}.evil.example/", "{base}@evil.example/", "http://127.0.0.1/"]
    )
    async def test_no_request_leaves_the_origin(self, url: str) -> None:
        """Whatever a client sends or an answer links to: scheme, host and port are those of the configuration."""
        async with raw_backend(respond()) as backend, fetching(backend.url) as fetch:
            with pytest.raises(PollError, match="protocol"):
                await fetch(url.format(base=backend.url))
            assert (backend.asked, fetch.gate.turns) == ([], 0)


class TestWhatIsRead:
    async def test_what_an_answer_says_about_itself(self) -> None:
        fields = [
            "Content-Type: application/json",
            "Cache-Control: max-age=60",
            "Age: 20",
            "X-RateLimit-Remaining: 3",
            "X-RateLimit-Reset: 30",
            'Link: <https://x/?p=1>; rel="prev"',
            "Link: </?p=3>; rel=next",
        ]
        async with raw_backend(respond("200 OK", b"[1]", *fields)) as backend, fetching(backend.url) as fetch:
            said = await fetch()
            assert fetch.gate.heard_of == [200]
        assert (said.body, said.content_type) == (b"[1]", "application/json")
        assert (said.fresh_for, said.quota, said.link_next) == (40.0, Quota(3, 30.0), "/?p=3")

    async def test_any_status_is_an_answer(self) -> None:
        """What it means is the route's to say; the gate hears of it, and of how long to wait."""
        answer = respond("429 Too Many Requests", b"slow down", "Retry-After: 7")
        async with raw_backend(answer) as backend, fetching(backend.url) as fetch:
            said = await fetch()
            assert (said.status, said.retry_after, fetch.gate.heard_of) == (429, 7.0, [429])

    @pytest.mark.parametrize("size", [2, 200_000])
    @pytest.mark.parametrize(
        ("coding", "pack"),
        [
            ("gzip", gzip.compress),
            ("x-gzip", gzip.compress),
            ("GZIP", lambda body: gzip.compress(body[:1]) + gzip.compress(body[1:])),
            ("gzip", lambda body: gzip.compress(body) + b"\0\0\0 trailing"),
            ("deflate", zlib.compress),
            ("deflate", lambda body: zlib.compress(body)[2:-4]),
            ("identity", bytes),
        ],
        ids=["gzip", "x-gzip", "two members", "garbage behind it", "deflate", "raw deflate", "identity"],
    )
    async def test_every_compression_that_is_asked_for(self, coding: str, pack, size: int) -> None:  # type: ignore[no-untyped-def]  # a table of functions
        body = b'"' + os.urandom(size // 2).hex().encode() + b'"'
        answer = respond("200 OK", pack(body), f"Content-Encoding: {coding}")
        async with raw_backend(answer) as backend, fetching(backend.url) as fetch:
            assert (await fetch()).body == body
            assert (await fetch()).body == body
        assert backend.connections == 1

    async def test_the_limit_is_reached_and_not_passed(self) -> None:
        """A body of exactly max_body is read, plain or compressed."""
        for body in (bytes(1000), bytes(100_000)):
            for answer in (respond("200 OK", body), respond("200 OK", gzip.compress(body), "Content-Encoding: gzip")):
                async with raw_backend(answer) as backend, fetching(backend.url, max_body=f"{len(body)}B") as fetch:
                    assert (await fetch()).body == body

    async def test_a_body_that_ends_with_the_connection(self) -> None:
        """HTTP/1.0 without a length, as small devices speak it."""
        answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"line\n" * 9000
        async with raw_backend(answer, keeps_open=False) as backend, fetching(backend.url) as fetch:
            assert (await fetch()).body == b"line\n" * 9000

    async def test_a_304_with_a_body(self) -> None:
        """It breaks the connection (RFC 9112 section 6.3), so the document is asked for in full."""
        crime = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 9\r\n\r\n{"old":1}'

        def answer(asked: Asked) -> bytes:
            return crime if "if-none-match" in asked.fields else respond()

        async with raw_backend(answer) as backend, fetching(backend.url) as fetch:
            for _ in range(2):
                said = await fetch(validators=Validators('"1"'))
                assert (said.status, said.body) == (200, b"{}")

    async def test_a_304_has_a_length_and_no_body(self) -> None:
        """The length is that of the document which is not sent; the connection goes on."""
        answer = b'HTTP/1.1 304 Not Modified\r\nETag: "2"\r\nContent-Length: 9\r\n\r\n'
        async with raw_backend(answer) as backend, fetching(backend.url) as fetch:
            for _ in range(2):
                said = await fetch(validators=Validators('"1"'))
                assert (said.status, said.body, said.validators.etag) == (304, b"", '"2"')
            assert backend.connections == 1

    async def test_early_hints_are_no_answer(self) -> None:
        answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + respond("200 OK", b"[]")
        async with raw_backend(answer) as backend, fetching(backend.url) as fetch:
            assert (await fetch()).body == b"[]"

    @pytest.mark.parametrize("status", ["204 No Content", "200 OK"])
    async def test_an_empty_answer_without_a_type(self, status: str) -> None:
        async with raw_backend(respond(status, b"")) as backend, fetching(backend.url) as fetch:
            said = await fetch()
            assert (said.body, said.content_type) == (b"", "")

    async def test_head_has_a_length_and_no_body(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99999999\r\n\r\n"
        async with raw_backend(answer) as backend, fetching(backend.url, max_body="1KB") as fetch:
            assert (await fetch(method="HEAD")).body == b""


def moving(**places: str):  # type: ignore[no-untyped-def]  # a script for raw_backend
    """Redirect from each path to what is said for it: ``STATUS LOCATION``; anything else is an answer."""

    def answer(asked: Asked) -> bytes:
        if (place := places.get(asked.target.strip("/").partition("?")[0])) is None:
            return respond("200 OK", b'"' + asked.target.encode() + b'"')
        status, _, location = place.partition(" ")
        return respond(f"{status} Moved", b"moved", f"Location: {location}")

    return answer


class TestRedirects:
    @pytest.mark.parametrize(
        ("location", "target"),
        [("/b", "/b"), ("b?x=1#f", "/b?x=1"), ("{base}/b", "/b"), ("/ä b%20c", "/%C3%A4%20b%20c"), ("../../b", "/b")],
    )
    async def test_they_are_followed_within_the_origin(self, location: str, target: str) -> None:
        """With credentials and the request's own fields, each with its own turn."""
        async with raw_backend(b"") as backend:
            backend.respond = moving(a=f"302 {location.format(base=backend.url)}".encode().decode("latin-1"))
            credentials = {"kind": "bearer", "token": "t"}
            async with fetching(backend.url, credentials=credentials) as fetch:
                said = await fetch("/a", headers={"X-Own": "1"}, validators=Validators('"1"'))
                assert (json_body(said), fetch.gate.turns, fetch.gate.heard_of) == (target, 2, [302, 200])
        for asked in backend.asked:
            assert (asked.fields["authorization"], asked.fields["x-own"]) == ("Bearer t", "1")

    async def test_validators_are_those_of_where_the_answer_came_from(self) -> None:
        """Every version may have ETag "1": what the latest one is said to be is never asked with that of another."""

        def answer(asked: Asked) -> bytes:
            if asked.target == "/latest":
                return respond("302 Found", b"", f"Location: /v{version}")
            if asked.fields.get("if-none-match") == '"1"':
                return respond("304 Not Modified", b"", 'ETag: "1"')
            return respond("200 OK", f'"v{version}"'.encode(), 'ETag: "1"')

        version = 1
        async with raw_backend(answer) as backend, fetching(backend.url) as fetch:
            first = await fetch("/latest")
            assert (await fetch("/latest", validators=first.validators)).status == 304
            version = 2
            assert json_body(await fetch("/latest", validators=first.validators)) == "v2"
        assert [asked.fields.get("if-none-match") for asked in backend.asked] == [None] * 3 + ['"1"'] + [None] * 2

    @pytest.mark.parametrize(
        ("status", "method", "body"),
        [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "POST", b"q"), (308, "POST", b"q")],
    )
    async def test_a_post_becomes_a_get_as_in_browsers(self, status: int, method: str, body: bytes) -> None:
        async with raw_backend(moving(a=f"{status} /b")) as backend, fetching(backend.url) as fetch:
            await fetch("/a", method="POST", body=b"q", headers={"Content-Type": "text/plain"})
        asked = backend.asked[1]
        assert (asked.line.split()[0], asked.body) == (method, body)
        assert ("content-type" in asked.fields) == (method == "POST")

    async def test_no_more_than_configured(self) -> None:
        async with raw_backend(moving(a="302 /b", b="302 /c", c="302 /d")) as backend:
            async with fetching(backend.url) as fetch:
                assert json_body(await fetch("/a")) == "/d"
            async with fetching(backend.url, redirects={"max": 2}) as fetch:
                with pytest.raises(PollError, match="protocol: the upstream redirects more than 2 times in a row"):
                    await fetch("/a")
            async with fetching(backend.url, redirects={"max": 0}) as fetch:
                assert (await fetch("/a")).status == 302

    async def test_no_other_origin_unless_it_is_listed(self) -> None:
        """The error says which, and what to write; another port is another origin."""
        async with raw_backend(respond()) as other, raw_backend(b"") as backend:
            backend.respond = moving(a=f"302 {other.url}/b?key=s3cret")
            async with fetching(backend.url) as fetch:
                with pytest.raises(
                    PollError, match=r"redirects to http://127.*list 127.0.0.1 in redirects.hosts"
                ) as caught:
                    await fetch("/a")
                assert "s3cret" not in str(caught.value)
        assert other.asked == []

    @pytest.mark.parametrize("hosts", ["127.0.0.1", "127.0.0.1:{port}"])
    async def test_credentials_never_leave_the_origin(self, hosts: str) -> None:
        """A listed host gets what any stranger may know: no credentials, cookies, keys, and nothing of the client's."""
        async with raw_backend(respond("200 OK", b"[]")) as other, raw_backend(b"") as backend:
            backend.respond = moving(a=f"302 {other.url}/b")
            config = {
                "credentials": {"kind": "basic", "username": "u", "password": "p"},
                "headers": {"X-Api-Key": "k", "User-Agent": "me"},
                "redirects": {"hosts": [hosts.format(port=port_of(other))]},
            }
            sent = {"Cookie": "SID=1", "X-User": "ada"}
            async with fetching(backend.url, **config) as fetch:
                said = await fetch("/a", headers=sent, validators=Validators('"1"', url=f"{other.url}/b"))
                assert (said.body, fetch.gate.turns) == (b"[]", 2)
        expected = {"host", "user-agent", "accept", "accept-encoding", "if-none-match"}
        assert set(other.asked[0].fields) == expected
        assert other.asked[0].fields["user-agent"] == "me"
        assert {"authorization", "x-api-key", "cookie"} <= set(backend.asked[0].fields)

    async def test_a_body_never_leaves_the_origin(self) -> None:
        async with raw_backend(respond()) as other, raw_backend(b"") as backend:
            backend.respond = moving(a=f"307 {other.url}/b")
            async with fetching(backend.url, redirects={"hosts": "127.0.0.1"}) as fetch:
                with pytest.raises(PollError, match="its body stays here"):
                    await fetch("/a", method="POST", body=b"password=p")
        assert other.asked == []

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[::1/", "gopher://x"])
    async def test_what_is_no_place_for_an_upstream(self, location: str) -> None:
        async with raw_backend(moving(a=f"302 {location}")) as backend, fetching(backend.url) as fetch:
            with pytest.raises(PollError, match="protocol"):
                await fetch("/a")

    async def test_a_redirect_without_a_place_is_an_answer(self) -> None:
        async with raw_backend(respond("302 Found")) as backend, fetching(backend.url) as fetch:
            assert (await fetch()).status == 302

    async def test_the_upstreams_own_name_is_the_upstream(self) -> None:
        """Behind ``host:`` it redirects to the name by which it is called; that is no other origin."""
        script = moving(a="302 http://bikes.example/b")
        async with raw_backend(script) as backend, fetching(backend.url, host="bikes.example") as fetch:
            assert json_body(await fetch("/a")) == "/b"
        assert [asked.fields["host"] for asked in backend.asked] == ["bikes.example"] * 2


@dataclass
class Proxy:
    """An outbound proxy that speaks both dialects: absolute URLs for http, CONNECT for https."""

    url: str = ""
    status: str = "200 Connection established"
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await read_request(reader, 0)
        self.asked.append(asked)
        if not asked.line.startswith("CONNECT"):
            writer.write(respond(self.status.replace("Connection established", "OK"), b'"by proxy"'))
            await writer.drain()
            return
        writer.write(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
        if self.status.startswith("200"):
            there, back = await asyncio.open_connection("127.0.0.1", int(asked.target.rpartition(":")[2]))
            await asyncio.gather(pump(reader, back), pump(there, writer))


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


@asynccontextmanager
async def proxying(status: str = "200 Connection established") -> AsyncIterator[Proxy]:
    proxy = Proxy(status=status)
    async with listening(proxy.serve) as proxy.url:
        yield proxy


def with_user(url: str) -> str:
    return url.replace("http://", "http://me:s3cr%3At@")


BASIC_ME = "Basic bWU6czNjcjp0"  # me:s3cr:t


class TestProxy:
    async def test_http_is_asked_for_by_its_whole_url(self) -> None:
        """The user and password in the proxy's URL are shown to the proxy."""
        async with proxying() as proxy, fetching("http://bikes.test:81", proxy=with_user(proxy.url)) as fetch:
            assert json_body(await fetch("/a?b=c")) == "by proxy"
        assert proxy.asked[0].line == "GET http://bikes.test:81/a?b=c HTTP/1.1"
        assert proxy.asked[0].fields["host"] == "bikes.test:81"
        assert proxy.asked[0].fields["proxy-authorization"] == BASIC_ME

    async def test_https_goes_through_a_tunnel(self, authority: Authority) -> None:
        """The proxy sees a host and a port; the upstream sees nothing of the proxy's password."""
        async with proxying() as proxy, raw_backend(respond(), tls=authority.server("bikes.test")) as backend:
            url = f"https://bikes.test:{port_of(backend)}"
            config = {"proxy": with_user(proxy.url), "tls": {"ca": authority.ca}}
            async with fetching(url, **config) as fetch:
                assert (await fetch()).body == b"{}"
        assert proxy.asked[0].line == f"CONNECT bikes.test:{port_of(backend)} HTTP/1.1"
        assert proxy.asked[0].fields["proxy-authorization"] == BASIC_ME
        assert "proxy-authorization" not in backend.asked[0].fields

    async def test_no_proxy_is_honoured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "other.test,127.0.0.1")
        async with (
            proxying() as proxy,
            raw_backend(respond()) as backend,
            fetching(backend.url, proxy=proxy.url) as fetch,
        ):
            assert (await fetch()).body == b"{}"
        assert (proxy.asked, len(backend.asked)) == ([], 1)

    @pytest.mark.parametrize(
        ("status", "words"),
        [("407 Proxy Authentication Required", "wants a user and a password"), ("502 Bad Gateway", "answered 502")],
    )
    async def test_a_proxy_that_makes_no_connection(self, status: str, words: str) -> None:
        """The failure says that it is the proxy, and not with which password it was asked."""
        async with proxying(status) as proxy, fetching("https://bikes.test", proxy=with_user(proxy.url)) as fetch:
            with pytest.raises(PollError, match=f"connect: the proxy {words}") as caught:
                await fetch()
        assert "s3cr" not in str(caught.value)

    async def test_a_proxy_that_is_not_there(self) -> None:
        async with proxying() as proxy:
            url = with_user(proxy.url)
        async with fetching("http://bikes.test", proxy=url) as fetch:
            with pytest.raises(PollError, match="connect: the proxy cannot be reached") as caught:
                await fetch()
        assert "s3cr" not in str(caught.value)


class TestUnixSocket:
    async def test_requests_are_for_localhost_or_the_configured_host(self, tmp_path: Path) -> None:
        async with raw_backend(respond(), path=tmp_path / "app.sock") as backend:
            for config, host in (({}, "localhost"), ({"host": "bikes.example"}, "bikes.example")):
                async with fetching(backend.url, **config) as fetch:
                    assert (await fetch("/a?b=c")).body == b"{}"
                assert (backend.asked[-1].target, backend.asked[-1].fields["host"]) == ("/a?b=c", host)

    async def test_a_socket_that_is_not_there(self, tmp_path: Path) -> None:
        async with fetching(f"unix://{tmp_path}/none.sock") as fetch:
            with pytest.raises(PollError, match=r"connect: the upstream cannot be reached: .*No such file"):
                await fetch()


class Authority:
    """A certificate authority that nobody knows, with its files."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.ca = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca)

    def write_to(self, path: Path) -> None:
        self._ca.cert_pem.write_to_path(str(path))

    def server(self, *names: str, wants_client: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(*names).configure_cert(context)
        if wants_client:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, name: str = "me") -> dict[str, str]:
        """Write a client certificate; return what `tls:` says for it."""
        paths = {"certificate": str(self._folder / f"{name}.pem"), "key": str(self._folder / f"{name}.key")}
        issued = self._ca.issue_cert("pushgate@me.example")
        issued.cert_chain_pems[0].write_to_path(paths["certificate"])
        issued.private_key_pem.write_to_path(paths["key"])
        return paths


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class TestTls:
    async def test_an_authority_that_nobody_knows_must_be_named(self, authority: Authority) -> None:
        """The failure is a ``tls`` one, and says where to name it."""
        async with raw_backend(respond(), tls=authority.server("127.0.0.1")) as backend:
            async with fetching(backend.url) as fetch:
                with pytest.raises(PollError, match=r"tls: .*unable to get local issuer.*`tls: {ca, server_name}`"):
                    await fetch()
            async with fetching(backend.url, tls={"ca": authority.ca}) as fetch:
                assert (await fetch()).body == b"{}"
            async with fetching(backend.url, tls={"verify": False}) as fetch:
                assert (await fetch()).body == b"{}"

    async def test_a_certificate_for_another_name(self, authority: Authority) -> None:
        """``host`` and ``server_name`` say which name it must have; only ``host`` is also the Host header."""
        async with raw_backend(respond(), tls=authority.server("bikes.test")) as backend:
            for more, host in (({"host": "bikes.test:8443"}, "bikes.test:8443"), ({}, backend.url[8:])):
                tls = {"ca": authority.ca, **({} if more else {"server_name": "bikes.test"})}
                async with fetching(backend.url, tls=tls, **more) as fetch:
                    assert (await fetch()).body == b"{}"
                assert backend.asked[-1].fields["host"] == host
            async with fetching(backend.url, tls={"ca": authority.ca}) as fetch:
                with pytest.raises(PollError, match=r"tls: .*certificate is not valid for '127.0.0.1'"):
                    await fetch()

    async def test_a_client_certificate_is_shown(self, authority: Authority) -> None:
        wants = authority.server("127.0.0.1", wants_client=True)
        tls = {"ca": authority.ca, **authority.client()}
        async with raw_backend(respond(), tls=wants) as backend, fetching(backend.url, tls=tls) as fetch:
            assert (await fetch()).body == b"{}"

    async def test_no_client_certificate_where_one_is_wanted(self, authority: Authority) -> None:
        """A server says so after the handshake (TLS 1.3), or just ends the connection: the request is not answered."""
        wants = authority.server("127.0.0.1", wants_client=True)
        tls = {"ca": authority.ca}
        async with raw_backend(respond(), tls=wants) as backend, fetching(backend.url, tls=tls) as fetch:
            with pytest.raises(PollError) as caught:
                await fetch()
        assert caught.value.reason in ("tls", "connect")
        assert backend.asked == []

    async def test_files_that_come_late_or_change(self, authority: Authority, tmp_path: Path) -> None:
        """A secret may be mounted after the start, and is renewed while the gateway runs; a bad renewal is not used."""
        (tmp_path / "other").mkdir()
        other = Authority(tmp_path / "other")
        late = tmp_path / "late.pem"
        clock = LeapingClock()
        async with (
            raw_backend(respond(), tls=authority.server("127.0.0.1"), keeps_open=False) as backend,
            fetching(backend.url, tls={"ca": str(late)}, clock=clock) as fetch,
        ):
            with pytest.raises(PollError, match=r"tls: the files under `tls:` cannot be used: .*late.pem: No such"):
                await fetch()
            other.write_to(late)
            clock.leap += 60
            with pytest.raises(PollError, match="tls: TLS with the upstream failed"):
                await fetch()
            authority.write_to(late)
            clock.leap += 60
            assert (await fetch()).body == b"{}"
            late.write_text("half a cert")
            clock.leap += 60
            assert (await fetch()).body == b"{}"

    async def test_a_client_certificate_never_leaves_the_origin(self, authority: Authority) -> None:
        """Where a redirect leads is checked with the same authority, and shown nothing."""
        wants = authority.server("127.0.0.1", wants_client=True)
        wants.verify_mode = ssl.CERT_OPTIONAL
        seen: list[object] = []

        async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            seen.append(writer.get_extra_info("peercert"))
            writer.write(respond("200 OK", b"{}", "Connection: close"))
            await writer.drain()

        tls = {"ca": authority.ca, **authority.client()}
        own = authority.server("127.0.0.1", wants_client=True)
        async with (
            listening(look, tls=wants) as other,
            raw_backend(moving(a=f"302 {other}/b"), tls=own) as backend,
            fetching(backend.url, tls=tls, redirects={"hosts": "127.0.0.1"}) as fetch,
        ):
            assert (await fetch("/a")).body == b"{}"
        assert seen in ([{}], [None])

    async def test_no_redirect_leads_out_of_tls(self, authority: Authority) -> None:
        script = moving(a="302 http://127.0.0.1/b")
        async with raw_backend(script, tls=authority.server("127.0.0.1")) as backend:
            config = {"tls": {"ca": authority.ca}, "redirects": {"hosts": "127.0.0.1"}}
            async with fetching(backend.url, **config) as fetch:
                with pytest.raises(PollError, match="redirects out of TLS"):
                    await fetch("/a")

    async def test_https_asked_of_a_plain_port(self) -> None:
        """What comes back is no TLS."""

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(respond("400 Bad Request"))
            await writer.drain()

        async with listening(plain) as url, fetching(url.replace("http:", "https:")) as fetch:
            with pytest.raises(PollError, match=r"tls: .*wrong version number"):
                await fetch()


class TestTimeouts:
    async def test_an_answer_that_takes_too_long(self) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with listening(silent) as url, fetching(url, timeout={"total": "50ms"}) as fetch:
            with pytest.raises(PollError, match=r"timeout: the upstream did not answer within timeout.total"):
                await fetch()
            assert fetch.gate.under_way == 0

    async def test_the_wait_for_a_turn_is_not_the_upstreams(self) -> None:
        """Who waits longer than the timeout for the budget has all of it left when the request goes out."""
        async with raw_backend(respond()) as backend, fetching(backend.url, timeout={"total": "200ms"}) as fetch:
            open_at = asyncio.get_running_loop().time() + 0.5
            turn = fetch.gate.turn

            @asynccontextmanager
            async def late() -> AsyncIterator[None]:
                await asyncio.sleep(open_at - asyncio.get_running_loop().time())
                async with turn():
                    yield

            fetch.gate.turn = late  # type: ignore[method-assign]  # the double is made for it
            assert (await fetch()).body == b"{}"

    async def test_a_name_that_does_not_resolve(self) -> None:
        async with fetching("http://nobody.invalid") as fetch:
            with pytest.raises(PollError, match="dns: the upstream's name does not resolve"):
                await fetch()

    async def test_nobody_listens(self) -> None:
        async with raw_backend(respond()) as backend:
            url = backend.url
        async with fetching(url) as fetch:
            with pytest.raises(PollError, match="connect: the upstream cannot be reached"):
                await fetch()
