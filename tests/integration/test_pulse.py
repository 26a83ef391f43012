"""Who is dead and who is only slow, as the kernel of this machine tells it, on both event loops."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from loops import run_on_both
from pushgate.adapters.downstream.handover import listen
from pushgate.adapters.downstream.pulse import be_patient, is_dead

SILENCE = 1.5  # seconds; several repetitions fall into it
DEADLINE = 12.0
SO_ATTACH_FILTER = 26  # asm-generic/socket.h

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="this system does not tell")


def unplug(client: socket.socket) -> None:
    """Have the client's system throw away whatever comes for it."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # linux/filter.h: BPF_RET, 0 bytes
    try:
        client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(nothing)))
    except OSError as error:
        pytest.skip(f"this system cannot cut off a socket: {error}")


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A client, and the transport of a stream to it."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[asyncio.Transport] = loop.create_future()

    class Stream(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.set_result(cast("asyncio.Transport", transport))

    listener = listen("127.0.0.1", 0, heartbeat=2.0)
    server = await loop.create_server(Stream, sock=listener)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        transport = await asyncio.wait_for(accepted, DEADLINE)
        be_patient(transport)
        transport.write(b"hello")
        await loop.sock_recv(client, 100)
        yield transport, client
    transport.abort()
    await asyncio.sleep(0)
    server.close()
    await server.wait_closed()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 (the kernel tells nobody)
            await asyncio.sleep(0.02)


def test_who_acknowledges_nothing_is_dead() -> None:
    """But not before the time is up, and not because of one byte that has just been sent."""

    async def main() -> None:
        async with connection() as (transport, client):
            await asyncio.sleep(SILENCE)
            unplug(client)
            transport.write(b"anybody?")
            assert not is_dead(transport, SILENCE), "it has had no time to answer"
            await soon(lambda: is_dead(transport, SILENCE))
            assert not is_dead(transport, 60.0)

    run_on_both(main)


def test_who_acknowledges_is_not() -> None:
    """Whether there is nothing to say, or the client reads what there is."""

    async def main() -> None:
        async with connection() as (transport, client):
            await asyncio.sleep(SILENCE)
            assert not is_dead(transport, SILENCE / 2)
            transport.write(b"anybody?")
            await asyncio.get_running_loop().sock_recv(client, 100)
            assert not is_dead(transport, SILENCE / 2)

    run_on_both(main)


def test_who_does_not_read_is_not() -> None:
    """Its system goes on saying that there is no room, which is an answer; for longer than the kernel's patience."""

    async def main() -> None:
        async with connection() as (transport, client):
            transport.write(b"x" * 2_000_000)
            ends_at = asyncio.get_running_loop().time() + 4.0
            while asyncio.get_running_loop().time() < ends_at:
                assert not is_dead(transport, 0.1)
                await asyncio.sleep(0.1)
            assert not transport.is_closing()
            assert len(await asyncio.get_running_loop().sock_recv(client, 1_000_000)) > 1000

    run_on_both(main)


def test_who_vanishes_while_it_does_not_read_is_dead() -> None:
    """The kernel asks whether there is room by now, and nobody answers."""

    async def main() -> None:
        async with connection() as (transport, client):
            transport.write(b"x" * 2_000_000)
            await asyncio.sleep(0.5)
            unplug(client)
            await soon(lambda: is_dead(transport, SILENCE))

    run_on_both(main)


def test_a_connection_that_has_gone_is_not_asked() -> None:
    async def main() -> None:
        async with connection() as (transport, _):
            transport.abort()
            await asyncio.sleep(0.05)
            assert not is_dead(transport, 0.0)
            be_patient(transport)

    run_on_both(main)
