"""What is hard to believe is held until the upstream insists; outside its hours a topic rests; caches are respected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from backends import ScriptedBackend
from gateways import http_client, route, running_gateway
from transports import STREAMS, connected

SOON = {"confirm_after": "150ms"}
ROWS = [{"id": n} for n in range(20)]

# A document, and a strange one after it, by the guard that it fails.
STRANGE: dict[str, tuple[Any, Any]] = {
    "empty": (ROWS, []),
    "type": ({"rows": ROWS}, {"rows": "none"}),
    "shrink": (ROWS, ROWS[:2]),
    "no body": (ROWS, None),
}


def strange(backend: ScriptedBackend, document: Any) -> None:
    if document is None:
        backend.say(b"")
    else:
        backend.serve(document)


@pytest.mark.parametrize("case", STRANGE)
@pytest.mark.parametrize("transport", STREAMS)
async def test_a_hiccup_is_never_published(backend: ScriptedBackend, transport: str, case: str) -> None:
    """Clients hear that something is held, keep what they have, and hear that all is well."""
    good, odd = STRANGE[case]
    backend.serve(good)
    routes = {"/t": route(guards=SOON, key="id" if case != "type" else {"/rows": "id"})}
    async with running_gateway(backend, routes) as gateway, connected(transport, gateway.base, "/t") as link:
        await link.follow(good)
        strange(backend, odd)
        await link.hear_state("held")
        backend.serve(good)
        await link.hear_state("live")
        assert link.replica.holds(good) and link.replica.kinds == ["snapshot"]
        assert await gateway.metric("pushgate_polls_total", outcome="held") == 1
        assert await gateway.metric("pushgate_changes_total", route="/t") == 1


@pytest.mark.parametrize("case", ["empty", "type", "shrink"])
async def test_what_the_upstream_insists_on_is_published(backend: ScriptedBackend, case: str) -> None:
    """The second answer that fails the same guard confirms the first; short polls show the old one until then."""
    good, odd = STRANGE[case]
    backend.serve(good)
    routes = {"/t": route(guards=SOON, key="id" if case != "type" else {"/rows": "id"})}
    async with (
        running_gateway(backend, routes) as gateway,
        connected("sse", gateway.base, "/t") as link,
        http_client() as http,
    ):
        await link.follow(good)
        backend.serve(odd)
        await link.hear_state("held")
        answer = await http.get(f"{gateway.base}/t")
        assert (answer.json(), answer.headers["Pushgate-State"]) == (good, "held")
        await link.follow(odd)
        assert backend.requests[-1].headers.get("if-none-match") is None


@pytest.mark.parametrize("guard", ["empty", "type"])
async def test_a_guard_may_reject(backend: ScriptedBackend, guard: str) -> None:
    """Then such an answer is a failed poll, however often it comes."""
    good, odd = STRANGE[guard]
    backend.serve(good)
    routes = {"/t": route(guards={guard: "reject"}, key="id" if guard == "empty" else {"/rows": "id"})}
    async with running_gateway(backend, routes) as gateway, connected("sse", gateway.base, "/t") as link:
        await link.follow(good)
        backend.serve(odd)
        assert (await link.hear_state("stale"))["data"]["reason"] == "guard"


async def test_an_identical_answer_confirms_nothing_but_the_accepted_one(backend: ScriptedBackend) -> None:
    """An honest upstream's 304 would be about the answer that was accepted: held ones leave no validators."""
    backend.is_honest = True
    backend.serve(ROWS)
    async with (
        running_gateway(backend, {"/t": route(guards=SOON, key="id")}) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.follow(ROWS)
        backend.serve([])
        await link.hear_state("held")
        backend.serve(ROWS)
        await link.hear_state("live")
        assert link.replica.kinds == ["snapshot"]


def closed_now() -> str:
    """Active hours that are over, whatever time it is."""
    begin = datetime.now(UTC) + timedelta(hours=6)
    return f"{begin:%H:%M}-{begin + timedelta(hours=1):%H:%M}"


async def test_outside_its_hours_a_topic_is_paused(backend: ScriptedBackend) -> None:
    """A missing document is fetched once; then it is served as paused, and the upstream is left alone."""
    backend.serve(ROWS)
    routes = {"/t": route(poll={"active": closed_now()})}
    async with (
        running_gateway(backend, routes) as gateway,
        connected("sse", gateway.base, "/t") as link,
        http_client() as http,
    ):
        await link.follow(ROWS)
        status = (await link.hear_state("paused"))["data"]
        assert status["next_poll_at"] is not None and status["reason"] is None
        answer = await http.get(f"{gateway.base}/t")
        assert (answer.status_code, answer.headers["Pushgate-State"]) == (200, "paused")
        assert await backend.is_left_alone(0.2) and len(backend.requests) == 1


@pytest.mark.parametrize(
    ("headers", "poll", "seconds"),
    [
        ({"Cache-Control": "max-age=60"}, {}, 60),
        ({"Cache-Control": "max-age=60, s-maxage=30"}, {}, 30),
        ({"Cache-Control": "max-age=60", "Age": "20"}, {}, 40),
        ({}, {"ttl": "ttl"}, 50),
        ({"Cache-Control": "max-age=86400"}, {}, 300),
        ({"Cache-Control": "max-age=60"}, {"respect_cache": False}, 0),
        ({"Cache-Control": "no-cache, max-age=60"}, {}, 0),
    ],
)
async def test_what_the_upstream_vouches_for_is_not_asked_again(
    backend: ScriptedBackend, headers: dict[str, str], poll: dict[str, Any], seconds: int
) -> None:
    """Cache headers and ``ttl`` are a floor for the next poll, within reason."""
    backend.serve({"ttl": 50})
    backend.headers = headers
    async with (
        running_gateway(backend, {"/t": route(poll=poll)}) as gateway,
        connected("sse", gateway.base, "/t") as link,
    ):
        await link.receive()
        async with http_client() as http:
            cache = (await http.get(f"{gateway.base}/t")).headers["Cache-Control"]
        assert int(cache.removeprefix("public, max-age=")) == pytest.approx(seconds, abs=2)


async def test_a_pointer_that_ignores_nothing_is_told(backend: ScriptedBackend) -> None:
    """After twenty polls without a match it is probably a mistake; it is told once, and again if it comes back."""
    backend.serve({"n": 0, "at": 1})
    routes = {"/t": route(ignore=["/at", "/rows/*/at"], key="id")}
    with structlog.testing.capture_logs() as logs:
        async with running_gateway(backend, routes) as gateway, connected("sse", gateway.base, "/t") as link:
            for n in range(1, 45):
                backend.serve({"n": n, "at": n})
                await link.follow({"n": n})
    told = [entry for entry in logs if entry["event"] == "ignore.idle"]
    assert [(entry["route"], entry["pointers"], entry["log_level"]) for entry in told] == [
        ("/t", ["/rows/*/at"], "warning")
    ]
