"""
The HTTP cache client: asks an upstream for one topic.

Rule 1: credentials see every answer of the origin first, a redirect to the login page too, and nobody else sees them.
Rule 2: redirects are followed as far as the configuration says, each with its own turn and its own time. Whatever
becomes of that, the request that was redirected has been sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from types import TracebackType

import aiohttp

from ...answers import NO_VALIDATORS, Answer
from ...clock import Clock
from ...config.upstreams import Upstream
from ...errors import PollError
from ...values import UpstreamRequest, Validators
from .credentials import Credentials, Refreshed, credentials_for
from .exchange import Exchange, Gate, Reply
from .handing import Body, Handing
from .origins import REDIRECTS, origin_of, redirected

# What changes nothing, so that it does not matter whether it was sent.
READING = ("GET", "HEAD")


class HttpFetch:
    """
    The fetch port over HTTP; keeps its connections while the context is open.

    ``gates`` holds the gate of every upstream. ``refreshed`` is told when an upstream's token, login or session was got
    anew, and whether that went well.
    """

    def __init__(
        self, upstreams: Mapping[str, Upstream], clock: Clock, *, gates: Mapping[str, Gate], refreshed: Refreshed
    ) -> None:
        self._clock = clock
        self._gates = gates
        self._refreshed = refreshed
        self._lines: dict[str, Line] = {}
        self._retired: set[Line] = set()  # those that somebody still waits for
        self.revise(upstreams)

    def revise(self, upstreams: Mapping[str, Upstream]) -> None:
        """
        Go by another configuration from now on; the gates are the new ones already.

        An upstream that is the same keeps its connections and logins. Who is being answered by one that is not gets
        the answer.
        """
        before = self._lines
        self._lines = {name: self._line(name, upstream) for name, upstream in upstreams.items()}
        self._retired |= {line for line in before.values() if line is not self._lines.get(line.name)}

    def _line(self, name: str, upstream: Upstream) -> Line:
        line, gate = self._lines.get(name), self._gates[name]
        is_same = line is not None and line.upstream == upstream and line.gate is gate
        return line if line is not None and is_same else Line(name, upstream, self._clock, gate, self._refreshed)

    def has(self, name: str, upstream: Upstream) -> bool:
        """Whether this is the upstream that is asked by that name already."""
        return name in self._lines and self._lines[name].upstream == upstream

    def hang_up(self, name: str) -> None:
        """End what is passed on to an upstream without an end of its own: what a client says there is like requests."""
        for line in (*self._lines.values(), *self._retired):
            if line.name == name:
                line.hang_up()

    async def close_retired(self) -> None:
        """Close the connections of upstreams that are no longer as they were, once nobody waits for an answer."""
        for line in [line for line in self._retired if not line.under_way]:
            await line.close()
            self._retired.discard(line)

    async def __aenter__(self) -> HttpFetch:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in (*self._lines.values(), *self._retired):
            await line.close()

    async def __call__(self, request: UpstreamRequest, validators: Validators) -> Answer:
        """Return what the upstream says, whatever its status; raises PollError for what is no answer."""
        line = self._taken(request.upstream)
        try:
            return await self._ask(line, request, validators)
        finally:
            await self._give_back(line)

    @asynccontextmanager
    async def line(self, name: str) -> AsyncIterator[Line]:
        """Keep what it takes to ask an upstream, whatever becomes of its configuration meanwhile; raises PollError."""
        line = self._taken(name)
        try:
            yield line
        finally:
            await self._give_back(line)

    def _taken(self, name: str) -> Line:
        line = self._lines.get(name)
        if line is None:  # since the request was made
            raise PollError("connect", f"there is no upstream {name} any more", asked=False)
        line.under_way += 1
        return line

    async def _give_back(self, line: Line) -> None:
        line.under_way -= 1
        if line in self._retired:
            await self.close_retired()

    async def _ask(self, line: Line, request: UpstreamRequest, validators: Validators) -> Answer:
        asked = _conditional(request, validators, at_first=True)
        try:
            reply = await line.ask(asked)
        except PollError as error:
            if error.reason != "protocol" or asked is request:
                raise
            # A few servers send a body with their 304, which RFC 9112 section 6.3 takes for the beginning of garbage.
            asked = request
            reply = await line.ask(asked)
        if reply.answer.status not in REDIRECTS:
            return reply.answer
        try:
            reply = await line.follow(request, reply, validators)
        except PollError as error:
            error.asked = error.asked or request.method not in READING
            raise
        return replace(reply.answer, is_redirected=True)


class Line:
    """What it takes to ask one upstream."""

    def __init__(self, name: str, upstream: Upstream, clock: Clock, gate: Gate, refreshed: Refreshed) -> None:
        self.name = name
        self.upstream = upstream
        self.gate = gate
        self.under_way = 0
        self._conversations: set[aiohttp.ClientResponse] = set()
        self._clock = clock
        self._redirects = upstream.redirects
        self._alias = upstream.host
        self._exchange = Exchange(upstream, clock, gate)
        self._credentials: Credentials | None = credentials_for(
            upstream, clock, self._exchange, lambda ok: refreshed(name, ok)
        )

    async def close(self) -> None:
        await self._exchange.close()

    async def ask(self, request: UpstreamRequest) -> Reply:
        """Ask the upstream itself, as who we are there."""
        if self._credentials is None:
            return await self._exchange(request)
        return await self._credentials(request, self._exchange)

    async def pass_on(self, request: UpstreamRequest, body: Body, *, is_signed: bool) -> aiohttp.ClientResponse:
        """
        Ask for a client, and return when the head of the answer is there; the caller closes it. Raises PollError.

        ``is_signed``: as who pushgate is there, and in its turn; otherwise the request is the client's own affair.
        """
        if not is_signed:
            self.gate.check_open()
            return await self._exchange.open(request, body.once())
        handing = Handing(self._exchange, self.gate, self._clock, body)
        return await handing.on(request, self._credentials)

    @contextmanager
    def conversation(self, response: aiohttp.ClientResponse) -> Iterator[None]:
        """Know of a connection that has become another protocol's, as long as the context is open."""
        self._conversations.add(response)
        try:
            yield
        finally:
            self._conversations.discard(response)

    def hang_up(self) -> None:
        for response in self._conversations:
            response.close()

    async def follow(self, request: UpstreamRequest, reply: Reply, validators: Validators) -> Reply:
        """
        Follow redirects as far as is allowed, and return the first answer that is none, or that is not followed.

        ``request`` is the one that was redirected, without validators: these belong to one URL (RFC 9110 section 8.8).
        """
        for _ in range(self._redirects.max):
            location = reply.headers.get("Location")
            if reply.answer.status not in REDIRECTS or location is None:
                return reply
            request = redirected(request, reply.answer.status, location, alias=self._alias, hosts=self._redirects.hosts)
            asked = _conditional(request, validators, at_first=False)
            is_own = origin_of(request.url) == self._exchange.origin
            reply = _placed(await (self.ask(asked) if is_own else self._exchange.elsewhere(asked)), request.url)
        if self._redirects.max and reply.answer.status in REDIRECTS:
            raise PollError("protocol", f"the upstream redirects more than {self._redirects.max} times in a row")
        return reply


def _placed(reply: Reply, url: str) -> Reply:
    """Say whose validators these are."""
    given = reply.answer.validators
    if given == NO_VALIDATORS:
        return reply
    return replace(reply, answer=replace(reply.answer, validators=replace(given, url=url)))


def _conditional(request: UpstreamRequest, validators: Validators, *, at_first: bool) -> UpstreamRequest:
    """Add the validators exactly as the upstream gave them, unquoted ones too, if they are those of this URL."""
    if validators.url != request.url and not (at_first and validators.url is None):
        return request
    fields = []
    if validators.etag is not None:
        fields.append(("If-None-Match", validators.etag))
    if validators.last_modified is not None:
        fields.append(("If-Modified-Since", validators.last_modified))
    if not fields:
        return request
    return UpstreamRequest(
        request.method, request.url, (*request.headers, *fields), request.body, request.upstream, request.claims
    )
