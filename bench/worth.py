"""
What pushing is worth: the bytes that a client of recorded series gets, to those that it would have polled.

Each series is polled by pushgate and followed twice over SSE: as it is, and with ``Accept-Encoding: gzip``. A client
that polled at the same pace would have fetched each answer, compressed with gzip (level 6); one that is byte by byte
the one before is free, as if every backend had honest ETags. Only bodies are counted, on either side: no heads, and no
heartbeats. Each client applies what it gets with somebody else's JSON Patch, and in the end must hold what pushgate
does, and what the last answer says.

What of a series is its key and what is no news is told by the recording; it is read as its extension says.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import jsonpatch

from .herd import ask, gateway
from .recorded import bodies
from .servers import free_ports, running_beside
from .table import Figure, Finding, NotMeasured

SHARED = Path(__file__).parents[2] / "shared" / "realdata"
EVERY = "100ms"
END_WITHIN = 120.0
CURRENT_WITHIN = 5.0

FORMATS: dict[str, object] = {
    "csv": "csv",
    "kml": "xml",
    "txt": {"kind": "text", "lines": True},
    "html": {"kind": "text", "lines": True},
}


@dataclass(slots=True)
class Client:
    """One SSE client: the document it holds, and the bytes it got."""

    path: str
    is_compressed: bool
    document: Any = None
    received: int = 0  # of the body, as it came
    kinds: dict[str, int] = field(default_factory=dict)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: bytes = b""

    async def follow(self, port: int) -> None:
        """Read until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        fields = "Accept: text/event-stream\r\n" + ("Accept-Encoding: gzip\r\n" if self.is_compressed else "")
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if self.is_compressed and b"content-encoding: gzip" not in head.lower():
                raise RuntimeError(f"{self.path} is not compressed: {head!r}")
            unpacker = zlib.decompressobj(wbits=31) if self.is_compressed else None
            while data := await reader.read(2**18):
                self.received += len(data)
                self._hear(unpacker.decompress(data) if unpacker else data)
        finally:
            writer.close()

    def _hear(self, data: bytes) -> None:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            lines = dict(line.split(b": ", 1) for line in block.split(b"\n"))
            kind = lines[b"event"].decode()
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if kind == "snapshot":
                self.document = json.loads(lines[b"data"])
                self.has_begun.set()
            elif kind == "patch":
                self.document = jsonpatch.apply_patch(self.document, json.loads(lines[b"data"]), in_place=True)


@dataclass(frozen=True, slots=True)
class Series:
    """A recorded series, and how a route for it is written."""

    name: str
    bodies: list[bytes]
    ignore: list[str]
    route: dict[str, Any]

    @property
    def polled(self) -> int:
        """The bytes of a client that polls each answer compressed."""
        fresh = [self.bodies[0], *(after for before, after in pairwise(self.bodies) if before != after)]
        return sum(len(gzip.compress(body, 6, mtime=0)) for body in fresh)

    def last(self) -> Any:
        """Return what the last answer says; None if it is not JSON."""
        try:
            document = json.loads(self.bodies[-1])
        except ValueError:
            return None
        for pointer in self.ignore:
            holder = document
            *parts, member = pointer.split("/")[1:]
            for part in parts:
                holder = holder[part]
            holder.pop(member, None)
        return document


def load(folder: Path) -> Series:
    told = json.loads((folder / "meta.json").read_text())
    ignore = [pointer for pointer in told.get("volatile", []) if pointer.startswith("/")]
    route: dict[str, Any] = {"upstream": "recorded", "poll": {"every": EVERY, "jitter": "0%"}, "ignore": ignore}
    pointer, _, member = (told.get("key") or "").partition(" ")
    if member:
        route["key"] = member if pointer == "/" else {pointer: member}
    elif told["ext"] == "csv" and pointer:
        route["key"] = pointer
    if told["ext"] in FORMATS:
        route["format"] = FORMATS[told["ext"]]
    return Series(folder.name, bodies(folder), ignore, route)


def measure() -> Iterator[Finding]:
    folders = sorted(path.parent for path in SHARED.glob("*/meta.json"))
    if not folders:
        yield NotMeasured("worth", "recorded series", "the recorded series are not beside the project")
        return
    series = [load(folder) for folder in folders]
    port, admin_port, backend_port = free_ports(3)
    config = {
        "version": 1,
        "server": {
            "listen": f"127.0.0.1:{port}",
            "admin": {"listen": f"127.0.0.1:{admin_port}"},
            "heartbeat": "10m",
        },
        "upstreams": {"recorded": {"url": f"http://127.0.0.1:{backend_port}"}},
        "routes": {f"/{one.name}": one.route for one in series},
    }
    command = [sys.executable, "-m", "bench.recorded", str(backend_port), str(SHARED)]
    with ExitStack() as stack:
        stack.enter_context(running_beside(command, port=backend_port))
        stack.enter_context(gateway(json.dumps(config), port=port))  # JSON is YAML
        clients = asyncio.run(_follow(series, port, backend_port))
        wrong = list(_wrong(series, clients, port))
    yield from _findings(series, clients)
    yield Figure("worth", "clients that did not end with the last document", len(wrong), "", 0, ", ".join(wrong))


async def _follow(series: list[Series], port: int, backend_port: int) -> dict[str, list[Client]]:
    """Follow everything from the first answer to the last."""
    clients = {one.name: [Client(f"/{one.name}", False), Client(f"/{one.name}", True)] for one in series}
    everybody = [client for both in clients.values() for client in both]
    async with asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(client.follow(port)) for client in everybody]
        await asyncio.gather(*(client.has_begun.wait() for client in everybody))
        await asyncio.to_thread(_play, backend_port)
        for task in following:
            task.cancel()
    return clients


def _play(backend_port: int) -> None:
    """Let the series go on, and return when all have been told, and what was held back until the next poll too."""
    deadline = perf_counter() + END_WITHIN
    ask(backend_port, "POST", "/go")
    while any(ask(backend_port, "GET", "/left").values()):
        if perf_counter() > deadline:
            raise RuntimeError("the recorded series are not polled to their end")
        sleep(0.5)
    sleep(CURRENT_WITHIN)


def _wrong(series: list[Series], clients: dict[str, list[Client]], port: int) -> Iterator[str]:
    for one in series:
        current = ask(port, "GET", f"/{one.name}")
        last = one.last()
        for client in clients[one.name]:
            how = "gzip" if client.is_compressed else "plain"
            if client.document != current:
                yield f"{one.name} ({how}) is not what pushgate holds"
            elif last is not None and current != last:
                yield f"{one.name} ({how}) is not what the backend said"


def _findings(series: list[Series], clients: dict[str, list[Client]]) -> Iterator[Finding]:
    pushed_in_all = polled_in_all = 0
    for one in series:
        plain, compressed = clients[one.name]
        whole = sum(map(len, one.bodies))
        events = ", ".join(f"{count} {kind}" for kind, count in sorted(compressed.kinds.items()))
        note = (
            f"{_kb(compressed.received)} to {_kb(one.polled)} KB for {len(one.bodies)} answers: {events}; "
            f"without gzip {plain.received / whole:.3f} x, {_kb(plain.received)} to {_kb(whole)} KB"
        )
        what = f"{one.name}: bytes pushed to polled, both gzip"
        yield Figure("worth", what, compressed.received / one.polled, "x", note=note)
        pushed_in_all += compressed.received
        polled_in_all += one.polled
    note = f"{_kb(pushed_in_all)} to {_kb(polled_in_all)} KB"
    what = "all series: bytes pushed to polled, both gzip"
    yield Figure("worth", what, pushed_in_all / polled_in_all, "x", note=note)


def _kb(size: int) -> str:
    return f"{size / 1000:,.1f}"
