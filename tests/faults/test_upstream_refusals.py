"""Upstreams that say no, to everybody or to one, for a while or for good; and those that are asked too much."""

from __future__ import annotations

from email.utils import formatdate
from itertools import pairwise
from math import inf
from time import time
from typing import ClassVar

import pytest

from gateways import eventually, http_client
from links import Sse
from sidebyside import side_by_side
from troubles import Trouble, staged
from upstreams import Asked


class Says404(Trouble):
    def crime(self, asked: Asked) -> bytes:
        return self.say('{"error": "not found"}', status="404 Not Found")


async def test_404_in_passing_is_not_the_end_of_it() -> None:
    trouble = Says404()
    async with staged(trouble) as scene:
        good = await scene.until("live")
        trouble.bad_answers = 1
        await scene.until_counted("gone", 1)
        await scene.until_polled(3)
        assert await scene.get() == ("live", good)
        assert (await scene.changes(), await scene.failures()) == (1, 0)


async def test_404_twice_is_gone_and_it_may_come_back() -> None:
    trouble = Says404()
    async with staged(trouble) as scene:
        good = await scene.until("live")
        trouble.bad_answers = inf
        problem = await scene.until("gone")
        assert problem["code"] == "gone"
        trouble.bad_answers = 0
        assert await scene.until("live") == good
        assert await scene.changes() == 3


class AsksForASecond(Trouble):
    def crime(self, asked: Asked) -> bytes:
        return self.say("{}", "Retry-After: 1", status="429 Too Many Requests")


class AsksForADate(Trouble):
    """A second away, by its own clock."""

    def crime(self, asked: Asked) -> bytes:
        now = time()
        date, then = formatdate(now, usegmt=True), formatdate(now + 1, usegmt=True)
        return self.say("{}", f"Date: {date}", f"Retry-After: {then}", status="429 Too Many Requests")


class EmptiesItsQuota(Trouble):
    """The document is good, and the last one for a second."""

    def crime(self, asked: Asked) -> bytes:
        return self.say(self.body(self.version), "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1")


class IsDownForASecond(Trouble):
    def crime(self, asked: Asked) -> bytes:
        return self.say("{}", "Retry-After: 1", status="503 Service Unavailable")


async def test_who_asks_to_be_left_alone_is(subtests: pytest.Subtests) -> None:
    """No request goes out until then; polls that are due meanwhile are skipped, and the document stays."""

    async def is_left_alone(trouble: Trouble) -> None:
        async with staged(trouble) as scene:
            good = await scene.until("live")
            trouble.bad_answers = 2
            await eventually(scene.get, lambda _: not trouble.bad_answers and not trouble.times[-1][1])
            began = next(at for at, (_, is_bad) in enumerate(trouble.times) if is_bad)
            asked = [moment for moment, _ in trouble.times[began : began + 3]]
            assert all(later - earlier > 0.9 for earlier, later in pairwise(asked))
            assert await scene.until("live") == good

    crimes = [AsksForASecond, AsksForADate, EmptiesItsQuota, IsDownForASecond]
    await side_by_side(subtests, {crime.__name__: is_left_alone(crime()) for crime in crimes})


class AllowsOneRequestAnHour(Trouble):
    """Not its crime, but its owner's rule."""

    upstream: ClassVar = {"budget": {"rate": "1/h", "spent": "fail"}}
    route: ClassVar = {"stale": {"after": 1}}


async def test_a_budget_that_is_spent() -> None:
    """The poll fails, says why, and the upstream does not hear of it."""
    async with staged(AllowsOneRequestAnHour()) as scene, Sse(scene.gateway.base, "/document") as client:
        await client.connect()
        status = await client.hear_state("stale")
        assert status["data"]["reason"] == "budget"
        assert (await scene.get())[0] == "stale"
        assert len(scene.backend.asked) == 1
        assert await scene.count("failed") >= 1


class NeverRecovers(Trouble):
    """Until its breaker has been open for a while."""

    upstream: ClassVar = {"breaker": {"failures": 3, "cooldown": "500ms"}}

    def crime(self, asked: Asked) -> bytes:
        return self.say("{}", status="500 Internal Server Error")


async def test_a_breaker_leaves_it_alone_and_tries_again() -> None:
    trouble = NeverRecovers()
    async with staged(trouble) as scene:
        good = await scene.until("live")
        trouble.bad_answers = inf
        await eventually(lambda: scene.gateway.metric("pushgate_breaker_state", state="open"), lambda value: value == 1)
        asked = len(scene.backend.asked)
        await scene.until_counted("skipped", 1)
        assert len(scene.backend.asked) == asked
        assert await scene.get() == ("stale", good)
        trouble.bad_answers = 0
        assert await scene.until("live") == good
        assert await scene.gateway.metric("pushgate_breaker_state", state="closed") == 1


class RefusesOneCaller(Trouble):
    """It knows its users by their tokens, and lets one of them go."""

    route: ClassVar = {"share": "identity", "forward": {"headers": ["Authorization"]}}

    def __call__(self, asked: Asked) -> bytes:
        is_refused = self.bad_answers > 0 and asked.fields["authorization"] == "Bearer dismissed"
        return self.say("{}", status="403 Forbidden") if is_refused else self.honest()


async def test_a_caller_who_is_sent_away_loses_the_document() -> None:
    """And nobody else does: others are other topics."""
    trouble = RefusesOneCaller()
    async with staged(trouble) as scene, http_client() as client:
        url = scene.gateway.base + "/document"
        dismissed, other = ({"Authorization": f"Bearer {who}"} for who in ("dismissed", "other"))
        assert (await client.get(url, headers=dismissed)).status_code == 200
        assert (await client.get(url, headers=other)).status_code == 200
        trouble.bad_answers = inf
        refused = await eventually(lambda: client.get(url, headers=dismissed), lambda got: got.status_code != 200)
        assert (refused.status_code, refused.json()["code"]) == (403, "upstream_denied")
        assert (await client.get(url, headers=other)).status_code == 200
        assert await scene.gateway.metric("pushgate_poll_failures_total", reason="upstream_auth") >= 1
        answer = await client.get(f"{scene.gateway.admin}/-/topics")
        setbacks = [setback["reason"] for topic in answer.json()["topics"] for setback in topic["last_failures"]]
        assert set(setbacks) == {"upstream_auth"}
