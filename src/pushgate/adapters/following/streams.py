"""
One connection of each transport, from its request to its end.

Rule 1: an event is handed on when it is a client's to keep. On a connection for several topics those that are told
together are handed on together, when the position after them is known; what was cut in the middle is told again.
Rule 2: silence is an end. Streams are asked for heartbeats, and who misses three of them has lost its gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ...clock import Clock
from ...documents.changes import timestamp
from ...freshness import retry_after, telling_fields
from ...negotiation import DEFAULT_WAIT
from ...tools.following import BlockReader, Closed, Cut, Ending, Envelope, Finished, Follower, Refused, Silenced
from ...tools.following.address import Address
from ...tools.following.follower import CHANGES
from ...values import Transport
from ..upstream.failures import FOREIGN
from .readings import (
    Redirected,
    Unintelligible,
    content_of,
    fresh_for,
    problem_of,
    read_batch,
    read_event,
    read_problem,
    words_of,
)

# What a stream is asked for, and how long it may then be silent; in seconds.
HEARTBEAT = 15.0
SILENCE = 3 * HEARTBEAT

CONNECT_TIMEOUT = 10.0

# Nobody is asked more often than this, whatever an answer says.
_FLOOR = 1.0

_SUBPROTOCOL = "pushgate.v1"

Take = Callable[[Envelope], None]


class Streams:
    """Opens connections for one follower. ``take``: where events go; ``every``: between two short polls, in seconds."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: Address,
        follower: Follower,
        clock: Clock,
        take: Take,
        *,
        headers: Iterable[tuple[str, str]],
        every: float | None = None,
    ) -> None:
        self._session = session
        self._address = address
        self._follower = follower
        self._clock = clock
        self._take = take
        self._headers = CIMultiDict(headers)
        self._every = every
        self._etag = ""  # of the document that a short poll has brought
        self.is_connected = False  # whether an answer has begun

    async def open(self, transport: Transport) -> Ending:
        """Follow over one connection (of polls, over many requests) until it ends, and return how."""
        ways = {
            "sse": self._sse,
            "websocket": self._websocket,
            "long_poll": self._long_poll,
            "short_poll": self._short_poll,
        }
        self.is_connected = False
        try:
            return await ways[transport]()
        except Unintelligible:
            return Refused(None, None, "what answers there is no gateway: its events are none of pushgate's")
        except Redirected as error:
            return Refused(error.status, None, str(error))
        except aiohttp.WSServerHandshakeError as error:
            after = retry_after(telling_fields(error.headers or {}), self._clock.wall())
            return Refused(error.status, None, "the upgrade to a WebSocket was refused", after)
        except TimeoutError:
            return Silenced(SILENCE) if self.is_connected else Cut("no connection in time", was_there=False)
        except FOREIGN as error:
            return Cut(words_of(error), was_there=self.is_connected)

    # Server-sent events.

    async def _sse(self) -> Ending:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        wants = {"framing": "message", "heartbeat": f"{HEARTBEAT:g}s"}
        async with self._get("sse", headers, silence=SILENCE, **wants) as response:
            if response.status != 200:
                return await self._refusal(response)
            if response.content_type != "text/event-stream":
                return Refused(200, None, f"the answer is no event stream but {response.content_type}")
            reader, pending = BlockReader(), list[Envelope]()
            last: Envelope = {}
            async for chunk in response.content.iter_any():
                for block in reader.feed(chunk):
                    last = read_event(block.data)
                    self._hear(last, block.id, pending)
                self._follower.retry = reader.retry
        return problem_of(last) or (Finished() if self._is_over() else Cut("the stream was closed"))

    def _hear(self, event: Envelope, position: str | None, pending: list[Envelope]) -> None:
        """Hand on what is complete with this event."""
        if position is None and event["event"] in CHANGES:
            pending.append(event)
            return
        held = [*pending, event] if position is not None else [event]
        if position is not None:
            pending.clear()
        for each in held:
            self._hand_on(each, position if each is event else None)

    # WebSocket.

    async def _websocket(self) -> Ending:
        url = self._url("websocket", heartbeat=f"{HEARTBEAT:g}s")
        connecting = self._session.ws_connect(
            url, headers=self._headers, protocols=(_SUBPROTOCOL,), max_msg_size=0, autoclose=True
        )
        async with asyncio.timeout(CONNECT_TIMEOUT):
            socket = await connecting
        async with socket:
            self._connected()
            while True:
                async with asyncio.timeout(SILENCE):
                    message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                event = read_event(message.data)
                self._hand_on(event, None if self._address.is_shared else event.get("id"))
                if self._address.is_shared and self._is_over():
                    return Finished()
        if message.type is aiohttp.WSMsgType.CLOSE:
            return Closed(int(message.data), str(message.extra or ""))
        return Closed(socket.close_code or 1006, "")

    # Polls.

    async def _long_poll(self) -> Ending:
        while True:
            began = self._clock.now()
            wait = f"{DEFAULT_WAIT:g}"
            async with self._get("long_poll", {}, silence=DEFAULT_WAIT + SILENCE, wait=wait) as response:
                if response.status not in (200, 204):
                    return await self._refusal(response)
                body = await response.read() if response.status == 200 else b""
                fields = response.headers
            told = read_batch(body) if body else {"events": []}
            self._follower.hear()
            for event in told["events"]:
                self._hand_on(event, None if self._address.is_shared else event.get("id"))
            self._follower.cursor = told.get("cursor") or fields.get("Pushgate-Cursor") or self._follower.cursor
            if self._is_over() or fields.get("Pushgate-State") == "ended":
                return Finished()
            rest = 0.0 if body else _FLOOR - (self._clock.now() - began)  # an empty answer at once would be asked again
            await self._rest(max(rest, retry_after(telling_fields(fields), self._clock.wall()) or 0.0))

    async def _short_poll(self) -> Ending:
        last = ""
        while True:
            headers = {"If-None-Match": self._etag} if self._etag else {}
            async with self._get("short_poll", headers, silence=SILENCE) as response:
                told = await self._document(response)
                fields = response.headers
            if not isinstance(told, dict | None):
                return told
            if told is not None and not last == told["event"] == "gone":
                self._hand_on(told, told.get("id"))
            self._etag, last = fields.get("ETag", self._etag), told["event"] if told is not None else last
            if fields.get("Pushgate-State") == "ended":
                return Finished()
            await self._rest(max(_FLOOR, fresh_for(fields)) if self._every is None else self._every)

    async def _document(self, response: aiohttp.ClientResponse) -> Envelope | Ending | None:
        """Return a document as the event that it is, that there is none any more, or None if it is the one before."""
        self._follower.hear()
        if response.status == 304:
            return None
        at = timestamp(self._clock.wall())
        if response.status == 200:
            position = response.headers.get("Pushgate-Cursor")
            told = {"id": position} if position else {}
            return {"event": "snapshot", **told, "at": at, "data": await content_of(response)}
        ending = await self._refusal(response)
        is_gone = isinstance(ending, Refused) and ending.code == "gone"
        return {"event": "gone", "at": at, "data": {"at": at}} if is_gone else ending

    async def _rest(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)

    # What they have in common.

    def _url(self, transport: Transport, **wants: str) -> URL:
        address = self._address.wanting(wants.items())
        return URL(address.url(transport, self._follower), encoded=True)

    def _get(self, transport: Transport, fields: Mapping[str, str], *, silence: float, **wants: str) -> _Request:
        headers = self._headers.copy()
        headers.update(fields)  # ours, however theirs are spelled
        limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=silence)
        asked = self._session.get(self._url(transport, **wants), headers=headers, timeout=limits, allow_redirects=False)
        return _Request(asked, self._connected)

    def _connected(self) -> None:
        self.is_connected = True

    def _hand_on(self, event: Envelope, position: str | None) -> None:
        if event["event"] != "problem":
            self._follower.take(event, position=position)
        self._take(event)

    def _is_over(self) -> bool:
        ended = self._follower.ended
        return len(ended) >= max(1, len({*self._address.topics}))

    async def _refusal(self, response: aiohttp.ClientResponse) -> Ending:
        """Return what an answer means that is no success."""
        if response.status == 204:
            return Finished()
        if 300 <= response.status < 400:
            raise Redirected(response.status, response.headers.get("Location"))
        after = retry_after(telling_fields(response.headers), self._clock.wall())
        code, message = read_problem(await response.read())
        return Refused(response.status, code, message or response.reason or "", after)


class _Request:
    """A request under way, whose answer is noted as soon as it begins."""

    def __init__(self, asked: Any, connected: Callable[[], None]) -> None:
        self._asked = asked
        self._connected = connected

    async def __aenter__(self) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await self._asked.__aenter__()
        self._connected()
        return response

    async def __aexit__(self, *error: object) -> None:
        await self._asked.__aexit__(*error)
