"""The console's way to topics through the admin listener: every transport, and what of the operator goes no further."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import httpx_sse
import pytest
import websockets

from accounts import accounts
from backends import ScriptedBackend
from gateways import Running, http_client, route, running_gateway
from onesocket import one_socket

TOKEN = "a-token-of-many-characters"
ADMIN = {"listen": "127.0.0.1:0", "token": TOKEN}
AUTH = {"keys": {"kind": "api_key", "keys": [{"name": "me", "key": "my-key"}]}}
ROUTES = {"/rows": route(), "/sse": route(transports="sse"), "/kept": route(auth=["keys"])}


def running(backend: ScriptedBackend, **server: Any) -> Any:
    routes = {name: {"auth": "none", **one} for name, one in ROUTES.items()}
    return running_gateway(backend, routes, auth=AUTH, server={"admin": ADMIN, **server})


def protocol(kind: str, text: str) -> str:
    return f"pushgate.{kind}.{urlsafe_b64encode(text.encode()).decode().rstrip('=')}"


def socket_url(gateway: Running, topic: str) -> str:
    return f"{gateway.admin.replace('http', 'ws')}/-/console{topic}"


async def test_every_transport_goes_through(backend: ScriptedBackend) -> None:
    """What arrives is what the topic's own URL would say, cursors included."""
    backend.serve({"n": 1})
    async with running(backend) as gateway, http_client(base_url=gateway.admin) as client:
        short = await client.get("/-/console/rows")
        cursor = (await client.get(f"{gateway.base}/rows")).headers["Pushgate-Cursor"]
        assert (short.json(), short.headers["Pushgate-Cursor"]) == ({"n": 1}, cursor)
        assert (await client.get("/-/console/rows?wait=1")).json()["cursor"] == cursor
        async with httpx_sse.aconnect_sse(client, "GET", "/-/console/rows?emit=snapshot") as source:
            event = await anext(source.aiter_sse())
        assert (event.event, event.id, json.loads(event.data)) == ("snapshot", cursor, {"n": 1})
        async with websockets.connect(socket_url(gateway, "/rows"), subprotocols=["pushgate.v1"], proxy=None) as socket:
            assert socket.subprotocol == "pushgate.v1"
            first = json.loads(await socket.recv())
        assert (first["event"], first["id"]) == ("snapshot", cursor)


async def test_a_stream_is_resumed_where_it_was_cut(backend: ScriptedBackend) -> None:
    backend.serve({"n": 1, "pad": "-" * 200})
    async with running(backend) as gateway, http_client(base_url=gateway.admin) as client:
        cursor = (await client.get("/-/console/rows")).headers["Pushgate-Cursor"]
        async with client.stream("GET", f"{gateway.base}/rows", headers={"Accept": "text/event-stream"}):
            backend.serve({"n": 2, "pad": "-" * 200})
            answer = await client.get(f"/-/console/rows?cursor={cursor}&wait=5")
        (event,) = answer.json()["events"]
    assert event["data"] == [{"op": "replace", "path": "/n", "value": 2}]


async def test_a_long_poll_leaves_the_connection_to_the_admin_listener(backend: ScriptedBackend) -> None:
    """The same words without the console are no topic there: nothing is known by heart of who has to be asked."""
    backend.serve({"n": 1})
    async with running(backend) as gateway:
        assert gateway.gateway.admin_address is not None
        async with one_socket(gateway.gateway.admin_address) as ask:
            cursor = (await ask("/-/console/rows"))[1]["pushgate-cursor"]
            for _ in range(2):
                status, fields, _ = await ask(f"/-/console/rows?cursor={cursor}&wait=0.1")
                assert (status, fields["pushgate-cursor"]) == (204, cursor)
            assert (await ask(f"/rows?cursor={cursor}&wait=0.1"))[0] == 404
            assert (await ask("/livez"))[2] == b"ok\n"


async def test_it_goes_where_a_front_proxy_would(backend: ScriptedBackend) -> None:
    """Topics are named without the base path."""
    backend.serve({"n": 1})
    async with running(backend, base_path="/live") as gateway, http_client(base_url=gateway.admin) as client:
        assert (await client.get("/-/console/rows")).json() == {"n": 1}


async def test_a_refusal_is_the_topics_own(backend: ScriptedBackend) -> None:
    async with running(backend) as gateway, http_client(base_url=gateway.admin) as client:
        assert (await client.get("/-/console/nothing")).status_code == 404
        refused = await client.get("/-/console/sse")
        assert (refused.status_code, refused.json()["code"]) == (406, "transport_not_offered")
        assert (await client.get("/-/console/-/events?topic=/rows")).status_code == 404
        assert (await client.post("/-/console/rows")).status_code == 405


class TestCredentials:
    async def test_the_client_shows_its_own(self, backend: ScriptedBackend) -> None:
        """What the operator shows says nothing about the client: a topic that wants a key wants one from everybody."""
        backend.serve({"n": 1})
        operator = {"Authorization": f"Bearer {TOKEN}"}
        client_key = {"Pushgate-As-Authorization": "Bearer my-key"}
        async with running(backend) as gateway, http_client(base_url=gateway.admin) as client:
            assert (await client.get("/-/console/kept", headers=operator)).status_code == 401
            assert (await client.get("/-/console/kept", headers={"Authorization": "Bearer my-key"})).status_code == 401
            answer = await client.get("/-/console/kept", headers={**operator, **client_key})
            assert (answer.status_code, answer.json()) == (200, {"n": 1})
            assert (await client.get("/-/console/kept", headers=client_key)).status_code == 200

    async def test_a_page_shows_them_to_a_websocket_as_subprotocols(self, backend: ScriptedBackend) -> None:
        """Both the operator's token and the client's key, since a browser can send no header fields there."""
        backend.serve({"n": 1})
        spoken = ["pushgate.v1", protocol("operator", TOKEN), protocol("as", "Authorization: Bearer my-key")]
        async with running(backend) as gateway:
            url = socket_url(gateway, "/kept")
            async with websockets.connect(url, subprotocols=spoken, proxy=None) as socket:
                assert socket.subprotocol == "pushgate.v1"
                assert json.loads(await socket.recv())["event"] in ("snapshot", "heartbeat")
            with pytest.raises(websockets.InvalidStatus) as refused:
                wrong = ["pushgate.v1", protocol("operator", "another-token-of-many")]
                await websockets.connect(url, subprotocols=wrong, proxy=None)
        assert refused.value.response.status_code == 401

    async def test_nothing_of_the_operator_reaches_the_backend(self) -> None:
        """Neither the token nor a cookie of this machine, even where a client's own are sent upstream."""
        mine = route(share="identity", forward={"headers": ["Authorization"], "cookies": ["SID"]})
        async with accounts() as backend:
            settings: dict[str, Any] = {"server": {"admin": ADMIN}}
            async with (
                running_gateway(backend.url, {"/mine": mine}, **settings) as gateway,
                http_client(base_url=gateway.admin) as client,
            ):
                shown = {"Authorization": f"Bearer {TOKEN}", "Cookie": "SID=operators"}
                assert (await client.get("/-/console/mine", headers=shown)).status_code == 401
                headers = {**shown, "Pushgate-As-Cookie": "SID=clients"}
                assert (await client.get("/-/console/mine", headers=headers)).json()["of"] == "clients"
        assert [*backend.visits] == ["clients"]

    @pytest.mark.parametrize(
        "name", ["Host", "Origin", "X-Forwarded-For", "Content-Length", "Sec-Fetch-Site", "Upgrade"]
    )
    async def test_what_no_client_can_say_for_itself(self, backend: ScriptedBackend, name: str) -> None:
        async with running(backend) as gateway, http_client(base_url=gateway.admin) as client:
            answer = await client.get("/-/console/rows", headers={f"Pushgate-As-{name}": "1"})
        assert answer.status_code == 400

    @pytest.mark.parametrize(
        "spoken", ["pushgate.as.!!", "pushgate.as.w6k", protocol("as", "X: a\r\nY: b"), protocol("as", "no field")]
    )
    async def test_a_subprotocol_that_is_no_field(self, backend: ScriptedBackend, spoken: str) -> None:
        async with running(backend) as gateway, http_client(base_url=gateway.admin) as client:
            headers = {"Sec-WebSocket-Protocol": spoken}
            assert (await client.get("/-/console/rows", headers=headers)).status_code == 400
