"""HTTPS as somebody else's clients see it, on both event loops: what they are told, and how they leave."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from pathlib import Path

import aiohttp
import httpx
import pytest
from httpx_sse import aconnect_sse
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from backends import PATIENCE, scripted_backend
from gateways import Running, eventually, http_client, route, running_gateway
from loops import LOOPS, run_on, run_on_both
from secured import Site, secure_client, trusting
from slowclients import EVENT_STREAM, UPGRADE, read_frames
from tokens import STAFF, token

ROUTES = {"/t": route(emit=["snapshot"]), "/idle": route(poll={"every": "1h"})}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def by_name(gateway: Running) -> str:
    """The address that the certificate is for."""
    return f"https://localhost:{gateway.port}"


class TestSomebodyElsesClients:
    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    def test_curl_that_asks_no_questions(self, site: Site) -> None:
        """``curl -k`` follows an event stream to its end, and sees that it was not cut."""

        async def scene() -> None:
            until = {"poll": {"every": "10ms", "until": "done"}}
            async with (
                scripted_backend({"done": False}) as backend,
                running_gateway(backend, {"/t": route(**until)}, server=site.server) as gateway,
            ):
                command = ["curl", "-sSkN", "--noproxy", "*", "-H", "Accept: text/event-stream", f"{gateway.base}/t"]
                pipe = asyncio.subprocess.PIPE
                curl = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
                assert curl.stdout is not None
                async with asyncio.timeout(3 * PATIENCE):
                    await curl.stdout.readuntil(b'"done":false')
                    backend.serve({"done": True})
                    rest, errors = await curl.communicate()
                assert (curl.returncode, errors) == (0, b"")
                assert b"event: end" in rest

        for loop in LOOPS:  # one after the other: asyncio's own loop waits for processes by a signal, or a thread
            run_on(loop, scene)

    def test_aiohttp_that_checks_the_certificate(self, site: Site) -> None:
        async def scene() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())) as session,
                asyncio.timeout(3 * PATIENCE),
            ):
                stream = {"Accept": "text/event-stream"}
                async with session.get(f"{by_name(gateway)}/t", headers=stream) as answer:
                    while b"[1]" not in await answer.content.readline():
                        pass
                async with session.ws_connect(f"{by_name(gateway)}/t") as socket:
                    while (await socket.receive_json())["data"] != [1]:
                        pass
                first = await session.get(f"{by_name(gateway)}/t?wait=5")
                waiting = asyncio.create_task(
                    session.get(f"{by_name(gateway)}/t", params={"cursor": first.headers["Pushgate-Cursor"]})
                )
                backend.serve([2])
                assert (await (await waiting).json())["events"][-1]["data"] == [2]

        run_on_both(scene)

    def test_httpx_that_checks_the_certificate(self, site: Site) -> None:
        async def scene() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                httpx.AsyncClient(verify=trusting(), trust_env=False, timeout=PATIENCE) as client,
                aconnect_sse(client, "GET", f"{by_name(gateway)}/t") as source,
                asyncio.timeout(3 * PATIENCE),
            ):
                events = source.aiter_sse()
                for document in ([1], [2]):
                    backend.serve(document)
                    while (event := await anext(events)).event != "snapshot" or json.loads(event.data) != document:
                        pass
                await events.aclose()
                with pytest.raises(httpx.ConnectError, match="verify failed"):
                    async with httpx.AsyncClient(verify=ssl.create_default_context(), trust_env=False) as stranger:
                        await stranger.get(f"{by_name(gateway)}/t")

        run_on_both(scene)

    async def test_a_page_is_of_our_origin_only_by_https(self, site: Site) -> None:
        """A cookie counts for it, and not for the page that somebody on the way put at ``http://`` of the same name."""
        auth = {"staff": {**STAFF, "carriers": ["header", "cookie"]}}
        async with (
            scripted_backend([1]) as backend,
            running_gateway(backend, {"/t": route(auth="staff")}, server=site.server, auth=auth) as gateway,
        ):
            cookie = {"Cookie": f"session={token()}"}
            url = f"{by_name(gateway).replace('https', 'wss', 1)}/t"

            def open_as(origin: str) -> connect:
                headers = {**cookie, "Origin": origin}
                return connect(url, ssl=trusting(), proxy=None, additional_headers=headers)

            async with open_as(by_name(gateway)) as socket, asyncio.timeout(PATIENCE):
                while json.loads(await socket.recv())["data"] != [1]:
                    pass
            with pytest.raises(InvalidStatus) as refused:
                async with open_as(by_name(gateway).replace("https", "http", 1)):
                    pass
            assert refused.value.response.status_code == 403


class TestLeaving:
    def test_a_drain_tells_everybody_and_says_goodbye(self, site: Site) -> None:
        """As without TLS: ``retry:``, 1012, an answer to whoever waits; and nobody takes it for a cut."""

        async def scene() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server={**site.server, "drain": {"window": "0s"}}) as gateway,
                secure_client(gateway.port) as stream,
                secure_client(gateway.port) as shared,
                secure_client(gateway.port) as socket,
                secure_client(gateway.port) as parked,
                http_client(base_url=gateway.base) as client,
            ):
                cursor = (await client.get("/idle")).headers["Pushgate-Cursor"]
                await stream.ask("/idle", EVENT_STREAM)
                await stream.read_until(b"[1]")
                await shared.ask("/-/events?topic=/idle", EVENT_STREAM)
                await shared.read_until(b"[1]")
                await socket.ask("/idle", UPGRADE)
                await socket.read_until(b"[1]")
                await parked.ask(f"/idle?cursor={cursor}&wait=50")
                await eventually(lambda: gateway.metric("pushgate_connections"), lambda count: count == 4)
                stream.received = shared.received = b""
                assert gateway.gateway.departures is not None
                gateway.gateway.departures.begin(window=0.0)
                for one in (stream, shared, parked):
                    await one.read_all()
                    assert one.is_told_goodbye
                    await one.say_goodbye()
                await socket.read_until(b"retry_after_ms")
                [close] = [payload for opcode, payload in read_frames(socket.body) if opcode == 8]
                assert int.from_bytes(close[:2], "big") == 1012
                assert b"retry: " in stream.received and b"retry: " in shared.received
                assert parked.head.startswith("HTTP/1.1 204 ") and "Connection: close" in parked.head
                socket.leave()
                await eventually(lambda: gateway.metric("pushgate_connections"), lambda count: count == 0)

        run_on_both(scene)

    def test_who_reads_nothing_for_four_heartbeats_is_cut(self, site: Site) -> None:
        """As without TLS, whichever layer holds what it has not read."""

        async def scene() -> None:
            server = {**site.server, "heartbeat": "2s"}
            async with (
                scripted_backend({"n": 0, "text": "x" * 3_000_000}) as backend,
                running_gateway(backend, ROUTES, server=server) as gateway,
                secure_client(gateway.port) as stream,
                secure_client(gateway.port) as socket,
            ):
                began = asyncio.get_running_loop().time()
                await stream.ask("/t", EVENT_STREAM)
                await socket.ask("/t", UPGRADE)
                await eventually(
                    lambda: gateway.metric("pushgate_disconnects_total", reason="slow"), lambda count: count == 2
                )
                assert 6.0 < asyncio.get_running_loop().time() - began < 16.0
                await eventually(lambda: gateway.metric("pushgate_connections"), lambda count: count == 0)

        run_on_both(scene)

    def test_a_last_answer_is_sent_to_its_end(self, site: Site) -> None:
        """The connection ends with it, and nothing is lost of what nobody but the kernel and TLS has in hand."""
        size = 2_000_000

        async def scene() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, {"/t": route(emit=["snapshot"])}, server=site.server) as gateway,
                secure_client(gateway.port) as client,
                http_client(base_url=gateway.base) as other,
            ):
                cursor = (await other.get("/t")).headers["Pushgate-Cursor"]
                await client.ask(f"/t?cursor={cursor}&wait=50", "Connection: close\r\n")
                await eventually(lambda: gateway.metric("pushgate_connections"), lambda count: count == 1)
                backend.serve(["x" * size])
                await eventually(lambda: gateway.metric("pushgate_connections"), lambda count: count == 0)
                await client.read_all()
                assert client.is_told_goodbye and len(json.loads(client.body)["events"][-1]["data"][0]) == size

        run_on_both(scene)
