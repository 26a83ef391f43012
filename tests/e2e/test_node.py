"""npm's ``eventsource`` and ``ws`` on Node follow a topic through a restart of the gateway."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent / "node"

RESTARTS = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)


def tells(backend: Any) -> Callable[[dict[str, Any]], bool]:
    """Say whether a line tells of the backend's latest document, which is in ``/n`` of a snapshot or a patch."""
    news = {"op": "replace", "path": "/n", "value": backend.n}

    def is_latest(line: dict[str, Any]) -> bool:
        if line["event"] == "snapshot":
            return bool(line["data"]["n"] == backend.n)
        return line["event"] == "patch" and news in line["data"]

    return is_latest


async def live_through_a_restart(lines: Any, backend: Any, gateway: Any, how: signal.Signals) -> None:
    """Changes, the gateway goes, a change that nobody polls, it comes back, changes."""
    await lines.until(tells(backend))
    await backend.change(6)
    await lines.until(tells(backend))
    await gateway.end(how)
    backend.change_unseen()
    await gateway.start()
    await lines.until(tells(backend))
    await backend.change(6)
    await lines.until(tells(backend))


@RESTARTS
async def test_eventsource(how: signal.Signals, node: str, backend: Any, gateway: Any, run_client: Any) -> None:
    lines = await run_client(node, SCRIPTS / "eventsource.mjs", f"{gateway.url}/counter")
    await live_through_a_restart(lines, backend, gateway, how)
    backend.check(backend.fold(lines.seen), epochs=2)
    heard = [line["event"] for line in lines.seen]
    assert heard.count("(open)") == 2
    assert "(message)" not in heard
    errors = [line for line in lines.seen if line["event"] == "(error)"]
    assert errors, "it was cut off"
    assert all(line["state"] == 0 for line in errors), "it gave up"


@RESTARTS
async def test_ws(how: signal.Signals, node: str, backend: Any, gateway: Any, run_client: Any) -> None:
    lines = await run_client(node, SCRIPTS / "ws.mjs", f"{gateway.ws_url}/counter")
    await live_through_a_restart(lines, backend, gateway, how)
    backend.check(backend.fold(lines.seen), epochs=2)
    by_event: dict[str, list[dict[str, Any]]] = {}
    for line in lines.seen:
        by_event.setdefault(line["event"], []).append(line)
    assert [line["protocol"] for line in by_event["(open)"]] == ["pushgate.v1"] * 2
    assert [line["data"] for line in by_event["(pong)"]] == ["are you there"] * 2
    assert [line["ref"] for line in by_event["ack"]] == ["hello"] * 2
    assert not any(line["isBinary"] for line in by_event["snapshot"] + by_event["patch"])
    first = by_event["(close)"][0]
    if how is signal.SIGTERM:
        assert first["code"] == 1012
        assert first["reason"].startswith("retry_after_ms=")
    else:
        assert first["code"] == 1006
