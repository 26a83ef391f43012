"""curl, as the manual and ``make run`` say, and as somebody with a bad line uses it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import ROOT, Process, free_port

DEADLINE = 30


async def ask(curl: str, *arguments: str | Path) -> tuple[int, dict[str, str], bytes]:
    """Run curl to its end and return status, header fields in lower case, and body."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(curl, "-sSi", *map(str, arguments), stdout=pipe, stderr=pipe)
    output, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 0, errors.decode()
    head, _, body = output.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status_line.split()[1]), fields, body


async def stream(curl: str, *arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Run curl -N on an event stream and yield its events."""
    command = [curl, "-sSN", "-H", "Accept: text/event-stream", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=2**22)
    assert process.stdout is not None, "it was opened with a pipe"
    event: dict[str, Any] = {}
    try:
        async with asyncio.timeout(DEADLINE):
            async for line in process.stdout:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    event[name] = json.loads(value) if name == "data" else value
                elif event:
                    yield event
                    event = {}
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class TestShortPoll:
    async def test_the_document(self, curl: str, backend: Any, gateway: Any) -> None:
        status, fields, body = await ask(curl, f"{gateway.url}/counter")
        assert (status, json.loads(body)) == (200, backend.document(0))
        assert fields["content-type"] == "application/json"
        assert fields["pushgate-state"] == "live"
        assert fields["etag"].startswith('W/"')
        assert fields["cache-control"].startswith("public, max-age=")
        assert int(fields["age"]) in range(10)
        assert "pushgate-cursor" in fields

    async def test_head_is_a_get_without_the_body(self, curl: str, backend: Any, gateway: Any) -> None:
        """HEAD has the length and the tag, but hands out no cursor: there is no document that it could stand for."""
        _, fields, body = await ask(curl, f"{gateway.url}/counter")
        status, head_fields, nothing = await ask(curl, "--head", f"{gateway.url}/counter")
        assert (status, nothing) == (200, b"")
        assert head_fields["content-length"] == str(len(body))
        assert head_fields["etag"] == fields["etag"]
        assert "pushgate-cursor" not in head_fields

    async def test_only_if_it_changed(self, curl: str, backend: Any, gateway: Any, tmp_path: Path) -> None:
        """curl keeps the tag in a file: 304 and no body while it is the same, 200 when it changed."""
        tags = ["--etag-save", tmp_path / "etag", "--etag-compare", tmp_path / "etag", f"{gateway.url}/counter"]
        assert (await ask(curl, *tags))[0] == 200
        status, fields, body = await ask(curl, *tags)
        assert (status, body) == (304, b"")
        assert "pushgate-cursor" in fields
        await backend.change(1)
        async with asyncio.timeout(DEADLINE):
            while (answer := await ask(curl, *tags))[0] == 304:
                pass
        assert json.loads(answer[2]) == backend.document(1)

    async def test_the_tag_survives_a_restart(self, curl: str, backend: Any, gateway: Any) -> None:
        _, fields, _ = await ask(curl, f"{gateway.url}/counter")
        await gateway.end()
        await gateway.start()
        status, _, _ = await ask(curl, "-H", f"If-None-Match: {fields['etag']}", f"{gateway.url}/counter")
        assert status == 304


class TestLongPoll:
    async def test_one_answer_after_the_other(self, curl: str, backend: Any, gateway: Any) -> None:
        """Without a cursor the document at once; then whatever came after the cursor of the last answer."""
        status, fields, body = await ask(curl, f"{gateway.url}/counter?wait=0")
        answer = json.loads(body)
        assert (status, fields["cache-control"]) == (200, "no-store")
        events = answer["events"]
        await backend.change(3)
        while backend.fold(events)[-1]["document"]["n"] != 3:
            status, fields, body = await ask(curl, f"{gateway.url}/counter?cursor={answer['cursor']}")
            answer = json.loads(body)
            assert status == 200
            assert answer["cursor"] == fields["pushgate-cursor"] == answer["events"][-1]["id"]
            events += answer["events"]
        backend.check(backend.fold(events), epochs=1)

    async def test_it_waits_for_a_change(self, curl: str, backend: Any, gateway: Any) -> None:
        _, fields, _ = await ask(curl, f"{gateway.url}/counter")
        waiting = asyncio.create_task(ask(curl, f"{gateway.url}/counter?cursor={fields['pushgate-cursor']}"))
        await backend.change(1)
        status, _, body = await waiting
        assert (status, [event["event"] for event in json.loads(body)["events"]]) == (200, ["patch"])

    async def test_the_wait_is_over(self, curl: str, gateway: Any) -> None:
        """204 with the cursor to go on with; with ``wait=0`` at once."""
        _, fields, _ = await ask(curl, f"{gateway.url}/counter")
        cursor = fields["pushgate-cursor"]
        for wait in ("0", "0.2"):
            status, fields, body = await ask(curl, f"{gateway.url}/counter?cursor={cursor}&wait={wait}")
            assert (status, fields["pushgate-cursor"], body) == (204, cursor, b"")

    async def test_for_the_document(self, curl: str, backend: Any, gateway: Any) -> None:
        """``If-None-Match`` with ``Prefer: wait``: the new document, or 304."""
        _, fields, _ = await ask(curl, f"{gateway.url}/counter")
        same = ["-H", f"If-None-Match: {fields['etag']}"]
        status, fields, _ = await ask(curl, *same, "-H", "Prefer: wait=1", f"{gateway.url}/counter")
        assert (status, fields["preference-applied"]) == (304, "wait=1")
        waiting = asyncio.create_task(ask(curl, *same, "-H", "Prefer: wait=20", f"{gateway.url}/counter"))
        await backend.change(1)
        status, _, body = await waiting
        assert (status, json.loads(body)) == (200, backend.document(1))


class TestSse:
    async def test_it_follows(self, curl: str, backend: Any, gateway: Any) -> None:
        events = []
        async for event in stream(curl, f"{gateway.url}/counter"):
            events.append(event)
            if event["event"] == "snapshot":
                changes = asyncio.create_task(backend.change(5))
            elif [one["event"] for one in events].count("patch") == 5:
                break
        await changes
        assert 1000 <= int(events[0]["retry"]) <= 4000
        backend.check(backend.fold(events), epochs=1)

    async def test_it_resumes(self, curl: str, backend: Any, gateway: Any) -> None:
        _, fields, body = await ask(curl, f"{gateway.url}/counter")
        await backend.change(3)
        events = [{"event": "snapshot", "id": fields["pushgate-cursor"], "data": json.loads(body)}]
        resume = f"Last-Event-ID: {fields['pushgate-cursor']}"
        async for event in stream(curl, "-H", resume, f"{gateway.url}/counter"):
            events.append(event)
            if len(events) == 4:
                break
        assert [event["event"] for event in events] == ["snapshot", "patch", "patch", "patch"]
        backend.check(backend.fold(events), epochs=1)

    async def test_a_bad_line_gets_the_state_and_not_the_backlog(
        self, curl: str, backend: Any, start_gateway: Any
    ) -> None:
        """Who can take less than there is skips states, ends with the last, and never gets a wrong or an old one."""
        backend.padding = 200_000
        gateway = await start_gateway(emit=["snapshot"])
        events: list[dict[str, Any]] = []
        changes: asyncio.Task[int] | None = None
        async for event in stream(curl, "--limit-rate", "1M", f"{gateway.url}/counter"):
            if event["event"] == "snapshot":
                events.append(event)
                changes = changes or asyncio.create_task(backend.change(60))
                if event["data"]["n"] == 60:
                    break
        backend.check(backend.fold(events), epochs=1)
        assert len(events) < 61, "it got everything: the line was not bad enough"


@pytest.fixture(scope="module")
def example() -> Iterator[Process]:
    """What ``make run`` starts, on ports of its own."""
    ports = {name: str(free_port()) for name in ("LEGACY_PORT", "PORT", "ADMIN_PORT")}
    with Process("make run", [sys.executable, ROOT / "examples" / "run.py"], env=ports) as process:
        process.wait_for(r"Ctrl-C ends everything")
        yield process


class TestAsMakeRunSays:
    def test_every_command_that_it_prints_works(self, curl: str, example: Process) -> None:
        """They are taken from what it prints, so nobody can change one without trying it."""
        found = [match[0] for line in example.lines if (match := re.search(r"curl -.*", line))]
        commands = [command for command in found if "ws://" not in command]  # not every curl is built with it
        assert len(commands) >= 4
        cursor = ""
        for command in commands:
            is_stream = "text/event-stream" in command
            words = shlex.split(re.sub(r"   with .*", "", command).replace("CURSOR", cursor))
            words = [curl, *words[1:], "-sS", "--max-time", "3" if is_stream else "20"]
            done = subprocess.run(words, capture_output=True, timeout=DEADLINE, check=False)
            output = done.stdout.decode()
            if is_stream:
                assert done.returncode == 28, done.stderr  # it goes on until curl has enough
                assert re.search(r"^event: snapshot$", output, re.MULTILINE)
                continue
            assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
            assert output.startswith("HTTP/1.1 200 OK")
            cursor = re.search(r"^Pushgate-Cursor: (\S+)", output, re.MULTILINE)[1]

    def test_every_url_that_it_prints_answers(self, curl: str, example: Process) -> None:
        urls = {url.rstrip("'\"),") for line in example.lines for url in re.findall(r"http://127\.0\.0\.1\S+", line)}
        urls = {url for url in urls if "CURSOR" not in url}
        assert len(urls) >= 6
        for url in urls:
            done = subprocess.run([curl, "-sSf", url], capture_output=True, timeout=DEADLINE, check=False)
            assert done.returncode == 0, f"{url}: {done.stderr.decode()}"
            assert done.stdout

    def test_the_websocket_command(self, example: Process) -> None:
        """``python -m websockets`` is a client that prints what it hears."""
        line = next(line for line in example.lines if "-m websockets" in line)
        words = shlex.split(line.split("WebSocket", 1)[1])
        with subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as client:
            assert client.stdout is not None, "it was opened with a pipe"
            try:
                assert any('"event":"snapshot"' in line for line in client.stdout), "it ended without a snapshot"
            finally:
                client.kill()
