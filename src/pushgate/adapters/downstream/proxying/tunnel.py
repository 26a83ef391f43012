"""
What follows 101 (Switching Protocols): bytes in both directions, whatever they mean, until either side ends it.

aiohttp hands out the bytes that come after an upgrade to whoever stands where its own WebSocket reader would.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from aiohttp.streams import StreamReader

from .patience import Patience

# So much may wait on either way before its sender is no longer read.
BUFFER_BYTES = 64 * 1024


class _Tap:
    """Stands in for aiohttp's WebSocket reader."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


async def tunnel(
    request: web.BaseRequest, response: aiohttp.ClientResponse, head: bytes, *, patience: Patience
) -> None:
    """Say the head of the 101, and carry bytes until one side has ended; both are closed by the caller."""
    connection, loop = response.connection, asyncio.get_running_loop()
    if connection is None or connection.protocol is None:
        raise aiohttp.ServerDisconnectedError
    from_client = StreamReader(request.protocol, BUFFER_BYTES, loop=loop)
    from_upstream = StreamReader(connection.protocol, BUFFER_BYTES, loop=loop)
    await request.writer.write(head)
    connection.protocol.set_parser(_Tap(from_upstream), from_upstream)
    request.protocol.set_parser(cast("Any", _Tap(from_client)))
    async with asyncio.TaskGroup() as tasks:
        pumps = [
            tasks.create_task(
                _pump(from_client, StreamWriter(connection.protocol, loop), patience), name="to upstream"
            ),
            tasks.create_task(_pump(from_upstream, request.writer, patience), name="to client"),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)  # bounded by the patience
        for pump in pumps:
            pump.cancel()


async def _pump(reader: StreamReader, writer: AbstractStreamWriter, patience: Patience) -> None:
    """Carry what comes one way, until its sender or its receiver is gone."""
    try:
        while piece := await reader.readany():
            patience.touch()
            await writer.write(piece)
            await writer.drain()
    except (ConnectionError, aiohttp.ClientError):
        return
