"""How pushgate shows an upstream who it is: what goes out, what is got anew and when, and what is left alone."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pushgate.adapters.upstream.credentials.digest import (
    Account,
    Attempt,
    Challenge,
    Digest,
    authorization,
    read_challenge,
)
from pushgate.adapters.upstream.credentials.oauth2 import MARGIN, YOUNG, OAuth2
from pushgate.adapters.upstream.credentials.renewal import FIRST_HOLD, LONGEST_HOLD, Renewal
from pushgate.adapters.upstream.credentials.session import Session
from pushgate.adapters.upstream.credentials.shown import ApiKeyField, ApiKeyParameter, Basic, Bearer
from pushgate.adapters.upstream.exchange import OPEN, Exchange, Reply
from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.clock import Clock
from pushgate.config.credentials import OAuth2Credentials
from pushgate.config.upstreams import Upstream
from pushgate.errors import PollError
from pushgate.values import UpstreamRequest

ASKED = UpstreamRequest(
    "GET", "http://u.example/rows?x=1", (("X-Own", "1"),), claims={"sub": "ada", "odd": "a\r\nb: c"}
)


class StillClock(Clock):
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def token(self) -> str:
        return "cnonce"


def reply(status: int = 200, body: object = None, **headers: str) -> Reply:
    fields = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Reply(Answer(status, "", json.dumps(body).encode(), NO_VALIDATORS, 0.0), CIMultiDictProxy(fields))


class Server:
    """Answers what it is scripted to, and remembers what it was asked."""

    def __init__(self, *script: Reply | Callable[[UpstreamRequest], Reply]) -> None:
        self.script = [*script]
        self.asked: list[UpstreamRequest] = []

    async def __call__(self, request: UpstreamRequest) -> Reply:
        await asyncio.sleep(0)  # others get their chance
        self.asked.append(request)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return answer if isinstance(answer, Reply) else answer(request)

    def field(self, name: str, index: int = -1) -> str | None:
        return dict(self.asked[index].headers).get(name)


class TestShown:
    async def test_basic_is_in_utf_8(self) -> None:
        """RFC 7617; the user's name may be a claim of the caller."""
        server = Server(reply())
        await Basic("{claims.sub}", "pä:ss{word}")(ASKED, server)
        field = server.field("Authorization")
        assert field is not None
        assert b64decode(field.removeprefix("Basic ")).decode() == "ada:pä:ss{word}"

    async def test_a_bearer_token_replaces_another_authorization(self) -> None:
        """Only one of two can be meant, and braces that name no claim belong to the token."""
        server = Server(reply())
        asked = UpstreamRequest("GET", "http://u.example/", (("authorization", "old"), ("X", "y")))
        await Bearer("abc{def}")(asked, server)
        assert server.asked[0].headers == (("X", "y"), ("Authorization", "Bearer abc{def}"))

    async def test_a_key_goes_into_a_header_or_the_query(self) -> None:
        """Escaped for where it stands; a link that repeats it already does not get it twice."""
        server = Server(reply())
        await ApiKeyField("X-Key", "k-{claims.sub}")(ASKED, server)
        assert server.field("X-Key") == "k-ada"
        in_query = ApiKeyParameter("api key", "a&b")
        await in_query(ASKED, server)
        assert server.asked[-1].url == "http://u.example/rows?x=1&api%20key=a%26b"
        await in_query(server.asked[-1], server)
        assert server.asked[-1] == server.asked[-2]
        await in_query(UpstreamRequest("GET", "http://u.example/rows", ()), server)
        assert server.asked[-1].url == "http://u.example/rows?api%20key=a%26b"

    @pytest.mark.parametrize(
        ("shown", "words"),
        [
            (Bearer("{claims.odd}"), "Authorization cannot carry"),
            (ApiKeyField("X-Key", "{claims.odd}"), "X-Key cannot carry"),
            (Bearer("{claims.none}"), "claim 'none'"),
            (Basic("{claims.colon}", "x"), "colon"),
        ],
    )
    async def test_a_claim_cannot_leave_its_place(self, shown: Bearer, words: str) -> None:
        """A value that would begin a new line, or the password, is a failed poll that does not repeat it."""
        asked = UpstreamRequest("GET", "http://u.example/", (), claims={"odd": "a\r\nb: c", "colon": "a:b"})
        server = Server(reply())
        with pytest.raises(PollError, match=words) as caught:
            await shown(asked, server)
        assert caught.value.reason == "upstream_auth"
        assert "b: c" not in str(caught.value)
        assert server.asked == []


class TestDigest:
    MUFASA = Attempt("GET", "/dir/index.html", b"", 1, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    REALM = "http-auth@example.org"
    OLD_REALM, OLD_NONCE = "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093"

    @pytest.mark.parametrize(
        ("challenge", "password", "cnonce", "response"),
        [
            (Challenge(REALM, NONCE, "MD5", "auth"), "Circle of Life", None, "8ca523f5e9506fed4657c9700eebdbec"),
            (
                Challenge(REALM, NONCE, "SHA-256", "auth"),
                "Circle of Life",
                None,
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
            (
                Challenge(OLD_REALM, OLD_NONCE, None, "auth"),
                "Circle Of Life",
                "0a4f113b",
                "6629fae49393a05397450978507c4ef1",
            ),
            (Challenge(OLD_REALM, OLD_NONCE), "Circle Of Life", "0a4f113b", "670fd8c2df070c60b045671b8b24ff02"),
        ],
        ids=["RFC 7616 MD5", "RFC 7616 SHA-256", "RFC 2617", "RFC 2069"],
    )
    def test_the_examples_of_the_rfcs(
        self, challenge: Challenge, password: str, cnonce: str | None, response: str
    ) -> None:
        attempt = self.MUFASA if cnonce is None else Attempt("GET", "/dir/index.html", b"", 1, cnonce)
        assert f'response="{response}"' in authorization(challenge, Account("Mufasa", password), attempt)

    def test_names_beyond_ascii_and_hidden_ones(self) -> None:
        """RFC 7616 section 3.4: encoded as RFC 8187 has it, or hashed (section 3.9.2, as its erratum corrects it)."""
        name = Account("J\u00e4s\u00f8n Doe", "Secret, or not?")
        plain = authorization(Challenge("api@example.org", "n", "SHA-256", "auth"), name, self.MUFASA)
        assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe" in plain
        hidden = authorization(Challenge("api@example.org", "n", "SHA-512-256", "auth", None, True), name, self.MUFASA)
        assert 'username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"' in hidden

    def test_of_several_challenges_the_first_that_can_be_answered_counts(self) -> None:
        """Devices send Basic beside Digest, in one field or several; who wants an unknown algorithm asks in vain."""
        one_field = 'Basic realm="a, b", Digest realm="c \\"d\\"", nonce=xyz, qop="auth,auth-int", opaque=""'
        assert read_challenge([one_field]) == Challenge('c "d"', "xyz", None, "auth", "")
        several = [
            "Negotiate abc==",
            "Digest realm=r, nonce=1, algorithm=WHIRLPOOL",
            "Digest realm=r, nonce=2, algorithm=md5",
        ]
        assert read_challenge(several) == Challenge("r", "2", "md5")
        assert (
            read_challenge(['Digest realm=r, nonce=1, qop="auth-conf"', "Digest realm=r", 'Basic realm="x"', ""])
            is None
        )

    async def test_a_nonce_is_used_again_with_a_higher_count(self) -> None:
        """The first poll takes two requests, every other one, until the nonce is stale."""
        wants = {"WWW-Authenticate": 'Digest realm="r", nonce="1", qop="auth"'}
        stale = {"WWW-Authenticate": 'Digest realm="r", nonce="2", qop="auth", stale=true'}
        server = Server(reply(401, **wants), reply(), reply(), reply(401, **stale), reply())
        digest = Digest("u", "p", lambda: "c")
        for _ in range(3):
            assert (await digest(ASKED, server)).answer.status == 200
        sent = [dict(asked.headers).get("Authorization", "") for asked in server.asked]
        found = [
            (nonce, count)
            for nonce in "12"
            for count in "123"
            for text in sent
            if f'nonce="{nonce}"' in text and f"nc=0000000{count}" in text
        ]
        assert len(server.asked) == 5
        assert found == [("1", "1"), ("1", "2"), ("1", "3"), ("2", "1")]
        assert 'uri="/rows?x=1"' in sent[-1]

    async def test_the_next_nonce_is_taken_from_the_answer(self) -> None:
        """Authentication-Info, RFC 7616 section 3.5: a nonce for one use costs no second request either."""
        wants = {"WWW-Authenticate": 'Digest realm="r", nonce="1", qop="auth"'}
        server = Server(reply(401, **wants), reply(Authentication_Info='nextnonce="2", qop=auth'), reply())
        digest = Digest("u", "p", lambda: "c")
        await digest(ASKED, server)
        await digest(ASKED, server)
        assert 'nonce="2"' in (server.field("Authorization") or "")
        assert len(server.asked) == 3

    async def test_a_wrong_password_is_tried_once_per_poll(self) -> None:
        """The second refusal stands: the route makes an ``upstream_auth`` of it."""
        server = Server(reply(401, **{"WWW-Authenticate": 'Digest realm="r", nonce="1", qop="auth"'}))
        assert (await Digest("u", "p", lambda: "c")(ASKED, server)).answer.status == 401
        assert len(server.asked) == 2


class TestSession:
    async def test_the_id_comes_with_the_refusal(self) -> None:
        """Transmission answers 409 with an id, which is then sent with every request."""
        heard: list[bool] = []
        server = Server(reply(409, X_Session="s1"), reply(), reply(), reply(409, X_Session="s2"), reply())
        session = Session(409, "X-Session", heard.append)
        for _ in range(3):
            assert (await session(ASKED, server)).answer.status == 200
        assert [dict(asked.headers).get("X-Session") for asked in server.asked] == [None, "s1", "s1", "s1", "s2"]
        assert heard == [True, True]

    async def test_a_refusal_without_an_id_is_an_answer(self) -> None:
        server = Server(reply(409))
        assert (await Session(409, "X-Session", lambda ok: None)(ASKED, server)).answer.status == 409
        assert len(server.asked) == 1

    async def test_an_id_that_is_refused_at_once(self) -> None:
        server = Server(reply(409, X_Session="s1"))
        with pytest.raises(PollError, match="upstream_auth"):
            await Session(409, "X-Session", lambda ok: None)(ASKED, server)
        assert len(server.asked) == 2


class TestRenewal:
    def renewal(self) -> tuple[Renewal, StillClock, list[bool]]:
        clock, heard = StillClock(), list[bool]()
        return Renewal(clock, heard.append), clock, heard

    async def test_one_does_it_for_all(self) -> None:
        """Everybody who found out at the same time waits for the same outcome."""
        renewal, _, heard = self.renewal()
        times = 0

        async def renew() -> None:
            nonlocal times
            await asyncio.sleep(0)
            times += 1

        await asyncio.gather(*(renewal.since(0, renew) for _ in range(20)))
        await renewal.since(0, renew)
        assert (times, renewal.count, heard) == (1, 1, [True])

    async def test_a_failure_is_everybodys_too(self) -> None:
        """Twenty topics make one attempt; what could not be asked is asked again by the next poll."""
        renewal, _, heard = self.renewal()

        async def renew() -> None:
            await asyncio.sleep(0)
            raise PollError("timeout", "too slow")

        results = await asyncio.gather(*(renewal.since(0, renew) for _ in range(20)), return_exceptions=True)
        assert {str(result) for result in results} == {"timeout: too slow"}
        assert heard == [False]
        with pytest.raises(PollError):
            await renewal.since(0, renew)
        assert heard == [False, False]

    async def test_a_refusal_is_not_repeated_for_a_while(self) -> None:
        """The while doubles with each, up to ten minutes: a wrong password must not lock the account."""
        renewal, clock, heard = self.renewal()

        async def renew() -> None:
            raise PollError("upstream_auth", "no")

        for expected in (FIRST_HOLD, 2 * FIRST_HOLD, 4 * FIRST_HOLD):
            with pytest.raises(PollError) as caught:
                await renewal.since(0, renew)
            assert caught.value.retry_after == expected
            attempts = len(heard)
            clock.time += expected - 1
            with pytest.raises(PollError) as caught:
                await renewal.since(0, renew)
            assert (caught.value.retry_after, len(heard)) == (1.0, attempts)
            clock.time += 1
        for _ in range(10):
            with pytest.raises(PollError) as caught:
                await renewal.since(0, renew)
            assert caught.value.retry_after is not None and caught.value.retry_after <= LONGEST_HOLD
            clock.time += caught.value.retry_after

    async def test_a_success_that_proves_worthless_was_a_refusal(self) -> None:
        """A login page that takes any password is not asked at every poll; once something is good, all is forgotten."""
        renewal, clock, heard = self.renewal()

        async def renew() -> None:
            pass

        await renewal.since(0, renew)
        for _ in range(5):
            renewal.doubted(1, PollError("upstream_auth", "still wants a login"))
        with pytest.raises(PollError, match="still wants"):
            await renewal.since(1, renew)
        assert heard == [True, False]
        clock.time += FIRST_HOLD
        await renewal.since(1, renew)
        renewal.proved()
        renewal.doubted(2, PollError("upstream_auth", "still wants a login"))
        with pytest.raises(PollError) as caught:
            await renewal.since(2, renew)
        assert caught.value.retry_after == FIRST_HOLD

    async def test_who_gives_up_leaves_it_to_the_next(self) -> None:
        """A topic that is stopped while it renews takes nobody down with it."""
        renewal, _, heard = self.renewal()
        begun = asyncio.Event()

        async def hang() -> None:
            begun.set()
            await asyncio.Event().wait()

        async def renew() -> None:
            pass

        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(renewal.since(0, hang))
            await begun.wait()
            second = tasks.create_task(renewal.since(0, renew))
            await asyncio.sleep(0)
            first.cancel()
        assert second.result() is None
        assert heard == [True]


def token(text: str, **more: object) -> Reply:
    return reply(200, {"access_token": text, "token_type": "bearer", **more})


class Tokens(Exchange):
    """The token server instead of the network."""

    def __init__(self, clock: Clock, *script: Reply) -> None:
        super().__init__(Upstream.model_validate({"url": "http://u.example"}), clock, OPEN)
        self.server = Server(*script)

    async def third_party(self, request: UpstreamRequest) -> Reply:
        return await self.server(request)


class TestOAuth2:
    def setup_method(self) -> None:
        self.clock = StillClock()
        self.heard: list[bool] = []

    def oauth2(self, *script: Reply) -> tuple[OAuth2, Server]:
        config = OAuth2Credentials.model_validate(
            {
                "kind": "oauth2",
                "token_url": "https://id.example/token",
                "client_id": "me:too",
                "client_secret": "s/cret +",
                "scopes": ["read", "list"],
                "audience": "rows",
            }
        )
        tokens = Tokens(self.clock, *script)
        return OAuth2(config, Renewal(self.clock, self.heard.append), self.clock, tokens), tokens.server

    async def test_the_client_proves_itself_as_the_rfc_has_it(self) -> None:
        """RFC 6749 sections 2.3.1 and 4.4.2: a form, with user and password encoded before they become Basic."""
        oauth2, tokens = self.oauth2(token("t1", expires_in=3600))
        server = Server(reply())
        await oauth2(ASKED, server)
        asked = tokens.asked[0]
        fields = dict(asked.headers)
        assert b64decode(fields["Authorization"].removeprefix("Basic ")) == b"me%3Atoo:s%2Fcret+%2B"
        assert asked.body is not None
        form = {"grant_type": ["client_credentials"], "scope": ["read list"], "audience": ["rows"]}
        assert parse_qs(asked.body.decode()) == form
        assert (asked.method, fields["Content-Type"]) == ("POST", "application/x-www-form-urlencoded")
        assert server.field("Authorization") == "Bearer t1"

    async def test_a_token_serves_many_polls_and_is_renewed_early(self) -> None:
        """One request for all who start at once, and a new one a minute before the end."""
        oauth2, tokens = self.oauth2(token("t1", expires_in=3600), token("t2", expires_in="10"), token("t3"))
        server = Server(reply())
        await asyncio.gather(*(oauth2(ASKED, server) for _ in range(20)))
        self.clock.time += 3600 - MARGIN - 1
        await oauth2(ASKED, server)
        assert (len(tokens.asked), server.field("Authorization")) == (1, "Bearer t1")
        self.clock.time += 1
        await oauth2(ASKED, server)
        assert (len(tokens.asked), server.field("Authorization")) == (2, "Bearer t2")
        self.clock.time += 8  # of ten seconds
        await oauth2(ASKED, server)
        assert (len(tokens.asked), server.field("Authorization")) == (3, "Bearer t3")
        self.clock.time += 1e9  # who does not say when it ends is believed until a 401
        await oauth2(ASKED, server)
        assert (len(tokens.asked), self.heard) == (3, [True] * 3)

    async def test_401_renews_once_for_all(self) -> None:
        """The token was withdrawn: everybody finds out, one gets a new one, and all ask again with it."""
        oauth2, tokens = self.oauth2(token("t1", expires_in=3600), token("t2", expires_in=3600))

        def judge(request: UpstreamRequest) -> Reply:
            return reply(200 if dict(request.headers)["Authorization"] == good else 401)

        good = "Bearer t1"
        server = Server(judge)
        await oauth2(ASKED, server)
        self.clock.time += YOUNG
        good = "Bearer t2"
        replies = await asyncio.gather(*(oauth2(ASKED, server) for _ in range(10)))
        assert {reply.answer.status for reply in replies} == {200}
        assert len(tokens.asked) == 2

    async def test_a_token_of_this_moment_is_not_at_fault(self) -> None:
        """A resource that nobody may see is no reason to ask for tokens all day: the 401 stands."""
        oauth2, tokens = self.oauth2(token("t", expires_in=3600))
        server = Server(reply(401))
        for _ in range(5):
            assert (await oauth2(ASKED, server)).answer.status == 401
        assert (len(tokens.asked), len(server.asked)) == (1, 5)

    async def test_while_the_old_token_is_good_a_failed_renewal_is_no_problem(self) -> None:
        oauth2, tokens = self.oauth2(token("t1", expires_in=3600), reply(503))
        server = Server(reply())
        await oauth2(ASKED, server)
        self.clock.time += 3599
        await oauth2(ASKED, server)
        assert (len(tokens.asked), server.field("Authorization")) == (2, "Bearer t1")
        self.clock.time += 1
        with pytest.raises(PollError, match="http_5xx: the token server gave no token: status 503"):
            await oauth2(ASKED, server)

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            (reply(401, {"error": "invalid_client", "error_description": "s/cret +"}), "no token: invalid_client"),
            (reply(400, {"error": "two\nlines"}), "no token: status 400"),
            (reply(200, {"access_token": "a b"}), "no access_token"),
            (reply(200, {"access_token": 7}), "no access_token"),
            (reply(200, ["?"]), "status 200"),
            (reply(200, {"access_token": "t", "token_type": "mac"}), "another type"),
        ],
    )
    async def test_a_refusal_says_why_and_no_secret(self, said: Reply, words: str) -> None:
        """Only the error code of RFC 6749 section 5.2 is repeated; the server is then left alone for a while."""
        oauth2, tokens = self.oauth2(said)
        server = Server(reply())
        for _ in range(3):
            with pytest.raises(PollError, match=words) as caught:
                await oauth2(ASKED, server)
            assert caught.value.reason == "upstream_auth"
            assert "cret" not in str(caught.value)
        assert (len(tokens.asked), server.asked, self.heard) == (1, [], [False])

    async def test_nothing_of_a_token_is_shown(self) -> None:
        oauth2, _ = self.oauth2(token("t0k3n", expires_in=60))
        await oauth2(ASKED, Server(reply()))
        assert "t0k3n" not in repr(oauth2._token)
