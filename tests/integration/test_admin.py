"""The admin listener: what it tells of topics."""

from __future__ import annotations

from typing import Any

import pytest

from backends import ScriptedBackend
from gateways import Running, eventually, http_client, route, running_gateway

HOLDING = route(guards={"confirm_after": "1h"})
ROUTES = {"/rows": HOLDING, "/calm": route(poll={"every": "1h"}), "/calm/first": {"from": "/calm", "pointer": "/0"}}


async def topics(gateway: Running, query: str = "") -> list[dict[str, Any]]:
    async with http_client() as client:
        answer = await client.get(f"{gateway.admin}/-/topics{query}")
    assert answer.headers["Content-Type"].startswith("application/json")
    found: list[dict[str, Any]] = answer.json()["topics"]
    return found


async def test_a_held_answer_can_be_seen(backend: ScriptedBackend) -> None:
    """Which guard it fails and why, how many bytes it has, and when it is asked for again."""
    backend.serve([1, 2, 3])
    async with running_gateway(backend, ROUTES) as gateway, http_client(base_url=gateway.base) as client:
        cursor = (await client.get("/rows")).headers["Pushgate-Cursor"]
        (told,) = await topics(gateway)
        assert (told["topic"], told["state"], told["held"], told["cursor"]) == ("/rows", "live", None, cursor)
        backend.serve([])
        (told,) = await eventually(lambda: topics(gateway), lambda seen: seen[0]["state"] == "held")
    assert told["held"] == {"guard": "empty", "detail": "an empty array, where there was an array of 3", "bytes": 2}
    assert "needs to be confirmed" in told["next_poll"]["why"]
    assert told["cursor"] == cursor


async def test_how_every_topic_is_doing(backend: ScriptedBackend) -> None:
    """Whom it has, when it is polled next and why, and why the latest poll failed; by route and state if asked."""
    backend.serve([1])
    async with running_gateway(backend, ROUTES) as gateway, http_client(base_url=gateway.base) as client:
        await client.get("/calm/first")
        await client.get("/rows")
        async with client.stream("GET", "/rows", headers={"Accept": "text/event-stream"}):
            backend.say(b"no", status=500)
            (rows,) = await eventually(
                lambda: topics(gateway, "?route=/rows"), lambda seen: seen[0]["state"] == "stale"
            )
            (calm,) = await topics(gateway, "?state=live&limit=5")
            assert [told["topic"] for told in await topics(gateway, "?limit=1")] == ["/calm"]
    assert (rows["subscribers"], rows["last_failure"], calm["topic"]) == (1, "http_5xx", "/calm")
    assert (calm["views"], calm["next_poll"]["why"], calm["last_failure"]) == (1, "every 1h", None)


@pytest.mark.parametrize("query", ["?state=well", "?limit=many", "?limit=-1"])
async def test_what_cannot_be_looked_for(backend: ScriptedBackend, query: str) -> None:
    async with running_gateway(backend, ROUTES) as gateway, http_client() as client:
        assert (await client.get(f"{gateway.admin}/-/topics{query}")).status_code == 400
