"""Every command that the documentation shows does what it says: it is run, as it stands, and succeeds."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from aiohttp import web

from backends import answering
from documented import ROOT, Terminal, terminal
from gateways import eventually
from test_docs import FENCE, PAGES, name

QUICKSTART = ROOT / "docs" / "quickstart.md"
MANUALS = [*PAGES, *sorted((ROOT / "helm").glob("*/README.md"))]

# What stands in commands for something that only a reader has.
PLACEHOLDERS = {
    "/etc/pushgate/": "",
    "CURSOR": "",
    "$TOKEN": "partners-key-of-the-documentation",
    "--for 2m": "--for 2s",
}

GATEWAY = """
version: 1
server:
  listen: 127.0.0.1:8080
  admin: {listen: 127.0.0.1:8081}
  poke: {secret: "${POKE_SECRET:-a secret of thirty-two characters}"}
  drain: {window: 100ms, grace: 100ms}
upstreams:
  legacy: {url: "https://bikes.example", budget: {rate: 50/s}}
  bikes: {url: "https://bikes.example"}
auth:
  staff: {kind: jwt, secret: a secret of thirty-two characters, algorithms: [HS256], carriers: [header, ticket]}
  partners: {kind: api_key, carriers: [header, ticket], keys: [{name: acme, key: partners-key-of-the-documentation}]}
defaults: {auth: none, poll: {every: 1s}}
routes:
  /departures: {upstream: legacy, key: id}
  /boarding: {upstream: legacy}
  /orders: {upstream: legacy, share: identity, auth: [partners, staff], forward: {cookies: [SID]}}
  /prices/{currency}: {upstream: legacy, auth: partners}
  /quotes/{symbol}: {upstream: legacy, query: {currency: {pattern: "[A-Z]{3}", default: EUR}}}
  /stations/{city}:
    upstream: legacy
    query: {lang: {pattern: "[a-z]{2}", default: en}}
    key: id
    emit: [patch, items, snapshot]
  /threads/{id}: {upstream: legacy}
  /threads/{id}/comments: {upstream: legacy, write: {POST: {}}}
"""


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """The shell blocks of a page, each with its line; those in a list stand further to the right."""
    text = re.sub(r"^ +(```)", r"\1", page.read_text(), flags=re.MULTILINE)
    for block in FENCE.finditer(text):
        if block[2] in ("sh", "bash", "shell", "console"):
            yield text[: block.start(3)].count("\n") + 1, dedent(block[3])


def typed(block: str) -> str:
    """What somebody types; who begins anew does so in a folder of its own."""
    return f'cd "$(mktemp -d)"\n{block}' if "pushgate init" in block else block


def session(block: str) -> list[tuple[str, str]]:
    """The commands of a block that shows what comes back, each with that; none of a block that only has commands."""
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (step.partition("\n") for step in steps)]


def follow(opened: Terminal, block: str) -> None:
    """Run a block as it stands: its commands succeed, or say what it shows."""
    steps = session(block)
    for command, shown in steps:
        assert opened.run(f"{command} || true", MUST_SUCCEED="") == shown, command
    if not steps:
        opened.run(typed(block), POKE_SECRET="a secret of thirty-two characters")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def places() -> dict[str, str]:
    """Free ports for the addresses that the documentation uses."""
    gateway, admin, backend = free_port(), free_port(), free_port()
    return {
        **dict.fromkeys(("https://live.example", "https://push.example"), f"http://127.0.0.1:{gateway}"),
        "localhost:8080": f"127.0.0.1:{gateway}",
        "127.0.0.1:8080": f"127.0.0.1:{gateway}",
        "127.0.0.1:8081": f"127.0.0.1:{admin}",
        "127.0.0.1:9000": f"127.0.0.1:{backend}",
        "http.server 9000": f"http.server {backend}",
    }


async def legacy(request: web.BaseRequest) -> web.StreamResponse:
    """A backend that has something everywhere, and lets itself be written to."""
    if request.method == "POST":
        return web.json_response({"id": 42}, status=201)
    return web.json_response([{"id": 1, "to": "Lyon"}, {"id": 2, "to": "Nice"}])


@asynccontextmanager
async def documented(folder: Path) -> AsyncIterator[Terminal]:
    """A terminal in a folder with what the pages take for granted: a gateway that runs, recordings, the chart."""
    async with answering(legacy) as url:
        with terminal(folder, places() | PLACEHOLDERS | {"https://bikes.example": url}, helm=helm()) as opened:
            record(opened.folder)
            (opened.folder / "helm").symlink_to(ROOT / "helm")
            await asyncio.to_thread(opened.run, f"cat >gateway.yaml <<'END'\n{GATEWAY}\nEND\npushgate run")
            yield opened


def record(folder: Path) -> None:
    """Leave two series of answers there."""
    for series in ("recorded", "day1"):
        (folder / series).mkdir()
    for number in range(5):
        (folder / "recorded" / f"{number}.json").write_text(json.dumps([{"id": 1, "n": number}]))
        (folder / "day1" / f"{number}.csv").write_text(f"id;load\n1;{number}\n")


def helm() -> str:
    own = ROOT / ".venv" / "bin" / "helm"
    return str(own) if own.exists() else ""


@pytest.mark.parametrize(
    "page", [page for page in MANUALS if page != QUICKSTART and next(blocks(page), None)], ids=name
)
async def test_every_command_succeeds(page: Path, tmp_path: Path) -> None:
    """One page after the other, from top to bottom, as somebody would who follows it."""
    async with documented(tmp_path) as opened:
        for _, block in blocks(page):
            await asyncio.to_thread(follow, opened, block)


async def test_the_quickstart_leads_to_a_pushed_change(tmp_path: Path) -> None:
    """In an empty folder, from nothing, without a line that is not on the page."""
    with terminal(tmp_path, places()) as opened:

        async def streamed() -> str:
            return opened.streamed

        [shown] = [block[3] for block in FENCE.finditer(QUICKSTART.read_text()) if block[2] == "text"]
        for _, block in blocks(QUICKSTART):
            await asyncio.to_thread(opened.run, block)
            if '"updated": 2' in block:
                heard = await eventually(streamed, lambda text: "event: patch" in text)
                assert shown.strip() in re.sub(r"^id: .*\n", "", heard, flags=re.MULTILINE)
    assert "event: patch" in heard
