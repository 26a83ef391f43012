"""
Many topics in one request: polls that begin together wait for each other for a moment, and share an answer.

The topics of a route with ``batch:`` are polled on one grid, so those that are due begin together anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ...answers import Answer
from ...batching import Shares, joined
from ...clock import Clock
from ...errors import PollError
from ...refinery import Decoder
from ...routes import Route, TopicName
from ...values import UpstreamRequest

# How long the first of a batch waits for others: timers of one moment go off within milliseconds.
GATHER = 0.01

Ask = Callable[[UpstreamRequest], Awaitable[Answer]]


@dataclass(slots=True)
class _Batch:
    """Who is asked for together: each by the name that the answer will have for them."""

    waiting: dict[str, list[asyncio.Future[Answer]]] = field(default_factory=dict)


class Batches:
    """All batches that are being gathered."""

    def __init__(self, clock: Clock, tasks: asyncio.TaskGroup, ask: Ask, decoder: Callable[[Route], Decoder]) -> None:
        self._clock = clock
        self._tasks = tasks
        self._ask = ask
        self._decoder = decoder
        self._open: dict[tuple[object, ...], _Batch] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def __call__(self, route: Route, name: TopicName, request: UpstreamRequest) -> Answer:
        """Return one topic's part of an answer to many; raises PollError."""
        settings = route.config.batch
        assert settings is not None, "only routes that have batches are asked like this"
        claims = sorted(request.claims.items())
        key = (route.name, route.definition, request.method, request.url, request.headers, request.body, *claims)
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = _Batch()
            task = self._tasks.create_task(self._send(key, batch, route, request), name=f"batch {route.name}")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        batch.waiting.setdefault(route.name_in_batch(name), []).append(future)
        if len(batch.waiting) >= settings.max:
            self._open.pop(key, None)  # full: who comes now begins the next one
        return await future  # no timeout: the request has its own

    def stop(self) -> None:
        """End for good: nobody waits for an answer any more."""
        for task in self._sending:
            task.cancel()

    async def _send(self, key: tuple[object, ...], batch: _Batch, route: Route, request: UpstreamRequest) -> None:
        await self._clock.sleep(GATHER)
        if self._open.get(key) is batch:
            del self._open[key]
        wanted = [name for name, futures in batch.waiting.items() if not all(future.done() for future in futures)]
        if not wanted:
            return  # their topics were stopped meanwhile
        shares: Shares | Answer | Exception
        try:
            shares = await self._shares(route, request, wanted)
        except Exception as error:  # also a bug of ours: it is each topic's failed poll, and told there
            shares = error
        for name in wanted:
            _settle(batch.waiting[name], _share(shares, name))

    async def _shares(self, route: Route, request: UpstreamRequest, names: list[str]) -> Shares | Answer:
        settings = route.config.batch
        assert settings is not None, "only routes that have batches are asked like this"
        answer = await self._ask(joined(settings, request, names))
        match route.meaning(answer.status):
            case "document":
                route.recipe.check_type(answer.content_type)
                value = self._decoder(route).decode(answer.body, answer.content_type)
                ttl = route.recipe.check(value)
                return Shares(settings, answer, route.recipe.strip(value), ttl=ttl, sharers=len(names))
            case "gone":  # that many topics are gone at once is not what a 404 means
                raise PollError("http_4xx", f"the upstream answered {answer.status} to a batch")
            case _:
                return answer


def _settle(futures: list[asyncio.Future[Answer]], outcome: Answer | Exception) -> None:
    for future in futures:
        if future.done():  # its topic was stopped meanwhile
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _share(shares: Shares | Answer | Exception, name: str) -> Answer | Exception:
    if not isinstance(shares, Shares):
        return shares  # what means the same for all
    try:
        return shares.of(name)
    except PollError as error:
        return error
