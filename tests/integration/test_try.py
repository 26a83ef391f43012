"""``pushgate try`` as a user runs it: a process, a backend on loopback, and what comes out."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends import scripted_backend

PATIENCE = 30.0

FAST = {"every": "50ms", "jitter": "0%"}


def write(folder: Path, url: str, routes: dict[str, Any], **upstream: Any) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(json.dumps({"version": 1, "upstreams": {"u": {"url": url, **upstream}}, "routes": routes}))
    return file


@asynccontextmanager
async def started(
    file: Path, topic: str, *arguments: str, stdin: bytes | None = None, **more: Any
) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "pushgate", "try", topic, "-c", str(file), *arguments]
    streams = {"stdin": None if stdin is None else PIPE, "stdout": PIPE, "stderr": PIPE, **more}
    process = await asyncio.create_subprocess_exec(*command, **streams)
    if stdin is not None:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def attempt(file: Path | str, topic: str, *arguments: str, **more: Any) -> tuple[int, str, str]:
    """Run the command to its end: exit status, standard output, standard error."""
    async with started(Path(file), topic, *arguments, **more) as process:
        out, err = await asyncio.wait_for(_end(process), PATIENCE)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def _end(process: Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None and process.stderr is not None
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
    await process.wait()
    return out, err


def sections(out: str) -> dict[str, list[str]]:
    """Return the lines of a text by the step at the margin."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in out.splitlines():
        name = line[:14].strip() or name
        found.setdefault(name, []).append(line[14:])
    return found


async def test_a_poll_is_told_step_by_step(tmp_path: Path) -> None:
    """From the route to the next poll; of the request nothing secret, even where the answer repeats it."""
    async with scripted_backend() as backend:
        body = json.dumps({"rows": [{"id": 1, "t": 5}, {"id": 2, "t": 6}], "you": "sent k3y-1234"}).encode()
        backend.say(gzip.compress(body), Content_Encoding="gzip", ETag='"one"', Cache_Control="max-age=90")
        route = {
            "upstream": "u",
            "request": {"path": "/api/{city}"},
            "query": {"lang": {"pattern": "[a-z]{2}", "default": "en"}},
            "poll": {"every": "5s"},
            "ignore": ["/rows/*/t", "/nothing"],
            "key": "id",
        }
        file = write(tmp_path, backend.url, {"/st/{city}": route}, headers={"X-Api-Key": "k3y-1234"})
        status, out, err = await attempt(file, "/st/paris")
    assert (status, err) == (0, "")
    told = sections(out)
    assert told["route"] == ["/st/{city} lang=en city=paris"]
    assert told["identity"] == ["public: one document for everybody"]
    assert told["request"] == [f"GET {backend.url}/api/paris?lang=en", "X-Api-Key: ••••"]
    answer, validators, freshness = told["answer"]
    assert answer.startswith(f"200 application/json, {len(body)} bytes (gzip, {len(backend.body)} over the wire), in ")
    assert validators == 'ETag "one"'
    assert freshness == "it vouches for that for 1m30s (Cache-Control: max-age=90)"
    assert told["decode"][0] == "json, as `format: auto` sees by application/json: an object of 2 members"
    assert told["ignore"] == ["/rows/*/t: 2 members removed", "/nothing: matches nothing"]
    assert told["key"] == ["/rows: 2 items by `id`"]
    assert told["guards"] == ["there is nothing to compare with"]
    assert json.loads("\n".join(told["document"])) == {"rows": [{"id": 1}, {"id": 2}], "you": "sent ••••"}
    assert told["state"] == ["live (changed)"]
    assert told["next poll"][0].startswith("in ") and told["next poll"][0].endswith("vouches for its answer for 90s")
    assert "k3y-1234" not in out and "\x1b" not in out
    assert backend.requests[0].headers["x-api-key"] == "k3y-1234"


async def test_the_account_as_json(tmp_path: Path) -> None:
    """One document: the steps, the outcome, the document as a whole, the next poll and why."""
    async with scripted_backend({"n": list(range(100))}) as backend:
        file = write(
            tmp_path, backend.url, {"/n": {"upstream": "u", "select": "n", "poll": {"every": "1m", "jitter": "0%"}}}
        )
        status, out, err = await attempt(file, "/n", "--output", "json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert [step["step"] for step in told["steps"]] == [
        "route", "identity", "request", "answer", "decode", "select", "guards",
    ]  # fmt: skip
    assert (told["topic"], told["route"], told["outcome"], told["state"]) == ("/n", "/n", "changed", "live")
    assert (told["document"], told["error"]) == (list(range(100)), None)
    assert told["next_poll"]["why"] == "every 1m" and 58 < told["next_poll"]["in"] <= 60


@pytest.mark.parametrize(
    ("route", "body", "step", "reason", "remedy"),
    [
        ({"select": "rows"}, b"{}", "select", "select", "compare the expression with the decoded answer above"),
        ({}, b"{", "decode", "decode", "say what the answer is: format"),
        ({"guards": {"fail_if": "error"}}, b'{"error":"x"}', "fail_if", "fail_if", "the upstream says itself"),
    ],
)
async def test_a_failed_poll_exits_1(
    route: dict[str, Any], body: bytes, step: str, reason: str, remedy: str, tmp_path: Path
) -> None:
    """It is told up to the step at which it failed, with the reason and what to look at."""
    async with scripted_backend() as backend:
        backend.say(body)
        file = write(tmp_path, backend.url, {"/r": {"upstream": "u", **route}})
        status, out, err = await attempt(file, "/r")
    assert (status, err) == (1, "")
    lines = sections(out)[step]
    assert lines[-2].startswith(f"failed at {step}: {reason}: ")
    assert lines[-1].startswith(remedy)
    assert "document" not in sections(out)


async def test_a_status_that_fails_shows_what_the_backend_says(tmp_path: Path) -> None:
    async with scripted_backend() as backend:
        backend.say(b"out of order", status=503, Content_Type="text/plain", Retry_After="120")
        status, out, _ = await attempt(write(tmp_path, backend.url, {"/r": {"upstream": "u"}}), "/r")
    assert status == 1
    told = sections(out)
    assert "it asks to be left alone for 2m (Retry-After)" in told["answer"]
    assert "it says: out of order" in told["answer"]
    assert told["status"][0] == "failed at status: http_5xx: the upstream answered 503"
    assert told["next poll"][0].endswith("the upstream asked to be left alone so long")


async def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    async with scripted_backend() as backend:
        url = backend.url
    status, out, _ = await attempt(write(tmp_path, url, {"/r": {"upstream": "u"}}), "/r", "--output", "json")
    error = json.loads(out)["error"]
    assert (status, error["step"], error["reason"]) == (1, "answer", "connect")
    assert "upstreams.u.url" in error["remedy"]


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("/nowhere", "the routes are /st/{city}"),
        ("/st/PARIS", "/st/{city} would, but for its params: city = PARIS does not match"),
        ("/st/paris?x=1", "takes no query parameter 'x' (400 bad_request)"),
        ("/st//", "(404 no_such_topic)"),
    ],
)
async def test_what_is_no_topic_is_a_wrong_command_line(topic: str, words: str, tmp_path: Path) -> None:
    """Exit status 2, with the words that a client would get and those that help."""
    file = write(tmp_path, "http://127.0.0.1:1", {"/st/{city}": {"upstream": "u", "params": {"city": "[a-z]+"}}})
    status, out, err = await attempt(file, topic)
    assert (status, out) == (2, "")
    assert words in err


async def test_a_topic_is_named_as_clients_name_it(tmp_path: Path) -> None:
    """By its whole URL too, under the base path or without; the configuration may come from standard input."""
    async with scripted_backend([1]) as backend:
        text = json.dumps(
            {"version": 1, "server": {"base_path": "/live"}, "upstreams": {"u": {"url": backend.url}},
             "routes": {"/r": {"upstream": "u"}}}
        )  # fmt: skip
        for topic in ("/r", "/live/r", "https://api.example/live/r?wait=5"):
            status, out, err = await attempt("-", topic, "--output", "json", stdin=text.encode())
            assert (status, err, json.loads(out)["topic"]) == (0, "", "/r")


async def test_a_caller_polls_as_itself_and_is_not_shown(tmp_path: Path) -> None:
    """What is forwarded goes upstream; the output says what was passed on, and what this client did not send."""
    route = {
        "upstream": "u", "share": "identity", "forward": {"headers": ["Authorization", "X-Tenant"], "cookies": ["SID"]}
    }  # fmt: skip
    async with scripted_backend({"token": "t0k3n-77", "ok": True}) as backend:
        file = write(tmp_path, backend.url, {"/mine": route})
        arguments = ["-H", "Authorization: Bearer t0k3n-77", "-H", "Cookie: SID=s3ss10n; x=1", "--as", '{"sub": "ann"}']
        status, out, err = await attempt(file, "/mine", *arguments)
    assert (status, err) == (0, "")
    told = sections(out)
    assert told["identity"] == [
        "one document for each caller: ann",
        "passed on, and not shown: Authorization, cookie SID",
        "not sent by this client: X-Tenant (add it with -H)",
    ]
    assert told["request"][1:] == ["Authorization: ••••", "Cookie: ••••"]
    assert "t0k3n-77" not in out and "s3ss10n" not in out
    assert backend.requests[0].headers["authorization"] == "Bearer t0k3n-77"
    assert backend.requests[0].headers["cookie"] == "SID=s3ss10n"


async def test_a_caller_who_is_sent_away(tmp_path: Path) -> None:
    async with scripted_backend() as backend:
        backend.say(b"no", status=403)
        file = write(tmp_path, backend.url, {"/mine": {"upstream": "u", "share": "identity"}})
        status, out, _ = await attempt(file, "/mine", "--output", "json")
    told = json.loads(out)
    assert (status, told["outcome"], told["error"]["reason"]) == (1, "denied", "upstream_auth")


async def test_pages_are_one_poll_of_several_requests(tmp_path: Path) -> None:
    async with scripted_backend({"rows": [1], "next": None}) as backend:
        pages = {"next": {"pointer": "/next"}, "items": "/rows"}
        file = write(tmp_path, backend.url, {"/r": {"upstream": "u", "pages": pages}})
        status, out, _ = await attempt(file, "/r")
    assert status == 0
    assert sections(out)["pages"] == ["an object of 2 members"]


async def test_a_part_of_a_batch(tmp_path: Path) -> None:
    async with scripted_backend([{"name": "paris", "bikes": 3}]) as backend:
        batch = {"param": "cities", "value": "{city}", "match": "name"}
        route = {"upstream": "u", "request": {"path": "/b"}, "batch": batch}
        status, out, _ = await attempt(write(tmp_path, backend.url, {"/st/{city}": route}), "/st/paris")
    assert status == 0
    assert sections(out)["request"][0] == f"GET {backend.url}/b?cities=paris"
    assert sections(out)["batch"] == ["this topic's part: an object of 2 members"]


async def test_a_view_shows_its_parents_poll_and_its_part(tmp_path: Path) -> None:
    """What its parent does not have is gone; that is no failure."""
    routes = {"/st": {"upstream": "u", "key": "id"}, "/st/{id}": {"from": "/st", "item": "{id}"}}
    async with scripted_backend([{"id": "a", "n": 1}, {"id": "b", "n": 2}]) as backend:
        file = write(tmp_path, backend.url, routes)
        status, out, _ = await attempt(file, "/st/b", "--output", "json")
        told = json.loads(out)
        gone_status, gone, _ = await attempt(file, "/st/x")
    assert (status, told["document"], told["route"]) == (0, {"id": "b", "n": 2}, "/st/{id}")
    assert told["steps"][0]["lines"][1] == "a view: polled is /st of /st"
    assert told["steps"][-1]["lines"][0] == "item `b` of /st: an object of 2 members"
    assert (gone_status, sections(gone)["state"]) == (0, ["gone (gone)"])


async def lines(process: Process, *wanted: str) -> list[dict[str, Any]]:
    """Read events until the last of these kinds has come."""
    assert process.stdout is not None
    found: list[dict[str, Any]] = []
    left = [*wanted]
    async with asyncio.timeout(PATIENCE):
        while left:
            found.append(json.loads(await process.stdout.readline()))
            if found[-1].get("event") == left[0]:
                left.pop(0)
    return found


async def test_watching_tells_every_change_hold_and_failure(tmp_path: Path) -> None:
    """As one line of JSON each: the first poll, then patches, held answers, failures and states; Ctrl-C ends it."""
    rows = [{"id": 1, "text": "x" * 50}, {"id": 2, "text": "y" * 50}]
    async with scripted_backend(rows) as backend:
        route = {
            "upstream": "u",
            "poll": FAST,
            "key": "id",
            "guards": {"confirm_after": "100ms"},
            "stale": {"after": 1},
        }
        file = write(tmp_path, backend.url, {"/r": route})
        async with started(file, "/r", "--watch", "--output", "json") as process:
            assert process.stdout is not None
            first = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
            backend.serve([{"id": 1, "text": "new"}, rows[1]])
            change = (await lines(process, "change"))[-1]
            backend.serve([])
            held = next(event for event in await lines(process, "held", "state") if event["event"] == "held")
            backend.serve(rows)
            await lines(process, "state")
            backend.say(b"", status=500)
            failed = (await lines(process, "failed"))[-1]
            state = (await lines(process, "state"))[-1]
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert (first["outcome"], first["document"]) == ("changed", rows)
    assert (change["kind"], change["data"]) == ("patch", [{"op": "replace", "path": "/0/text", "value": "new"}])
    assert held["detail"] == "empty: an empty array, where there was an array of 2"
    assert held["next_poll"]["why"] == "an answer that fails the guard `empty` needs to be confirmed"
    assert (failed["step"], failed["reason"]) == ("status", "http_5xx")
    assert (state["was"], state["state"]) == ("live", "stale")


async def test_watching_ends_with_the_topic(tmp_path: Path) -> None:
    """As text: the steps of the first poll, then what happens, with the time."""
    async with scripted_backend({"done": False}) as backend:
        file = write(tmp_path, backend.url, {"/r": {"upstream": "u", "poll": {**FAST, "until": "done"}}})
        async with started(file, "/r", "--watch") as process:
            await backend.polled(2)
            backend.serve({"done": True})
            out, err = await asyncio.wait_for(_end(process), PATIENCE)
    assert (process.returncode, err) == (0, b"")
    text = out.decode()
    assert "`done` is not true" in text
    assert '{"done":true}' in text
    assert "Z end, " in text and "Z state: live → ended" in text


async def test_watching_a_view_tells_its_own_changes(tmp_path: Path) -> None:
    routes = {"/st": {"upstream": "u", "key": "id", "poll": FAST}, "/st/{id}": {"from": "/st", "item": "{id}"}}
    async with scripted_backend([{"id": "a", "n": 1}, {"id": "b", "n": 1}]) as backend:
        file = write(tmp_path, backend.url, routes)
        async with started(file, "/st/b", "--watch", "--output", "json") as process:
            await backend.polled(1)
            backend.serve([{"id": "a", "n": 2}, {"id": "b", "n": 1}])
            await backend.polled(2)
            backend.serve([{"id": "a", "n": 2}, {"id": "b", "n": 3}])
            told = await lines(process, "change")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    changes = [event["data"] for event in told if event.get("event") == "change"]
    assert changes == [[{"op": "replace", "path": "/n", "value": 3}]]


@pytest.mark.parametrize("no_color", [False, True])
async def test_colours_are_for_terminals(no_color: bool, tmp_path: Path) -> None:
    """And not for those who say that they want none."""
    environ = {**os.environ, "TERM": "xterm"} | ({"NO_COLOR": "1"} if no_color else {})
    if not no_color:
        environ.pop("NO_COLOR", None)
    ours, theirs = pty.openpty()
    try:
        async with scripted_backend([1]) as backend:
            file = write(tmp_path, backend.url, {"/r": {"upstream": "u"}})
            async with started(file, "/r", stdout=theirs, env=environ) as process:
                assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
        out = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert ("\x1b[1m" in out) is not no_color


async def test_a_wrong_header_or_claim_is_a_wrong_command_line(tmp_path: Path) -> None:
    file = write(tmp_path, "http://127.0.0.1:1", {"/r": {"upstream": "u"}})
    for arguments in (["-H", "nothing"], ["--as", "ann"], ["--as", "[1]"]):
        status, _, err = await attempt(file, "/r", *arguments)
        assert status == 2 and "write it like" in err


async def test_who_waits_long_is_told_for_what(tmp_path: Path) -> None:
    """On standard error, after two seconds."""
    async with scripted_backend([1]) as backend:
        backend.delay = 2.5
        ours, theirs = pty.openpty()
        try:
            file = write(tmp_path, backend.url, {"/r": {"upstream": "u"}})
            async with started(file, "/r", stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
                assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
            assert "waiting for the upstream for 2s" in os.read(ours, 65536).decode()
        finally:
            os.close(ours)
            os.close(theirs)


async def test_a_reader_that_leaves_ends_it(tmp_path: Path) -> None:
    """As ``| head -1`` does, also while it watches: with 1, and without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        async with scripted_backend({"n": 1}) as backend:
            file = write(tmp_path, backend.url, {"/r": {"upstream": "u", "poll": FAST}})
            for watching in ([], ["--watch"]):
                async with started(file, "/r", *watching, stdout=writer) as process:
                    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
                    assert (process.returncode, err) == (1, b""), err
    finally:
        os.close(writer)
