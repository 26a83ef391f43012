"""Somebody else's clients that offer compression, as most do, get it and lose nothing; and end well when it ends."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, Response

from browsers import browser_page

SCRIPTS = Path(__file__).parent / "node"
DEADLINE = 30
CHANGES = 40

PAGE = """<!doctype html><title>compressed</title><script>
"use strict";
const url = "%s", stories = {eventsource: [], websocket: [], fetch: []}, agreed = {}, errors = [];
addEventListener("error", e => errors.push(String(e.error ?? e.message)));
addEventListener("unhandledrejection", e => errors.push(String(e.reason)));
const hear = (name, event, id, data) => stories[name].push({event, id, data});

const source = new EventSource(url);
for (const kind of ["snapshot", "heartbeat"])
  source.addEventListener(kind, e => hear("eventsource", kind, e.lastEventId, JSON.parse(e.data)));
const socket = new WebSocket(url.replace("http", "ws"));
socket.onopen = () => {
  agreed.websocket = socket.extensions;
  socket.send('{"op":"ping","ref":"' + "x".repeat(2000) + '"}');
};
socket.onmessage = e => { const {event, id, data} = JSON.parse(e.data); hear("websocket", event, id, data); };
(async () => {
  let cursor = "";
  for (;;) {
    const answer = await fetch(url + (cursor && "?cursor=" + cursor));
    cursor = answer.headers.get("Pushgate-Cursor");
    if (answer.status !== 200) continue;
    const body = await answer.json();
    for (const {event, id, data} of body.events ?? [{event: "snapshot", id: cursor, data: body}])
      hear("fetch", event, id, data);
  }
})();
const hold = n => Object.values(stories).every(story => story.findLast(e => e.event === "snapshot")?.data.n === n);
</script>"""


@pytest.fixture
async def gateway(start_gateway: Any) -> Any:
    """It sends whole documents, each of which is worth to be compressed."""
    return await start_gateway(emit=["snapshot"], poll={"every": "20ms"})


def check(backend: Any, events: list[dict[str, Any]]) -> None:
    """Fail unless these events, of which each is a whole document, are all that a client should have heard."""
    told = [event for event in events if event.get("event") == "snapshot"]
    backend.check(backend.fold(told), epochs=1)
    assert len(told) > CHANGES / 2


@pytest.fixture
async def page(chromium: str, tmp_path: Path) -> AsyncIterator[Page]:
    async with browser_page(chromium, tmp_path) as page:
        yield page


async def test_chromium(backend: Any, gateway: Any, page: Page) -> None:
    """EventSource, WebSocket and fetch, in one page."""
    backend.pages["/page"] = PAGE % f"{gateway.url}/counter"
    codings: set[tuple[str, str | None]] = set()

    def note(response: Response) -> None:
        if "/counter" in response.url and response.status == 200:
            codings.add((response.request.resource_type, response.headers.get("content-encoding")))

    page.on("response", note)
    await page.goto(f"{backend.url}/page")
    await page.wait_for_function("hold(0)", timeout=20_000)
    last = await backend.change(CHANGES)
    await page.wait_for_function(f"hold({last})", timeout=20_000)
    assert await page.evaluate("errors") == []
    for events in (await page.evaluate("stories")).values():
        check(backend, events)
    assert codings == {("eventsource", "gzip"), ("fetch", "gzip")}
    assert (await page.evaluate("agreed.websocket")).startswith("permessage-deflate")


async def test_curl(curl: str, backend: Any, gateway: Any, tmp_path: Path) -> None:
    """``curl --compressed -N`` prints every event when it comes, and is content when the stream ends."""
    head = tmp_path / "head"
    command = [curl, "-sSN", "--compressed", "-D", head, "-H", "Accept: text/event-stream", f"{gateway.url}/counter"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=pipe, stderr=pipe, limit=2**22)
    assert process.stdout is not None and process.stderr is not None
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE):
        await _follow(process.stdout, events, backend.n)
        last = await backend.change(CHANGES)
        await _follow(process.stdout, events, last)
        await gateway.end()
        rest = await process.stdout.read()
        errors = await process.stderr.read()
    assert (await process.wait(), errors) == (0, b"")
    assert re.search(rb"retry: \d+\n", rest)
    check(backend, events)
    assert "content-encoding: gzip" in head.read_text().lower()


async def _follow(lines: asyncio.StreamReader, events: list[dict[str, Any]], n: int) -> None:
    """Read events of one stream until the document is the n-th."""
    event: dict[str, Any] = {}
    while not (events and events[-1]["event"] == "snapshot" and events[-1]["data"]["n"] == n):
        line = await lines.readline()
        assert line, "the end, and the document is not there"
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = json.loads(value) if name == "data" else value
        elif event:
            events.append(event)
            event = {}


async def test_aiohttp(backend: Any, gateway: Any) -> None:
    """Its client decompresses what it asked to be compressed: streams, messages and bodies, to their ends."""
    events: dict[str, list[dict[str, Any]]] = {"sse": [], "websocket": []}
    url = f"{gateway.url}/counter"
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(read_bufsize=2**22, timeout=timeout) as session, asyncio.timeout(DEADLINE):
        async with session.get(url) as body:
            assert body.headers["Content-Encoding"] == "gzip"
            assert await body.json() == backend.document(backend.n)
        async with (
            session.get(url, headers={"Accept": "text/event-stream"}) as stream,
            session.ws_connect(url, compress=15) as socket,
        ):
            assert stream.headers["Content-Encoding"] == "gzip" and socket.compress
            await _follow(stream.content, events["sse"], backend.n)
            await socket.send_json({"op": "ping", "ref": "x" * 2000})
            last = await backend.change(CHANGES)
            await _follow(stream.content, events["sse"], last)
            while not (told := events["websocket"]) or told[-1]["event"] == "ack" or told[-1]["data"]["n"] != last:
                told.append(await socket.receive_json())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(gateway.end())  # which waits for the answer to the end of the socket
                await stream.content.read()
                assert (await socket.receive()).data == 1012
    for told in events.values():
        check(backend, told)
    assert "ack" in [event["event"] for event in events["websocket"]]


async def test_node(node: str, backend: Any, gateway: Any, run_client: Any) -> None:
    """Node's own fetch, and npm's ws."""
    lines = await run_client(node, SCRIPTS / "compressed.mjs", f"{gateway.url}/counter")
    held: dict[str, int | None] = {"ws": None, "fetch": None}

    def all_hold(line: dict[str, Any]) -> bool:
        if line.get("event") == "snapshot":
            held[line["client"]] = line["data"]["n"]
        return set(held.values()) == {backend.n}

    await lines.until(all_hold)
    await backend.change(CHANGES)
    await lines.until(all_hold)
    await gateway.end()
    ends: set[str] = set()

    def all_ended(line: dict[str, Any]) -> bool:
        ends.update([line["client"]] if "closed" in line else [])
        return ends == {"ws", "fetch"}

    await lines.until(all_ended)
    agreed = {line["client"]: line["agreed"] for line in lines.seen if "agreed" in line}
    assert agreed == {"ws": "permessage-deflate", "fetch": "gzip"}
    for client in held:
        check(backend, [line for line in lines.seen if line["client"] == client])
    closed = {line["client"]: line["closed"] for line in lines.seen if "closed" in line}
    assert closed == {"ws": 1012, "fetch": True}
