"""
Upstreams that are never reached, or not as whom they know: each failure has its own reason and words, the gate is free
again, and what was refused is not tried again at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from pushgate.clock import Clock
from pushgate.errors import PollError, PollFailureReason
from upstreams import Asked, Fetching, fetching, listening, raw_backend, respond

LOGIN = {
    "kind": "login",
    "request": {"method": "POST", "path": "/login", "form": {"user": "ada", "password": "s3cret"}},
    "expired": {"redirect": "/login"},
}


async def failure(fetch: Fetching) -> tuple[PollFailureReason, str]:
    """Ask, and return the reason and the words of the failure."""
    with pytest.raises(PollError) as caught:
        await fetch()
    assert fetch.gate.under_way == 0
    return caught.value.reason, caught.value.detail


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    return port


class TestNobodyIsReached:
    async def test_has_no_address(self) -> None:
        async with fetching("http://nobody.invalid") as fetch:
            reason, words = await failure(fetch)
            assert (reason, "does not resolve" in words) == ("dns", True)

    async def test_has_no_server(self, closed_port: int) -> None:
        async with fetching(f"http://127.0.0.1:{closed_port}") as fetch:
            reason, words = await failure(fetch)
            assert (reason, "cannot be reached" in words) == ("connect", True)

    async def test_has_no_socket(self, tmp_path: Path) -> None:
        async with fetching(f"unix://{tmp_path}/none.sock") as fetch:
            assert (await failure(fetch))[0] == "connect"

    async def test_drops_packets(self, full_backlog: int) -> None:
        """What a firewall does, too: no connection stands, and nothing says so."""
        timeout = {"connect": "100ms", "total": "5s"}
        async with fetching(f"http://127.0.0.1:{full_backlog}", timeout=timeout) as fetch:
            assert await failure(fetch) == ("timeout", "no connection stood within timeout.connect")

    @pytest.fixture
    def full_backlog(self) -> Iterator[int]:
        """A port whose server accepts nobody any more."""
        with closing(socket.socket()) as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(server.getsockname())
            yield server.getsockname()[1]
            for client in waiting:
                client.close()


class TestTheProxy:
    async def test_is_down(self, closed_port: int) -> None:
        async with raw_backend(respond()) as backend:
            async with fetching(backend.url, proxy=f"http://127.0.0.1:{closed_port}") as fetch:
                reason, words = await failure(fetch)
                assert (reason, words.startswith("the proxy cannot be reached")) == ("connect", True)
            assert backend.asked == []

    @pytest.mark.parametrize(
        ("status", "words"), [("403 Forbidden", "answered 403"), ("407 Who Are You", "wants a user and a password")]
    )
    async def test_refuses(self, status: str, words: str) -> None:
        async with (
            raw_backend(respond(status, b"")) as proxy,
            fetching("https://bikes.example", proxy=proxy.url) as fetch,
        ):
            reason, said = await failure(fetch)
            assert (reason, words in said) == ("connect", True)


@pytest.fixture
def authority() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA()


def certified(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


class TestTls:
    async def test_has_an_authority_of_its_own(self, authority: trustme.CA, tmp_path: Path) -> None:
        """And once that is named, all is well."""
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        async with raw_backend(respond(), tls=certified(authority, "127.0.0.1")) as backend:
            async with fetching(backend.url) as fetch:
                reason, words = await failure(fetch)
                assert (reason, "local issuer" in words) == ("tls", True)
            async with fetching(backend.url, tls={"ca": str(tmp_path / "ca.pem")}) as fetch:
                assert (await fetch()).status == 200

    async def test_has_another_name(self, authority: trustme.CA, tmp_path: Path) -> None:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        tls = {"ca": str(tmp_path / "ca.pem")}
        async with raw_backend(respond(), tls=certified(authority, "bikes.example")) as backend:
            async with fetching(backend.url, tls=tls) as fetch:
                reason, words = await failure(fetch)
                assert (reason, "not valid for" in words) == ("tls", True)
            async with fetching(backend.url, tls=tls, host="bikes.example") as fetch:
                assert (await fetch()).status == 200

    async def test_speaks_no_tls(self) -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(respond("400 Bad Request", b"plain"))
            await writer.drain()

        async with listening(plain) as url, fetching(url.replace("http", "https")) as fetch:
            reason, words = await failure(fetch)
            assert (reason, "wrong version number" in words) == ("tls", True)

    async def test_is_asked_with_files_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("not a certificate")
        async with fetching("https://bikes.example", tls={"ca": str(tmp_path / "ca.pem")}) as fetch:
            reason, words = await failure(fetch)
            assert (reason, "files under `tls:` cannot be used" in words) == ("tls", True)


class LeapingClock(Clock):
    """A clock that can be put forward."""

    leap = 0.0

    def now(self) -> float:
        return super().now() + self.leap


class Site:
    """A site that wants a login; ``log_in`` is how it answers one."""

    def __init__(self, log_in: bytes) -> None:
        self.log_in = log_in
        self.is_good = False
        self.logins = 0

    def __call__(self, asked: Asked) -> bytes:
        if asked.target == "/login":
            self.logins += 1
            return respond("302 Found", b"", "Location: /", "Set-Cookie: SID=good") if self.is_good else self.log_in
        if "SID=good" in asked.fields.get("cookie", ""):
            return respond("200 OK", b"[1]")
        return respond("302 Found", b"", "Location: /login")


LOGINS: dict[str, tuple[bytes, PollFailureReason, str]] = {
    "RefusesTheLogin": (respond("403 Forbidden"), "upstream_auth", "the login failed"),
    "BringsNoCookie": (respond("200 OK"), "upstream_auth", "brought no cookie"),
    "TakesAnythingForALogin": (
        respond("200 OK", b"", "Set-Cookie: SID=worthless"),
        "upstream_auth",
        "wants a login right after one",
    ),
    "HasTroubleWithItsLogin": (
        respond("503 Service Unavailable", b"", "Retry-After: 5"),
        "http_5xx",
        "the login failed",
    ),
}


class TestCredentials:
    @pytest.mark.parametrize("crime", LOGINS)
    async def test_a_login_is_not_tried_again_at_once(self, crime: str) -> None:
        """An account must not be locked by a wrong password in a file; later one more try is worth it."""
        answer, reason, words = LOGINS[crime]
        site, clock = Site(answer), LeapingClock()
        async with raw_backend(site) as backend, fetching(backend.url, credentials=LOGIN, clock=clock) as fetch:
            for _ in range(4):
                told, said = await failure(fetch)
                assert (told, words in said) == (reason, True)
            tried = site.logins
            assert tried <= 2
            site.is_good = True
            await failure(fetch)
            assert site.logins == tried
            clock.leap += 60
            assert (await fetch()).body == b"[1]"

    async def test_refuses_the_session_that_it_gives(self) -> None:
        credentials = {"kind": "session", "header": "X-Session"}
        refusal = respond("409 Conflict", b"", "X-Session: 1")
        async with raw_backend(refusal) as backend, fetching(backend.url, credentials=credentials) as fetch:
            reason, words = await failure(fetch)
            assert (reason, "refuses the X-Session that it has just given" in words) == ("upstream_auth", True)
            assert len(backend.asked) == 2

    @pytest.mark.parametrize(
        ("answer", "reason", "words"),
        [
            (respond("401 Unauthorized", b'{"error": "invalid_client"}'), "upstream_auth", "invalid_client"),
            (respond("503 Service Unavailable", b""), "http_5xx", "the token server"),
            (respond("429 Too Many Requests", b""), "rate_limited", "the token server"),
            (respond("200 OK", b"<html>"), "upstream_auth", "gave no token"),
        ],
        ids=["RefusesTheClient", "IsDown", "IsAskedTooOften", "GivesNoToken"],
    )
    async def test_the_token_server(self, answer: bytes, reason: PollFailureReason, words: str) -> None:
        """Nothing reaches the upstream without a token, and nothing that the token server says is repeated."""
        async with raw_backend(answer) as issuer, raw_backend(respond()) as backend:
            credentials = {"kind": "oauth2", "token_url": issuer.url, "client_id": "me", "client_secret": "s3cret"}
            async with fetching(backend.url, credentials=credentials) as fetch:
                told, said = await failure(fetch)
                assert (told, words in said, "s3cret" in said) == (reason, True, False)
            assert backend.asked == []
