"""A real gateway in this process, on free ports, from a mapping that says what gateway.yaml would."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from backends import PATIENCE, ScriptedBackend
from pushgate.config.gateway import Gateway as Config
from pushgate.gateway import Gateway
from pushgate.tracing import NOBODY, Tracer

Seen = TypeVar("Seen")

# Fast enough for a test to see many polls, and without dice.
FAST = {"every": "10ms", "jitter": "0%", "linger": "200ms"}

EVERY_MODE = ["patch", "merge", "items", "snapshot"]


@dataclass(frozen=True, slots=True)
class Running:
    """Where a gateway can be reached."""

    gateway: Gateway
    base: str  # of the public listener
    admin: str

    @property
    def port(self) -> int:
        assert self.gateway.address is not None
        return self.gateway.address[1]

    async def metric(self, name: str, **labels: str) -> float:
        """Read a series from /metrics; the sum of all that have these labels, 0 if there is none."""
        async with http_client() as client:
            text = (await client.get(f"{self.admin}/metrics")).text
        lines = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(float(value) for found, value in lines if wanted <= set(found.split(",")))


def http_client(**options: Any) -> httpx.AsyncClient:
    """An HTTP client that asks exactly what it is told and waits as long as it takes."""
    return httpx.AsyncClient(verify=False, trust_env=False, timeout=None, **options)


async def eventually(look: Callable[[], Awaitable[Seen]], is_it: Callable[[Seen], bool]) -> Seen:
    """Look again and again until it is so, and return what was seen: for what nobody announces."""
    async with asyncio.timeout(3 * PATIENCE):
        while True:
            if is_it(seen := await look()):
                return seen
            await asyncio.sleep(0.01)


def route(**changes: Any) -> dict[str, Any]:
    """A route of the backend ``u`` that is polled fast; ``poll`` and ``guards`` are merged, anything else replaces."""
    poll = {**FAST, **changes.pop("poll", {})}
    guards = {"confirm_after": "50ms", **changes.pop("guards", {})}
    return {"upstream": "u", "poll": poll, "guards": guards, "emit": ["patch", "merge", "snapshot"], **changes}


def config_of(
    backend_url: str,
    routes: Mapping[str, Any],
    *,
    upstream: Mapping[str, Any],
    server: Mapping[str, Any],
    **sections: Any,
) -> Config:
    listening = {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}
    return Config.model_validate(
        {
            "version": 1,
            "server": {**listening, **server},
            "upstreams": {"u": {"url": backend_url, **upstream}},
            "routes": dict(routes),
            **sections,
        }
    )


@asynccontextmanager
async def running_gateway(
    backend: ScriptedBackend | str,
    routes: Mapping[str, Any],
    *,
    upstream: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    tracer: Tracer = NOBODY,
    **sections: Any,
) -> AsyncIterator[Running]:
    """A gateway in front of one backend, as long as the context is open; ``sections`` are more of gateway.yaml."""
    url = backend if isinstance(backend, str) else backend.url
    config = config_of(url, routes, upstream=upstream or {}, server=server or {}, **sections)
    async with Gateway(config, tracer=tracer).serving() as gateway:
        assert gateway.address is not None and gateway.admin_address is not None
        base, admin = ("http://{}:{}".format(*address) for address in (gateway.address, gateway.admin_address))
        yield Running(gateway, base if config.server.tls is None else base.replace("http", "https", 1), admin)
