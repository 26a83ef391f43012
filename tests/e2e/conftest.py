"""
What somebody else's clients are tested with: a backend that changes when it is told, and a real gateway process.

The backend's document is a function of one number, so that of every document that a client holds it can be said
whether the backend ever served it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from aiohttp import web
from playwright.async_api import expect

from browsers import browser_page
from processes import GatewayProcess
from windows import Window

NODE = Path(__file__).parent / "node"

# Whatever a test waits for happens at once; a busy machine and a client that reconnects after 4 s are allowed for.
DEADLINE = 30.0


def document(n: int, *, padding: int = 600) -> dict[str, Any]:
    """The backend's n-th document: a counter, and a keyed list that grows at its head, drops its tail and shuffles."""
    rows = [{"id": f"r{k}", "v": (n * k) % 5, "name": f'k/{k} ~ "é😀"'} for k in range(n + 8, n, -1)]
    if n % 3 == 0:
        rows.insert(5, rows.pop(1))
    return {"n": n, "rows": rows, "some~thing/else": {"even": n % 2 == 0}, "pad": "-" * padding}


class Backend:
    """Serves one document; the next one only as often as it was told to change, one at each poll."""

    def __init__(self) -> None:
        self.url = ""
        self.n = 0
        self.served: set[int] = set()
        self.pages: dict[str, str] = {}
        self.padding = 600  # bytes that make the document larger than any patch of it
        self._left = 0  # changes that are still to be made
        self._done = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path in self.pages:
            return web.Response(text=self.pages[request.path], content_type="text/html")
        if request.path != "/document":
            return web.Response(status=404)
        if self._left:
            self._left -= 1
            self.n += 1
        self.served.add(self.n)
        if not self._left:
            self._done.set()
        return web.json_response(self.document(self.n))

    def document(self, n: int) -> dict[str, Any]:
        return document(n, padding=self.padding)

    async def change(self, times: int) -> int:
        """Serve so many new documents, one at each poll; returns the number of the last once it was served."""
        self._left = times
        self._done.clear()
        await asyncio.wait_for(self._done.wait(), DEADLINE)
        return self.n

    def change_unseen(self) -> int:
        """Change while nobody polls."""
        self.n += 1
        return self.n

    def fold(self, events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Apply events in their order, as a client does, and note the document that is held at each of them."""
        held: Any = None
        story = []
        for event in events:
            if event["event"] == "snapshot":
                held = event["data"]
            elif event["event"] == "patch":
                held = jsonpatch.apply_patch(held, event["data"])
            story.append({"event": event["event"], "id": event.get("id"), "document": held})
        return story

    def check(self, story: Iterable[dict[str, Any]], *, epochs: int) -> None:
        """
        Fail unless a client that lived this story has lost nothing.

        Every document it held is one that was served, the last one is the backend's, the documents only go forward,
        and the numbers of the ids of changes strictly rise within each of the gateway's lives.
        """
        changes = [step for step in story if step["event"] in ("snapshot", "patch")]
        assert changes, "no change arrived"
        for step in changes:
            number = step["document"]["n"]
            assert number in self.served, f"document {number} was never served"
            assert step["document"] == self.document(number), f"at {step['id']}: not what was served as {number}"
        assert changes[-1]["document"]["n"] == self.n
        numbers = [step["document"]["n"] for step in changes]
        assert numbers == sorted(numbers), f"back in time: {numbers}"
        ids = [step["id"].split(".") for step in changes]
        assert len(dict.fromkeys(epoch for epoch, *_ in ids)) == epochs
        for (epoch, number, *_), (next_epoch, next_number, *_) in pairwise(ids):
            assert epoch != next_epoch or int(number) < int(next_number), f"{next_number} after {number}"


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    scripted = Backend()
    runner = web.ServerRunner(web.Server(scripted.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    scripted.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield scripted
    await runner.cleanup()


class Gateway:
    """The gateway process as seen from an event loop that must go on turning while it starts and ends."""

    def __init__(self, process: GatewayProcess) -> None:
        self._process = process
        self.url, self.ws_url, self.admin_url = process.url, process.ws_url, process.admin_url

    async def start(self) -> None:
        await asyncio.to_thread(self._process.start)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        return await asyncio.to_thread(self._process.end, number)

    async def metrics(self) -> str:
        return await asyncio.to_thread(self._process.metrics)


Start = Callable[..., Any]


@pytest.fixture
async def start_gateway(backend: Backend, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a gateway in front of the backend: ``await start_gateway()``; it has one topic, ``/counter``."""
    with ExitStack() as processes:

        async def start(*, server: dict[str, Any] | None = None, **route: Any) -> Gateway:
            settings = {"upstream": "legacy", "request": {"path": "/document"}, "poll": {"every": "30ms"}, "key": "id"}
            config = {
                "server": {"cors": {"origins": [backend.url]}, **(server or {})},
                "upstreams": {"legacy": {"url": backend.url}},
                "routes": {"/counter": {**settings, **route}},
            }
            process = GatewayProcess(tmp_path, config)
            await asyncio.to_thread(processes.enter_context, process)
            return Gateway(process)

        yield start
        await asyncio.to_thread(processes.close)


@pytest.fixture
async def gateway(start_gateway: Start) -> Gateway:
    started: Gateway = await start_gateway()
    return started


def _need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture
def curl() -> str:
    return _need("curl")


@pytest.fixture
def chromium() -> str:
    return _need("chromium")


@pytest.fixture
async def window(chromium: str, tmp_path: Path) -> AsyncIterator[Window]:
    async with browser_page(chromium, tmp_path) as page:
        page.set_default_timeout(15_000)
        expect.set_options(timeout=15_000)
        yield Window(page)


@pytest.fixture
def node() -> str:
    program = _need("node")
    if not (NODE / "node_modules").is_dir():
        pytest.skip("tests/e2e/node/node_modules is not there: run npm ci in tests/e2e/node")
    return program


class Lines:
    """The JSON lines that a client program prints, as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen: list[dict[str, Any]] = []
        self.errors = ""

    async def until(self, is_last: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read on up to and including the line for which this holds."""
        assert self.process.stdout is not None, "it was opened with a pipe"
        try:
            async with asyncio.timeout(DEADLINE):
                while line := await self.process.stdout.readline():
                    self.seen.append(json.loads(line))
                    if is_last(self.seen[-1]):
                        return self.seen[-1]
        except TimeoutError:
            pass
        raise AssertionError(f"it never came; the last lines were {self.seen[-5:]}\n{await self.end()}")

    async def end(self) -> str:
        """End the process and return what it complained about."""
        assert self.process.stderr is not None, "it was opened with a pipe"
        if self.process.returncode is None:
            self.process.kill()
            self.errors += (await self.process.stderr.read()).decode()
            await self.process.wait()
        return self.errors


@pytest.fixture
async def run_client() -> AsyncIterator[Callable[..., Any]]:
    """Start a client program that prints JSON lines: ``await run_client(program, argument, …)``."""
    running: list[Lines] = []

    async def run(*command: str | Path) -> Lines:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, limit=2**22
        )
        running.append(Lines(process))
        return running[-1]

    yield run
    for lines in running:
        await lines.end()
