"""``pushgate probe`` as a user runs it: a process, a backend on loopback, and what comes out."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from backends import ScriptedBackend, answering
from pushgate.cli import app
from pushgate.config import parse

PATIENCE = 30.0

runner = CliRunner()


@dataclass(slots=True)
class Bikes:
    """A backend whose answers have a clock, rows numbered by their place, and a new row at the head each few polls."""

    url: str = ""
    polls: int = 0
    under_way: int = 0
    most_under_way: int = 0
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.seen.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        self.polls += 1
        newest = 3 + self.polls // 3
        rows = [{"row": at, "code": f"c{newest - at}", "text": f"text {newest - at}"} for at in range(newest)]
        body = json.dumps({"now": time.time(), "rows": rows}).encode()
        self.under_way -= 1
        if self.polls >= 4:
            self.answered.set()
        return web.Response(body=body, content_type="text/html")


@asynccontextmanager
async def bikes() -> AsyncIterator[Bikes]:
    backend = Bikes()
    async with answering(backend) as backend.url:
        yield backend


async def start(*arguments: str, **more: Any) -> Process:
    command = [sys.executable, "-m", "pushgate", "probe", *arguments]
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=more.pop("stderr", PIPE), **more)


async def probe(*arguments: str) -> tuple[int, str, str]:
    """Run the command to its end: exit status, standard output, standard error."""
    process = await start(*arguments)
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def loaded(text: str, **environ: str) -> Any:
    return parse(text, file="gateway.yaml", environ=environ, base=Path())


async def test_a_probe_prints_a_route_that_loads() -> None:
    """The key that is none is not recommended, the clock is ignored, the wrong type is told of, one poll at a time."""
    async with bikes() as backend:
        status, out, err = await probe(backend.url + "/rows.json", "--for", "8s")
    assert (status, err) == (0, "")
    route = loaded(out).routes["/rows.json"]
    assert (route.key, route.ignore, route.format.kind) == ("code", ("/now",), "json")
    assert "row would be a trap" in out
    assert "the Content-Type is wrong: text/html" in out
    assert backend.most_under_way == 1
    assert "\x1b" not in out


async def test_what_it_is_told_is_sent_and_not_printed() -> None:
    """Credentials, header fields and a body reach the backend; the output has variables for what is secret."""
    async with bikes() as backend:
        url = backend.url + "/rpc?token=t0ps3cret"
        options = ["-u", "me:p4ssw0rd", "-H", "X-Tenant: acm3", "-d", '{"method": "list", "secret": "s3same"}']
        status, out, err = await probe(url, *options, "--for", "2s", "--output", "json")
    assert status == 0, err
    method, path, headers, body = backend.seen[0]
    assert (method, path) == ("POST", "/rpc?token=t0ps3cret")
    assert headers["Authorization"] == "Basic " + b64encode(b"me:p4ssw0rd").decode()
    assert (headers["X-Tenant"], headers["Content-Type"]) == ("acm3", "application/json")
    assert json.loads(body)["secret"] == "s3same"
    assert not any(secret in out + err for secret in ("t0ps3cret", "p4ssw0rd", "acm3", "s3same"))
    report = json.loads(out)
    assert set(report["environment"]) == {"PASSWORD", "X_TENANT", "TOKEN", "SECRET"}
    loaded(json.dumps(report["config"]), **dict.fromkeys(report["environment"], "x"))


async def test_ctrl_c_ends_the_polling_and_prints_what_is_known() -> None:
    """One SIGINT is "enough", and no failure."""
    async with bikes() as backend:
        process = await start(backend.url + "/rows.json", "--for", "5m")
        try:
            await asyncio.wait_for(backend.answered.wait(), PATIENCE)
            process.send_signal(signal.SIGINT)
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, err.decode()
    assert loaded(out.decode()).routes["/rows.json"].key == "code"


async def test_on_a_terminal_progress_is_one_line_that_is_rewritten() -> None:
    """And it is gone when the route is printed."""
    ours, theirs = pty.openpty()
    async with bikes() as backend:
        process = await start(
            backend.url + "/rows.json", "--for", "3s", stderr=theirs, env={**os.environ, "TERM": "xterm"}
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\r\x1b[K1 polls" in shown
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")
    assert b"version: 1" in out


async def test_an_honest_backend_is_said_to_be_one(backend: ScriptedBackend) -> None:
    """Every other poll is conditional, and the 304 that comes back is worth a note."""
    backend.is_honest = True
    backend.serve({"a": 1})
    status, out, _ = await probe(backend.url + "/x", "--for", "5s")
    assert status == 0
    assert "nchanged answers are 304" in out
    conditional = ["if-none-match" in asked.headers for asked in backend.requests]
    assert conditional[:4] == [False, True, False, True]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "show who you are with -u or -H"), (404, "look at the path"), (302, "the address that it redirects to")],
)
async def test_a_backend_that_refuses_fails_at_once(backend: ScriptedBackend, status: int, words: str) -> None:
    """It is asked once; the message has a remedy, and no route is printed."""
    backend.say(b"no", status=status)
    code, out, err = await probe(backend.url + "/x?api_key=s3cret", "--for", "1m")
    assert (code, out) == (1, "")
    assert words in err
    assert "s3cret" not in err
    assert len(backend.requests) == 1


async def test_an_unreachable_backend_fails() -> None:
    """After a few tries: insisting would not help."""
    code, out, err = await probe("http://127.0.0.1:9/x", "--for", "1s")
    assert (code, out) == (1, "")
    assert "connect" in err


async def test_too_many_requests_is_obeyed(backend: ScriptedBackend) -> None:
    """Retry-After: 60 in a probe of ten seconds is the end of it."""
    backend.say(b"slow down", status=429, Retry_After="60")
    code, _, err = await probe(backend.url + "/x", "--for", "10s")
    assert (code, len(backend.requests)) == (1, 1)
    assert "rate_limited" in err


async def test_polls_are_limited_by_their_number(backend: ScriptedBackend) -> None:
    """However long it may take."""
    backend.serve([1, 2])
    code, _, _ = await probe(backend.url + "/x", "--for", "10m", "--max-polls", "2")
    assert (code, len(backend.requests)) == (0, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["bikes.example/x"],
        ["ftp://bikes.example/x"],
        ["http://[::1/x"],
        ["http://a.example/x", "-H", "no colon"],
        ["http://a.example/x", "--for", "120"],
        ["http://a.example/x", "--for", "0s"],
        ["http://a.example/x", "-X", "BREW"],
        ["http://a.example/x", "-X", "GET", "-d", "{}"],
        ["http://a.example/x", "--output", "xml"],
        [],
    ],
)
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    """Before anything is asked."""
    assert runner.invoke(app, ["probe", *arguments]).exit_code == 2
