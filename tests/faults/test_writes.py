"""Writes as only an enemy or an accident makes them: nothing of them gets upstream, or nothing of them stays."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from backends import PATIENCE
from gateways import Running, eventually, http_client, route, running_gateway
from pushgate.adapters.downstream import bodies, writing
from pushgate.writes import MAX_BODY_BYTES
from upstreams import Asked, RawBackend, raw_backend, respond

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WRITE = {"path": "/rent/{data.id}", "headers": {"X-Id": "{data.who}"}, "form": {"id": "{data.id}"}}
ROUTES: dict[str, Any] = {
    "/plain": route(poll={"every": "1h"}, write={"POST": {}, "PUT": {}, "DELETE": {}}),
    "/rent": route(write={"POST": WRITE}),
    "/mine": route(share="identity", forward={"cookies": ["SID"]}, write={"POST": {}, "DELETE": {}}),
}
IMPATIENT = {"timeout": {"connect": "200ms", "total": "200ms"}, "max_body": "10KB"}


def writes(backend: RawBackend) -> list[Asked]:
    return [asked for asked in backend.asked if not asked.line.startswith("GET ")]


@asynccontextmanager
async def scene(answer: Any = None) -> AsyncIterator[tuple[RawBackend, Running, httpx.AsyncClient]]:
    async with (
        raw_backend(respond() if answer is None else answer) as backend,
        running_gateway(backend.url, ROUTES, upstream=IMPATIENT) as gateway,
        http_client(base_url=gateway.base) as client,
    ):
        yield backend, gateway, client


async def until(is_it: Callable[[], bool]) -> None:
    async def look() -> bool:
        return is_it()

    await eventually(look, bool)


async def say(gateway: Running, *pieces: bytes) -> bytes:
    """Write these bytes to the gateway and read until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        async with asyncio.timeout(PATIENCE):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


class TestSendsTooMuch:
    async def test_and_says_so(self) -> None:
        """It is refused before any of it is read."""
        async with scene() as (backend, gateway, _):
            head = (
                f"POST /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
            )
            answer = await say(gateway, head.encode(), b"x" * (MAX_BODY_BYTES + 1))
            assert answer.startswith(b"HTTP/1.1 413 ") and b'"code":"body_too_large"' in answer
            assert not writes(backend)

    async def test_in_chunks_without_end(self) -> None:
        """What says nothing about its length is counted."""
        async with scene() as (backend, _, client):

            async def chunks() -> AsyncIterator[bytes]:
                for _ in range(100):
                    yield b"x" * (MAX_BODY_BYTES // 10)

            try:
                assert (await client.post("/plain", content=chunks())).status_code == 413
            except httpx.WriteError:  # the connection was cut while it went on sending
                pass
            assert not writes(backend)

    async def test_packed(self) -> None:
        """A small body that unpacks to a large one is a large one."""
        bomb = gzip.compress(b"x" * (MAX_BODY_BYTES * 20))
        async with scene() as (backend, _, client):
            answer = await client.post("/plain", content=bomb, headers={"Content-Encoding": "gzip"})
            assert answer.status_code in (400, 413) and not writes(backend)

    async def test_just_enough_is_passed_on(self) -> None:
        """All of it, unpacked, byte by byte."""
        body = bytes(range(250)) * (MAX_BODY_BYTES // 250)
        async with scene() as (backend, _, client):
            assert (await client.post("/plain", content=body)).status_code == 200
            assert writes(backend)[0].body == body


class TestSendsTooSlowly:
    async def test_it_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A body has its time; who promises more than comes is told."""
        monkeypatch.setattr(bodies, "BODY_PATIENCE", 0.1)
        async with scene() as (backend, gateway, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            try:
                writer.write(b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
                async with asyncio.timeout(PATIENCE):
                    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
            finally:
                writer.close()
            assert not writes(backend)

    async def test_it_is_told_to_continue(self) -> None:
        """Who asks before it sends (``Expect: 100-continue``) is not left to wonder."""
        async with scene() as (backend, gateway, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            try:
                writer.write(b"POST /plain HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
                async with asyncio.timeout(PATIENCE):
                    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                    writer.write(b"hi")
                    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            finally:
                writer.close()
            assert writes(backend)[0].body == b"hi"

    async def test_more_than_there_is_room_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So many writes at once are taken and no more; those that wait for nothing any more make room."""
        monkeypatch.setattr(writing, "MAX_WRITES", 2)
        async with scene(lambda asked: b"" if asked.line.startswith("POST") else respond()) as (backend, _, client):
            hanging = [asyncio.ensure_future(client.post("/plain", content="a")) for _ in range(2)]
            await until(lambda: len(writes(backend)) == 2)
            refused = await client.post("/plain", content="b")
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            assert {(await one).status_code for one in hanging} == {504}
            assert (await client.post("/plain", content="c")).status_code == 504


class TestSendsAnothersCookies:
    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    async def test_a_form_on_another_site(self, method: str) -> None:
        """A browser sends it without asking, with the visitor's cookies, and says where it is from."""
        headers = {"Cookie": "SID=victim", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", **FORM}
        async with scene() as (backend, _, client):
            answer = await client.request(method, "/mine", content="amount=all", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_forbidden")
            assert not writes(backend)


class TestSendsWhatBreaksOut:
    @pytest.mark.parametrize(
        "data",
        [
            {"who": "x\r\nX-Evil: 1", "id": "1"},
            {"who": "x\nX-Evil: 1", "id": "1"},
            {"who": "\u010d\u010aX-Evil: 1", "id": "1"},  # whose low bytes are a line end
            {"who": "x", "id": "../admin"},
            {"who": "x", "id": ".."},
            {"who": "x", "id": "a\\..\\b"},
            {"who": "x", "id": "1\r\n"},
            {"who": "x"},
            {"who": "x", "id": {"a": 1}},
            [1],
            "text",
            None,
        ],
    )
    async def test_data_that_stand_for_more_than_themselves(self, data: Any) -> None:
        """A line end in a header field, another place in the path, or nothing where something must be."""
        async with scene() as (backend, _, client):
            headers = {"Content-Type": "application/json"}
            answer = await client.post("/rent", content=json.dumps(data), headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
            assert not writes(backend)

    async def test_data_that_only_look_so(self) -> None:
        """Are data: encoded where they stand, and decoded by nobody on the way."""
        async with scene() as (backend, _, client):
            body = {"who": "a: b", "id": "%2e%2e?x=1#&id=2 {data.who}"}
            assert (await client.post("/rent", json=body)).status_code == 200
            [asked] = writes(backend)
            assert asked.target == "/rent/%252e%252e%3Fx=1%23&id=2%20%7Bdata.who%7D"
            assert asked.body == b"id=%252e%252e%3Fx%3D1%23%26id%3D2+%7Bdata.who%7D"
            assert asked.fields["x-id"] == "a: b"

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            (b"id=1", None, 415),
            (b"<id>1</id>", "text/xml", 415),
            (b'{"id": 1', "application/json", 400),
            (b"[" * 500_000, "application/json", 400),
            (b"\xff\xfe", "application/json", 400),
        ],
    )
    async def test_data_that_are_none(self, body: bytes, content_type: str | None, status: int) -> None:
        """Neither JSON nor a form, or not what they say that they are."""
        async with scene() as (backend, _, client):
            headers = {} if content_type is None else {"Content-Type": content_type}
            assert (await client.post("/rent", content=body, headers=headers)).status_code == status
            assert not writes(backend)

    async def test_fields_of_a_connection(self) -> None:
        """Whatever a client says about itself, hops and hosts is not repeated."""
        async with scene() as (backend, gateway, _):
            fields = "Transfer-Encoding: chunked\r\nTE: trailers\r\nX-Forwarded-For: 1.2.3.4\r\nHost: evil\r\n"
            head = f"POST /plain HTTP/1.1\r\n{fields}Connection: close, X-Secret\r\nX-Secret: s\r\n\r\n"
            assert (await say(gateway, head.encode() + b"2\r\nhi\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            [asked] = writes(backend)
            assert asked.body == b"hi" and asked.fields["content-length"] == "2"
            assert asked.fields["host"] in backend.url
            assert not {"te", "x-forwarded-for", "x-secret", "transfer-encoding"} & asked.fields.keys()


class TestNeverAnswers:
    async def test_it_is_not_asked_twice(self) -> None:
        """Nobody knows what it has done, so it is asked once, the client is told, and the topic is polled."""
        async with scene(lambda asked: b"" if asked.line.startswith("POST") else respond()) as (backend, _, client):
            await client.get("/plain")
            answer = await client.post("/plain", content="a")
            assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timed_out")
            assert "may have done it" in answer.json()["detail"] and "Retry-After" not in answer.headers
            await until(lambda: len(backend.asked) == 3)
            assert len(writes(backend)) == 1

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    async def test_it_hangs_up(self, method: str) -> None:
        """On a connection that was kept, too: a GET would be asked again, a write is not, whatever its method."""
        async with scene(lambda asked: None if asked.line.startswith(method) else respond()) as (backend, _, client):
            await client.get("/plain")
            answer = await client.request(method, "/plain", content="a")
            assert (answer.status_code, answer.json()["code"]) == (502, "upstream_failed")
            assert len(writes(backend)) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            respond(body=b"x" * 20_000),
            respond(body=b"x", length=100),
            b"garbage\r\n\r\n",
            respond("302 Found", b"", "Location: http://evil.example/"),
        ],
        ids=["too much", "half of it", "no HTTP", "sends us elsewhere"],
    )
    async def test_what_it_says_is_no_answer(self, answer: bytes) -> None:
        """It is a problem, and nothing of it reaches the client."""
        async with (
            raw_backend(answer, keeps_open=False) as backend,
            running_gateway(backend.url, ROUTES, upstream=IMPATIENT) as gateway,
            http_client(base_url=gateway.base) as client,
        ):
            refused = await client.post("/plain", content="a")
            assert (refused.status_code, refused.headers["Content-Type"]) == (502, "application/problem+json")
            assert len(writes(backend)) == 1


class TestSendsOn:
    """A write that was done, and is answered with where to look: what comes of the looking is no news of the write."""

    async def test_to_what_is_not_there(self) -> None:
        """It is no refusal: the topic is polled, and the client is told how it is."""

        def answer(asked: Asked) -> bytes:
            if asked.line.startswith("POST"):
                return respond("303 See Other", b"", "Location: /done")
            return respond("404 Not Found", b"no") if asked.target == "/done" else respond()

        async with scene(answer) as (backend, _, client):
            await client.get("/plain")
            told = await client.post("/plain", content="a")
            assert (told.status_code, told.headers["Pushgate-Settled"]) == (404, "yes")
            assert [asked.target for asked in backend.asked] == ["/plain", "/plain", "/done", "/plain"]

    async def test_when_there_is_no_more_budget(self) -> None:
        """It was sent, so nobody is told to send it again."""

        def answer(asked: Asked) -> bytes:
            return respond("303 See Other", b"", "Location: /done") if asked.line.startswith("POST") else respond()

        spent = {"budget": {"rate": "1/h", "burst": 1, "spent": "fail"}}
        async with (
            raw_backend(answer) as backend,
            running_gateway(backend.url, ROUTES, upstream={**IMPATIENT, **spent}) as gateway,
            http_client(base_url=gateway.base) as client,
        ):
            told = await client.post("/plain", content="a")
            assert told.status_code == 502 and "may have done it" in told.json()["detail"]
            assert "Retry-After" not in told.headers and len(backend.asked) == 1


class TestLeaves:
    async def test_before_the_answer(self) -> None:
        """A client that does not wait has written all the same: the topic is polled, and nothing is left behind."""
        async with scene(lambda asked: b"" if asked.line.startswith("POST") else respond()) as (
            backend,
            gateway,
            client,
        ):
            await client.get("/plain")
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            await until(lambda: len(writes(backend)) == 1)
            asked = len(backend.asked)
            writer.transport.abort()
            await until(lambda: len(backend.asked) > asked)
            assert len(writes(backend)) == 1
