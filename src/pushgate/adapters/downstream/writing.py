"""
Writes: from a client's request to the upstream's answer, and to the polls that see what was written.

Rule 1: what has been sent is never sent again. Whoever is told to come back (``Retry-After``) knows that nothing was.
Rule 2: whatever may have changed something, a write that failed too, is followed by polls that begin after it.
Rule 3: a page of another site cannot write with the cookies of its visitor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web

from ...answers import NO_VALIDATORS, Answer
from ...correlation import Trail
from ...errors import (
    OriginForbidden,
    Overloaded,
    Paused,
    PollError,
    Refusal,
    UpstreamFailed,
    UpstreamTimedOut,
)
from ...hub import Hub
from ...polled import PolledChannel
from ...routes import Route, TopicName
from ...values import Caller, UpstreamRequest, Validators
from ...views import ViewRoute
from ...writes import MAX_BODY_BYTES, Order, Sent
from .aftermath import Awaited, is_refusal, poke
from .bodies import read_body
from .replies import VARY, Reply, topic_fields
from .trails import trail_of

log = structlog.get_logger()

# So many bodies at once are kept in memory.
MAX_WRITES = 200

# The time beside the upstream's own for a turn at an upstream with a budget, in seconds.
TURN_PATIENCE = 20.0

# What a browser says of a request that no other site's page has made (Fetch Metadata, W3C).
_OF_THIS_SITE = ("same-origin", "none")

Ask = Callable[[UpstreamRequest, Validators], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a write. ``awaited``: the polls that show it, ``wait``: how long to wait for them, in seconds."""

    answer: Answer
    awaited: Awaited
    wait: float

    @property
    def is_refused(self) -> bool:
        return _is_refused(self.answer)

    async def is_settled(self) -> bool:
        """Wait until clients get what the upstream said in these polls, at most so long; tell whether they do."""
        try:
            async with asyncio.timeout(self.wait):
                for channel, number in self.awaited.items():
                    await _published(channel, number)
        except TimeoutError:
            return False
        return all(number is not None or channel.is_current for channel, number in self.awaited.items())


class Writer:
    """Passes writes on. ``ask`` asks an upstream, as a poll would; ``entries`` are all routes and views."""

    def __init__(self, ask: Ask, entries: Collection[Route | ViewRoute], hub: Hub) -> None:
        self._ask = ask
        self.entries = entries
        self._hub = hub
        self._under_way = 0

    async def answer(
        self, request: web.BaseRequest, route: Route, admit: Callable[[], tuple[TopicName, Caller]]
    ) -> Reply:
        """
        Return the upstream's answer, once what it changed is published; raises a Refusal if there is none.

        ``admit`` is asked when the body has come: it tells what is written to and as whom, or refuses it.
        """
        with self._counted():
            body = await read_body(request, at_most=MAX_BODY_BYTES)
            name, caller = admit()
            sent = Sent(body, request.headers.get("Content-Type"), request.headers.get("Accept"), trail_of(request))
            written = await self._write(route, request.method, name, caller, sent)
        answer = written.answer
        fields = {"Pushgate-State": "cold", "Vary": VARY, "Cache-Control": "no-store"}
        if not written.is_refused:
            fields["Pushgate-Settled"] = "yes" if await written.is_settled() else "no"
        if channel := self._hub.find(name):
            fields |= topic_fields(channel)
        if answer.content_type:
            fields["Content-Type"] = answer.content_type
        return Reply(answer.status, fields, answer.body)

    async def write(self, route: Route, method: str, name: TopicName, caller: Caller, sent: Sent) -> Written:
        """Send what a client has written; raises the Refusal of what is not sent, and of what is not answered."""
        with self._counted():
            return await self._write(route, method, name, caller, sent)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._under_way >= MAX_WRITES:
            raise Overloaded(f"there are {MAX_WRITES} writes under way already", retry_after=1.0)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _write(self, route: Route, method: str, name: TopicName, caller: Caller, sent: Sent) -> Written:
        order = route.order(method, name, caller, sent)
        answer, awaited = await self._send(order, route, sent.trail)
        return Written(answer, awaited, order.wait)

    async def _send(self, order: Order, route: Route, trail: Trail) -> tuple[Answer, Awaited]:
        may_have_changed = True  # also if nobody waits for the answer any more
        awaited: Awaited = {}
        try:
            async with asyncio.timeout(route.timeout + TURN_PATIENCE):
                answer = await self._ask(order.request, NO_VALIDATORS)
            may_have_changed = not _is_refused(answer)
        except PollError as error:
            may_have_changed = error.asked
            log.info("write.failed", route=route.name, reason=error.reason, detail=error.detail, **trail.account)
            raise failure_of(error) from error
        except TimeoutError:
            raise UpstreamTimedOut("the upstream did not answer in time; it may have done it all the same") from None
        finally:
            if may_have_changed:
                awaited = poke(order.reaches, self.entries, self._hub)
        return answer, awaited


def _is_refused(answer: Answer) -> bool:
    """Whether the upstream says that it did nothing; where it has sent us to look says nothing about that."""
    return is_refusal(answer.status) and not answer.is_redirected


async def _published(channel: PolledChannel, number: int | None) -> None:
    """Wait until the poll is published, or a later one if this one fails; who calls has a timeout."""
    while number is not None and not channel.is_published(number):
        await asyncio.wait([channel.settlement()])


def check_origin(request: web.BaseRequest, *, is_allowed: bool) -> None:
    """Raise OriginForbidden for a write with cookies of which we cannot be sure that a page of ours has made it."""
    if "Cookie" not in request.headers:
        return
    if "Origin" not in request.headers:
        is_allowed = request.headers.get("Sec-Fetch-Site") in _OF_THIS_SITE
    if not is_allowed:
        raise OriginForbidden("a write with cookies needs an Origin that may make one (server.cors.origins)")


def failure_of(error: PollError) -> Refusal:
    """Return why there is no answer. Only what was never sent may be sent again, so only then it is said when."""
    retry_after = None if error.asked else error.retry_after or 1.0
    if error.reason == "paused" and not error.asked:
        return Paused(f"{error.detail}; nothing was sent")
    end = "it may have done it all the same" if error.asked else "nothing was sent"
    if error.reason == "timeout":
        return UpstreamTimedOut(f"the upstream did not answer in time; {end}", retry_after=retry_after)
    return UpstreamFailed(f"the upstream gave no answer: {error.reason}; {end}", retry_after=retry_after)
