"""Only those who may, over every transport: until their credentials end, and no longer."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from accounts import accounts
from backends import PATIENCE, ScriptedBackend, scripted_backend
from gateways import Running, eventually, http_client, route, running_gateway
from issuers import issuer
from reloads import Reloadable, reloadable_gateway
from sharedlinks import SHARED, replicas_of
from slowclients import EVENT_STREAM, raw_client, read_sse
from sockets import closing, hear, say, socket
from tokens import STAFF, bearer, token
from transports import TRANSPORTS, connected

AUTH = {"staff": STAFF}
DOCUMENT = [{"id": 1, "name": "x" * 200}, {"id": 2, "name": "y" * 200}]
ROUTES = {
    "/mine": route(auth="staff", key="id"),
    "/of/{who}": route(auth="staff", key="id", allow=[{"claim": "friends", "contains": "{who}"}]),
    "/open": route(auth="none", key="id"),
}


def gateway_of(backend: ScriptedBackend, routes: dict[str, Any] = ROUTES, **options: Any) -> Any:
    return running_gateway(backend, routes, auth=AUTH, **options)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_has_a_token_gets_the_document(transport: str, backend: ScriptedBackend) -> None:
    backend.serve(DOCUMENT)
    async with gateway_of(backend) as gateway, connected(transport, gateway.base, "/mine", headers=bearer()) as link:
        await link.follow(DOCUMENT)


@pytest.mark.parametrize("transport", SHARED)
async def test_topics_are_let_in_one_by_one(transport: str, backend: ScriptedBackend) -> None:
    """What one may have comes; what one may not is a problem of that topic."""
    backend.serve(DOCUMENT)
    async with gateway_of(backend) as gateway:
        topics = replicas_of(["/open", "/of/ben", "/of/cat"])
        async with SHARED[transport](gateway.base, topics) as link:
            link.headers = bearer(friends=["ben"])
            await link.connect()
            await link.hear("problem")
            await link.follow(dict.fromkeys(["/open", "/of/ben"], DOCUMENT))
        problems = {(one["topic"], one["data"]["code"]) for one in link.problems}
        assert problems == {("/of/cat", "forbidden")}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "credentials_missing"),
        ({"Authorization": "Basic YTpi"}, 401, "credentials_missing"),
        ({"Authorization": "Bearer nonsense"}, 401, "credentials_malformed"),
        (bearer(lives=-10), 401, "credentials_expired"),
        (bearer(secret="another secret that is long enough as well"), 401, "token_signature"),
        (bearer(iss="https://evil.example"), 401, "token_issuer"),
        (bearer(aud="others"), 401, "token_audience"),
        (bearer(friends=["ben"]), 403, "forbidden"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_who_has_none_is_told_why_and_costs_no_poll(
    headers: dict[str, str], status: int, code: str, backend: ScriptedBackend
) -> None:
    """In the form that each transport has for it."""
    auth = {"staff": {**STAFF, "carriers": ["header", "cookie"]}}
    async with running_gateway(backend, ROUTES, auth=auth) as gateway, http_client(headers=headers) as http:
        for more in ({}, {"Accept": "text/event-stream"}):
            answer = await http.get(f"{gateway.base}/of/cat", headers=more)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        answer = await http.get(f"{gateway.base}/of/cat", params={"wait": "0"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        with pytest.raises(InvalidStatus) as refused:
            await socket(gateway, "/of/cat", additional_headers=headers)
        assert refused.value.response.status_code == status
        assert not backend.requests


@pytest.mark.parametrize(
    "rule",
    [
        {"claim": "cities", "contains": "{who}"},
        {"claim": "scope", "contains": "read:{who}"},
        {"claim": "level", "equals": "5"},
        {"claim": "cities", "any": ["rome", "{who}"]},
    ],
    ids=lambda rule: next(name for name in rule if name != "claim"),
)
async def test_a_claim_is_compared_as_a_whole(rule: dict[str, Any], backend: ScriptedBackend) -> None:
    """Never as a substring: who may read Paris may not read Parisian things."""
    backend.serve(DOCUMENT)
    routes = {"/of/{who}": route(auth="staff", allow=[rule])}
    good = bearer(cities=["paris", "oslo"], scope="read:paris write:oslo", level=5)
    bad = bearer(cities=["parisian", "aparis"], scope="read:parisian", level="55")
    async with gateway_of(backend, routes) as gateway, http_client() as http:
        assert (await http.get(f"{gateway.base}/of/paris", headers=good)).status_code == 200
        assert (await http.get(f"{gateway.base}/of/paris", headers=bad)).status_code == 403
        assert (await http.get(f"{gateway.base}/of/paris", headers=bearer())).status_code == 403


class TestCarriers:
    async def test_of_the_handshake(self, backend: ScriptedBackend) -> None:
        """All that a browser's WebSocket is left with; only the subprotocol that is no secret is echoed."""
        backend.serve(DOCUMENT)
        mine = token()
        protocols = ["pushgate.v1", f"pushgate.token.{urlsafe_b64encode(mine.encode()).decode().rstrip('=')}"]
        async with gateway_of(backend) as gateway:
            for path, options in {
                f"/mine?access_token={mine}": {},
                "/mine?emit=patch": {"subprotocols": protocols},
                "/mine": {"additional_headers": {"Cookie": f"session={mine}"}, "origin": gateway.base},
                f"/-/ws?topic=/mine&access_token={mine}": {},
            }.items():
                async with socket(gateway, path, **options) as client:
                    assert (await hear(client, "snapshot"))["data"] == DOCUMENT
                    assert client.subprotocol == ("pushgate.v1" if "subprotocols" in options else None)

    async def test_of_the_handshake_count_for_what_is_subscribed_to_later(self, backend: ScriptedBackend) -> None:
        """Whatever the URL names, or nothing."""
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway:
            for path in ("/-/ws", "/-/ws?topic=/open"):
                async with socket(gateway, path, additional_headers=bearer(friends=["ben"])) as client:
                    await say(client, op="subscribe", topic="/of/ben", ref=1)
                    assert (await hear(client, "ack"))["ref"] == 1
                    assert (await hear(client, "snapshot"))["data"] == DOCUMENT

    async def test_in_the_query_of_an_event_source(self, backend: ScriptedBackend) -> None:
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway, http_client() as http:
            answer = await http.get(f"{gateway.base}/mine", params={"access_token": token()})
            assert answer.json() == DOCUMENT and answer.headers["Cache-Control"] == "private, no-cache"

    async def test_that_are_not_named_hold_nothing(self, backend: ScriptedBackend) -> None:
        """By default credentials are looked for in the header and the cookie, and nowhere else."""
        plain = {name: value for name, value in STAFF.items() if name != "carriers"}
        async with running_gateway(backend, ROUTES, auth={"staff": plain}) as gateway, http_client() as http:
            answer = await http.get(f"{gateway.base}/mine", params={"access_token": token()})
            assert (answer.status_code, answer.json()["code"]) == (401, "credentials_missing")

    @pytest.mark.parametrize(
        "headers",
        [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
        ids=["origin", "fetch metadata"],
    )
    async def test_a_cookie_of_another_sites_page_is_none(
        self, headers: dict[str, str], backend: ScriptedBackend
    ) -> None:
        async with gateway_of(backend) as gateway, http_client() as http:
            for accept in ("application/json", "text/event-stream"):
                mine = {"Cookie": f"session={token()}", "Accept": accept, **headers}
                answer = await http.get(f"{gateway.base}/mine", headers=mine)
                assert (answer.status_code, answer.json()["code"]) == (403, "origin_forbidden")

    async def test_a_cookie_that_opens_a_websocket_needs_an_origin(self, backend: ScriptedBackend) -> None:
        """A browser always names one there."""
        async with gateway_of(backend) as gateway:
            for path in ("/mine", "/-/ws?topic=/mine"):
                with pytest.raises(InvalidStatus) as refused:
                    await socket(gateway, path, additional_headers={"Cookie": f"session={token()}"})
                assert refused.value.response.status_code == 403

    async def test_a_cookie_without_an_origin_is_one_of_a_same_origin_page(self, backend: ScriptedBackend) -> None:
        """A browser names no origin when a page asks its own; and says so by Sec-Fetch-Site if it is new enough."""
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway, http_client() as http:
            for more in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": gateway.base}):
                answer = await http.get(f"{gateway.base}/mine", headers={"Cookie": f"session={token()}", **more})
                assert answer.status_code == 200


class TestFirstMessage:
    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine", "/-/ws"])
    async def test_says_who_it_is_before_anything_is_polled(self, path: str, backend: ScriptedBackend) -> None:
        """And the stream begins right behind the answer."""
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway, socket(gateway, path) as client:
            await say(client, op="ping", ref=1)
            assert (await hear(client, "ack"))["ref"] == 1
            assert not backend.requests
            await say(client, op="auth", token=token(), ref=2)
            if path == "/-/ws":
                await say(client, op="subscribe", topic="/mine", ref=3)
            assert (await hear(client, "ack"))["ref"] == 2
            assert (await hear(client, "snapshot"))["data"] == DOCUMENT

    async def test_what_follows_it_at_once_is_obeyed_after_it(self, backend: ScriptedBackend) -> None:
        """A client need not wait for the answer."""
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway, socket(gateway, "/-/ws") as client:
            await say(client, op="auth", token=token(), ref=1)
            for number in range(20):
                await say(client, op="subscribe", topic="/mine", ref=number + 2)
            assert [(await hear(client, "ack"))["ref"] for _ in range(21)] == [*range(1, 22)]

    async def test_of_a_stranger_may_be_about_what_everybody_may_have(self, backend: ScriptedBackend) -> None:
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway, socket(gateway, "/-/ws") as client:
            await say(client, op="subscribe", topic="/open")
            assert (await hear(client, "snapshot"))["topic"] == "/open"
            await say(client, op="subscribe", topic="/mine", ref=2)
            assert (await hear(client, "problem"))["code"] == "credentials_missing"
            await say(client, op="auth", token=token())
            await say(client, op="subscribe", topic="/mine")
            assert (await hear(client, "snapshot"))["topic"] == "/mine"

    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine"])
    async def test_that_proves_nothing_ends_it(self, path: str, backend: ScriptedBackend) -> None:
        async with gateway_of(backend) as gateway:
            async with socket(gateway, path) as client:
                await say(client, op="auth", token="nonsense")
                assert await closing(client) == (4401, "credentials_malformed")
            async with socket(gateway, path.replace("/mine", "/of/cat")) as client:
                await say(client, op="auth", token=token())
                assert await closing(client) == (4403, "forbidden")
            assert not backend.requests

    async def test_of_another_kind_is_a_problem(self, backend: ScriptedBackend) -> None:
        async with gateway_of(backend) as gateway, socket(gateway, "/mine") as client:
            await say(client, op="subscribe", topic="/mine", ref=1)
            assert (await hear(client, "problem"))["code"] == "bad_request"

    async def test_that_does_not_come_ends_it(self, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pushgate.adapters.downstream.newcomers.PATIENCE", 0.1)
        async with gateway_of(backend) as gateway, socket(gateway, "/mine") as client:
            assert await closing(client) == (4408, "auth_too_late")
            assert not backend.requests
            assert await gateway.metric("pushgate_connections_refused_total", reason="auth_too_late") == 1

    async def test_is_not_waited_for_by_too_many(
        self, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pushgate.adapters.downstream.newcomers.MAX_NEWCOMERS", 1)
        async with gateway_of(backend) as gateway, socket(gateway, "/mine"):
            with pytest.raises(InvalidStatus) as refused:
                await socket(gateway, "/mine")
            assert refused.value.response.status_code == 503
            assert "Retry-After" in refused.value.response.headers

    async def test_of_a_stranger_counts_only_where_it_is_a_carrier(self, backend: ScriptedBackend) -> None:
        """Also on a connection that is open already, since everybody may have what it is about."""
        auth = {"staff": {**STAFF, "carriers": ["header", "cookie"]}}
        async with (
            running_gateway(backend, ROUTES, auth=auth) as gateway,
            socket(gateway, "/-/ws?topic=/open") as client,
        ):
            await say(client, op="auth", token=token(), ref=1)
            assert (await hear(client, "problem"))["code"] == "credentials_missing"
            await say(client, op="subscribe", topic="/mine", ref=2)
            assert (await hear(client, "problem"))["code"] == "credentials_missing"


class TestTheEnd:
    @pytest.mark.parametrize("transport", ["sse", "websocket"])
    async def test_is_announced_and_comes(self, transport: str, backend: ScriptedBackend) -> None:
        """The stream tells that it ends, ends when the credentials do, and who comes back with them is refused."""
        backend.serve(DOCUMENT)
        headers = bearer(lives=0.6)
        async with gateway_of(backend) as gateway:
            async with connected(transport, gateway.base, "/mine", headers=headers) as link:
                await link.follow(DOCUMENT)
                await link.hear("expiring")
                if transport == "sse":
                    assert (await link.hear("problem"))["data"]["code"] == "credentials_expired"
                    with pytest.raises(StopAsyncIteration):
                        await link.receive()
                else:
                    assert await closing(link.socket) == (4401, "credentials_expired")  # type: ignore[attr-defined]
            async with http_client(headers=headers) as http:
                answer = await http.get(f"{gateway.base}/mine", headers={"Accept": "text/event-stream"})
                assert (answer.status_code, answer.json()["code"]) == (401, "credentials_expired")
            assert await gateway.metric("pushgate_disconnects_total", reason="expired") == 1

    async def test_ends_the_wait_of_a_long_poll(self, backend: ScriptedBackend) -> None:
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway, http_client(headers=bearer(lives=0.6)) as http:
            first = await http.get(f"{gateway.base}/mine", params={"wait": "0"})
            more = {"wait": "50", "cursor": first.headers["Pushgate-Cursor"]}
            async with asyncio.timeout(PATIENCE):
                assert (await http.get(f"{gateway.base}/mine", params=more)).status_code == 204
                assert (await http.get(f"{gateway.base}/mine", params=more)).status_code == 401

    @pytest.mark.parametrize("transport", ["sse", "websocket"])
    async def test_is_each_topics_own_on_a_shared_connection(self, transport: str, backend: ScriptedBackend) -> None:
        """What everybody may have goes on."""
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway:
            topics = replicas_of(["/open", "/mine"])
            async with SHARED[transport](gateway.base, topics) as link:
                link.headers = bearer(lives=0.6)
                await link.connect()
                await link.follow(dict.fromkeys(topics, DOCUMENT))
                await link.hear("expiring")
                problem = await link.hear("problem")
                assert (problem["topic"], problem["data"]["code"]) == ("/mine", "credentials_expired")
                backend.serve(DOCUMENT[:1])
                await link.follow({"/open": DOCUMENT[:1]})

    async def test_does_not_come_for_who_is_somebody_else_too(self, backend: ScriptedBackend) -> None:
        """Also while nothing is followed: what the other one may have can still be asked for, and nothing else."""
        backend.serve(DOCUMENT)
        keys = {"kind": "api_key", "keys": [{"name": "acme", "key": "the-key"}], "carriers": "query"}
        routes = {**ROUTES, "/partners": route(auth="partners", key="id")}
        async with (
            running_gateway(backend, routes, auth={**AUTH, "partners": keys}) as gateway,
            socket(gateway, "/-/ws?access_token=the-key", additional_headers=bearer(lives=0.8)) as client,
        ):
            await hear(client, "expiring")
            await asyncio.sleep(0.5)  # the end of credentials that nothing was followed with has no event
            await say(client, op="subscribe", topic="/mine", ref=1)
            assert (await hear(client, "problem"))["code"] == "credentials_missing"
            await say(client, op="subscribe", topic="/partners", ref=2)
            assert (await hear(client, "snapshot"))["topic"] == "/partners"

    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine"])
    async def test_does_not_come_for_who_proves_it_again(self, path: str, backend: ScriptedBackend) -> None:
        """Without a gap: the stream is the same."""
        backend.serve(DOCUMENT)
        headers = bearer(lives=0.6)
        async with gateway_of(backend) as gateway, socket(gateway, path, additional_headers=headers) as client:
            await hear(client, "expiring")
            await say(client, op="auth", token=token(), ref="again")
            assert (await hear(client, "ack"))["ref"] == "again"
            await say(client, op="auth", token="nonsense", ref="nothing")
            assert (await hear(client, "problem"))["ref"] == "nothing"
            await asyncio.sleep(0.7)  # an absence has no event: it would have ended by now
            backend.serve(DOCUMENT[:1])
            assert (await hear(client, "patch"))["data"]

    async def test_comes_when_the_new_credentials_allow_less(self, backend: ScriptedBackend) -> None:
        """Each topic by itself; the others go on."""
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway:
            async with socket(gateway, "/of/ben", additional_headers=bearer(friends="ben")) as client:
                await hear(client, "snapshot")
                await say(client, op="auth", token=token())
                assert await closing(client) == (4403, "forbidden")
            path = "/-/ws?topic=/of/ben&topic=/mine"
            async with socket(gateway, path, additional_headers=bearer(friends="ben")) as client:
                for _ in range(2):
                    await hear(client, "snapshot")
                await say(client, op="auth", token=token())
                problem = await hear(client, "problem")
                assert (problem["topic"], problem["data"]["code"]) == ("/of/ben", "forbidden")
                backend.serve(DOCUMENT[:1])
                assert (await hear(client, "patch"))["topic"] == "/mine"

    async def test_is_the_end_for_a_client_that_reads_late(self, backend: ScriptedBackend) -> None:
        """What was written before it still arrives, and nothing that came after it."""
        backend.serve([{"id": number, "name": "x" * 1000} for number in range(4000)])
        routes = {"/mine": route(auth="staff", key="id", emit=["snapshot"], poll={"every": "50ms", "linger": "1h"})}
        async with gateway_of(backend, routes) as gateway, raw_client(gateway.port) as client:
            async with http_client(headers=bearer()) as http:
                await http.get(f"{gateway.base}/mine")  # there is a document
            await client.ask("/mine", EVENT_STREAM + f"Authorization: {bearer(lives=1.5)['Authorization']}\r\n")
            await asyncio.sleep(1.6)  # it does not read, and its credentials have ended by now
            backend.serve([{"id": number, "name": "y"} for number in range(4000)])
            await backend.polled(2)
            events = read_sse((await client.read_all()).partition(b"\r\n\r\n")[2])
            assert [event["event"] for event in events][-1] == "problem"
            assert [len(event["data"]) for event in events if event["event"] == "snapshot"] == [4000]

    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine"])
    async def test_does_not_come_for_who_proves_it_to_another_entry(self, path: str, backend: ScriptedBackend) -> None:
        """Who says something else means that from now on, whichever entry the route would ask first."""
        backend.serve(DOCUMENT)
        auth = {**AUTH, "partners": {"kind": "api_key", "keys": [{"name": "acme", "key": "a key of acme"}]}}
        routes = {"/mine": route(auth=["staff", "partners"], key="id")}
        async with (
            running_gateway(backend, routes, auth=auth) as gateway,
            socket(gateway, path, additional_headers=bearer(lives=0.6)) as client,
        ):
            await hear(client, "snapshot")
            await say(client, op="auth", token="a key of acme", ref=1)
            assert (await hear(client, "ack"))["ref"] == 1
            await asyncio.sleep(0.7)  # an absence has no event: it would have ended by now
            backend.serve(DOCUMENT[:1])
            event = json.loads(await client.recv())
            while event["event"] in ("expiring", "heartbeat"):
                event = json.loads(await client.recv())
            assert event["event"] == "patch"


class TestAnotherIdentity:
    """``share: identity``: who proves to be somebody else on the same connection sees what is theirs."""

    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine"])
    async def test_moves_the_subscription(self, path: str) -> None:
        routes = {"/mine": route(auth="staff", share="identity", forward={"headers": ["Authorization"]})}
        ann, ben = (f"Bearer {token(name)}" for name in ("ann", "ben"))
        async with (
            accounts() as backend,
            running_gateway(backend.url, routes, auth=AUTH) as gateway,
            socket(gateway, path, additional_headers={"Authorization": ann}) as client,
        ):
            assert (await hear(client, "snapshot"))["data"]["of"] == ann
            await say(client, op="auth", token=ben.removeprefix("Bearer "))
            assert (await hear(client, "snapshot"))["data"]["of"] == ben
            await eventually(lambda: gateway.metric("pushgate_subscribers"), lambda number: number == 1)

    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine"])
    async def test_takes_the_place_of_the_one_before(self, path: str) -> None:
        """Who renews a token that goes upstream needs no more room than it had."""
        routes = {"/mine": route(auth="staff", share="identity", forward={"headers": ["Authorization"]})}
        server = {"limits": {"topics_per_principal": 1}}
        async with (
            accounts() as backend,
            running_gateway(backend.url, routes, auth=AUTH, server=server) as gateway,
            socket(gateway, path, additional_headers=bearer()) as client,
        ):
            await hear(client, "snapshot")
            renewed = token(lives=7200)
            await say(client, op="auth", token=renewed)
            assert (await hear(client, "snapshot"))["data"]["of"] == f"Bearer {renewed}"

    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine"])
    @pytest.mark.parametrize("limited", ["route", "gateway"])
    async def test_needs_no_room_where_there_is_none(self, path: str, limited: str) -> None:
        """Not even for as long as others would be waited for (``linger``), and however often it becomes somebody."""
        more = {"max_topics": 1} if limited == "route" else {}
        forward = {"headers": ["Authorization"]}
        poll = {"every": "1h", "linger": "1h"}
        routes = {"/mine": route(auth="staff", share="identity", forward=forward, poll=poll, **more)}
        server = {"limits": {"topics": 1}} if limited == "gateway" else {}
        async with (
            accounts() as backend,
            running_gateway(backend.url, routes, auth=AUTH, server=server) as gateway,
            socket(gateway, path, additional_headers=bearer()) as client,
        ):
            await hear(client, "snapshot")
            for lives in (7200, 10_000, 20_000):
                renewed = token(lives=lives)
                await say(client, op="auth", token=renewed)
                assert (await hear(client, "snapshot"))["data"]["of"] == f"Bearer {renewed}"
            with pytest.raises(InvalidStatus) as refused:
                await socket(gateway, path, additional_headers=bearer("ben"))
            assert refused.value.response.status_code == 503

    async def test_is_each_entrys_own_where_several_are_known(self) -> None:
        """What is asked for as somebody is asked for with that one's credentials, and with nobody else's."""
        own = {"share": "identity", "forward": {"headers": ["Authorization"]}}
        names = {"/staff": "staff", "/partners": "partners", "/open": "none"}
        routes = {path: route(auth=name, **own) for path, name in names.items()}
        keys = {"kind": "api_key", "keys": [{"name": "acme", "key": "the-key"}], "carriers": "query"}
        ann = bearer()
        async with (
            accounts() as backend,
            running_gateway(backend.url, routes, auth={**AUTH, "partners": keys}) as gateway,
            socket(
                gateway, "/-/ws?topic=/staff&topic=/partners&topic=/open&access_token=the-key", additional_headers=ann
            ) as client,
        ):
            told = [await hear(client, "snapshot") for _ in names]
            mine = ann["Authorization"]
            assert {event["topic"]: event["data"]["of"] for event in told} == {
                "/staff": mine,
                "/partners": "Bearer the-key",
                "/open": mine,
            }


class TestAnOperator:
    """``/-/disconnect``: somebody's streams end now, and nobody else's."""

    async def test_sends_somebody_away(self, backend: ScriptedBackend) -> None:
        backend.serve(DOCUMENT)
        shared = "/-/ws?topic=/open&topic=/mine"
        async with (
            gateway_of(backend) as gateway,
            socket(gateway, "/mine", additional_headers=bearer("ann")) as ann,
            socket(gateway, "/mine", additional_headers=bearer("ben")) as ben,
            socket(gateway, shared, additional_headers=bearer("ann")) as both,
            http_client() as http,
        ):
            for client in (ann, ben, both):
                await hear(client, "snapshot")
            answer = await http.post(
                f"{gateway.admin}/-/disconnect", params={"subject": "ann"}, headers={"Pushgate-Admin": "1"}
            )
            assert answer.json() == {"disconnected": 2}
            assert await closing(ann) == (4401, "credentials_revoked")
            assert (await hear(both, "problem"))["topic"] == "/mine"
            await say(both, op="subscribe", topic="/mine", ref=1)
            assert (await hear(both, "problem"))["code"] == "credentials_missing"
            backend.serve(DOCUMENT[:1])
            assert (await hear(ben, "patch"))["data"] and (await hear(both, "patch"))["topic"] == "/open"

    async def test_sends_somebody_away_who_waits_to_be_told(self, backend: ScriptedBackend) -> None:
        """After a restart it takes a while until it is clear where a shared stream continues."""
        backend.serve(DOCUMENT)
        async with gateway_of(backend) as gateway, http_client(headers=bearer()) as http:
            cursor = (await http.get(f"{gateway.base}{SET}&wait=1")).json()["cursor"]
        async with (
            gateway_of(backend) as gateway,
            http_client(headers=bearer()) as http,
            http_client() as operator,
            resumed(http, gateway, backend, cursor) as lines,
        ):
            answer = await operator.post(
                f"{gateway.admin}/-/disconnect", params={"subject": "ann"}, headers={"Pushgate-Admin": "1"}
            )
            assert answer.json() == {"disconnected": 1}
            backend.serve(DOCUMENT[:1])
            assert await problem_and_snapshot(lines) == ("credentials_revoked", "/open")


SET = "/-/poll?topic=/mine&topic=/open"


@asynccontextmanager
async def resumed(
    http: httpx.AsyncClient, gateway: Running, backend: ScriptedBackend, cursor: str
) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a shared stream that goes on from before a restart, while no topic has a document yet."""
    backend.delay = 0.3
    url = f"{gateway.base}{SET.replace('poll', 'events')}&cursor={cursor}"
    async with asyncio.timeout(PATIENCE), http.stream("GET", url) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        yield lines


async def problem_and_snapshot(lines: AsyncIterator[str]) -> tuple[str, str]:
    """Read until both have been told; return the code of the one and the topic of the other."""
    code = topic = ""
    while not (code and topic):
        line = await anext(lines)
        event = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {"event": ""}
        assert event["event"] != "snapshot" or event["topic"] != "/mine", "it is not shown to this one any more"
        code = event["data"]["code"] if event["event"] == "problem" else code
        topic = event["topic"] if event["event"] == "snapshot" else topic
    return code, topic


class TestAReload:
    """Who may not listen under the new configuration does not, and everybody else notices nothing."""

    KEYS: ClassVar[list[dict[str, Any]]] = [
        {"name": "acme", "key": "a key of acme", "claims": {"cities": ["paris"]}},
        {"name": "bolt", "key": "a key of bolt", "claims": {"cities": ["paris"]}},
    ]

    def routes(self, **changes: Any) -> dict[str, Any]:
        return {"/of/{city}": route(auth="partners", key="id", **changes)}

    @asynccontextmanager
    async def listening(
        self, backend: ScriptedBackend, folder: Path, path: str
    ) -> AsyncIterator[tuple[Reloadable, ClientConnection, ClientConnection]]:
        backend.serve(DOCUMENT)
        auth = {"partners": {"kind": "api_key", "keys": self.KEYS}}
        async with reloadable_gateway(backend, self.routes(), folder, auth=auth) as gateway:
            acme, bolt = ({"Authorization": f"Bearer {key['key']}"} for key in self.KEYS)
            async with (
                socket(gateway.running, path, additional_headers=acme) as first,
                socket(gateway.running, path, additional_headers=bolt) as second,
            ):
                for client in (first, second):
                    await hear(client, "snapshot")
                yield gateway, first, second

    async def still_hears(self, client: ClientConnection, backend: ScriptedBackend) -> None:
        backend.serve(DOCUMENT[:1])
        assert (await hear(client, "patch"))["data"]

    async def test_ends_what_a_key_opened_that_is_revoked(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        async with self.listening(backend, tmp_path, "/of/paris") as (gateway, acme, bolt):
            await gateway.rewrite(auth={"partners": {"kind": "api_key", "keys": self.KEYS[1:]}})
            assert await closing(acme) == (4401, "credentials_revoked")
            await self.still_hears(bolt, backend)

    async def test_is_about_each_topic_of_a_shared_connection(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        """And nothing that was proved before counts for what is asked for after it."""
        async with self.listening(backend, tmp_path, "/-/ws?topic=/of/paris") as (gateway, acme, bolt):
            await gateway.rewrite(auth={"partners": {"kind": "api_key", "keys": self.KEYS[1:]}})
            assert (await hear(acme, "problem"))["data"]["code"] == "credentials_revoked"
            await say(acme, op="subscribe", topic="/of/paris", ref=1)
            assert (await hear(acme, "problem"))["code"] == "credentials_missing"
            await self.still_hears(bolt, backend)

    async def test_goes_by_the_new_claims(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        async with self.listening(backend, tmp_path, "/of/paris") as (gateway, acme, bolt):
            rule = {"claim": "sub", "equals": "bolt"}
            await gateway.rewrite(routes=self.routes(allow=[rule]))
            assert await closing(acme) == (4403, "forbidden")
            await self.still_hears(bolt, backend)

    async def test_asks_who_was_not_asked_before(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        backend.serve(DOCUMENT)
        async with (
            reloadable_gateway(backend, {"/open": route()}, tmp_path) as gateway,
            socket(gateway.running, "/open") as client,
        ):
            await hear(client, "snapshot")
            auth = {"partners": {"kind": "api_key", "keys": self.KEYS}}
            await gateway.rewrite(auth=auth, routes={"/open": route(auth="partners")})
            assert await closing(client) == (4401, "credentials_missing")

    async def test_keeps_who_is_known_by_keys_that_were_published(
        self, backend: ScriptedBackend, tmp_path: Path
    ) -> None:
        """Whatever else changes about the entry: the issuer need not be asked again."""
        backend.serve(DOCUMENT)
        signer = issuer("ES256", kid="1")
        mine = {"Authorization": f"Bearer {signer.token({'sub': 'ann', 'exp': int(time.time()) + 60})}"}
        async with scripted_backend({"keys": [signer.jwk()]}) as published:
            entry = {"kind": "jwt", "jwks_url": f"{published.url}/jwks"}
            routes = {"/mine": route(auth="staff", key="id")}
            async with (
                reloadable_gateway(backend, routes, tmp_path, auth={"staff": entry}) as gateway,
                socket(gateway.running, "/mine", additional_headers=mine) as client,
            ):
                await hear(client, "snapshot")
                published.say(b"", status=503)
                await gateway.rewrite(auth={"staff": {**entry, "leeway": "5s"}})
                await self.still_hears(client, backend)

    async def test_is_about_those_who_wait_to_be_told(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        """As after a restart, until it is clear where a shared connection continues."""
        backend.serve(DOCUMENT)
        keys = {"kind": "api_key", "keys": self.KEYS}
        routes = {"/mine": route(auth="partners", key="id"), "/open": route(auth="none", key="id")}
        acme = {"Authorization": "Bearer a key of acme"}
        async with (
            running_gateway(backend, routes, auth={"partners": keys}) as before,
            http_client(headers=acme) as http,
        ):
            cursor = (await http.get(f"{before.base}{SET}&wait=1")).json()["cursor"]
        async with (
            reloadable_gateway(backend, routes, tmp_path, auth={"partners": keys}) as gateway,
            http_client(headers=acme) as http,
            resumed(http, gateway.running, backend, cursor) as lines,
            asyncio.TaskGroup() as tasks,
        ):
            polled = tasks.create_task(http.get(f"{gateway.base}{SET}&wait=5&cursor={cursor}"))
            await eventually(lambda: gateway.metric("pushgate_connections"), lambda number: number == 2)
            backend.serve(DOCUMENT[:1])
            await gateway.rewrite(auth={"partners": {**keys, "keys": self.KEYS[1:]}})
            assert await problem_and_snapshot(lines) == ("credentials_revoked", "/open")
            told = [(event["event"], event["topic"]) for event in (await polled).json()["events"]]
            assert told == [("problem", "/mine"), ("snapshot", "/open")]

    @pytest.mark.parametrize("after", [{"/mine": {"allow": [{"claim": "sub", "equals": "ben"}]}}, {"/other": {}}])
    async def test_is_about_those_who_are_being_verified(
        self, after: dict[str, Any], backend: ScriptedBackend, tmp_path: Path
    ) -> None:
        """Who asked before it is let in by no rule of before, and to nothing that is gone."""
        backend.serve(DOCUMENT)
        async with scripted_backend() as portal:
            portal.say(b"", X_User="ann")
            portal.delay = 0.2
            auth = {"portal": {"kind": "forward", "url": portal.url, "claims": {"sub": "X-User"}}}
            async with (
                reloadable_gateway(backend, {"/mine": route(auth="portal")}, tmp_path, auth=auth) as gateway,
                http_client(headers={"Authorization": "Bearer x"}) as http,
                asyncio.TaskGroup() as tasks,
            ):
                asked = tasks.create_task(http.get(f"{gateway.base}/mine"))
                await portal.begun()
                await gateway.rewrite(routes={path: route(auth="portal", **more) for path, more in after.items()})
                assert ((await asked).status_code, (await asked).json()["code"]) == (503, "reloaded")
                assert not backend.requests
