"""Tickets over real sockets: got with an API key, redeemed in URLs, and lost on whoever has only the URL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets

from backends import PATIENCE, ScriptedBackend, scripted_backend
from gateways import Running, http_client, route, running_gateway

ADA = {"Authorization": "Bearer the-key-of-ada"}
EVE = {"Authorization": "Bearer the-key-of-eve"}
SSE = {"Accept": "text/event-stream"}

KEYS = [
    {"name": "ada", "key": "the-key-of-ada", "claims": {"currencies": ["EUR", "USD"]}},
    {"name": "eve", "key": "the-key-of-eve", "claims": {"currencies": ["EUR"]}},
]
AUTH = {
    "keys": {"kind": "api_key", "keys": KEYS, "carriers": ["header", "cookie", "ticket"], "cookie_name": "session"},
    "strict": {"kind": "api_key", "keys": KEYS, "carriers": ["header"]},
}
ALLOW = [{"claim": "currencies", "contains": "{currency}"}]
ROUTES = {
    "/prices/{currency}": route(auth="keys", allow=ALLOW, emit=["patch", "snapshot"]),
    "/own/{currency}": route(auth="keys", share="identity", forward={"headers": ["Authorization"]}),
    "/strict": route(auth="strict"),
    "/notes": route(auth="keys", write={"POST": {}}),
    "/open": route(auth="none"),
}
EUR, USD = "/prices/EUR", "/prices/USD"


@asynccontextmanager
async def gateway(**server: Any) -> AsyncIterator[tuple[Running, ScriptedBackend]]:
    async with (
        scripted_backend({"price": 1}) as backend,
        running_gateway(backend, ROUTES, server=server, auth=AUTH) as running,
    ):
        yield running, backend


async def ask(base: str, *topics: str, **more: Any) -> httpx.Response:
    """Ask for a ticket, as Ada unless told otherwise."""
    body = {"topics": [*topics], **more.pop("body", {})}
    async with http_client() as http:
        return await http.post(f"{base}/-/tickets", **{"json": body, "headers": ADA, **more})


async def ticket_for(base: str, *topics: str, **body: Any) -> str:
    answer = await ask(base, *topics, body=body)
    assert answer.status_code == 200, answer.text
    ticket = answer.json()["ticket"]
    assert isinstance(ticket, str)
    return ticket


@asynccontextmanager
async def opened(http: httpx.AsyncClient, url: str, **headers: str) -> AsyncIterator[httpx.Response]:
    """A stream whose first event has come."""
    async with asyncio.timeout(PATIENCE), http.stream("GET", url, headers={**SSE, **headers}) as answer:
        if answer.status_code == 200:
            await anext(answer.aiter_lines())
        else:
            await answer.aread()
        yield answer


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# Getting one.


async def test_a_ticket_is_got_with_credentials_and_nobody_keeps_the_answer() -> None:
    async with gateway() as (running, _):
        answer = await ask(running.base, EUR, USD)
        assert answer.status_code == 200
        assert answer.json().keys() == {"ticket", "expires_at"} and answer.json()["expires_at"].endswith("Z")
        assert answer.headers["Cache-Control"] == "no-store"
        by_cookie = await ask(running.base, EUR, headers={"Cookie": "session=the-key-of-ada", "Origin": running.base})
        assert by_cookie.status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "problem"),
    [
        ({"headers": {}}, 401, "credentials_missing"),
        ({"headers": {"Authorization": "Bearer guess"}}, 401, "credentials_unknown"),
        ({"headers": EVE}, 403, "forbidden"),
        ({"headers": {"Cookie": "session=the-key-of-ada"}}, 403, "origin_forbidden"),
        (
            {"headers": {"Cookie": "session=the-key-of-ada", "Origin": "https://evil.example"}},
            403,
            "origin_forbidden",
        ),
        ({"json": {"topics": ["/nowhere"]}}, 404, "no_such_topic"),
        ({"json": {"topics": [EUR, "/prices/EUR?cursor=x"]}}, 400, "bad_request"),
        ({"json": {"topics": ["/open"]}}, 400, "bad_request"),
        ({"json": {"topics": ["/strict"]}}, 400, "bad_request"),
        ({"json": {"topics": []}}, 400, "bad_request"),
        ({"json": {"topics": EUR}}, 400, "bad_request"),
        ({"json": {"topics": [EUR], "emit": "merge"}}, 400, "bad_request"),
        ({"json": {"topics": [EUR], "until": 1}}, 400, "bad_request"),
        ({"json": {"topics": [EUR] * 1001}}, 400, "bad_request"),
        ({"json": {"topics": ["/prices/" + "x" * 70_000]}}, 413, "body_too_large"),
        ({"json": None, "data": {"topics": EUR}}, 415, "unsupported_body"),
        ({"json": None, "content": '{"topics":["/prices/EUR"]}'}, 415, "unsupported_body"),
        ({"params": {"ticket": "x"}}, 400, "bad_request"),
        ({"params": {"topic": EUR}}, 400, "bad_request"),
    ],
)
async def test_there_is_no_ticket_for(asked: dict[str, Any], status: int, problem: str) -> None:
    """Who proves nothing, may not follow one of the topics, or is a page of another site; nor is there for nonsense."""
    async with gateway() as (running, _):
        assert code(await ask(running.base, EUR, USD, **asked)) == (status, problem)


async def test_a_page_of_another_origin_asks_first() -> None:
    """Only those of origins that are listed are told that they may."""
    async with (
        gateway(cors={"origins": ["https://app.example"], "credentials": True}) as (running, _),
        http_client() as http,
    ):
        wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        url = f"{running.base}/-/tickets"
        allowed = await http.options(url, headers={**wanted, "Origin": "https://app.example"})
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
        assert "Content-Type" in allowed.headers["Access-Control-Allow-Headers"]
        other = await http.options(url, headers={**wanted, "Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers
        answer = await ask(running.base, EUR, headers={**ADA, "Origin": "https://app.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        got = await http.get(url)
        assert (got.status_code, got.headers["Allow"]) == (405, "POST, OPTIONS")


async def test_nobody_collects_tickets() -> None:
    """A hundred wait to be redeemed; then there are no more until some are, or have ended."""
    async with gateway() as (running, _), http_client(headers=ADA) as http:
        url, body = f"{running.base}/-/tickets", {"topics": [EUR]}
        tickets = [(await http.post(url, json=body)).json()["ticket"] for _ in range(100)]
        full = await http.post(url, json=body)
        assert code(full) == (429, "too_many") and 1 <= int(full.headers["Retry-After"]) <= 30
        async with opened(http, f"{running.base}{EUR}?ticket={tickets[0]}") as stream:
            assert stream.status_code == 200
        assert (await http.post(url, json=body)).status_code == 200


# Redeeming it.


async def test_an_event_source_comes_back_to_its_url() -> None:
    """The spent ticket and the cookie that came with the stream; either alone is refused."""
    async with gateway() as (running, _), http_client() as browser, http_client() as thief:
        url = f"{running.base}{EUR}?ticket={await ticket_for(running.base, EUR)}"
        async with opened(browser, url) as stream:
            assert stream.status_code == 200
            kept = stream.headers["Set-Cookie"]
        assert kept.startswith("pushgate_ticket_") and "Secure" not in kept
        assert {"HttpOnly", "SameSite=Lax", f"Path={EUR}"} <= {*kept.split("; ")}
        for _ in range(2):
            async with opened(browser, url) as stream:
                assert stream.status_code == 200 and "Set-Cookie" not in stream.headers
        async with opened(thief, url) as stream:
            assert code(stream) == (401, "ticket_unknown")
        async with opened(browser, f"{running.base}{EUR}") as stream:
            assert code(stream) == (401, "credentials_missing")


async def test_of_many_who_redeem_it_at_once_one_wins() -> None:
    async with gateway() as (running, _), http_client() as http:
        url = f"{running.base}{EUR}?wait=0&ticket={await ticket_for(running.base, EUR)}"
        answers = await asyncio.gather(*(http.get(url, headers={"Cookie": ""}) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [200, *[401] * 19]


async def test_a_long_poll_redeems_it_too() -> None:
    async with gateway() as (running, _), http_client() as browser:
        url = f"{running.base}{EUR}?wait=0&ticket={await ticket_for(running.base, EUR)}"
        first = await browser.get(url)
        assert first.status_code == 200 and first.json()["events"]
        again = await browser.get(f"{url}&cursor={first.json()['cursor']}")
        assert again.status_code == 204
        browser.cookies.clear()
        assert code(await browser.get(url)) == (401, "ticket_unknown")


async def test_a_websocket_redeems_it_once() -> None:
    async with gateway() as (running, _):
        url = f"ws{running.base.removeprefix('http')}{EUR}?ticket={await ticket_for(running.base, EUR)}"
        async with websockets.connect(url) as socket:
            while "snapshot" not in str(await socket.recv()):
                pass
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with websockets.connect(url):
                pass
        assert caught.value.response.status_code == 401
        async with websockets.connect(url, origin=running.base) as socket:  # as a browser does
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


@pytest.mark.parametrize("elsewhere", [USD, f"{EUR}?emit=snapshot", "/strict", "/own/EUR"])
async def test_a_ticket_is_for_nothing_else(elsewhere: str) -> None:
    """Neither for another topic, nor for another mode, nor where tickets do not count; and that does not spend it."""
    async with gateway() as (running, _), http_client() as http:
        ticket = await ticket_for(running.base, EUR)
        joint = "&" if "?" in elsewhere else "?"
        async with opened(http, f"{running.base}{elsewhere}{joint}ticket={ticket}") as stream:
            assert stream.status_code == 401
        async with opened(http, f"{running.base}{EUR}?ticket={ticket}") as stream:
            assert stream.status_code == 200


async def test_a_ticket_writes_nothing() -> None:
    """Neither does it get another ticket."""
    async with gateway() as (running, _), http_client() as http:
        ticket = await ticket_for(running.base, EUR)
        answer = await http.post(f"{running.base}/-/tickets?ticket={ticket}", json={"topics": [EUR]})
        assert code(answer) == (400, "bad_request")
        answer = await http.post(f"{running.base}/notes?ticket={await ticket_for(running.base, '/notes')}", json={})
        assert code(answer) == (401, "credentials_missing")


@pytest.mark.parametrize("path", ["/notes", "/-/ws"])
async def test_a_websocket_that_was_opened_with_a_ticket_writes_nothing(path: str) -> None:
    """Until its client has said who it is by the real thing; then that is what counts, for everything."""
    async with gateway() as (running, _):
        url = f"ws{running.base.removeprefix('http')}{path}?ticket={await ticket_for(running.base, '/notes')}"
        async with websockets.connect(url) as socket, asyncio.timeout(PATIENCE):

            async def told(ref: str, **message: str) -> str:
                await socket.send(json.dumps({**message, "ref": ref}))
                while f'"ref":"{ref}"' not in (heard := str(await socket.recv())):
                    pass
                return heard

            assert "ticket_misused" in await told("1", op="send", topic="/notes", data="x")
            assert '"ack"' in await told("2", op="auth", token="the-key-of-ada")
            assert '"ack"' in await told("3", op="send", topic="/notes", data="x")
            if path == "/-/ws":
                assert '"ack"' in await told("4", op="subscribe", topic=USD)


async def test_a_shared_connection_is_opened_with_a_ticket_for_its_topics() -> None:
    """Topics that are open to everybody need not be among them; one that is not, it is not for."""
    async with gateway() as (running, _), http_client() as browser:
        url = f"{running.base}/-/events?topic=/prices/EUR&topic=/open&topic=/prices/USD"
        ticket = await ticket_for(running.base, EUR, USD)
        async with opened(browser, f"{url}&topic=/own/EUR&ticket={ticket}") as stream:
            assert code(stream) == (401, "ticket_misused")
        async with opened(browser, f"{url}&ticket={ticket}") as stream:
            assert stream.status_code == 200
            assert "Path=/-/events" in stream.headers["Set-Cookie"]
        async with opened(browser, f"{url}&ticket={ticket}") as stream:
            assert stream.status_code == 200


async def test_who_comes_by_ticket_subscribes_to_nothing_else() -> None:
    """A WebSocket names its topics later; those that the ticket is not for are refused one by one."""
    async with gateway() as (running, _):
        url = f"ws{running.base.removeprefix('http')}/-/ws?ticket={await ticket_for(running.base, EUR)}"
        async with websockets.connect(url) as socket:
            for topic in (USD, EUR):
                await socket.send(f'{{"op":"subscribe","topic":"{topic}","ref":"{topic}"}}')
            async with asyncio.timeout(PATIENCE):
                heard = [str(await socket.recv()) for _ in range(2)]
        assert '"problem"' in heard[0] and "ticket_misused" in heard[0] and USD in heard[0]
        assert '"problem"' not in heard[1]


async def test_who_comes_by_ticket_subscribes_in_no_other_mode() -> None:
    """On the WebSocket of a topic, too; what was named when the ticket was got may be said again, or left out."""
    async with gateway() as (running, _):
        url = f"ws{running.base.removeprefix('http')}{EUR}?ticket={await ticket_for(running.base, EUR)}"
        async with websockets.connect(url) as socket, asyncio.timeout(PATIENCE):
            for ref, more in {"1": ',"emit":"snapshot"', "2": ',"emit":"patch"', "3": ""}.items():
                await socket.send(f'{{"op":"subscribe","topic":"{EUR}","ref":"{ref}"{more}}}')
            answers: dict[str, str] = {}
            while len(answers) < 3:
                event = json.loads(await socket.recv())
                if "ref" in event:
                    answers[event["ref"]] = event.get("code", event["event"])
        assert answers == {"1": "ticket_misused", "2": "ack", "3": "ack"}


async def test_the_upstream_is_asked_as_who_got_the_ticket() -> None:
    """An EventSource sends no Authorization; what was shown for the ticket goes upstream, at every return too."""
    async with gateway() as (running, backend), http_client() as browser:
        url = f"{running.base}/own/EUR?ticket={await ticket_for(running.base, '/own/EUR')}"
        for _ in range(2):
            async with opened(browser, url) as stream:
                assert stream.status_code == 200
        assert {asked.headers.get("authorization") for asked in backend.requests} == {ADA["Authorization"]}


async def test_over_tls_the_cookie_is_secure_and_that_of_another_site_stays_there() -> None:
    """Behind a proxy that ends TLS and is trusted."""
    cors = {"origins": ["https://app.example"], "credentials": True}
    async with gateway(trusted_proxies=["127.0.0.1"], cors=cors) as (running, _), http_client() as http:
        by_proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        cookies = []
        for origin in (running.base.replace("http:", "https:"), "https://app.example"):
            url = f"{running.base}{EUR}?ticket={await ticket_for(running.base, EUR)}"
            async with opened(http, url, **by_proxy, Origin=origin) as stream:
                assert stream.status_code == 200
                cookies.append({*stream.headers["Set-Cookie"].split("; ")})
        own, foreign = cookies
        assert {"Secure", "SameSite=Lax"} <= own
        assert {"Secure", "SameSite=None", "Partitioned"} <= foreign


async def test_a_refusal_that_comes_later_does_not_lose_the_ticket() -> None:
    """Who is sent away because the house is full has not spent it, or can come back with it all the same."""
    async with gateway(limits={"connections": 1}) as (running, _), http_client() as first, http_client() as second:
        url = f"{running.base}{EUR}?ticket={await ticket_for(running.base, EUR)}"
        async with opened(first, f"{running.base}/open"), opened(second, url) as stream:
            assert code(stream) == (503, "overloaded")
        async with opened(second, url) as stream:
            assert stream.status_code == 200
