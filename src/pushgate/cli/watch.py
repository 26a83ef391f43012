"""
A probe under way: it polls one URL with the gateway's own client until it has seen enough.

One request at a time, and ever more slowly where nothing happens.
"""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise

from .. import quantities
from ..adapters.upstream.budget import Gate
from ..adapters.upstream.fetch import HttpFetch
from ..answers import NO_VALIDATORS, Answer
from ..clock import Clock
from ..config.upstreams import Upstream
from ..errors import PollError
from ..metrics import Metrics
from ..pauses import Pauses
from ..tools.probing import Asked, Pace, Sample
from ..tools.probing.asked import content_type
from ..values import UpstreamRequest, Validators
from .progress import Progress

Ask = Callable[[Validators], Awaitable[Answer]]

# An upstream that has not answered once by then will not do so because we insist.
_TRIES = 3


@dataclass(slots=True)
class Watch:
    """One probe under way: how long, how many polls, whom to tell, and what was seen so far."""

    clock: Clock
    seconds: float
    max_polls: int
    progress: Progress
    samples: list[Sample] = field(default_factory=list)
    failures: int = 0
    failure: PollError | None = None

    async def run(self, ask: Ask) -> None:
        """Poll until the time or the polls are used up, or the upstream turns out not to answer at all."""
        pace = Pace.over(self.seconds, polls=self.max_polls)
        end = self.clock.now() + self.seconds
        while True:
            began = self.clock.now()
            answer = await self._poll(ask, began)
            if len(self.samples) + self.failures >= self.max_polls or self._is_hopeless():
                return
            pace = pace.after(answer, seconds=self.clock.now() - began)
            if self.clock.now() + pace.wait > end:
                return
            self._report(end)
            await self.clock.sleep(pace.wait)

    async def _poll(self, ask: Ask, began: float) -> Answer | None:
        """Ask every other time with the validators of the last answer, so that their honesty can be judged."""
        last = self.samples[-1] if self.samples else None
        is_turn = last is not None and last.asked_with == NO_VALIDATORS and last.answer.status == 200
        validators = last.answer.validators if last is not None and is_turn else NO_VALIDATORS
        try:
            answer = await ask(validators)
        except PollError as error:
            self.failure, self.failures = error, self.failures + 1
            return None
        if not self.samples and (failure := _failure(answer.status)) is not None:
            self.failure, self.failures = failure, self.failures + 1
        else:
            self.samples.append(Sample(answer, self.clock.now() - began, validators))
        return answer

    def _is_hopeless(self) -> bool:
        is_final = self.failure is not None and self.failure.reason in ("http_4xx", "upstream_auth", "protocol")
        return not self.samples and (self.failures >= _TRIES or is_final)

    def _report(self, end: float) -> None:
        bodies = [sample.answer.body for sample in self.samples if sample.answer.status == 200]
        versions = sum(before != after for before, after in pairwise(bodies))
        left = quantities.duration_text(max(0, round(end - self.clock.now())))
        failed = f", {self.failures} failed" if self.failures else ""
        polls = f"{len(self.samples)} polls, {versions} different bodies{failed}"
        self.progress.tell(f"{polls}; {left} to go, Ctrl-C for less")


async def poll(asked: Asked, watch: Watch) -> None:
    """Run the watch until it is over or the first SIGINT; a second one ends the process as it would without us."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        ask = await _connect(asked, watch.clock, stack)
        async with asyncio.TaskGroup() as tasks:
            polling = tasks.create_task(watch.run(ask), name="probe")

            def enough() -> None:
                loop.remove_signal_handler(signal.SIGINT)
                polling.cancel()

            loop.add_signal_handler(signal.SIGINT, enough)
            stack.callback(loop.remove_signal_handler, signal.SIGINT)
    watch.progress.clear()


async def _connect(asked: Asked, clock: Clock, stack: AsyncExitStack) -> Ask:
    """Return what asks once: the gateway's own client, with the manners of an upstream that has no configuration."""
    upstream = Upstream(url=asked.origin)
    gate = Gate(asked.name, upstream, clock, Metrics(), Pauses())
    fetch = await stack.enter_async_context(
        HttpFetch({asked.name: upstream}, clock, gates={asked.name: gate}, refreshed=lambda _name, _ok: None)
    )
    body = None if asked.body is None else asked.body.encode()
    request = UpstreamRequest(asked.method, asked.target, _fields(asked), body, asked.name)
    return lambda validators: fetch(request, validators)


def _fields(asked: Asked) -> tuple[tuple[str, str], ...]:
    """Return the header fields to send: those asked for, and what follows from ``-u`` and ``-d``."""
    fields = [*asked.headers]
    named = {name.lower() for name, _ in fields}
    if asked.credentials is not None and "authorization" not in named:
        fields.append(("Authorization", f"Basic {base64.b64encode(asked.credentials.encode()).decode()}"))
    if asked.body is not None and "content-type" not in named:
        fields.append(("Content-Type", content_type(asked.body)))
    return tuple(fields)


def _failure(status: int) -> PollError | None:
    """Return what is wrong with the first answer, if it is none."""
    if 200 <= status < 300:
        return None
    if status in (401, 403):
        return PollError("upstream_auth", f"the upstream answered {status}")
    if status == 429:
        return PollError("rate_limited", "the upstream answered 429")
    if status >= 500:
        return PollError("http_5xx", f"the upstream answered {status}")
    return PollError("http_4xx" if status >= 400 else "protocol", f"the upstream answered {status}")
