"""The clients that the documentation shows are run as they stand: in Chromium, and in Python."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page

from backends import answering
from browsers import PATCHING, browser_page
from gateways import Running, eventually, running_gateway
from test_docs import DELIVERY, FENCE

PAGE = "<!doctype html><title>a client</title><link rel=icon href='data:,'>"

# What the examples leave to whoever copies them: to apply a patch, and to show something.
GLUE = PATCHING + (
    "const shown = []; const applyPatch = patched, show = d => shown.push(d), showState = s => {};"
    "let held; function apply(e) {"
    "  if (e.event === 'snapshot') held = e.data;"
    "  if (e.event === 'patch') held = patched(held, e.data);"
    "  show(held); }\n"
)

BROWSERS = {
    "Browser, SSE": "setInterval(() => show(document_), 20);",
    "Browser, WebSocket": "",
    "Old browsers, XMLHttpRequest only": "",
}


def code(heading: str, language: str) -> str:
    """What a section of the page shows, as one program."""
    section = DELIVERY.read_text().partition(f"### {heading}\n")[2].partition("\n##")[0]
    assert section, f"{DELIVERY.name} has no section {heading}"
    return "\n".join(block[3] for block in FENCE.finditer(section) if block[2] == language)


class Departures:
    """A backend with a page, and a list that is another one whenever it is told so."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = [{"id": n, "to": "Lyon"} for n in range(30)]
        self.page = PAGE

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/page":
            return web.Response(text=self.page, content_type="text/html")
        return web.json_response(self.rows)

    def change(self) -> None:
        self.rows = [{**row, "to": row["to"] + "!"} if row["id"] == 7 else row for row in self.rows]


@asynccontextmanager
async def serving(departures: Departures) -> AsyncIterator[Running]:
    route = {"upstream": "u", "key": "id", "poll": {"every": "50ms"}, "emit": ["patch", "snapshot"]}
    async with (
        answering(departures) as url,
        running_gateway(url, {"/departures": route}, proxy={"/": {"upstream": "u", "auth": "none"}}) as gateway,
    ):
        yield gateway


@pytest.mark.parametrize("heading", BROWSERS)
async def test_a_page_shows_what_the_backend_has(heading: str, chromium: str, tmp_path: Path) -> None:
    """At first, and after each change, from the gateway that serves the page, too."""
    departures = Departures()
    program = code(heading, "js").replace("wss://", "ws://")
    departures.page = f"{PAGE}<script>{GLUE}{program}\n{BROWSERS[heading]}</script>"
    async with serving(departures) as gateway, browser_page(chromium, tmp_path) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{gateway.base}/page")
        for _ in range(3):
            await eventually(lambda: latest(page), lambda rows: rows == departures.rows)
            departures.change()
        await eventually(lambda: latest(page), lambda rows: rows == departures.rows)
        assert not errors


async def latest(page: Page) -> Any:
    return await page.evaluate("shown.at(-1)")


async def test_a_program_in_python_hears_every_change() -> None:
    """With a client library that people have, and the loop as it is printed."""
    departures = Departures()
    async with serving(departures) as gateway:
        program = "\n".join(
            [
                "import httpx, json, time",
                f"session, url = httpx.Client(timeout=60, trust_env=False), '{gateway.base}/departures'",
                "def apply(event): print(json.dumps(event), flush=True)",
                code("Long poll, Python", "python").replace('params={"wait"', 'params={"emit": "snapshot", "wait"'),
            ]
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                for _ in range(3):
                    while json.loads(await process.stdout.readline())["data"] != departures.rows:
                        pass
                    departures.change()
        finally:
            process.kill()
            await process.wait()
