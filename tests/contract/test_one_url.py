"""One URL, four behaviours: which request gets which transport, and what every answer says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets

from backends import ScriptedBackend
from gateways import EVERY_MODE, Running, eventually, http_client, route, running_gateway
from slowclients import EVENT_STREAM, UPGRADE, client_frame, raw_client, read_frames, read_sse, status_of
from transports import RESUMABLE, STREAMS, connected

DOCUMENT = {"n": 1, "pad": "x" * 200}
VARY = "Accept, Accept-Encoding, Authorization, Cookie, Origin, Prefer"
SSE = {"Accept": "text/event-stream"}
ROUTES = {
    "/t": route(emit=EVERY_MODE, key="id"),
    "/t/{x}": route(query={"lang": "[a-z]{2}", "_": "drop"}, poll={"every": "1m"}),
    "/t/literal": route(request={"path": "/elsewhere"}, poll={"every": "1m"}),
    "/number/{n}": route(params={"n": "[0-9]+"}),
    "/slow": route(poll={"every": "1m"}),
    "/streams": route(transports=["sse", "websocket"]),
    "/polls": route(transports=["short_poll", "long_poll"]),
    "/raw": route(short_poll="raw"),
    "/named/{x}": route(request={"path": "/t", "headers": {"X-Name": "{x}"}}),
    "/bytes": route(format="binary", emit=["snapshot"]),
}


@pytest.fixture
async def gateway(backend: ScriptedBackend) -> AsyncIterator[Running]:
    backend.serve(DOCUMENT)
    async with running_gateway(backend, ROUTES, server={"cors": {"origins": ["https://app.example"]}}) as running:
        yield running


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(base_url=gateway.base) as opened:
        yield opened


async def head_of(gateway: Running, path: str, fields: str, *, until: bytes = b"\r\n\r\n") -> Any:
    """Open a stream with bare bytes, read its beginning and leave."""
    async with raw_client(gateway.port) as raw:
        await raw.ask(path, fields)
        await raw.read_until(until)
        return raw


# The table.


@pytest.mark.parametrize(
    ("path", "fields", "is_stream"),
    [
        ("/t", "Accept: text/event-stream\r\n", True),
        ("/t", "Accept: text/html, text/event-stream;q=0.5\r\n", True),
        ("/t", "Accept: TEXT/EVENT-STREAM\r\n", True),
        ("/t?cursor=x&wait=9", "Accept: text/event-stream\r\n", True),
        ("/t", "Accept: */*\r\n", False),
        ("/t", "Accept: text/*\r\n", False),
        ("/t", "Accept: application/json\r\n", False),
        ("/t", "", False),
    ],
)
async def test_accept_decides_on_sse(gateway: Running, path: str, fields: str, is_stream: bool) -> None:
    """``Accept`` that names text/event-stream opens a stream; a wildcard does not."""
    raw = await head_of(gateway, path, fields)
    assert ("Content-Type: text/event-stream" in raw.head) is is_stream, raw.head


async def test_an_upgrade_beats_everything(gateway: Running) -> None:
    """A handshake is a WebSocket, whatever else the request accepts or asks."""
    raw = await head_of(gateway, "/t?wait=5", EVENT_STREAM + UPGRADE, until=b'"snapshot"')
    assert status_of(raw.head) == 101
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in raw.head  # the example of RFC 6455 section 1.3


async def test_wait_or_cursor_make_a_long_poll(client: httpx.AsyncClient) -> None:
    """Without a cursor a snapshot at once; with the current one 204 when the wait is over; with another a snapshot."""
    first = await client.get("/t?wait=5")
    envelope = first.json()["events"][0]
    assert first.status_code == 200 and envelope.keys() == {"event", "id", "at", "data"}
    assert (envelope["event"], envelope["data"]) == ("snapshot", DOCUMENT)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", envelope["at"])
    cursor = first.json()["cursor"]
    assert cursor == envelope["id"] == first.headers["Pushgate-Cursor"]
    for wait in ("0", "0.05"):
        over = await client.get("/t", params={"cursor": cursor, "wait": wait})
        assert (over.status_code, over.content) == (204, b"")
        assert over.headers["Pushgate-Cursor"] == cursor
        assert over.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-store"
    gap = await client.get("/t?cursor=unknown")
    assert gap.json()["events"][0]["event"] == "snapshot"


async def test_a_long_poll_answers_as_soon_as_there_is_something(
    gateway: Running, backend: ScriptedBackend, client: httpx.AsyncClient
) -> None:
    """A parked client is woken by the next change, and its connection serves the next request."""
    async with raw_client(gateway.port) as raw:
        cursor = (await client.get("/t")).headers["Pushgate-Cursor"]
        await raw.ask(f"/t?cursor={cursor}", "")
        await backend.polled(2)
        assert raw.received == b""
        backend.serve({**DOCUMENT, "n": 2})
        await raw.read_until(b"]}")
        assert json.loads(raw.body)["events"][0]["data"] == [{"op": "replace", "path": "/n", "value": 2}]
        raw.received = b""
        await raw.ask("/t", "")
        await raw.read_until(b'"n":2')
        assert status_of(raw.head) == 200


async def test_a_parked_client_may_ask_ahead(
    gateway: Running, backend: ScriptedBackend, client: httpx.AsyncClient
) -> None:
    """A request that comes behind a parked one is answered after it, on the same connection."""
    cursor = (await client.get("/t")).headers["Pushgate-Cursor"]
    async with raw_client(gateway.port) as raw:
        await raw.ask(f"/t?cursor={cursor}&wait=0.2", "")
        await backend.polled(3)
        await raw.ask("/t", "Connection: close\r\n")
        await raw.read_all()
        assert re.findall(rb"HTTP/1\.1 (\d+)", raw.received) == [b"204", b"200"]


async def test_two_requests_in_one_piece(gateway: Running, client: httpx.AsyncClient) -> None:
    """A pipelined request behind a long poll is answered, or the connection is closed so that it is sent again."""
    cursor = (await client.get("/t")).headers["Pushgate-Cursor"]
    async with raw_client(gateway.port) as raw:
        long_poll = f"GET /t?cursor={cursor}&wait=0.2 HTTP/1.1\r\nHost: gateway\r\n\r\n"
        await raw.send(f"{long_poll}GET /t HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n".encode())
        await raw.read_all()
        answers = re.findall(rb"HTTP/1\.1 (\d+)", raw.received)
        assert answers == [b"204", b"200"] or (answers == [b"204"] and "Connection: close" in raw.head)


async def test_prefer_wait_makes_a_long_poll_for_the_document(
    client: httpx.AsyncClient, backend: ScriptedBackend
) -> None:
    """``If-None-Match`` with ``Prefer: wait`` waits for another document: 200, or 304 when the wait is over."""
    etag = (await client.get("/t")).headers["ETag"]
    unchanged = await client.get("/t", headers={"If-None-Match": etag, "Prefer": "respond-async, wait=0"})
    assert (unchanged.status_code, unchanged.headers["Preference-Applied"]) == (304, "wait=0")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.get("/t", headers={"If-None-Match": etag, "Prefer": "wait=9"}))
        await backend.polled(2)
        backend.serve({"n": 2})
        changed = await waiting
    assert (changed.status_code, changed.json(), changed.headers["Preference-Applied"]) == (200, {"n": 2}, "wait=9")
    assert changed.headers["ETag"] != etag
    assert changed.headers["Cache-Control"] == "no-store"


async def test_the_rest_is_a_short_poll(client: httpx.AsyncClient) -> None:
    """The document, 304 for a matching If-None-Match, and HEAD likewise without its body and without a cursor."""
    full = await client.get("/t")
    assert (full.status_code, full.json(), full.headers["Content-Type"]) == (200, DOCUMENT, "application/json")
    etag = full.headers["ETag"]
    assert re.fullmatch(r'W/"[A-Za-z0-9._~-]+"', etag)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", full.headers["Pushgate-Cursor"])
    for field in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        unchanged = await client.get("/t", headers={"If-None-Match": field})
        assert (unchanged.status_code, unchanged.content) == (304, b""), field
        assert unchanged.headers["ETag"] == etag
        assert unchanged.headers["Pushgate-Cursor"] == full.headers["Pushgate-Cursor"]
    assert (await client.get("/t", headers={"If-None-Match": '"other"'})).status_code == 200
    head = await client.head("/t")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == full.headers["Content-Length"]
    assert head.headers["ETag"] == etag
    assert "Pushgate-Cursor" not in head.headers
    assert (await client.head("/t", headers={"If-None-Match": etag})).status_code == 304
    assert (await client.head("/t", headers=SSE)).headers["Content-Type"] == "application/json"


async def test_raw_answers_are_the_upstreams_bytes(client: httpx.AsyncClient, backend: ScriptedBackend) -> None:
    """``short_poll: raw`` gives the upstream's own bytes and type, and no cursor."""
    backend.say(b'{ "n" : 1.0 }\n', Content_Type="application/vnd.api+json")
    answer = await client.get("/raw")
    assert (answer.content, answer.headers["Content-Type"]) == (b'{ "n" : 1.0 }\n', "application/vnd.api+json")
    assert "Pushgate-Cursor" not in answer.headers


async def test_who_waits_for_raw_answers_gets_the_new_one(client: httpx.AsyncClient, backend: ScriptedBackend) -> None:
    """The bytes that come with a new ETag are those that it stands for."""
    before = await client.get("/raw")
    waiting = asyncio.create_task(
        client.get("/raw", headers={"If-None-Match": before.headers["ETag"], "Prefer": "wait=9"})
    )
    await backend.polled(2)
    backend.serve({"n": 2})
    answer = await waiting
    assert (answer.status_code, answer.json()) == (200, {"n": 2})
    assert answer.headers["ETag"] != before.headers["ETag"]


async def test_bytes_are_bytes(client: httpx.AsyncClient, gateway: Running, backend: ScriptedBackend) -> None:
    """A short poll of ``format: binary`` gives the bytes and their type; an envelope says how they became text."""
    backend.say(b"\x89PNG\x00\xff", Content_Type="image/png")
    answer = await client.get("/bytes")
    assert (answer.content, answer.headers["Content-Type"]) == (b"\x89PNG\x00\xff", "image/png")
    assert (await client.get("/bytes", headers={"If-None-Match": answer.headers["ETag"]})).status_code == 304
    polled = (await client.get("/bytes?wait=0")).json()["events"][0]
    assert (polled["event"], polled["encoding"], polled["data"]) == ("snapshot", "base64", "iVBORwD/")
    async with websockets.connect(f"ws://127.0.0.1:{gateway.port}/bytes", proxy=None) as socket:
        assert json.loads(await socket.recv())["encoding"] == "base64"
    stream = await head_of(gateway, "/bytes", EVENT_STREAM, until=b"\n\n")
    assert b'event: snapshot\ndata: "iVBORwD/"\n' in stream.received


# What answers say.


@pytest.mark.parametrize("path", ["/t", "/t?wait=1", "/t?cursor=x&wait=0"])
async def test_what_every_poll_answer_says(client: httpx.AsyncClient, path: str) -> None:
    """Every answer has Pushgate-State, Age and Vary."""
    await client.get("/t")
    headers = (await client.get(path)).headers
    assert headers["Pushgate-State"] == "live"
    assert 0 <= int(headers["Age"]) <= 1
    assert headers["Vary"] == VARY


async def test_what_every_stream_says(gateway: Running, client: httpx.AsyncClient) -> None:
    """Streams are not stored, not transformed and not buffered."""
    await client.get("/t")
    raw = await head_of(gateway, "/t", EVENT_STREAM)
    head = httpx.Headers([line.split(": ", 1) for line in raw.head.split("\r\n")[1:]])
    assert head["Cache-Control"] == "no-store, no-transform"
    assert head["X-Accel-Buffering"] == "no"
    assert head["Content-Type"].startswith("text/event-stream")
    assert head["Vary"] == VARY
    assert head["Pushgate-State"] == "live"
    assert 0 <= int(head["Age"]) <= 1
    assert "Pushgate-Cursor" not in head


async def test_caches_keep_a_public_document_until_the_next_poll(client: httpx.AsyncClient) -> None:
    """``max-age`` is the Age and the seconds to the next poll."""
    headers = (await client.get("/slow")).headers
    found = re.fullmatch(r"public, max-age=(\d+)", headers["Cache-Control"])
    assert found and 58 <= int(found[1]) - int(headers["Age"]) <= 60


async def test_the_etag_survives_a_restart(backend: ScriptedBackend) -> None:
    """It depends on the document and what it is for, not on its number."""
    etags = []
    for change in (False, True, False):
        backend.serve(DOCUMENT)
        async with running_gateway(backend, ROUTES) as gateway, http_client(base_url=gateway.base) as client:
            if change:
                backend.serve({"n": 2})
                await client.get("/t")
                backend.serve(DOCUMENT)
                async with connected("sse", gateway.base, "/t") as stream:
                    await stream.follow(DOCUMENT)
            etags.append((await client.get("/t")).headers["ETag"])
            assert (await client.get("/t/other")).headers["ETag"] != etags[-1]
    assert len(set(etags)) == 1


async def test_cross_origin_answers_expose_what_clients_need(client: httpx.AsyncClient, gateway: Running) -> None:
    """Allowed origins may read our fields and send theirs; others are told nothing."""
    headers = (await client.get("/t", headers={"Origin": "https://app.example"})).headers
    assert headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert (
        headers["Access-Control-Expose-Headers"]
        == "Pushgate-Cursor, Pushgate-State, ETag, Age, Retry-After, X-Request-Id"
    )
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    preflight = await client.options("/t", headers=asked)
    assert preflight.status_code == 204
    for field in ("Authorization", "If-None-Match", "Last-Event-ID", "Prefer"):
        assert field in preflight.headers["Access-Control-Allow-Headers"]
    refused = await client.get("/nothing", headers={"Origin": "https://app.example"})
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Origin" not in (await client.get("/t", headers={"Origin": "https://x.y"})).headers
    raw = await head_of(gateway, "/t", EVENT_STREAM + "Origin: https://app.example\r\n")
    assert "Access-Control-Allow-Origin: https://app.example" in raw.head


# Refusals.


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "no_such_topic"),
        ("/", 404, "no_such_topic"),
        ("/t/", 404, "no_such_topic"),
        ("//t", 404, "no_such_topic"),
        ("/t//a", 404, "no_such_topic"),
        ("/t/a/", 404, "no_such_topic"),
        ("/t/..", 404, "no_such_topic"),
        ("/t/.", 404, "no_such_topic"),
        ("/t/%2E%2E", 404, "no_such_topic"),
        ("/t/%2e.", 404, "no_such_topic"),
        ("/t/a%2Fb", 404, "no_such_topic"),
        ("/t/a%5Cb", 404, "no_such_topic"),
        ("/t/a%00b", 404, "no_such_topic"),
        ("/t/a%0D%0AX: y".replace(" ", "%20"), 404, "no_such_topic"),
        ("/t/%FF", 404, "no_such_topic"),
        ("/t/%", 404, "no_such_topic"),
        ("/number/a", 404, "no_such_topic"),
        ("/number/1%0A", 404, "no_such_topic"),
        ("/t?foo=1", 400, "bad_request"),
        ("/t?wait=1&wait=2", 400, "bad_request"),
        ("/t/a?lang=en&lang=de", 400, "bad_request"),
        ("/t/a?lang=eng", 400, "bad_request"),
        ("/t/a?lang=e%0A", 400, "bad_request"),
        ("/t?wait=soon", 400, "bad_request"),
        ("/t?wait=-1", 400, "bad_request"),
        ("/t?emit=xml", 400, "bad_request"),
        ("/t?framing=none", 400, "bad_request"),
        ("/t?wait=%FF", 400, "bad_request"),
        ("/t?throttle=1", 400, "bad_request"),
        ("/t?throttle=2h", 400, "bad_request"),
        ("/t?heartbeat=1s", 400, "bad_request"),
        ("/t?heartbeat=16m", 400, "bad_request"),
        ("/named/%C3%BC", 400, "bad_request"),
    ],
)
async def test_what_is_refused(gateway: Running, backend: ScriptedBackend, path: str, status: int, code: str) -> None:
    """Every refusal is problem+json with a stable code, and none costs the upstream anything."""
    async with raw_client(gateway.port) as raw:
        await raw.ask(path, "Connection: close\r\n")
        await raw.read_all()
    problem = json.loads(raw.body)
    assert (status_of(raw.head), problem["status"], problem["code"]) == (status, status, code)
    assert problem.keys() >= {"type", "title", "status", "detail", "code"}
    assert "application/problem+json" in raw.head
    assert backend.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_topics_are_only_read(client: httpx.AsyncClient, method: str) -> None:
    """Another method is 405, with those that there are."""
    answer = await client.request(method, "/t", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("path", "headers", "offered"),
    [
        ("/streams", {}, "sse, websocket"),
        ("/streams?wait=1", {}, "sse, websocket"),
        ("/polls", SSE, "short_poll, long_poll"),
    ],
)
async def test_a_transport_that_is_not_offered_is_406(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], offered: str
) -> None:
    """The refusal names the transports that there are."""
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (406, "transport_not_offered")
    assert offered in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status", "close_code"),
    [("/polls", 406, 4406), ("/nothing", 404, 4404), ("/t?foo=1", 400, 1008), ("/t/..", 404, 4404)],
)
async def test_a_refused_websocket_says_why(gateway: Running, path: str, status: int, close_code: int) -> None:
    """A browser is let in to be told the close code and the reason; anybody else gets the HTTP status."""
    raw = await head_of(gateway, path, UPGRADE)
    assert status_of(raw.head) == status
    for field in ("Origin: https://app.example\r\n", "Sec-WebSocket-Protocol: pushgate.v1\r\n"):
        async with raw_client(gateway.port) as raw:
            await raw.ask(path, UPGRADE + field)
            await raw.read_until(b"\r\n\r\n")
            while not (frames := read_frames(raw.body)):
                await raw.read()
            assert status_of(raw.head) == 101
            opcode, payload = frames[0]
            assert (opcode, int.from_bytes(payload[:2], "big")) == (8, close_code)
            assert re.match(rb"[a-z_]+", payload[2:])
            await raw.send(client_frame(payload[:2], opcode=8))
            await raw.read_all()


async def test_a_websocket_with_cookies_from_another_site_is_forbidden(gateway: Running) -> None:
    """A forbidden Origin is the one refusal that a browser gets as an HTTP status."""
    raw = await head_of(gateway, "/t", UPGRADE + "Origin: https://evil.example\r\nCookie: a=b\r\n")
    assert status_of(raw.head) == 403
    raw = await head_of(gateway, "/t", UPGRADE + "Origin: https://app.example\r\nCookie: a=b\r\n")
    assert status_of(raw.head) == 101
    raw = await head_of(gateway, "/t", UPGRADE + "Origin: http://gateway\r\nCookie: a=b\r\n")
    assert status_of(raw.head) == 101


@pytest.mark.parametrize(
    "fields",
    [
        UPGRADE.replace("13", "12"),
        UPGRADE.replace("Sec-WebSocket-Version: 13\r\n", ""),
        UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "?"),
        UPGRADE.replace("Connection: Upgrade", "Connection: keep-alive"),
    ],
)
async def test_no_handshake_is_400(gateway: Running, fields: str) -> None:
    """What is no handshake of RFC 6455 is refused, also for browsers."""
    for origin in ("", "Origin: https://app.example\r\n"):
        raw = await head_of(gateway, "/t", fields + origin)
        assert status_of(raw.head) == 400


async def test_every_spelling_reaches_the_topic(client: httpx.AsyncClient, backend: ScriptedBackend) -> None:
    """The canonical spelling and every other reach the same topic, and only the canonical one is sent upstream."""
    etags = set()
    for spelling in ["/t/a~b%20c", "/t/%61%7Eb%20c", "/t/a%7eb%20c?_=123", "/%74/a~b%20c"]:
        answer = await client.get(httpx.URL(client.base_url, raw_path=spelling.encode()))
        assert answer.status_code == 200, spelling
        etags.add(answer.headers["ETag"])
    assert len(etags) == 1
    assert [asked.path for asked in backend.requests] == ["/t/a~b%20c"]


async def test_a_literal_segment_beats_a_parameter(client: httpx.AsyncClient, backend: ScriptedBackend) -> None:
    """``/t/literal`` is its own route beside ``/t/{x}``."""
    await client.get("/t/literal")
    await client.get("/t/other")
    assert [asked.path for asked in backend.requests] == ["/elsewhere", "/t/other"]


async def test_what_is_sent_upstream_stays_in_its_place(client: httpx.AsyncClient, backend: ScriptedBackend) -> None:
    """No value of a client's becomes another segment, a query or a header."""
    await client.get(httpx.URL(client.base_url, raw_path=b"/t/a%3Fb=c%23d%26e%25f?lang=de"))
    assert backend.requests[-1].path == "/t/a%3Fb=c%23d&e%25f?lang=de"


# Streams.


async def test_the_first_block_is_a_real_event_with_retry(gateway: Running, client: httpx.AsyncClient) -> None:
    """The first block carries ``retry`` beside an event, and so do heartbeats on cold topics and ``cursor=now``."""
    raw = await head_of(gateway, "/slow?cursor=now", EVENT_STREAM, until=b"\n\n")
    first = read_sse(raw.body)[0]
    assert first["event"] == "heartbeat" and {"retry", "data"} <= first["fields"]
    await client.get("/t")
    raw = await head_of(gateway, "/t", EVENT_STREAM, until=b"}\n\n")
    first = read_sse(raw.body)[0]
    assert first["fields"] == {"retry", "id", "event", "data"}
    retry = re.search(rb"^retry: (\d+)$", raw.body, re.MULTILINE)
    assert retry and 1000 <= int(retry[1]) <= 10_000


@pytest.mark.parametrize("transport", STREAMS)
async def test_cursor_now_begins_with_the_next_change(
    gateway: Running, backend: ScriptedBackend, client: httpx.AsyncClient, transport: str
) -> None:
    """``cursor=now``: a heartbeat without an id, nothing of the present, then every change."""
    await client.get("/t")
    async with connected("sse", gateway.base, "/t") as witness, connected(transport, gateway.base, "/t") as stream:
        await witness.follow(DOCUMENT)
        await stream.disconnect()
        stream.params = {"cursor": "now"}
        await stream.connect()
        beat = await stream.receive()
        assert (beat["event"], beat["id"]) == ("heartbeat", None)
        stream.replica.document = DOCUMENT
        backend.serve({**DOCUMENT, "n": 2})
        change = await stream.receive()
        assert (change["event"], stream.replica.document) == ("patch", {**DOCUMENT, "n": 2})
        assert change["id"] is not None


async def test_what_moves_with_the_stream_beats_what_stands_in_the_url(
    gateway: Running, backend: ScriptedBackend, client: httpx.AsyncClient
) -> None:
    """The position is Last-Event-ID, else lastEventId, else cursor: a browser repeats the URL's at every reconnect."""
    async with connected("sse", gateway.base, "/t") as witness:
        await witness.follow(DOCUMENT)
        old = witness.replica.cursor
        backend.serve({**DOCUMENT, "n": 2})
        await witness.follow({**DOCUMENT, "n": 2})
        new = witness.replica.cursor
        for query, header, expected in [
            (f"cursor={old}", new, "heartbeat"),
            (f"lastEventId={old}", new, "heartbeat"),
            (f"cursor={old}&lastEventId={new}", None, "heartbeat"),
            (f"cursor={new}&lastEventId={old}", None, "patch"),
            (f"cursor={new}", old, "patch"),
            (f"cursor={old}", None, "patch"),
            (f"cursor={new}&lastEventId=", None, "heartbeat"),
            ("", "", "snapshot"),
        ]:
            fields = EVENT_STREAM + (f"Last-Event-ID: {header}\r\n" if header is not None else "")
            raw = await head_of(gateway, f"/t?{query}" if query else "/t", fields, until=b"\n\n")
            event = read_sse(raw.body)[0]
            assert event["event"] == expected, (query, header)
            assert event["id"] == new


async def test_message_framing_is_for_onmessage(gateway: Running, client: httpx.AsyncClient) -> None:
    """``framing=message`` sends unnamed messages whose data is the envelope."""
    await client.get("/t")
    raw = await head_of(gateway, "/t?framing=message", EVENT_STREAM, until=b"}\n\n")
    event = read_sse(raw.body)[0]
    assert event["event"] == "message"
    assert event["data"].keys() == {"event", "id", "at", "data"}
    assert event["data"]["id"] == event["id"]
    assert event["data"]["data"] == DOCUMENT


@pytest.mark.parametrize("transport", RESUMABLE)
@pytest.mark.parametrize("mode", EVERY_MODE)
async def test_emit_picks_the_mode(gateway: Running, backend: ScriptedBackend, transport: str, mode: str) -> None:
    """``?emit=`` picks a mode of the route's list; the first is the default."""
    rows = [{"id": 1, "n": 1}, {"id": 2, "pad": "x" * 200}]
    backend.serve(rows if mode == "items" else {"rows": rows})
    async with connected(transport, gateway.base, "/t", emit=mode) as stream:
        await stream.follow(rows if mode == "items" else {"rows": rows})
        changed = [{"id": 1, "n": 2}, rows[1]] if mode == "items" else {"rows": rows, "n": 1}
        backend.serve(changed)
        await stream.follow(changed)
        assert stream.replica.kinds == ["snapshot", mode]


@pytest.mark.parametrize(
    "evil", ["x%0d%0aSet-Cookie:%20a=b", "x%0a%0aevent:%20gone%0adata:%20{}", "%00", "%C3%BC", "a%20b"]
)
async def test_a_cursor_is_never_written_back_unread(backend: ScriptedBackend, evil: str) -> None:
    """A cold topic keeps a client's cursor; no text of the client's can become a header, a line or an event."""
    backend.say(b"", status=500)
    async with running_gateway(backend, ROUTES) as gateway:
        for path, fields in [("/t?wait=0.1&cursor=", ""), ("/t?wait=0&cursor=", ""), ("/t?cursor=", EVENT_STREAM)]:
            async with raw_client(gateway.port) as raw:
                await raw.ask(path + evil, fields)
                await raw.read_until(b"\r\n\r\n" if not fields else b"}\n\n")
            assert status_of(raw.head) in (200, 204)
            assert b"Set-Cookie" not in raw.received and b"event: gone" not in raw.received


@pytest.mark.parametrize(
    ("fields", "query", "status"),
    [
        ("Last-Event-ID: a.1.b.c\r\n", "", 200),
        ("Sec-Fetch-Mode: cors\r\n", "", 200),
        ("", "?cursor=a.1.b.c", 200),
        ("Sec-Fetch-Mode: cors\r\n", "?framing=message", 200),
        ("", "", 503),
    ],
)
async def test_a_reconnect_that_cannot_be_served_is_kept_coming(
    backend: ScriptedBackend, fields: str, query: str, status: int
) -> None:
    """An EventSource never returns from another status than 200, so it gets one, with ``retry`` and the problem."""
    backend.serve(DOCUMENT)
    full = {"limits": {"connections": 1}}
    async with (
        running_gateway(backend, ROUTES, server=full) as gateway,
        connected("websocket", gateway.base, "/t") as first,
    ):
        await first.follow(DOCUMENT)
        async with raw_client(gateway.port) as raw:
            await raw.ask(f"/t{query}", EVENT_STREAM + fields)
            if status == 503:
                await raw.read_until(b"}")
                assert int(re.search(r"Retry-After: (\d+)", raw.head)[1]) >= 1  # type: ignore[index]
                assert json.loads(raw.body)["code"] == "overloaded"
            else:
                await raw.read_until(b"}\n\n")
                event = read_sse(raw.body)[0]
                assert event["fields"] >= {"retry", "data"}
                problem = event["data"]["data"] if query == "?framing=message" else event["data"]
                assert problem["code"] == "overloaded"
                assert event["event"] == ("message" if query == "?framing=message" else "problem")
            assert status_of(raw.head) == status
        raw = await head_of(gateway, "/t", UPGRADE + "Origin: https://app.example\r\n", until=b"retry_after_ms=")
        assert b"overloaded retry_after_ms=" in raw.body


async def test_parked_long_polls_are_connections_too(backend: ScriptedBackend) -> None:
    """They count for ``server.limits.connections`` and in ``pushgate_subscribers``, and are gone when they leave."""
    backend.serve(DOCUMENT)
    async with (
        running_gateway(backend, ROUTES, server={"limits": {"connections": 1}}) as gateway,
        http_client() as client,
    ):
        cursor = (await client.get(f"{gateway.base}/t")).headers["Pushgate-Cursor"]
        path = f"/t?cursor={cursor}"

        async def parked() -> float:
            return await gateway.metric("pushgate_subscribers", route="/t", transport="long_poll")

        async with raw_client(gateway.port) as raw:
            await raw.ask(path)
            await eventually(parked, lambda number: number == 1)
            assert (await client.get(gateway.base + path)).status_code == 503
            assert (await client.get(f"{gateway.base}/t")).status_code == 200
        await eventually(parked, lambda number: number == 0)
        assert (await client.get(f"{gateway.base}{path}&wait=0")).status_code == 204


async def test_a_request_target_may_be_a_whole_url(gateway: Running, client: httpx.AsyncClient) -> None:
    """RFC 9112 section 3.2.2: whoever speaks as to a proxy is answered all the same."""
    async with raw_client(gateway.port) as raw:
        await raw.ask(f"{gateway.base}/t")
        await raw.read_until(b"}")
        assert status_of(raw.head) == 200


async def test_what_a_websocket_may_be_asked(gateway: Running, backend: ScriptedBackend) -> None:
    """Each message is answered with an ack or a problem that has its ``ref``; what is none closes with 1008."""
    url = gateway.base.replace("http", "ws") + "/t"
    async with websockets.connect(url, proxy=None, subprotocols=["other", "pushgate.v1"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "pushgate.v1"

        async def ask(**message: Any) -> dict[str, Any]:
            await socket.send(json.dumps(message | {"ref": message}))
            while (answer := json.loads(await socket.recv()))["event"] not in ("ack", "problem"):
                pass
            assert answer["ref"] == message
            return answer

        assert (await ask(op="ping"))["event"] == "ack"
        assert (await ask(op="unsubscribe", topic="/t"))["event"] == "ack"
        assert (await ask(op="subscribe", topic="/t", emit="merge"))["event"] == "ack"
        while (snapshot := json.loads(await socket.recv()))["event"] != "snapshot":
            pass
        assert snapshot["data"] == DOCUMENT
        assert (await ask(op="subscribe", topic="/t", emit="merge", cursor=snapshot["id"]))["event"] == "ack"
        for refused in [{"op": "subscribe", "topic": "/other"}, {"op": "subscribe", "topic": "/t", "emit": "xml"}]:
            answer = await ask(**refused)
            assert (answer["event"], answer["code"]) == ("problem", "bad_request")
        backend.serve({**DOCUMENT, "n": 2})
        while (event := json.loads(await socket.recv()))["event"] != "merge":
            pass
        assert event["data"] == {"n": 2}
        await socket.send("[]")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


@pytest.mark.parametrize(
    ("payload", "opcode", "close_codes"),
    [(b"x" * 65_535, 1, {1009, 1008}), (b"{}", 2, {1003}), (b"\xff", 1, {1007, 1008})],
)
async def test_a_websocket_message_that_is_none(
    gateway: Running, payload: bytes, opcode: int, close_codes: set[int]
) -> None:
    """What is no message of ours, binary, or not UTF-8 is answered with a close frame that says so."""
    async with raw_client(gateway.port) as raw:
        await raw.ask("/slow", UPGRADE)
        await raw.read_until(b'"snapshot"')
        await raw.send(client_frame(payload, opcode=opcode))
        while not (closes := [said for found, said in read_frames(raw.body) if found == 8]):
            assert await raw.read()
        assert int.from_bytes(closes[0][:2], "big") in close_codes


async def test_a_websocket_message_that_is_too_large(gateway: Running) -> None:
    """Clients say little; more than 64 KB is closed with 1009."""
    async with websockets.connect(gateway.base.replace("http", "ws") + "/t", proxy=None) as socket:
        await socket.send("x" * 70_000)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


async def test_the_end_of_the_gateway_is_announced(backend: ScriptedBackend) -> None:
    """When the gateway goes, streams are told when to come back and parked long polls are answered."""
    backend.serve(DOCUMENT)
    async with http_client() as client:
        async with running_gateway(backend, ROUTES) as gateway:
            cursor = (await client.get(f"{gateway.base}/t")).headers["Pushgate-Cursor"]
            parked = asyncio.create_task(client.get(f"{gateway.base}/t?cursor={cursor}&wait=30"))
            stream = asyncio.create_task(client.get(f"{gateway.base}/t", headers=SSE))
            socket = await websockets.connect(gateway.base.replace("http", "ws") + "/t", proxy=None)
            await eventually(lambda: gateway.metric("pushgate_subscribers"), lambda number: number == 3)
            await backend.polled(2)
        assert (await parked).status_code == 204
        assert re.findall(r"^retry: \d+$", (await stream).text, re.MULTILINE)[1:], "one at the begin, one at the end"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code in (1001, 1012)
        assert re.fullmatch(r"retry_after_ms=\d+", closed.value.rcvd.reason)
