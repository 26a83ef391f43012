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


@pytest.mark.parametrize("probe", ["livez", "readyz", "startupz"])
async def test_probes_tell_what_they_looked_at(backend: ScriptedBackend, probe: str) -> None:
    """In the form that Kubernetes gives its own, if it is asked for; no cache keeps it."""
    async with running_gateway(backend, ROUTES) as gateway, http_client(base_url=gateway.admin) as client:
        brief, verbose = await client.get(f"/{probe}"), await client.get(f"/{probe}?verbose")
        head, post = await client.head(f"/{probe}"), await client.post(f"/{probe}")
    assert (brief.status_code, brief.text, brief.headers["Cache-Control"]) == (200, "ok\n", "no-store")
    assert brief.headers["Content-Type"].startswith("text/plain")
    *checks, verdict = verbose.text.splitlines()
    assert checks and all(line.startswith("[+]") and line.endswith(" ok") for line in checks)
    assert verdict == f"{probe} check passed"
    assert (head.status_code, post.status_code) == (200, 405)


async def test_a_probe_leaves_out_what_it_is_told_to(backend: ScriptedBackend) -> None:
    """A drain makes it unready, unless draining is what nobody asks about."""
    async with running_gateway(backend, ROUTES) as gateway, http_client(base_url=gateway.admin) as client:
        assert (await client.post("/-/drain", headers={"Pushgate-Admin": "1"})).status_code == 202
        draining, excluded = await client.get("/readyz"), await client.get("/readyz?exclude=draining")
        others = [(await client.get(path)).status_code for path in ("/livez", "/startupz")]
    assert (draining.status_code, excluded.status_code, others) == (503, 200, [200, 200])
    assert "[-]draining failed: clients are asked to leave" in draining.text


async def test_the_loop_is_watched(backend: ScriptedBackend) -> None:
    """How late it comes to what is due can be seen in the metrics."""
    async with running_gateway(backend, ROUTES) as gateway:
        await eventually(lambda: gateway.metric("pushgate_event_loop_lag_seconds_count"), lambda count: count > 1)
