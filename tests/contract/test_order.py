"""Promise 2: the ids of changes rise on a subscription and never repeat; heartbeats repeat the last one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from backends import ScriptedBackend
from gateways import route, running_gateway
from transports import RESUMABLE, STREAMS, TRANSPORTS, connected, see_through

CHANGES = 60


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ids_rise_however_fast_it_changes(backend: ScriptedBackend, transport: str) -> None:
    """The replica checks the order with every event; here it changes with every poll, seen or not."""
    backend.serve({"n": 0})
    async with (
        running_gateway(backend, {"/t": route()}) as gateway,
        connected(transport, gateway.base, "/t") as client,
    ):
        await client.follow({"n": 0})
        following = asyncio.create_task(client.follow({"n": CHANGES}))
        for n in range(1, CHANGES + 1):
            backend.serve({"n": n})
            await backend.polled()
        await following
        positions = [position for position, _, _ in client.replica.states]
        assert positions == sorted(positions)
        assert len({epoch for epoch, _ in positions}) == 1


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_one_change_has_one_number_on_all_transports_and_modes(backend: ScriptedBackend, transport: str) -> None:
    """A change has exactly one number, whatever it is told as and over which connection."""
    rows = [{"id": n, "v": 0} for n in range(20)]
    backend.serve(rows)
    modes = ["patch", "merge", "items", "snapshot"]
    async with running_gateway(backend, {"/t": route(key="id", emit=modes)}) as gateway, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connected(transport, gateway.base, "/t", emit=mode)) for mode in modes
        ]
        await see_through(clients, rows)
        for v in range(1, 5):
            backend.serve(changed := [{"id": 0, "v": v}, *rows[1:]])
            await see_through(clients, changed)
        assert len({tuple(position for position, _, _ in client.replica.states) for client in clients}) == 1


async def test_heartbeats_repeat_the_last_id(backend: ScriptedBackend) -> None:
    """A heartbeat's id is the position the client has anyway; on ``cursor=now`` it has none."""
    backend.serve({"n": 1})
    async with running_gateway(backend, {"/t": route()}, server={"heartbeat": "2s"}) as gateway:

        async def check(transport: str) -> None:
            async with connected(transport, gateway.base, "/t") as client:
                await client.follow({"n": 1})
                beat = await client.hear("heartbeat")
                assert beat["id"] == client.replica.cursor
                assert beat["data"].keys() == {"at", "state", "confirmed_at"}
                assert beat["data"]["state"] == "live"

        async with asyncio.TaskGroup() as tasks:
            for transport in STREAMS:
                tasks.create_task(check(transport))
