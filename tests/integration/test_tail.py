"""``pushgate tail`` as a user runs it: a process that follows a gateway, which is another."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backends import ScriptedBackend, scripted_backend
from gateways import EVERY_MODE, Running, eventually, route, running_gateway
from processes import GatewayProcess
from pushgate.cli import app
from replicas import Replica, is_same
from tokens import STAFF, token

PATIENCE = 30.0

TRANSPORTS = ["sse", "websocket", "long_poll", "short_poll"]


class Tail:
    """A running command, what it has printed, and the documents that follow from it by somebody else's hands."""

    def __init__(self, process: Process, *, is_shared: bool) -> None:
        self.process = process
        self.is_shared = is_shared
        self.heard: list[dict[str, Any]] = []
        self.replicas: dict[str, Replica] = {}

    async def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        assert line, (await self.end(), self.heard)
        event: dict[str, Any] = json.loads(line)
        self.heard.append(event)
        replica = self.replica(event.get("topic", ""))
        replica.apply({"id": None, **event})
        if "document" in event:
            assert is_same(event["document"], replica.document, ordered=replica.is_ordered)
        return event

    def replica(self, topic: str = "") -> Replica:
        return self.replicas.setdefault(topic, Replica())

    async def holds(self, document: Any, topic: str = "") -> None:
        """Hear on until the document is this one."""
        while not self.replica(topic).holds(document):
            await self.hear()

    async def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        """Return the exit status and what was printed since."""
        if number is not None:
            self.process.send_signal(number)
        out, err = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        assert self.process.returncode is not None
        return self.process.returncode, (out or b"").decode(), err.decode()


@asynccontextmanager
async def tailing(url: str, *arguments: str, output: str = "json", **more: Any) -> AsyncIterator[Tail]:
    command = [sys.executable, "-m", "pushgate", "tail", url, *arguments, "--output", output]
    process = await asyncio.create_subprocess_exec(*command, **{"stdout": PIPE, "stderr": PIPE, **more})
    try:
        yield Tail(process, is_shared=bool(arguments) and arguments[0].startswith("/"))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def told(url: str, *arguments: str, **more: Any) -> tuple[int, str, str]:
    """Run the command to its end."""
    async with tailing(url, *arguments, **more) as tail:
        return await tail.end()


@asynccontextmanager
async def gateway_process(folder: Path, backend: ScriptedBackend, **routes: Any) -> AsyncIterator[GatewayProcess]:
    config = {"upstreams": {"u": {"url": backend.url}}, "routes": {f"/{name}": rule for name, rule in routes.items()}}
    gateway = GatewayProcess(folder, config)
    await asyncio.to_thread(gateway.start)
    try:
        yield gateway
    finally:
        if gateway.process is not None:
            await asyncio.to_thread(gateway.end)


# So much that a change is always smaller than the whole.
PADDING = {"id": "padding", "text": 200 * "x"}


def rows(*numbers: int) -> list[dict[str, int]]:
    return [{"id": index, "n": number} for index, number in enumerate(numbers)]


async def test_nothing_is_lost_over_a_restart(tmp_path: Path) -> None:
    """
    What changes while the gateway is down arrives when it is back, over every transport, by itself.

    So it does on connections for several topics.
    """
    async with (
        scripted_backend(rows(1, 1)) as backend,
        gateway_process(tmp_path, backend, a=route(key="id"), b=route(key="id")) as gateway,
        AsyncExitStack() as stack,
    ):
        alone = {transport: [f"{gateway.url}/a", "--every", "50ms"] for transport in TRANSPORTS}
        shared = {transport: [gateway.url, "/a", "/b"] for transport in TRANSPORTS if transport != "short_poll"}
        tails = [
            await stack.enter_async_context(tailing(*arguments, "--transport", transport, "--document"))
            for transport, arguments in (*alone.items(), *shared.items())
        ]
        await all_hold(tails, rows(1, 1))
        backend.serve(rows(1, 2))
        await all_hold(tails, rows(1, 2))
        await asyncio.to_thread(gateway.end)
        await asyncio.to_thread(gateway.start)
        backend.serve(rows(1, 2, 3))
        await all_hold(tails, rows(1, 2, 3))
        for tail, (transport, _) in zip(tails, (*alone.items(), *shared.items()), strict=True):
            status, _, err = await tail.end(signal.SIGINT)
            # A poll that is waiting is answered with when to ask again, which is nothing to talk about.
            assert status == 0 and ("; again in " in err or transport == "long_poll"), (transport, err)
            shown = [event["document"] for event in tail.heard if "document" in event]
            assert all(document in backend.documents for document in shown)


async def all_hold(tails: list[Tail], document: Any) -> None:
    async with asyncio.TaskGroup() as tasks:
        for tail in tails:
            tasks.create_task(hold(tail, document))


async def hold(tail: Tail, document: Any) -> None:
    for topic in ("/a", "/b") if tail.is_shared else ("",):
        await tail.holds(document, topic)


@asynccontextmanager
async def one_route(document: Any, **changes: Any) -> AsyncIterator[tuple[Running, ScriptedBackend]]:
    sections = {name: changes.pop(name) for name in ("auth",) if name in changes}
    async with (
        scripted_backend(document) as backend,
        running_gateway(backend, {"/r": route(**changes)}, **sections) as gateway,
    ):
        yield gateway, backend


@pytest.mark.parametrize("mode", EVERY_MODE)
async def test_every_mode_makes_the_document(mode: str) -> None:
    """Applied by the command, so that a program gets the document with each change."""
    async with (
        one_route([*rows(1, 2), PADDING], key="id", emit=EVERY_MODE) as (gateway, backend),
        tailing(f"{gateway.base}/r", "--emit", mode, "--document") as tail,
    ):
        await tail.holds([*rows(1, 2), PADDING])
        backend.serve([*rows(1, 3), PADDING])
        await tail.holds([*rows(1, 3), PADDING])
    assert is_same(tail.heard[-1]["document"], [*rows(1, 3), PADDING])
    assert tail.heard[-1]["event"] == mode or mode == "merge"  # which has no words for a part of an array


async def test_what_has_ended_ends_it() -> None:
    """With the last document, and 0: all was told, over whatever transport."""
    async with one_route({"done": True}, poll={"until": "done"}) as (gateway, _):
        ways = [["--transport", transport] for transport in TRANSPORTS]
        found = await asyncio.gather(*(told(f"{gateway.base}/r", *way) for way in ways))
    for status, out, err in found:
        assert (status, err) == (0, "")
        events = [json.loads(line) for line in out.splitlines()]
        assert {"done": True} in [event["data"] for event in events]


async def test_what_cannot_be_mended_ends_it_with_the_reason() -> None:
    """Over every transport: others are asked for, and no way round is tried."""
    async with (
        scripted_backend(1) as backend,
        running_gateway(backend, {"/r": route(auth="staff")}, auth={"staff": STAFF}) as gateway,
    ):
        wrong = ["-H", f"Authorization: Bearer {token(lives=-60)}"]
        ways = [["--transport", transport] for transport in TRANSPORTS]
        expired = await asyncio.gather(*(told(f"{gateway.base}/r", *way, *wrong) for way in ways[:2]))
        nowhere = await asyncio.gather(*(told(f"{gateway.base}/nowhere", *way) for way in ways))
    for status, out, err in expired:
        assert (status, out) == (1, "") and ("credentials_expired" in err or "4401" in err), err
    for status, out, err in nowhere:
        assert (status, out) == (1, "") and ("no_such_topic" in err or "4404" in err), err


async def test_a_token_is_shown() -> None:
    """From the variable, in which others do not see it; in a request and in a handshake."""
    environ = {**os.environ, "PUSHGATE_TOKEN": token()}
    async with (
        scripted_backend(1) as backend,
        running_gateway(backend, {"/r": route(auth="staff")}, auth={"staff": STAFF}) as gateway,
    ):
        ways = [["--transport", transport, "--count", "1"] for transport in ("sse", "websocket")]
        found = await asyncio.gather(*(told(f"{gateway.base}/r", *way, env=environ) for way in ways))
    assert [status for status, _, _ in found] == [0, 0], found


async def test_a_header_field_replaces_what_would_be_sent() -> None:
    """However it is spelled; and of what the transport itself needs nothing is replaced."""
    environ = {**os.environ, "PUSHGATE_TOKEN": token(lives=-60)}
    fields = ["-H", f"authorization: Bearer {token()}", "-H", "accept: text/html"]
    async with (
        scripted_backend(1) as backend,
        running_gateway(backend, {"/r": route(auth="staff")}, auth={"staff": STAFF}) as gateway,
    ):
        ways = [["--transport", transport, "--count", "1"] for transport in TRANSPORTS]
        found = await asyncio.gather(*(told(f"{gateway.base}/r", *way, *fields, env=environ) for way in ways))
    assert [status for status, _, _ in found] == [0, 0, 0, 0], found


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=unheard-of", b"<p>\xc3\xbc</p>"),
        ("application/json", '{"it is called so": "ü"'.encode()),
    ],
)
async def test_a_raw_answer_is_whatever_the_backend_calls_it(kind: str, body: bytes) -> None:
    """It is printed as a text if it is nothing else."""
    async with scripted_backend(None) as backend:
        backend.say(body, Content_Type=kind)
        status, out, err = await told(f"{backend.url}/r", "--transport", "short_poll", "--count", "1")
    assert (status, err) == (0, "")
    assert json.loads(out)["data"] == body.decode()


async def test_it_goes_on_where_somebody_else_was() -> None:
    """Behind an event of whatever transport, without a snapshot."""
    async with one_route([*rows(1), PADDING], key="id") as (gateway, backend):
        _, out, _ = await told(f"{gateway.base}/r", "--count", "1", "--transport", "long_poll")
        cursor = json.loads(out)["id"]
        backend.serve([*rows(2), PADDING])
        _, out, _ = await told(f"{gateway.base}/r", "--cursor", cursor, "--count", "1")
    assert "snapshot" not in out and json.loads(out.splitlines()[-1])["event"] == "patch"


async def test_the_transport_is_the_first_that_the_route_offers() -> None:
    async with one_route(rows(1), transports=["websocket", "long_poll"]) as (gateway, _):
        async with tailing(f"{gateway.base}/r") as tail:
            await tail.holds(rows(1))
            assert await eventually(lambda: gateway.metric("pushgate_connections", transport="websocket"), bool)
        status, _, err = await told(f"{gateway.base}/r", "--transport", "sse")
        assert status == 1 and "it has websocket, long_poll (406 transport_not_offered)" in err


async def test_nobody_waits_for_a_gateway_that_was_never_there() -> None:
    """A name or a port that is wrong is told at once."""
    status, out, err = await told("http://127.0.0.1:1/r")
    assert (status, out) == (1, "") and "cannot be reached" in err
    async with scripted_backend({"hello": "world"}) as backend:
        status, out, err = await told(f"{backend.url}/r")
        assert (status, out) == (1, "") and "no event stream" in err
        status, out, err = await told(f"{backend.url}/r", "--transport", "long_poll")
        assert (status, out) == (1, "") and "no gateway" in err


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nobody_is_followed_elsewhere(transport: str) -> None:
    """Where a redirect leads is told, and nothing of what was shown is shown there."""
    async with scripted_backend(1) as elsewhere, scripted_backend(1) as backend:
        backend.say(b"", status=307, Location=f"{elsewhere.url}/r")
        status, out, err = await told(f"{backend.url}/r", "--transport", transport, "-H", "X-Api-Key: k")
        assert (status, out) == (1, "") and f"it redirects to {elsewhere.url}/r; follow that (307)" in err
        assert elsewhere.requests == []


async def test_it_ends_when_somebody_has_enough() -> None:
    """After so many changes, or so long, with 0."""
    async with one_route(rows(1)) as (gateway, backend):
        status, out, _ = await told(f"{gateway.base}/r", "--count", "1")
        kinds = [json.loads(line)["event"] for line in out.splitlines()]
        assert (status, kinds.count("snapshot"), kinds[-1]) == (0, 1, "snapshot")
        status, out, _ = await told(f"{gateway.base}/r", "--cursor", "now", "--for", "300ms")
        assert status == 0 and "snapshot" not in out
        assert backend.documents == [rows(1)]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_reader_that_leaves_ends_it(transport: str) -> None:
    """As ``| head -1`` does: that is no trouble with the gateway, which would be worth another try."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        async with one_route(rows(1)) as (gateway, _):
            status, _, err = await told(f"{gateway.base}/r", "--transport", transport, stdout=writer)
    finally:
        os.close(writer)
    assert (status, err) == (1, "")


@pytest.mark.parametrize("no_color", [False, True])
async def test_people_see_what_changed(no_color: bool) -> None:
    """In colours on a terminal, unless they do not want any; with the item's key, and what was there before."""
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"} | ({"NO_COLOR": "1"} if no_color else {})
    ours, theirs = pty.openpty()
    try:
        async with one_route(rows(1, 2), key="id") as (gateway, backend):
            async with tailing(f"{gateway.base}/r", "--count", "2", output="text", stdout=theirs, env=environ) as tail:
                said = ""
                while "snapshot" not in said:
                    said += (await asyncio.to_thread(os.read, ours, 65536)).decode()
                backend.serve(rows(1, 3))
                assert await asyncio.wait_for(tail.process.wait(), PATIENCE) == 0
            said += os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "~ /1/n  2 → 3" in said and "(1)" in said and "1 change" in said
    assert ("\x1b[1m" in said) is not no_color


async def test_a_backend_says_nothing_to_the_terminal() -> None:
    """Control characters in what it sends are written out."""
    async with one_route({"a": "\x1b[2J"}) as (gateway, _):
        status, out, _ = await told(f"{gateway.base}/r", "--count", "1", "--document", output="text")
    assert status == 0 and "\x1b" not in out and "u001b[2J" in out


async def test_a_terminal_without_a_character_sees_its_number() -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    async with one_route({"a": "→"}) as (gateway, _):
        status, out, err = await told(f"{gateway.base}/r", "--count", "1", output="text", env=environ)
    assert (status, err) == (0, "") and r'{"a":"\u2192"}' in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere"],
        ["ftp://h/x"],
        ["http://h/x", "--for", "1"],
        ["http://h/x", "--count", "0"],
        ["http://h/x", "-H", "nothing"],
        ["http://h/x", "-H", "a b: c"],
        ["http://h/x", "-H", "a: b\nc: d"],
        ["http://h/x", "--token", "a\nb"],
        ["http://h", "/a", "/b", "--transport", "short_poll"],
        ["http://h", "a"],
        ["http://h/x", "--ca", "/nowhere"],
    ],
)
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    """Before anything is asked."""
    assert CliRunner().invoke(app, ["tail", *arguments]).exit_code == 2
