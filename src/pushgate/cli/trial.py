"""
One topic polled as a running gateway polls it, with everything told that happens on the way.

It is the gateway's own feed, client, budget and pipeline. What differs is that somebody listens at the upstream's side
(``HeardLine``) and inside the pipeline (``tracing.py``), and that there are no clients.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from ..adapters.upstream.budget import Gate
from ..adapters.upstream.credentials import Refreshed
from ..adapters.upstream.exchange import Reply
from ..adapters.upstream.fetch import HttpFetch, Line
from ..adapters.upstream.formats import decoder_for
from ..adapters.upstream.formats.auto import kind_of
from ..adapters.upstream.sources import Sources
from ..answers import Answer
from ..clock import Clock
from ..config.upstreams import Upstream
from ..documents.changes import Change
from ..errors import PollError
from ..feed import Feed
from ..identity import cookies_of
from ..metrics import Metrics
from ..pauses import Pauses
from ..poller import Means
from ..routes import Route, TopicName
from ..store.memory import MemoryStore
from ..tools.narration import answer_lines, counted, cut
from ..tools.redaction import shown_body, shown_fields, shown_url
from ..tools.tracing import Trace, TracedReception, TracedRecipe
from ..values import UpstreamRequest, Validators
from .progress import Progress
from .target import Target

# Told of every exchange with an upstream: what was asked, what came of it, and in how many seconds.
Heard = Callable[[UpstreamRequest, Reply | PollError, float], None]

# Told what credentials have added to a request: nobody is shown that, also if the upstream repeats it.
Added = Callable[[str], None]


class HeardLine(Line):
    """The line to one upstream, with somebody who listens; what credentials add to a request is no part of it."""

    def __init__(
        self, name: str, upstream: Upstream, clock: Clock, gate: Gate, refreshed: Refreshed, heard: Heard, added: Added
    ) -> None:
        super().__init__(name, upstream, clock, gate, refreshed)
        self._clock = clock
        self._heard = heard
        self._added = added

    async def ask(self, request: UpstreamRequest) -> Reply:
        began = self._clock.now()
        try:
            reply = await self._ask(request)
        except PollError as error:
            self._heard(request, error, self._clock.now() - began)
            raise
        self._heard(request, reply, self._clock.now() - began)
        return reply

    async def _ask(self, request: UpstreamRequest) -> Reply:
        async def send(signed: UpstreamRequest) -> Reply:
            for field in set(signed.headers) - set(request.headers):
                self._added(field[1])
            return await self._exchange(signed)

        return await (self._exchange(request) if self._credentials is None else self._credentials(request, send))


class HeardFetch(HttpFetch):
    """The gateway's client, on lines that are listened to."""

    def __init__(
        self, route: Route, clock: Clock, gates: dict[str, Gate], refreshed: Refreshed, heard: Heard, added: Added
    ) -> None:
        super().__init__({}, clock, gates=gates, refreshed=refreshed)
        self._lines = {
            name: HeardLine(name, upstream, clock, gates[name], refreshed, heard, added)
            for name, upstream in route.upstreams.items()
        }


class Trial:
    """A topic on trial. ``settled`` is called after every poll, when all that is to be known of it is known."""

    def __init__(self, route: Route, name: TopicName, clock: Clock, settled: Callable[[Trial], None]) -> None:
        self.route = route
        self.name = name
        self.clock = clock
        self.trace = Trace()
        self.changes: list[Change] = []  # of the latest poll
        self.credentials: set[str] = set()  # what was shown to upstreams, and is shown to nobody else
        self.feed: Feed  # while it runs
        self._settled = settled
        route.recipe = TracedRecipe(route.config, self.trace)
        names = (*name.identity.headers, *((header, "") for header in route.config.forward.headers))
        self._forwarded = {header.lower() for header, _ in names}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Trial]:
        """Poll the topic, as its schedule says, while the context is open."""
        clock, metrics = self.clock, Metrics()
        async with AsyncExitStack() as stack:
            gates = {name: Gate(name, each, clock, metrics, Pauses()) for name, each in self.route.upstreams.items()}
            http = await stack.enter_async_context(
                HeardFetch(self.route, clock, gates, self._refreshed, self._heard, self._added)
            )
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            sources = Sources(http, gates, clock, tasks)

            async def fetch(route: Route, name: TopicName, request: UpstreamRequest, validators: Validators) -> Answer:
                try:
                    return await sources(route, name, request, validators)
                except PollError as error:
                    self.trace.failed(error)
                    raise

            means = Means(clock, fetch, decoder_for, MemoryStore(clock.token()), tasks, metrics)
            self.feed = Feed(self.route, self.name, means, self)
            self.feed.polling.reception = TracedReception(self.route, decoder_for(self.route), self.trace)
            self.feed.joined()
            try:
                yield self
            finally:
                self.feed.stop()
                sources.stop()

    # What the feed says.

    def appended(self, change: Change) -> None:
        self.changes.append(change)

    def when_told(self, tell: Callable[[], None]) -> None:
        tell()  # there is nobody else

    def announced(self) -> None:
        """Nobody has to be told of a state before the poll is over."""

    def dropped(self, status: int) -> None:
        """That the upstream sends this caller away is the outcome of the poll."""

    def settled(self) -> None:
        self._settled(self)
        self.changes = []
        self.trace.begin()

    # What the upstream says.

    def _heard(self, request: UpstreamRequest, outcome: Reply | PollError, seconds: float) -> None:
        self.trace.note("request", *self._request_lines(request))
        self.trace.at = "answer"
        if isinstance(outcome, PollError):
            return
        answer = outcome.answer
        lines = [*answer_lines(answer, outcome.headers, seconds=seconds)]
        if answer.status >= 400 and answer.body:
            lines.append(f"it says: {cut(answer.body.decode(errors='replace'))}")
        self.trace.note("answer", *lines)
        self.trace.format = self._format_of(answer)

    def _added(self, value: str) -> None:
        self.credentials |= {value, *cookies_of(value).values()}

    def _request_lines(self, request: UpstreamRequest) -> list[str]:
        lines = [
            f"{request.method} {shown_url(request.url)}",
            *shown_fields(request.headers, forwarded=self._forwarded),
        ]
        kind = self.route.upstreams[request.upstream].credentials.kind
        if kind != "none":
            lines.append(f"with credentials of the kind {kind}")
        if request.body is not None:
            types = [value for name, value in request.headers if name.lower() == "content-type"]
            lines.append(f"{counted(len(request.body), 'byte')}: {cut(shown_body(request.body, *types[:1] or ['']))}")
        return lines

    def _format_of(self, answer: Answer) -> str:
        kind = self.route.config.format.kind
        if kind != "auto":
            return f"{kind}, as `format` says"
        try:
            found = kind_of(answer.body, answer.content_type)
        except PollError:
            return "auto"
        return f"{found}, as `format: auto` sees by {answer.content_type or 'its beginning'}"

    def _refreshed(self, upstream: str, ok: bool) -> None:
        self.trace.note("credentials", f"those for {upstream} were got anew" if ok else f"none were got for {upstream}")


class Printer(Protocol):
    """Who tells people of polls."""

    @property
    def progress(self) -> Progress: ...

    def poll(self, trial: Trial) -> None:
        """Tell what came of the latest poll."""

    def waiting(self, trial: Trial) -> str:
        """Return what to say between two polls."""


async def poll_once(target: Target, printer: Printer) -> None:
    """Poll once; who waits longer than two seconds is told for what."""
    is_settled = asyncio.Event()

    def settled(trial: Trial) -> None:
        if not is_settled.is_set():
            printer.poll(trial)
        is_settled.set()

    clock = Clock()
    began = clock.now()

    def waiting() -> None:
        if (seconds := clock.now() - began) > 1.5:
            printer.progress.tell(f"waiting for the upstream for {seconds:.0f}s")

    async with Trial(target.route, target.topic, clock, settled).running():
        await _wait(is_settled, waiting)


async def _wait(is_over: asyncio.Event, tell: Callable[[], None]) -> None:
    """Wait, and tell every second that we do; no timeout: a poll has its own, and whoever watches says when to end."""
    while not is_over.is_set():
        try:
            async with asyncio.timeout(1.0):
                await is_over.wait()
        except TimeoutError:
            tell()


async def keep_polling(target: Target, printer: Printer) -> None:
    """Poll by the schedule until the topic ends or a signal comes; a second signal ends the process at once."""
    is_over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def settled(trial: Trial) -> None:
        printer.poll(trial)
        if trial.feed.topic.state == "ended":
            is_over.set()

    def enough(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        is_over.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, enough, number)
    async with Trial(target.route, target.topic, Clock(), settled).running() as trial:
        await _wait(is_over, lambda: printer.progress.tell(printer.waiting(trial)))
