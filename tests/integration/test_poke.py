"""`/-/poke`: whoever knows the secret has topics polled now, and can do nothing else."""

from __future__ import annotations

import asyncio
import gzip
import hmac
from pathlib import Path
from typing import Any

import httpx
import pytest

from boards import SELDOM, Board, board, document, writable
from doubles.server import serving
from gateways import http_client, route
from pushgate.adapters.downstream.poking import MAX_BODY_BYTES
from reloads import reloadable_gateway
from transports import connected

SECRET = "a secret that a webhook signs with, ü"
PUBLIC = "a-secret-that-fields-can-carry"
SERVER = {"poke": {"secret": SECRET}}
BEARER = {"Authorization": f"Bearer {PUBLIC}"}
OPEN = {"poke": {"secret": PUBLIC}}


def signed(body: bytes, *, secret: str = SECRET, field: str = "Pushgate-Signature") -> dict[str, str]:
    return {field: f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"}


async def poke(client: httpx.AsyncClient, *topics: str, **options: Any) -> httpx.Response:
    return await client.post("/-/poke", params=[("topic", topic) for topic in topics], **options)


async def test_whoever_listens_hears_the_news() -> None:
    """Long before the next poll is due."""
    async with (
        board({"/n/{id}": route(poll=SELDOM)}, server=OPEN) as (double, gateway, client),
        connected("sse", gateway.base, "/n/1") as link,
    ):
        await link.follow({"notes": [], "of": None})
        double.notes["/n/1"] = ["news"]
        answer = await poke(client, "/n/1", headers=BEARER)
        assert (answer.status_code, answer.json()) == (202, {"polled": 1})
        assert answer.headers["Cache-Control"] == "no-store"
        await link.follow({"notes": ["news"], "of": None})


class TestWhatIsPolled:
    async def test_every_topic_that_is_named(self) -> None:
        """An asterisk is any segment, and a query parameter that is not named may be anything, as in ``refresh:``."""
        routes = {"/n/{id}": route(poll=SELDOM, query={"lang": "[a-z]{2}"}), "/m/{id}": route(poll=SELDOM)}
        topics = ["/n/1", "/n/1?lang=de", "/n/2", "/m/1", "/m/2"]
        async with board(routes, server=OPEN) as (double, _, client):
            for topic in topics:
                await document(client, topic)
            for named, expected in {
                ("/n/1",): ["/n/1", "/n/1?lang=de"],
                ("/n/1?lang=de",): ["/n/1?lang=de"],
                ("/n/%31", "/m/*"): ["/m/1", "/m/2", "/n/1", "/n/1?lang=de"],
                ("/n/2", "/*/2"): ["/m/2", "/n/2"],
            }.items():
                double.requests.clear()
                assert (await poke(client, *named, headers=BEARER)).json() == {"polled": len(expected)}
                await double.until(lambda: len(double.polls) >= len(expected))  # noqa: B023  # awaited in its round
                assert sorted(double.polls) == expected

    async def test_every_identity(self) -> None:
        """Each of those who follow it gets what is theirs."""
        shared = {"share": "identity", "forward": {"headers": ["Authorization"]}}
        async with board({"/me": route(poll=SELDOM, **shared)}, server=OPEN) as (double, _, client):
            for name in ("ann", "bob"):
                await document(client, "/me", headers={"Authorization": name})
            assert (await poke(client, "/me", headers=BEARER)).json() == {"polled": 2}
            await double.until(lambda: len(double.polls) == 4)
            assert {asked.headers["authorization"] for asked in double.requests} == {"ann", "bob"}

    async def test_a_view_where_its_document_is(self) -> None:
        routes = {"/n/{id}": route(poll=SELDOM), "/n/{id}/{index}": {"from": "/n/{id}", "pointer": "/notes/{index}"}}
        async with board(routes, server=OPEN) as (double, _, client):
            await document(client, "/n/1")
            assert (await poke(client, "/n/1/0", headers=BEARER)).json() == {"polled": 1}
            await double.until(lambda: double.polls == ["/n/1"] * 2)

    async def test_what_nobody_follows_is_not(self) -> None:
        """A poke makes no topic."""
        async with board({"/n/{id}": route(poll=SELDOM)}, server=OPEN) as (double, _, client):
            answer = await poke(client, "/n/1", headers=BEARER)
            assert (answer.status_code, answer.json(), double.requests) == (202, {"polled": 0}, [])

    async def test_many_at_once_share_their_polls(self) -> None:
        """A webhook for each of a thousand changes is not a thousand polls."""
        async with board({"/n/{id}": route(poll=SELDOM)}, server=OPEN) as (double, _, client):
            await document(client, "/n/1")
            double.gate = asyncio.Event()
            answers = await asyncio.gather(*(poke(client, "/n/1", headers=BEARER) for _ in range(50)))
            assert {answer.json()["polled"] for answer in answers} == {1}
            double.notes["/n/1"] = ["last"]
            double.gate.set()
            await double.until(lambda: len(double.polls) == 3)
            assert await document(client, "/n/1") == ["last"] and len(double.polls) == 3


class TestWhoMay:
    @pytest.mark.parametrize("field", ["Pushgate-Signature", "X-Hub-Signature-256"])
    @pytest.mark.parametrize("body", [b"", b'{"ref": "refs/heads/main"}', gzip.compress(b"as it came")])
    async def test_who_signs_the_body(self, field: str, body: bytes) -> None:
        """With our field, or as GitHub does; whatever the body says."""
        async with board({"/n/{id}": route(poll=SELDOM)}, server=SERVER) as (double, _, client):
            await document(client, "/n/1")
            headers = {"Content-Encoding": "gzip", **signed(body, field=field)}
            assert (await poke(client, "/n/1", content=body, headers=headers)).json() == {"polled": 1}
            await double.until(lambda: len(double.polls) == 2)

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, "credentials_missing"),
            ({"Authorization": "Bearer another secret that is long"}, "credentials_unknown"),
            ({"Authorization": "Bearer"}, "credentials_unknown"),
            ({"Authorization": f"Basic {PUBLIC}"}, "credentials_unknown"),
            (signed(b"another body", secret=PUBLIC), "credentials_unknown"),
            (signed(b"body", secret="another secret that is long"), "credentials_unknown"),
            ({"Pushgate-Signature": "sha256="}, "credentials_unknown"),
            ({"Pushgate-Signature": "sha256=ü"}, "credentials_unknown"),
            ({"X-Hub-Signature": signed(b"body", secret=PUBLIC)["Pushgate-Signature"]}, "credentials_missing"),
            ({"Pushgate-Signature": signed(b"body", secret=PUBLIC)["Pushgate-Signature"][7:]}, "credentials_unknown"),
        ],
    )
    async def test_nobody_else(self, headers: dict[str, str], code: str) -> None:
        """And they are not told which topics there are."""
        async with board({"/n/{id}": route(poll=SELDOM)}, server=OPEN) as (double, _, client):
            await document(client, "/n/1")
            for topic in ("/n/1", "/none"):
                raw = [(name.encode(), value.encode()) for name, value in headers.items()]
                answer = await poke(client, topic, content=b"body", headers=raw)
                assert (answer.status_code, answer.json()["code"]) == (401, code)
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="pushgate poke"'
                assert PUBLIC not in answer.text
            assert len(double.polls) == 1

    async def test_nobody_without_a_secret(self) -> None:
        """Then there is no such thing, and it is not passed on to the backend either."""
        proxy = {"/": {"upstream": "u", "auth": "none", "methods": ["GET", "POST"]}}
        async with board({"/n/{id}": route(poll=SELDOM)}, proxy=proxy) as (double, _, client):
            for headers in ({}, BEARER, {"Authorization": "Bearer"}, signed(b"", secret="")):
                assert (await poke(client, "/n/1", headers=headers)).status_code == 404
            assert double.requests == []

    async def test_who_knows_the_secret_that_is_in_force(self, tmp_path: Path) -> None:
        """It can be exchanged while the gateway runs."""
        double = Board()
        async with (
            serving(double),
            reloadable_gateway(double.url, {"/n/{id}": route(poll=SELDOM)}, tmp_path, server=OPEN) as gateway,
            http_client(base_url=gateway.base) as client,
        ):
            others = {"Authorization": "Bearer the-next-secret-from-now-on"}
            server = {**gateway.written.says["server"], "poke": {"secret": "the-next-secret-from-now-on"}}
            assert [(await poke(client, "/n/1", headers=who)).status_code for who in (BEARER, others)] == [202, 401]
            await gateway.rewrite(server=server)
            assert [(await poke(client, "/n/1", headers=who)).status_code for who in (BEARER, others)] == [401, 202]

    async def test_a_page_of_another_site_cannot(self) -> None:
        """It is not for pages: a browser that asks first is told so."""
        cors = {"cors": {"origins": ["https://app.example"]}, **OPEN}
        async with board({"/n/{id}": route(poll=SELDOM)}, server=cors) as (_, _, client):
            headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
            answer = await client.options("/-/poke", headers=headers)
            assert answer.status_code == 405 and "Access-Control-Allow-Methods" not in answer.headers


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("query", "status", "code"),
        [
            ("", 400, "bad_request"),
            ("?topic=", 400, "bad_request"),
            ("?topic=n/1", 400, "bad_request"),
            ("?topic=/n/1&access_token=x", 400, "bad_request"),
            ("?topic=/n/1%3Flang=de%26lang=en", 400, "bad_request"),
            ("?topic=/n/%ff", 400, "bad_request"),
            ("?" + "&".join(["topic=/n/1"] * 1001), 400, "bad_request"),
            ("?topic=/none", 404, "no_such_topic"),
            ("?topic=/n/1&topic=/none", 404, "no_such_topic"),
            ("?topic=/n/1/", 404, "no_such_topic"),
            ("?topic=/n/1%3Fother=1", 404, "no_such_topic"),
        ],
    )
    async def test_what_names_no_topics(self, query: str, status: int, code: str) -> None:
        """Nothing is polled then, also not those of which the name is right."""
        async with board({"/n/{id}": writable(query={"lang": "[a-z]{2}"})}, server=OPEN) as (double, _, client):
            await document(client, "/n/1")
            answer = await client.post(f"/-/poke{query}", headers=BEARER)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert len(double.polls) == 1

    async def test_another_method(self) -> None:
        async with board({"/n/{id}": route(poll=SELDOM)}, server=OPEN) as (_, _, client):
            answer = await client.get("/-/poke?topic=/n/1", headers=BEARER)
            assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")

    async def test_a_body_without_end(self) -> None:
        """It is read no further than it may be long, however good its signature is."""
        async with board({"/n/{id}": route(poll=SELDOM)}, server=SERVER) as (_, _, client):
            body = bytes(MAX_BODY_BYTES + 1)
            answer = await poke(client, "/n/1", content=body, headers=signed(body))
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
