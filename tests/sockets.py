"""WebSocket clients that a test leads by the hand: what they say, what they hear, and how it ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from backends import PATIENCE
from gateways import Running


def socket(gateway: Running, path: str, **options: Any) -> connect:
    return connect(f"{gateway.base.replace('http', 'ws', 1)}{path}", proxy=None, ping_interval=None, **options)


async def say(client: ClientConnection, **message: Any) -> None:
    await client.send(json.dumps(message))


async def hear(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Wait for an event of this kind."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event: dict[str, Any] = json.loads(await client.recv())
            if event["event"] == kind:
                return event


async def closing(client: ClientConnection) -> tuple[int, str]:
    """Wait for the end, and return how the gateway closed it."""
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as end:
            assert end.rcvd is not None
            return end.rcvd.code, end.rcvd.reason
