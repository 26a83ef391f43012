"""Gateways from the files that users copy, those in examples/, and the clients that their recipes are for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx_sse

from gateways import Running, http_client
from links import Link, Sse
from pushgate.clock import Clock
from pushgate.config import load
from pushgate.gateway import Gateway

EXAMPLES = Path(__file__).parents[1] / "examples"

# Free ports.
ANYWHERE = {"PORT": "0", "ADMIN_PORT": "0"}


def example(name: str) -> Path:
    return EXAMPLES / name / "gateway.yaml"


@asynccontextmanager
async def example_gateway(name: str, *, clock: Clock | None = None, **environ: str) -> AsyncIterator[Running]:
    """The gateway of ``examples/<name>/gateway.yaml`` with these variables set, and no others."""
    config = load(example(name), environ={**ANYWHERE, **environ})
    async with Gateway(config, clock=clock).serving() as gateway:
        assert gateway.address is not None and gateway.admin_address is not None
        base, admin = ("http://{}:{}".format(*address) for address in (gateway.address, gateway.admin_address))
        yield Running(gateway, base, admin)


class SignedSse(Sse):
    """EventSource as pages do it that have to send a token: by fetch, which can."""

    def __init__(self, base: str, topic: str, *, token: str) -> None:
        super().__init__(base, topic)
        self.token = token

    async def _open(self, cursor: str | None) -> None:
        client = await self._resources.enter_async_context(http_client(headers=bearer(self.token)))
        headers = {} if cursor is None else {"Last-Event-ID": cursor}
        source = await self._resources.enter_async_context(
            httpx_sse.aconnect_sse(client, "GET", self.base + self.topic, headers=headers)
        )
        assert source.response.status_code == 200, source.response.status_code
        self._events = source.aiter_sse()
        self._resources.push_async_callback(self._events.aclose)  # type: ignore[attr-defined]  # it is a generator


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class ShiftedClock(Clock):
    """Time that passes as it does everywhere, and began at another time of day; both in seconds since the epoch."""

    def __init__(self, *, starts_at: float) -> None:
        self._ahead = starts_at - super().wall()

    def wall(self) -> float:
        return super().wall() + self._ahead

    def wall_at(self, moment: float) -> float:
        return super().wall_at(moment) + self._ahead


async def follow_until(client: Link, is_it: Callable[[Any], bool]) -> Any:
    """Follow until the document is as the test wants it, and return that."""
    while not is_it(client.replica.document):
        await client.receive()
    return client.replica.document
