"""Who shares a request: polls that begin together, and only those that would make the same of its answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pushgate.adapters.upstream.batches import Batches
from pushgate.adapters.upstream.formats import decoder_of
from pushgate.answers import Answer
from pushgate.clock import Clock
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.routes import Route
from pushgate.values import UpstreamRequest, Validators

UPSTREAMS = {"u": Upstream.model_validate({"url": "http://u.example"})}
SAID = {part: [{"id": id, "part": part} for id in ("1", "2")] for part in ("old", "new")}


class Scene:
    """An upstream that is asked for many at once; ``urls`` are those that it was asked."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.urls: list[str] = []
        self._batches = Batches(
            Clock(), tasks, self._ask, lambda route: decoder_of(route.config.format, keeps_shape=False)
        )

    async def _ask(self, request: UpstreamRequest) -> Answer:
        self.urls.append(request.url)
        return Answer(200, "application/json", json.dumps(SAID).encode(), Validators(), 1e9)

    async def poll(self, route: Route, id: str) -> Any:
        name = route.topic({"id": id}, {})
        return (await self._batches(route, name, route.request(name))).value


def route(items: str) -> Route:
    batch = {"param": "ids", "value": "{id}", "join": ",", "max": 9, "items": items, "match": "id"}
    config = {"upstream": "u", "request": {"path": "/all"}, "batch": batch}
    return Route("/t/{id}", RouteConfig.model_validate(config), UPSTREAMS)


async def test_polls_that_begin_together_share_a_request() -> None:
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tasks)
        shares = await asyncio.gather(scene.poll(route("/old"), "1"), scene.poll(route("/old"), "2"))
    assert shares == SAID["old"]
    assert scene.urls == ["http://u.example/all?ids=1,2"]


async def test_who_reads_an_answer_in_another_way_asks_alone() -> None:
    """A topic that is made anew by a reload does not join the batch that gathers: it is of the route before."""
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tasks)
        shares = await asyncio.gather(scene.poll(route("/old"), "1"), scene.poll(route("/new"), "2"))
    assert shares == [SAID["old"][0], SAID["new"][1]]
    assert len(scene.urls) == 2


async def test_nothing_is_asked_for_whoever_has_stopped_waiting() -> None:
    """If nobody is left, there is no request: the upstream may be another one by then."""
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tasks)
        polls = [tasks.create_task(scene.poll(route("/old"), id)) for id in ("1", "2")]
        await asyncio.sleep(0)
        polls[0].cancel()
        assert await polls[1] == SAID["old"][1]
        assert scene.urls == ["http://u.example/all?ids=2"]
        alone = tasks.create_task(scene.poll(route("/old"), "1"))
        await asyncio.sleep(0)
        alone.cancel()
    assert len(scene.urls) == 1
