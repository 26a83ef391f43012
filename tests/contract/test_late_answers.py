"""Whoever has waited is told what is true when the answer is given, and not what was true when it asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from backends import ScriptedBackend, scripted_backend
from gateways import eventually, http_client, route, running_gateway
from reloads import Reloadable, reloadable_gateway
from slowclients import UPGRADE, raw_client
from sockets import hear, say, socket
from tokens import STAFF, bearer

AUTH = {"staff": STAFF}
BEN_ONLY = [{"claim": "sub", "equals": "ben"}]
SELDOM = {"every": "1h"}


def topic(**changes: Any) -> dict[str, Any]:
    return route(auth="staff", poll=SELDOM, **changes)


@asynccontextmanager
async def portal(**entry: Any) -> AsyncIterator[tuple[ScriptedBackend, Any]]:
    """A service that does not say yet who somebody is, and the ``auth:`` in which it is asked."""
    async with scripted_backend() as service:
        service.is_open.clear()
        service.say(b"", X_User="ann")
        yield service, {"portal": {"kind": "forward", "url": service.url, "claims": {"sub": "X-User"}, **entry}}


class TestAFirstMessage:
    """It has to come in time; how long it takes to find out what it proves is no fault of the client."""

    @pytest.mark.parametrize("path", ["/mine", "/-/ws?topic=/mine"])
    async def test_that_takes_long_to_verify(
        self, path: str, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pushgate.adapters.downstream.newcomers.PATIENCE", 0.5)
        backend.serve("mine")
        async with (
            portal(carriers=["message"]) as (service, auth),
            running_gateway(backend, {"/mine": route(auth="portal")}, auth=auth) as gateway,
            socket(gateway, path) as client,
        ):
            await say(client, op="auth", token="x", ref=1)
            await service.begun()
            await asyncio.sleep(0.6)  # longer than it has
            service.is_open.set()
            assert (await hear(client, "ack"))["ref"] == 1
            assert (await hear(client, "snapshot"))["data"] == "mine"
            assert await gateway.metric("pushgate_connections_refused_total") == 0

    async def test_that_proves_nothing_is_counted_once(self, backend: ScriptedBackend) -> None:
        """Although the gateway has sent the client away while it was verified, and the client is still there."""
        async with (
            portal(carriers=["message"]) as (service, auth),
            running_gateway(backend, {"/mine": route(auth="portal")}, auth=auth) as gateway,
            raw_client(gateway.port) as client,
            http_client(base_url=gateway.admin, headers={"Pushgate-Admin": "1"}) as operator,
        ):
            service.say(b"", status=403)
            await client.ask("/mine", UPGRADE)
            await client.read_until(b"101 ")
            message = b'{"op":"auth","token":"x"}'
            await client.send(b"\x81" + bytes([0x80 | len(message)]) + bytes(4) + message)
            await service.begun()
            await operator.post("/-/drain")
            service.is_open.set()
            await eventually(lambda: gateway.metric("pushgate_auth_total", result="credentials_refused"), bool)
            assert await gateway.metric("pushgate_connections_refused_total", reason="draining") == 1
            assert await gateway.metric("pushgate_connections_refused_total") == 1


POLLS = {
    "short poll": "/mine",
    "long poll": "/mine?wait=20",
    "poll of a document": "/mine",
    "shared poll": "/-/poll?topic=/mine&wait=20",
}


@asynccontextmanager
async def waiting(name: str, base: str, backend: ScriptedBackend, **headers: str) -> AsyncIterator[Any]:
    """A poll of a topic whose first document takes a while, and which has begun."""
    backend.serve("mine")
    backend.is_open.clear()
    more = {"If-None-Match": '"x"', "Prefer": "wait=20"} if name == "poll of a document" else {}
    async with http_client(base_url=base, headers=headers or bearer()) as http, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(http.get(POLLS[name], headers=more))
        await backend.begun()
        yield asked


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("name", POLLS)
class TestAPoll:
    """It is answered when there is a document, and meanwhile much may happen."""

    async def test_goes_by_new_rules(self, name: str, backend: ScriptedBackend, tmp_path: Path) -> None:
        async with (
            reloadable_gateway(backend, {"/mine": topic()}, tmp_path, auth=AUTH) as gateway,
            waiting(name, gateway.base, backend) as asked,
        ):
            await gateway.rewrite(routes={"/mine": topic(allow=BEN_ONLY)})
            backend.is_open.set()
            assert code_of(await asked) == (403, "forbidden")

    async def test_is_no_strangers_who_was_not_asked_before(
        self, name: str, backend: ScriptedBackend, tmp_path: Path
    ) -> None:
        routes = {"/mine": route(poll=SELDOM)}
        async with (
            reloadable_gateway(backend, routes, tmp_path) as gateway,
            waiting(name, gateway.base, backend) as asked,
        ):
            await gateway.rewrite(auth=AUTH, routes={"/mine": topic()})
            backend.is_open.set()
            assert code_of(await asked) == (401, "credentials_missing")

    async def test_is_nobodys_whose_credentials_have_ended(self, name: str, backend: ScriptedBackend) -> None:
        async with (
            running_gateway(backend, {"/mine": topic()}, auth=AUTH) as gateway,
            waiting(name, gateway.base, backend, **bearer(lives=1.2)) as asked,
        ):
            await asyncio.sleep(1.2)  # the end of credentials has no event
            backend.is_open.set()
            assert code_of(await asked) == (401, "credentials_expired")

    async def test_goes_on_if_nothing_has_changed_for_it(
        self, name: str, backend: ScriptedBackend, tmp_path: Path
    ) -> None:
        async with (
            reloadable_gateway(backend, {"/mine": topic()}, tmp_path, auth=AUTH) as gateway,
            waiting(name, gateway.base, backend) as asked,
        ):
            await gateway.rewrite(routes={"/mine": topic(), "/other": topic()})
            backend.is_open.set()
            assert (await asked).status_code == 200


async def test_a_shared_poll_tells_beside_the_rest_what_cannot_be_had_any_more(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    backend.serve("mine")
    backend.is_open.clear()
    async with (
        reloadable_gateway(backend, {"/mine": topic(), "/ours": topic()}, tmp_path, auth=AUTH) as gateway,
        http_client(headers=bearer()) as http,
        asyncio.TaskGroup() as tasks,
    ):
        asked = tasks.create_task(http.get(f"{gateway.base}/-/poll?topic=/mine&topic=/ours&wait=20"))
        await backend.begun()
        await gateway.rewrite(routes={"/mine": topic(allow=BEN_ONLY), "/ours": topic()})
        backend.is_open.set()
        events = (await asked).json()["events"]
        assert [(event["event"], event["topic"]) for event in events] == [("problem", "/mine"), ("snapshot", "/ours")]


class TestAWrite:
    """Nothing is sent before its body has come; who may not write any more by then does not."""

    @asynccontextmanager
    async def begun(self, gateway: Reloadable, headers: dict[str, str]) -> AsyncIterator[Any]:
        """A write whose body is still to come, and which is let in so far."""
        async with raw_client(gateway.running.port) as client:
            fields = {**headers, "Content-Length": "2", "Expect": "100-continue", "Connection": "close"}
            await client.ask("/mine", "".join(f"{name}: {value}\r\n" for name, value in fields.items()), method="POST")
            await client.read_until(b"100 Continue")
            client.received = b""
            yield client

    async def answer_of(self, client: Any) -> tuple[int, str]:
        await client.send(b"{}")
        await client.read_all()
        return int(client.head.split()[1]), json.loads(client.body)["code"]

    @pytest.mark.parametrize(
        ("after", "expected"),
        [
            ({"/mine": topic(write={"POST": {}}, allow=BEN_ONLY)}, (503, "reloaded")),
            ({"/mine": topic()}, (503, "reloaded")),
            ({"/other": topic()}, (503, "reloaded")),
        ],
        ids=["the rules", "the writing", "the route"],
    )
    async def test_goes_by_no_rules_of_before(
        self, after: dict[str, Any], expected: tuple[int, str], backend: ScriptedBackend, tmp_path: Path
    ) -> None:
        routes = {"/mine": topic(write={"POST": {}})}
        async with (
            reloadable_gateway(backend, routes, tmp_path, auth=AUTH) as gateway,
            self.begun(gateway, bearer()) as client,
        ):
            await gateway.rewrite(routes=after)
            assert await self.answer_of(client) == expected
            assert not backend.requests

    async def test_is_nobodys_whose_key_was_taken_back(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        keys = [{"name": name, "key": f"a key of {name}"} for name in ("acme", "bolt")]
        auth = {"partners": {"kind": "api_key", "keys": keys}}
        routes = {"/mine": route(auth="partners", poll=SELDOM, write={"POST": {}})}
        async with (
            reloadable_gateway(backend, routes, tmp_path, auth=auth) as gateway,
            self.begun(gateway, {"Authorization": "Bearer a key of acme"}) as client,
        ):
            await gateway.rewrite(auth={"partners": {"kind": "api_key", "keys": keys[1:]}})
            assert await self.answer_of(client) == (401, "credentials_missing")
            assert not backend.requests

    async def test_is_nobodys_whose_credentials_have_ended(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        routes = {"/mine": topic(write={"POST": {}})}
        async with (
            reloadable_gateway(backend, routes, tmp_path, auth=AUTH) as gateway,
            self.begun(gateway, bearer(lives=0.8)) as client,
        ):
            await asyncio.sleep(0.8)  # the end of credentials has no event
            assert await self.answer_of(client) == (401, "credentials_missing")
            assert not backend.requests


class TestWhatIsPassedOn:
    """``proxy:``: by the entry that there is when it is known who asks."""

    @pytest.mark.parametrize(
        ("after", "status"),
        [({"/": {}}, 503), ({"/": {"auth": "none"}}, 503), ({"/": {"auth": "portal"}, "/more": {"auth": "none"}}, 200)],
        ids=["other methods", "other auth", "the same"],
    )
    async def test_is_verified_while_the_configuration_changes(
        self, after: dict[str, Any], status: int, backend: ScriptedBackend, tmp_path: Path
    ) -> None:
        entry = {"upstream": "u", "auth": "portal", "methods": ["GET", "POST"]}
        changed = {path: {**entry, **more} if more else {**entry, "methods": ["POST"]} for path, more in after.items()}
        async with (
            portal() as (service, auth),
            reloadable_gateway(backend, {"/x": route(auth="none")}, tmp_path, auth=auth, proxy={"/": entry}) as gateway,
            http_client(headers={"Authorization": "Bearer x"}) as http,
            asyncio.TaskGroup() as tasks,
        ):
            asked = tasks.create_task(http.get(f"{gateway.base}/a"))
            await service.begun()
            await gateway.rewrite(proxy=changed)
            service.is_open.set()
            answer = await asked
            assert answer.status_code == status
            assert len(backend.requests) == (status == 200)
            if status == 503:
                assert (answer.json()["code"], answer.headers["Retry-After"]) == ("reloaded", "1")

    async def test_of_a_route_goes_by_the_rules_of_that_route(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        """A plain GET that the route leaves to the backend."""
        routes = {"/mine": topic(transports=["sse"])}
        entry = {"upstream": "u", "auth": "portal"}
        async with (
            portal(carriers=["query"], send={"headers": []}) as (service, auth),
            reloadable_gateway(backend, routes, tmp_path, auth={**AUTH, **auth}, proxy={"/": entry}) as gateway,
            http_client(headers=bearer()) as http,
            asyncio.TaskGroup() as tasks,
        ):
            asked = tasks.create_task(http.get(f"{gateway.base}/mine?access_token=x"))
            await service.begun()
            await gateway.rewrite(routes={"/mine": topic(transports=["sse"], allow=BEN_ONLY)})
            service.is_open.set()
            assert code_of(await asked) == (503, "reloaded")
            assert not backend.requests
