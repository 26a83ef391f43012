"""A gateway in this process whose configuration a test rewrites while it runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from backends import ScriptedBackend
from gateways import Running
from pushgate.config import Gateway as Config
from pushgate.config import parse
from pushgate.gateway import Gateway

FILE = "gateway.yaml"


@dataclass(slots=True)
class Written:
    """A gateway.yaml that nobody has saved: what it says, and where its relative paths begin."""

    says: dict[str, Any]
    base: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> Config:
        return parse(json.dumps(self.says), file=FILE, environ=self.environ, base=self.base)

    def has_changed(self) -> bool:
        return False

    def folders(self) -> frozenset[Path]:
        return frozenset([self.base])


class Reloadable:
    """A running gateway and what is written for it."""

    def __init__(self, running: Running, written: Written) -> None:
        self.running = running
        self.written = written
        self.base = running.base
        self.admin = running.admin

    async def rewrite(self, **sections: Any) -> dict[str, int]:
        """Write other sections and have them taken over; return what became of topics and clients."""
        self.written.says = {**self.written.says, **sections}
        return await self.reload()

    async def reload(self) -> dict[str, int]:
        reloads = self.running.gateway.reloads
        assert reloads is not None, "the gateway runs"
        return asdict(await reloads.reload(cause="a test"))

    async def metric(self, name: str, **labels: str) -> float:
        return await self.running.metric(name, **labels)


@asynccontextmanager
async def reloadable_gateway(
    backend: ScriptedBackend | str,
    routes: Mapping[str, Any],
    folder: Path,
    *,
    upstream: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    **sections: Any,
) -> AsyncIterator[Reloadable]:
    """A gateway in front of one backend, as long as the context is open; ``sections`` are more of gateway.yaml."""
    url = backend if isinstance(backend, str) else backend.url
    says = {
        "version": 1,
        "server": {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}, **(server or {})},
        "upstreams": {"u": {"url": url, **(upstream or {})}},
        "routes": dict(routes),
        **sections,
    }
    written = Written(says, folder, environ or {})
    async with Gateway(written.read(), source=written).serving() as gateway:
        assert gateway.address is not None and gateway.admin_address is not None
        base, admin = ("http://{}:{}".format(*address) for address in (gateway.address, gateway.admin_address))
        yield Reloadable(Running(gateway, base, admin), written)
