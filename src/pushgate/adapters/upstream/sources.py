"""
Where a topic's answer comes from: one exchange with the upstream, or as many as its route's pages take, or a part of
one that many topics share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from ...answers import NO_VALIDATORS, Answer
from ...clock import Clock
from ...errors import PollError
from ...refinery import Decoder
from ...routes import Route, TopicName
from ...values import UpstreamRequest, Validators
from .batches import Batches
from .fetch import HttpFetch
from .formats import decoder_of
from .pages import ask_all_pages


class Watch(Protocol):
    """Hears how the polls of an upstream come out."""

    def came_out(self, error: PollError | None) -> None: ...


class _Nobody:
    def came_out(self, error: PollError | None) -> None:
        pass


_NOBODY = _Nobody()


class Sources:
    """The fetch port: asks as the route says, and tells the upstream's watch what came of it."""

    def __init__(self, http: HttpFetch, watches: Mapping[str, Watch], clock: Clock, tasks: asyncio.TaskGroup) -> None:
        self._http = http
        self._watches = watches
        self._batches = Batches(clock, tasks, self._ask, _plain_decoder)

    async def __call__(self, route: Route, name: TopicName, request: UpstreamRequest, validators: Validators) -> Answer:
        if route.config.batch is not None:
            return await self._batches(route, name, request)
        if route.config.pages is not None:
            return await ask_all_pages(route, request, self._ask, _plain_decoder(route))
        return await self._ask(request, validators)

    def stop(self) -> None:
        """End what no poll would end by itself."""
        self._batches.stop()

    async def _ask(self, request: UpstreamRequest, validators: Validators = NO_VALIDATORS) -> Answer:
        watch = self._watches.get(request.upstream, _NOBODY)  # the upstream may be gone since the request was made
        try:
            answer = await self._http(request, validators)
        except PollError as error:
            watch.came_out(error)
            raise
        # What a route takes for an answer, ``503: keep`` for instance, is still a backend in trouble.
        watch.came_out(_failure(answer))
        return answer


def _plain_decoder(route: Route) -> Decoder:
    return decoder_of(route.config.format, keeps_shape=False)


def _failure(answer: Answer) -> PollError | None:
    return PollError("http_5xx", f"the upstream answered {answer.status}") if answer.status >= 500 else None
