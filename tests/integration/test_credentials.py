"""Credentials before real servers that check them: what each kind sends, renews, and gives up on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
import structlog

from pushgate.clock import Clock
from pushgate.errors import PollError
from upstreams import Asked, RawBackend, fetching, json_body, raw_backend, respond

LOGIN = {
    "kind": "login",
    "request": {"method": "POST", "path": "/login", "form": {"user": "ada", "password": "p{w}&d"}},
    "expired": {"redirect": "/login"},
}


class LeapingClock(Clock):
    """A clock that can be put forward."""

    leap = 0.0

    def now(self) -> float:
        return super().now() + self.leap


class TestDigest:
    """A server that checks every digest by itself, and takes each nonce three times."""

    @staticmethod
    def server(algorithm: str, qop: str, *, says_stale: bool) -> Callable[[Asked], bytes]:
        nonces: dict[str, int] = {}
        hash_of = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

        def hashed(*parts: str) -> str:
            return hash_of(":".join(parts).encode()).hexdigest()

        def is_good(asked: Asked) -> bool:
            text = asked.fields.get("authorization", "")
            said = {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', text)}
            used = nonces.get(said.get("nonce", ""), 99)
            if used >= 3 or said["uri"] != asked.target:
                return False
            nonces[said["nonce"]] += 1
            secret, wanted = hashed("ada", "devices", "pass"), hashed(asked.line.split()[0], asked.target)
            proof = [said["nonce"], *([said["nc"], said["cnonce"], "auth"] if qop else []), wanted]
            return said["response"] == hashed(secret, *proof) and (not qop or int(said["nc"], 16) == used + 1)

        def answer(asked: Asked) -> bytes:
            if is_good(asked):
                return respond("200 OK", b'"in"')
            nonce = f"n{len(nonces)}"
            nonces[nonce] = 0
            stale = ", stale=true" if says_stale and "authorization" in asked.fields else ""
            more = f', qop="{qop}"' if qop else ""
            challenge = f'Digest realm="devices", nonce="{nonce}", algorithm={algorithm}, opaque="o"{more}{stale}'
            return respond(
                "401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="x"', f"WWW-Authenticate: {challenge}"
            )

        return answer

    @pytest.mark.parametrize("says_stale", [True, False])
    @pytest.mark.parametrize(("algorithm", "qop"), [("MD5", "auth"), ("SHA-256", "auth,auth-int"), ("MD5", "")])
    async def test_it_is_let_in(self, algorithm: str, qop: str, says_stale: bool) -> None:
        """Also with characters in the URL that are encoded, and for as many polls as a nonce lasts by one request."""
        credentials = {"kind": "digest", "username": "ada", "password": "pass"}
        server = self.server(algorithm, qop and "auth", says_stale=says_stale)
        async with raw_backend(server) as backend, fetching(backend.url, credentials=credentials) as fetch:
            for _ in range(6):
                assert json_body(await fetch("/a%2Fb/%E2%82%AC?x=%26")) == "in"
            assert (len(backend.asked), fetch.gate.turns, fetch.gate.most_under_way) == (8, 8, 1)
            assert backend.connections == 1

    async def test_a_wrong_password(self) -> None:
        credentials = {"kind": "digest", "username": "ada", "password": "wrong"}
        server = self.server("MD5", "auth", says_stale=False)
        async with raw_backend(server) as backend, fetching(backend.url, credentials=credentials) as fetch:
            assert (await fetch()).status == 401
            assert len(backend.asked) == 2


class TestShown:
    @pytest.mark.parametrize(
        ("credentials", "field", "value"),
        [
            (
                {"kind": "basic", "username": "ada", "password": "pä:ss"},
                "authorization",
                f"Basic {b64encode('ada:pä:ss'.encode()).decode()}",
            ),
            ({"kind": "bearer", "token": "t-{claims.tenant}"}, "authorization", "Bearer t-acme"),
            ({"kind": "api_key", "header": "X-Key", "value": "k"}, "x-key", "k"),
        ],
    )
    async def test_they_are_shown_with_every_request(self, credentials: dict[str, str], field: str, value: str) -> None:
        async with raw_backend(respond()) as backend, fetching(backend.url, credentials=credentials) as fetch:
            await fetch(tenant="acme")
        assert backend.asked[0].fields[field] == value

    async def test_a_key_in_the_query(self) -> None:
        credentials = {"kind": "api_key", "query": "key", "value": "a b&c"}
        async with raw_backend(respond()) as backend, fetching(backend.url, credentials=credentials) as fetch:
            await fetch("/rows?x=1")
        assert backend.asked[0].target == "/rows?x=1&key=a%20b%26c"


class TokenServer:
    """Gives tokens t1, t2, … to who knows the secret; ``good`` are those that the upstream takes."""

    def __init__(self) -> None:
        self.good: set[str] = set()
        self.given = 0

    def __call__(self, asked: Asked) -> bytes:
        is_known = asked.fields["authorization"] == "Basic " + b64encode(b"me:s3cret").decode()
        if not is_known or parse_qs(asked.body.decode())["grant_type"] != ["client_credentials"]:
            return respond("401 Unauthorized", b'{"error": "invalid_client"}', "Content-Type: application/json")
        self.given += 1
        self.good = {f"Bearer t{self.given}"}
        said = {"access_token": f"t{self.given}", "token_type": "Bearer", "expires_in": 3600}
        return respond("200 OK", json.dumps(said).encode(), "Content-Type: application/json")

    def upstream(self, asked: Asked) -> bytes:
        if asked.target == "/token":
            return self(asked)
        return respond("200 OK" if asked.fields.get("authorization") in self.good else "401 Unauthorized")


class TestOAuth2:
    @staticmethod
    def credentials(url: str, secret: str = "s3cret") -> dict[str, str]:
        return {"kind": "oauth2", "token_url": f"{url}/token", "client_id": "me", "client_secret": secret}

    async def test_a_token_of_another_server(self) -> None:
        """One for all polls; when it is withdrawn, one new one. The token server is none of the upstream's budget."""
        tokens, clock = TokenServer(), LeapingClock()
        async with (
            raw_backend(tokens) as issuer,
            raw_backend(tokens.upstream) as backend,
            fetching(backend.url, credentials=self.credentials(issuer.url), clock=clock) as fetch,
        ):
            answers = await asyncio.gather(*(fetch() for _ in range(10)))
            assert ({answer.status for answer in answers}, tokens.given, fetch.gate.turns) == ({200}, 1, 10)
            tokens.good.clear()
            clock.leap += 60
            answers = await asyncio.gather(*(fetch() for _ in range(10)))
            assert ({answer.status for answer in answers}, tokens.given, fetch.gate.turns) == ({200}, 2, 30)
            assert fetch.renewals == [True, True]

    async def test_a_token_of_the_upstream_itself_takes_a_turn(self) -> None:
        tokens = TokenServer()
        async with (
            raw_backend(tokens.upstream) as backend,
            fetching(backend.url, credentials=self.credentials(backend.url)) as fetch,
        ):
            assert (await fetch()).status == 200
            assert (fetch.gate.turns, fetch.gate.most_under_way) == (2, 1)

    async def test_a_refused_client_is_not_tried_again_at_once(self) -> None:
        """The failure names the code and nothing else; nothing reaches the upstream."""
        tokens = TokenServer()
        async with raw_backend(tokens) as issuer, raw_backend(tokens.upstream) as backend:
            credentials = self.credentials(issuer.url, "wr0ng")
            async with fetching(backend.url, credentials=credentials) as fetch:
                for _ in range(3):
                    with pytest.raises(
                        PollError, match="upstream_auth: the token server gave no token: invalid_client"
                    ) as no:
                        await fetch()
                    assert no.value.retry_after is not None and no.value.retry_after > 9
            assert (len(issuer.asked), backend.asked, fetch.renewals) == (1, [], [False])

    async def test_a_token_server_that_is_not_there(self) -> None:
        async with raw_backend(respond()) as issuer:
            url = issuer.url
        async with raw_backend(respond()) as backend, fetching(backend.url, credentials=self.credentials(url)) as fetch:
            with pytest.raises(PollError, match="connect"):
                await fetch()


class Comments:
    """A site that wants a login, and answers who has none as it is told to."""

    def __init__(self, sign: bytes | None = None) -> None:
        self.sessions: set[str] = set()
        self.logins = 0
        self.password = "p{w}&d"
        self.sign = sign or respond("302 Found", b"", "Location: /login?next=%2F")
        self.takes_anything = False

    def __call__(self, asked: Asked) -> bytes:
        if asked.target == "/login":
            return self.log_in(asked)
        session = re.search(r"SID=(\w+)", asked.fields.get("cookie", ""))
        if session and session[1] in self.sessions:
            return respond("200 OK", b'["a comment"]', "Set-Cookie: SEEN=1; Path=/")
        return self.sign

    def log_in(self, asked: Asked) -> bytes:
        self.logins += 1
        form = parse_qs(asked.body.decode())
        if form == {"user": ["ada"], "password": [self.password]}:
            self.sessions.add(f"s{self.logins}")
        elif not self.takes_anything:
            return respond("403 Forbidden")
        cookies = [f"Set-Cookie: SID=s{self.logins}; Path=/; HttpOnly", "Set-Cookie: OTHER=x; Domain=evil.example"]
        return respond("302 Found", b"", "Location: /", *cookies)


@asynccontextmanager
async def commenting(site: Comments, **changes: Any) -> AsyncIterator[tuple[RawBackend, Any, LeapingClock]]:
    clock = LeapingClock()
    async with (
        raw_backend(site) as backend,
        fetching(backend.url, credentials={**LOGIN, **changes}, clock=clock) as fetch,
    ):
        yield backend, fetch, clock


class TestLogin:
    async def test_one_login_for_all_and_cookies_from_then_on(self) -> None:
        """The form is sent as it is written, braces too; cookies that are for others are not kept."""
        site = Comments()
        async with commenting(site) as (backend, fetch, _):
            answers = await asyncio.gather(*(fetch("/comments") for _ in range(10)))
            assert [json_body(answer) for answer in answers] == [["a comment"]] * 10
            await fetch("/comments", headers={"Cookie": "lang=fr"})
            assert (site.logins, fetch.gate.turns, fetch.renewals) == (1, 12, [True])
        assert backend.asked[0].fields["content-type"] == "application/x-www-form-urlencoded"
        assert sorted(backend.asked[-1].fields["cookie"].split("; ")) == ["SEEN=1", "SID=s1", "lang=fr"]

    @pytest.mark.parametrize(
        ("sign", "expired"),
        [
            (respond("302 Found", b"", "Location: /login;jsessionid=7?next=%2F"), {"redirect": "/login"}),
            (respond("303 See Other", b"", "Location: login"), {"redirect": "/login"}),
            (respond("302 Found", b"", "Location: https://sso.example/in?x"), {"redirect": "https://sso.example/in"}),
            (respond("440 Login Time-out"), {"status": 440}),
            (respond("200 OK", b'{"error": {"code": "no_session"}}'), {"fail_if": "error.code == 'no_session'"}),
        ],
    )
    async def test_a_login_that_is_over_is_renewed_once(self, sign: bytes, expired: dict[str, object]) -> None:
        """By one poll for all that find out; the redirect to the login page is not followed before."""
        site = Comments(sign)
        async with commenting(site, expired=expired) as (_, fetch, clock):
            await fetch("/comments")
            site.sessions.clear()
            clock.leap += 3600
            answers = await asyncio.gather(*(fetch("/comments") for _ in range(10)))
            assert [json_body(answer) for answer in answers] == [["a comment"]] * 10
            assert (site.logins, fetch.renewals) == (2, [True, True])

    async def test_a_refused_login_is_left_alone_for_a_while(self) -> None:
        """A wrong password is an ``upstream_auth`` that repeats no part of it; the account is not locked by trying."""
        site = Comments()
        site.password = "another"
        async with commenting(site) as (backend, fetch, clock):
            for _ in range(3):
                with pytest.raises(PollError, match="upstream_auth: the login failed: it was answered 403") as caught:
                    await fetch("/comments")
                assert caught.value.retry_after is not None and caught.value.retry_after > 9
            assert (site.logins, len(backend.asked)) == (1, 1)
            site.password = "p{w}&d"
            clock.leap += 10
            assert json_body(await fetch("/comments")) == ["a comment"]

    async def test_a_login_page_that_takes_anything(self) -> None:
        """It gives a cookie to everybody; that the cookie is worth nothing shows at the next answer."""
        site = Comments()
        site.password, site.takes_anything = "another", True
        async with commenting(site) as (_, fetch, _):
            for _ in range(5):
                with pytest.raises(PollError, match="wants a login right after one"):
                    await fetch("/comments")
            assert site.logins <= 2

    async def test_a_login_without_a_cookie(self) -> None:
        async with raw_backend(respond("200 OK")) as backend, fetching(backend.url, credentials=LOGIN) as fetch:
            with pytest.raises(PollError, match="answered 200 and brought no cookie"):
                await fetch()

    async def test_cookies_are_for_the_name_that_the_upstream_is_called_by(self) -> None:
        """Behind ``host:`` it sets them for its own domain, not for the address."""

        def site(asked: Asked) -> bytes:
            if asked.target == "/login":
                return respond("200 OK", b"", "Set-Cookie: SID=1; Domain=bikes.example")
            return respond("200 OK", json.dumps(asked.fields.get("cookie")).encode())

        async with (
            raw_backend(site) as backend,
            fetching(backend.url, credentials=LOGIN, host="www.bikes.example") as fetch,
        ):
            assert json_body(await fetch()) == "SID=1"

    async def test_a_json_login(self) -> None:
        request = {"method": "POST", "path": "/login", "body": {"user": "ada", "password": "p"}}

        def site(asked: Asked) -> bytes:
            if asked.target == "/login":
                assert json.loads(asked.body) == request["body"]
                assert asked.fields["content-type"] == "application/json"
                return respond("200 OK", b"{}", "Set-Cookie: SID=1")
            return respond()

        async with (
            raw_backend(site) as backend,
            fetching(backend.url, credentials={**LOGIN, "request": request}) as fetch,
        ):
            assert (await fetch()).status == 200


class TestSession:
    async def test_transmission(self) -> None:
        """409 with an id, which is repeated from then on, until the next 409; each with its own turn."""
        current = "id1"

        def rpc(asked: Asked) -> bytes:
            if asked.fields.get("x-transmission-session-id") != current:
                return respond("409 Conflict", b"<h1>409</h1>", f"X-Transmission-Session-Id: {current}")
            return respond("200 OK", asked.body)

        credentials = {"kind": "session", "status": 409, "header": "X-Transmission-Session-Id"}
        async with raw_backend(rpc) as backend, fetching(backend.url, credentials=credentials) as fetch:
            for _ in range(2):
                assert json_body(await fetch("/rpc", method="POST", body=b'{"method":"session-stats"}')) is not None
            current = "id2"
            assert (await fetch("/rpc", method="POST", body=b"{}")).status == 200
            assert (len(backend.asked), fetch.gate.turns, fetch.gate.most_under_way) == (5, 5, 1)


async def test_no_secret_is_ever_shown() -> None:
    """Neither in an error, nor in a log, nor in what anything looks like."""
    secrets = ["p{w}&d", "s3cret", "k3y"]
    kinds: list[dict[str, Any]] = [
        LOGIN,
        TestOAuth2.credentials("http://127.0.0.1:9", "s3cret"),
        {"kind": "basic", "username": "ada", "password": "s3cret"},
        {"kind": "digest", "username": "ada", "password": "s3cret"},
        {"kind": "api_key", "query": "key", "value": "k3y"},
    ]
    shown: list[str] = []
    with structlog.testing.capture_logs() as logs:
        for credentials in kinds:
            async with (
                raw_backend(lambda asked: None) as backend,
                fetching(backend.url, credentials=credentials) as fetch,
            ):
                with pytest.raises(PollError) as caught:
                    await fetch("/a?b=c")
                shown += [str(caught.value), repr(caught.value), repr(fetch.upstream), repr(fetch.http)]
    assert not [secret for secret in secrets if secret in " ".join([*shown, repr(logs)])]
