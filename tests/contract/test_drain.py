"""How clients leave: a drain tells them when to come back, one after the other, and everything else goes on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets

from backends import PATIENCE, ScriptedBackend
from gateways import Running, config_of, eventually, http_client, route, running_gateway
from pushgate.gateway import Gateway
from transports import connected

ROUTES = {"/t": route(stale={"after": 1}), "/written": route(write={"POST": {"wait": "0s"}})}
DOCUMENT, CHANGED, CHANGED_AGAIN = [{"id": 1}], [{"id": 2}], [{"id": 3}]
OPERATOR = {"Pushgate-Admin": "1"}
EVENT_STREAM = {"Accept": "text/event-stream"}
NEVER = {"drain": {"window": "1h"}}  # the first stream leaves at once, the second after half an hour


async def drain(gateway: Running, method: str = "POST", **headers: str) -> httpx.Response:
    async with http_client() as client:
        return await client.request(method, f"{gateway.admin}/-/drain", headers={**OPERATOR, **headers})


async def is_ready(gateway: Running) -> bool:
    async with http_client() as client:
        return (await client.get(f"{gateway.admin}/readyz")).status_code == 200


@asynccontextmanager
async def told_to_end(gateway: Gateway, stop: asyncio.Event) -> AsyncIterator[Running]:
    """A gateway that runs until ``stop``; leaving the context waits for its end."""
    async with asyncio.timeout(6 * PATIENCE), asyncio.TaskGroup() as tasks:
        tasks.create_task(gateway.run(stop), name="gateway")
        await eventually(lambda: asyncio.sleep(0, gateway.vitals.is_listening), bool)
        assert gateway.address is not None and gateway.admin_address is not None
        yield Running(gateway, *("http://{}:{}".format(*at) for at in (gateway.address, gateway.admin_address)))


def ending_gateway(backend: ScriptedBackend, **drain: str) -> Gateway:
    return Gateway(config_of(backend.url, ROUTES, upstream={}, server={"drain": drain}))


async def closed_with(socket: websockets.ClientConnection) -> tuple[int, str]:
    """Read to the end and return the close code and reason."""
    with pytest.raises(websockets.ConnectionClosed) as closed:
        async with asyncio.timeout(3 * PATIENCE):
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_everybody_is_told_when_to_come_back_and_the_gateway_ends(backend: ScriptedBackend) -> None:
    """SSE by ``retry:``, WebSocket by 1012 and its reason; a parked long poll is answered and its connection closed."""
    backend.serve(DOCUMENT)
    stop = asyncio.Event()
    async with told_to_end(ending_gateway(backend, window="500ms"), stop) as gateway, http_client() as client:
        cursor = (await client.get(f"{gateway.base}/t")).headers["Pushgate-Cursor"]
        parked = asyncio.create_task(client.get(f"{gateway.base}/t?cursor={cursor}&wait=50"))
        stream = asyncio.create_task(client.get(f"{gateway.base}/t", headers=EVENT_STREAM))
        async with websockets.connect(gateway.base.replace("http", "ws") + "/t", proxy=None) as socket:
            await eventually(lambda: gateway.metric("pushgate_connections"), lambda number: number == 3)
            stop.set()
            code, reason = await closed_with(socket)
        said = await stream
        answer = await parked
    assert (code, bool(re.fullmatch(r"retry_after_ms=\d+", reason))) == (1012, True)
    retries = [int(wait) for wait in re.findall(r"^retry: (\d+)$", said.text, re.MULTILINE)]
    assert len(retries) == 2, "one at the begin, one at the end"
    assert all(1000 <= wait <= 4000 for wait in retries)
    assert (answer.status_code, answer.headers["Connection"]) == (204, "close")


async def test_shared_connections_are_told_too(backend: ScriptedBackend) -> None:
    """Many topics on a connection make no difference: it is one client, and is told once."""
    backend.serve(DOCUMENT)
    both, stop = "topic=/t&topic=/written", asyncio.Event()
    async with told_to_end(ending_gateway(backend, window="300ms"), stop) as gateway, http_client() as client:
        cursor = (await client.get(f"{gateway.base}/-/poll?{both}&wait=0")).json()["cursor"]
        parked = asyncio.create_task(client.get(f"{gateway.base}/-/poll?{both}&cursor={cursor}&wait=50"))
        stream = asyncio.create_task(client.get(f"{gateway.base}/-/events?{both}", headers=EVENT_STREAM))
        async with websockets.connect(f"{gateway.base.replace('http', 'ws')}/-/ws?{both}", proxy=None) as socket:
            await eventually(lambda: gateway.metric("pushgate_connections"), lambda number: number == 3)
            stop.set()
            code, reason = await closed_with(socket)
        said, answer = await stream, await parked
    assert (code, bool(re.fullmatch(r"retry_after_ms=\d+", reason))) == (1012, True)
    assert len(re.findall(r"^retry: \d+$", said.text, re.MULTILINE)) == 2, "one at the begin, one at the end"
    assert (answer.status_code, answer.headers["Connection"]) == (204, "close")


async def test_a_gateway_without_clients_ends_at_once(backend: ScriptedBackend) -> None:
    """The window is for clients; an idle keep-alive connection is nobody."""
    backend.serve(DOCUMENT)
    stop = asyncio.Event()
    async with http_client() as client, told_to_end(ending_gateway(backend, window="1h"), stop) as gateway:
        assert (await client.get(f"{gateway.base}/t")).status_code == 200
        stop.set()


async def test_it_ends_as_soon_as_the_last_client_has_left(backend: ScriptedBackend) -> None:
    """Until then the rest goes on, and cannot be undone: the process has been told to end."""
    backend.serve(DOCUMENT)
    stop = asyncio.Event()
    async with (
        told_to_end(ending_gateway(backend, window="1h"), stop) as gateway,
        connected("websocket", gateway.base, "/t") as one,
        connected("websocket", gateway.base, "/t") as two,
    ):
        await one.follow(DOCUMENT)
        await two.follow(DOCUMENT)
        stop.set()
        await eventually(lambda: gateway.metric("pushgate_connections"), lambda number: number == 1)
        refused = await drain(gateway, "DELETE")
        assert (refused.status_code, await is_ready(gateway)) == (409, False)


async def test_a_client_that_does_not_leave_is_cut_off(backend: ScriptedBackend) -> None:
    """The gateway ends within window and grace, whatever clients do."""
    backend.serve(DOCUMENT)
    stop = asyncio.Event()
    async with told_to_end(ending_gateway(backend, window="0s", grace="100ms"), stop) as gateway:
        host, port = gateway.base.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /t HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"snapshot")
        stop.set()  # and our side of the closing handshake never comes
    writer.close()


async def test_a_write_that_is_cut_off_does_not_keep_it(backend: ScriptedBackend) -> None:
    """What it may have changed is polled by nobody any more."""
    backend.serve(DOCUMENT)
    patient = {"timeout": {"total": "1h"}}
    server = {"drain": {"window": "0s", "grace": "0s"}}
    stop, ending = asyncio.Event(), Gateway(config_of(backend.url, ROUTES, upstream=patient, server=server))
    async with http_client() as client, told_to_end(ending, stop) as gateway:
        assert (await client.get(f"{gateway.base}/written")).status_code == 200
        backend.delay = 3600
        written = asyncio.create_task(client.post(f"{gateway.base}/written", content=b"x=1"))
        await backend.begun()
        stop.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await written


async def test_polling_goes_on_and_nothing_is_said_to_be_stale(backend: ScriptedBackend) -> None:
    """Whoever has not been told to leave gets every change, as if nothing was."""
    backend.serve(DOCUMENT)
    async with (
        running_gateway(backend, ROUTES, server=NEVER) as gateway,
        connected("websocket", gateway.base, "/t") as one,
        connected("websocket", gateway.base, "/t") as two,
    ):
        await one.follow(DOCUMENT)
        await two.follow(DOCUMENT)
        assert (await drain(gateway)).json()["draining"] is True
        await eventually(lambda: gateway.metric("pushgate_connections"), lambda number: number == 1)
        remaining = await _remaining(one, two)
        backend.serve(CHANGED)
        await remaining.follow(CHANGED)
        await backend.polled(3)
        backend.serve(CHANGED_AGAIN)
        await remaining.follow(CHANGED_AGAIN)
        states = {event["data"]["state"] for event in [*one.heard, *two.heard] if event["event"] == "status"}
        assert states <= {"cold", "live"}, "of the first poll"


async def _remaining(one: Any, two: Any) -> Any:
    """Return the link that is still open; the other one has been closed."""
    waits = {asyncio.create_task(link.socket.wait_closed()): link for link in (one, two)}
    done, open_ = await asyncio.wait(waits, timeout=3 * PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    (task,) = open_
    task.cancel()
    return waits[task]


async def test_nothing_that_lasts_is_let_in_until_it_is_undone(backend: ScriptedBackend) -> None:
    """Documents and writes are answered to the end, and their connections closed so that the next ones go elsewhere."""
    backend.serve(DOCUMENT)
    async with running_gateway(backend, ROUTES, server=NEVER) as gateway, http_client(base_url=gateway.base) as client:
        cursor = (await client.get("/t")).headers["Pushgate-Cursor"]
        assert (await drain(gateway)).status_code == 202
        assert (await is_ready(gateway), await gateway.metric("pushgate_draining")) == (False, 1)

        document = await client.get("/t")
        assert (document.status_code, document.json(), document.headers["Connection"]) == (200, DOCUMENT, "close")
        assert (await client.get(f"/t?cursor={cursor}&wait=0")).status_code == 204
        assert (await client.post("/written", content=b"{}")).status_code == 200

        for asked in (f"/t?cursor={cursor}", "/t?wait=10"):
            refused = await client.get(asked)
            assert (refused.status_code, refused.json()["code"]) == (503, "draining")
            assert int(refused.headers["Retry-After"]) >= 1
        assert (await client.get("/t", headers=EVENT_STREAM)).status_code == 503
        browser = await client.get("/t", headers={**EVENT_STREAM, "Last-Event-ID": cursor})
        assert browser.status_code == 200
        assert re.match(r"retry: \d+\nevent: problem\n", browser.text)
        async with websockets.connect(
            gateway.base.replace("http", "ws") + "/t", proxy=None, subprotocols=[websockets.Subprotocol("pushgate.v1")]
        ) as socket:
            code, reason = await closed_with(socket)
        assert (code, bool(re.fullmatch(r"draining retry_after_ms=\d+", reason))) == (1012, True)
        refusals = {
            transport: await gateway.metric(
                "pushgate_connections_refused_total", transport=transport, reason="draining"
            )
            for transport in ("long_poll", "sse", "websocket", "short_poll")
        }
        assert refusals == {"long_poll": 2, "sse": 2, "websocket": 1, "short_poll": 0}

        assert (await drain(gateway, "DELETE")).json() == {"draining": False, "connections": 0}
        assert (await is_ready(gateway), await gateway.metric("pushgate_draining")) == (True, 0)
        async with connected("sse", gateway.base, "/t") as link:
            await link.follow(DOCUMENT)


async def test_undoing_keeps_those_who_are_still_here(backend: ScriptedBackend) -> None:
    """Whoever was not yet told to leave stays for good."""
    backend.serve(DOCUMENT)
    async with (
        running_gateway(backend, ROUTES, server=NEVER) as gateway,
        connected("websocket", gateway.base, "/t") as one,
        connected("websocket", gateway.base, "/t") as two,
    ):
        await one.follow(DOCUMENT)
        await two.follow(DOCUMENT)
        await drain(gateway)
        remaining = await _remaining(one, two)
        assert (await drain(gateway, "GET")).json()["draining"] is True
        assert (await drain(gateway, "DELETE")).json() == {"draining": False, "connections": 1}
        backend.serve(CHANGED)
        await remaining.follow(CHANGED)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Host": "localhost:8081"}, 202),
        ({"Host": "[::1]:8081"}, 202),
        ({"Host": "127.0.0.1"}, 202),
        ({"Pushgate-Admin": "0"}, 403),
        ({"Pushgate-Admin": ""}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8081"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example:8081"}, 403),
        ({"Host": ""}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_only_who_means_it_may_drain(
    backend: ScriptedBackend, method: str, headers: dict[str, str], status: int
) -> None:
    """A web page cannot send the header unasked, and one whose name was made to mean this machine has another Host."""
    async with running_gateway(backend, ROUTES) as gateway:
        answer = await drain(gateway, method, **headers)
        assert answer.status_code == (200 if (method, status) == ("DELETE", 202) else status)
        told = (await drain(gateway, "GET")).json()
        assert told == {"draining": (method, status) == ("POST", 202), "connections": 0}


async def test_a_drain_is_begun_and_undone_by_these_methods_only(backend: ScriptedBackend) -> None:
    async with running_gateway(backend, ROUTES) as gateway:
        answer = await drain(gateway, "PUT")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST, DELETE")


async def test_an_old_stream_is_asked_to_reconnect(backend: ScriptedBackend) -> None:
    """``max_connection_age``: the stream ends with the time to come back, and goes on where it was."""
    backend.serve(DOCUMENT)
    async with (
        running_gateway(backend, ROUTES, server={"max_connection_age": "1s500ms"}) as gateway,
        connected("websocket", gateway.base, "/t") as link,
    ):
        await link.follow(DOCUMENT)
        code, reason = await closed_with(link.socket)  # type: ignore[attr-defined]
        assert (code, bool(re.fullmatch(r"retry_after_ms=\d+", reason))) == (1012, True)
        assert await is_ready(gateway)
        await link.reconnect()
        assert (await link.hear("heartbeat"))["id"] == link.replica.cursor
