"""The commands of an operator, as processes, against a gateway that runs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pty
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends import ScriptedBackend, scripted_backend
from gateways import Running, http_client, route, running_gateway
from tokens import STAFF

PATIENCE = 30.0


async def command(*arguments: str, stdin: str | None = None, **more: Any) -> tuple[int, str, str]:
    """Run a command to its end: exit status, standard output, standard error."""
    streams = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, **more}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pushgate", *arguments, **streams)
    try:
        out, err = await asyncio.wait_for(process.communicate((stdin or "").encode()), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, (out or b"").decode(), (err or b"").decode()


@asynccontextmanager
async def operated(**routes: Any) -> AsyncIterator[tuple[Running, ScriptedBackend, list[str]]]:
    """A gateway, its backend, and the options that lead to its admin listener."""
    async with scripted_backend([1]) as backend, running_gateway(backend, routes) as gateway:
        yield gateway, backend, ["--admin", gateway.admin.removeprefix("http://")]


SELDOM = {"every": "1h", "linger": "1h"}


async def asked(gateway: Running, *paths: str) -> None:
    async with http_client() as client:
        for path in paths:
            assert (await client.get(f"{gateway.base}{path}")).status_code == 200


async def test_topics_are_shown_with_what_decides_about_them() -> None:
    """For programs as the listener tells it; for people in a table, whole where nobody's terminal limits it."""
    async with operated(**{"/a": route(poll=SELDOM), "/s/{city}": route(poll=SELDOM)}) as (gateway, _, where):
        assert (await command("topics", *where))[1] == "no topics: nobody follows any, or none fits\n"
        await asked(gateway, "/a", "/s/paris")
        _, out, _ = await command("topics", *where, "--output", "json", "--route", "/s/{city}")
        assert [topic["topic"] for topic in json.loads(out)["topics"]] == ["/s/paris"]
        status, out, err = await command("topics", *where)
        assert (status, err) == (0, "")
        head, *rows = out.splitlines()
        assert head.split()[:2] == ["STATE", "TOPIC"] and len(rows) == 2
        assert re.fullmatch(r"live +/a +0 +in (1h|59m\d+s) +every 1h", rows[0]), rows
        status, out, err = await command("topics", *where, "--state", "nonsense")
        assert status == 1 and out == "" and "state: is one of cold" in err


@pytest.mark.parametrize("no_color", [False, True])
async def test_a_table_fits_into_the_terminal(no_color: bool) -> None:
    """And is coloured there, unless somebody does not want that."""
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "20"} | ({"NO_COLOR": "1"} if no_color else {})
    async with operated(**{"/a/{name}": route(poll=SELDOM)}) as (gateway, _, where):
        await asked(gateway, f"/a/{70 * 'x'}")
        ours, theirs = pty.openpty()
        try:
            assert (await command("topics", *where, stdout=theirs, env=environ))[0] == 0
            out = os.read(ours, 65536).decode()
        finally:
            os.close(ours)
            os.close(theirs)
    assert ("\x1b[" in out) is not no_color
    lines = re.sub(r"\x1b\[\d*m", "", out).splitlines()
    assert max(map(len, lines)) <= 60 and "…" in lines[1]


async def test_a_refreshed_topic_is_polled_now() -> None:
    """And Tab offers those that there are."""
    async with operated(**{"/a": route(poll=SELDOM)}) as (gateway, backend, where):
        await asked(gateway, "/a")
        line = f"pushgate refresh {' '.join(where)} "
        asking = {"_PUSHGATE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "4"}
        assert (await command(env={**os.environ, **asking}))[1] == "/a\n"
        before = len(backend.requests)
        assert (await command("refresh", "/a", *where))[:2] == (0, "/a: 1 topic polled\n")
        async with http_client() as client:
            await client.get(f"{gateway.base}/a")
        assert len(backend.requests) == before + 1
        status, out, err = await command("refresh", "/a", "/nowhere", *where)
        assert status == 1 and out == "/a: 1 topic polled\n" and "/nowhere" in err


async def test_what_is_paused_is_left_alone_until_it_is_resumed() -> None:
    async with operated(**{"/a": route(), "/b": route()}) as (gateway, backend, where):
        await asked(gateway, "/a", "/b")
        assert (await command("pause", *where))[:2] == (0, "nothing is paused\n")
        assert (await command("pause", "/a", "u", *where))[:2] == (0, "paused: routes /a; upstreams u\n")
        assert await backend.is_left_alone(0.1)
        _, out, _ = await command("pause", "--output", "json", *where)
        assert json.loads(out) == {"paused": {"routes": ["/a"], "upstreams": ["u"]}}
        assert (await command("resume", "u", *where))[:2] == (0, "paused: routes /a\n")
        assert (await command("resume", "--all", *where))[:2] == (0, "nothing is paused\n")
        await asked(gateway, "/a")
        status, _, err = await command("pause", "elsewhere", *where)
        assert status == 1 and "elsewhere" in err


async def test_the_configuration_tells_where_the_gateway_is(tmp_path: Path) -> None:
    """By -c, by the variable, or from standard input."""
    async with operated(**{"/a": route(poll=SELDOM)}) as (gateway, backend, where):
        await asked(gateway, "/a")
        told = {"version": 1, "server": {"admin": {"listen": where[1]}}, "upstreams": {"u": {"url": backend.url}},
                "routes": {"/a": {"upstream": "u"}}}  # fmt: skip
        file = tmp_path / "elsewhere.yaml"
        file.write_text(json.dumps(told))
        by_variable = {**os.environ, "PUSHGATE_CONFIG": str(file)}
        found = await asyncio.gather(
            command("topics", "-c", str(file)),
            command("refresh", "/a", env=by_variable),
            command("pause", "-c", "-", stdin=json.dumps(told)),
        )
        assert {status for status, _, _ in found} == {0}, found


async def test_a_token_opens_a_route_and_a_ticket_a_stream(tmp_path: Path) -> None:
    """What `token` makes the gateway takes; what `ticket` gets for it an EventSource can open, once."""
    async with scripted_backend([1]) as backend:
        routes = {"/r/{city}": route(auth="staff", allow=[{"claim": "cities", "contains": "{city}"}])}
        async with running_gateway(backend, routes, auth={"staff": STAFF}) as gateway:
            told = {"version": 1, "upstreams": {"u": {"url": backend.url}}, "auth": {"staff": STAFF}, "routes": routes,
                    "server": {"listen": gateway.base.removeprefix("http://")}}  # fmt: skip
            file = tmp_path / "gateway.yaml"
            file.write_text(json.dumps(told))
            _, out, err = await command("token", "-c", str(file), "--sub", "ada", "--claim", "cities=paris")
            token = out.strip()
            assert err == ""
            async with http_client(headers={"Authorization": f"Bearer {token}"}) as client:
                assert (await client.get(f"{gateway.base}/r/paris")).status_code == 200
                assert (await client.get(f"{gateway.base}/r/rome")).status_code == 403
            shown = {**os.environ, "PUSHGATE_TOKEN": token}
            status, url, err = await command("ticket", "/r/paris", "-c", str(file), "--url", env=shown)
            assert (status, err) == (0, "")
            async with http_client() as client, client.stream(
                "GET", url.strip(), headers={"Accept": "text/event-stream"}
            ) as stream:  # fmt: skip
                assert stream.status_code == 200
            async with http_client(headers={"Accept": "text/event-stream"}) as client:
                assert (await client.get(url.strip())).status_code == 401, "once"
            status, out, err = await command("ticket", "/r/rome", "--gateway", gateway.base, env=shown)
            assert (status, out) == (1, "") and "403 forbidden" in err
            _, out, _ = await command("ticket", "/r/paris", "-c", str(file), "--output", "json", env=shown)
            assert json.loads(out)["url"].endswith(f"/r/paris?ticket={json.loads(out)['ticket']}")


async def test_what_is_no_admin_listener_is_told() -> None:
    """A backend that answers everything, and the gateway's own public listener."""
    async with scripted_backend({}) as backend, running_gateway(backend, {"/r": route()}) as gateway:
        for name, body in itertools.product(("topics", "pause", "drain", "reload"), (b"<html>welcome</html>", b"{}")):
            backend.say(body, Content_Type="text/html")
            status, out, err = await command(name, "--admin", backend.url.removeprefix("http://"))
            assert (status, out, err) == (1, "", "pushgate: what answers there is no admin listener\n")
        status, out, err = await command("topics", "--admin", gateway.base.removeprefix("http://"))
        assert (status, out, err) == (1, "", "pushgate: no route fits this path\n")


async def test_who_waits_for_health_sees_that() -> None:
    """On a terminal; a probe is spared what it takes to tell."""
    ours, theirs = pty.openpty()
    try:
        async with scripted_backend({}) as backend:
            backend.crime = "stalls"
            admin = backend.url.removeprefix("http://")
            status, out, _ = await command("health", "--admin", admin, "--timeout", "1500ms", stderr=theirs)
        said = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (status, out) == (1, "") and "waiting for the gateway for 1s" in said and "timed out" in said


async def test_who_is_not_there_is_named() -> None:
    for arguments in (["topics", "--admin", "127.0.0.1:1"], ["ticket", "/r", "--gateway", "http://127.0.0.1:1"]):
        status, out, err = await command(*arguments)
        assert (status, out) == (1, "") and "no gateway answers on 127.0.0.1:1" in err
