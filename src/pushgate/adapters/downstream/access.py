"""
The access log: a line for each request that is answered (``request.answered``), and for each stream that has ended
(``stream.ended``).

Rule 1: while it is off, a request costs one look at whether it is.
Rule 2: whoever has a socket of our own answers later, or for as long as the client stays. The charge of such a
connection goes wherever the connection goes, so it is what the record of the request goes with.
Rule 3: a value in a query that may be a credential is not written down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus

import structlog
from aiohttp import web

from ...hub import Hub
from ...naming import CREDENTIALS_QUERY, origin_form
from ...rations import Charge
from .handover import TakenOver
from .lobby import Lobby
from .proxying.download import Passed
from .trails import trail_of

log = structlog.get_logger()

# Longer than any path that somebody would search for.
_MAX_PATH: Final = 2048

# What is written instead of a credential.
_HIDDEN: Final = "REDACTED"


@dataclass(slots=True)
class Record:
    """One request, until it has been answered or its stream has ended. ``began``: in monotonic seconds."""

    request: dict[str, Any]
    began: float
    now: Callable[[], float]
    transport: asyncio.BaseTransport | None
    is_stream: bool = False

    def answered(self, status: int, size: int | None) -> None:
        """Write the line of the answer; ``size``: of its body, in bytes, as far as that is known."""
        sized = {} if size is None else {"bytes": size}
        log.info("request.answered", **self.request, status=status, seconds=self._seconds(), **sized)

    def ended(self, owner: object) -> None:
        """Write the line of the stream, if it was one; ``owner``: the protocol that its socket had at last."""
        if self.is_stream:
            reason = getattr(owner, "parting", "unproved")  # who never said who it is has not parted
            log.info("stream.ended", **self.request, reason=reason, seconds=self._seconds())

    def _seconds(self) -> float:
        return round(self.now() - self.began, 6)


_RECORD: Final = web.RequestKey("access_record", Record)


class AccessLog:
    """Writes lines while it ``is_on``."""

    def __init__(self, hub: Hub, lobby: Lobby, now: Callable[[], float]) -> None:
        self.is_on = False
        self._hub = hub
        self._lobby = lobby
        self._now = now

    def begin(self, request: web.BaseRequest) -> Record:
        """Begin the record of a request whose id is known."""
        client = self._lobby.client(request).address
        told = {"method": request.method, "path": shown(request.raw_path), "client": client}
        record = Record({**told, **trail_of(request).account}, self._now(), self._now, request.transport)
        request[_RECORD] = record
        return record

    def note(self, request: web.BaseRequest, **facts: str) -> None:
        """Note what has become clear about a request: its route, and how it is answered."""
        if (record := request.get(_RECORD)) is not None:
            record.request.update(facts)

    def settle(self, request: web.BaseRequest, record: Record, response: web.StreamResponse) -> None:
        """Write down how a request was answered, or have that done by whoever has its socket now."""
        match response:
            case TakenOver(code=None):
                self._follow(request, record)
            case TakenOver(code=int(code)) if code >= 1000:  # it was let in to be told why not
                record.request["close_code"] = code
                record.answered(101, None)
            case TakenOver(code=int(code)):
                record.answered(code, None)
                record.is_stream = True
                self._follow(request, record)
            case Passed():
                record.answered(response.status, response.size)
            case _:
                has_body = request.method != "HEAD" and isinstance(response, web.Response)
                body = response.body if has_body and isinstance(response, web.Response) else b""
                record.answered(response.status, len(body) if isinstance(body, bytes | bytearray) else None)

    def _follow(self, request: web.BaseRequest, record: Record) -> None:
        transport, record.transport = record.transport, None
        owner = None if transport is None else transport.get_protocol()
        if owner is None or owner is request.protocol:  # the client has left already
            return
        charge = self._hub.charges.setdefault(owner, Charge())
        charge.witness = record


def shown(target: str) -> str:
    """Return the path and query of a request target without the values that may be credentials, and not too long."""
    path, mark, query = origin_form(target).partition("?")
    pairs = [_shown_pair(pair) for pair in query.split("&")] if mark else []
    text = f"{path}{mark}{'&'.join(pairs)}"
    return text if len(text) <= _MAX_PATH else f"{text[:_MAX_PATH]}…"


def _shown_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={_HIDDEN}" if equals and unquote_plus(name) in CREDENTIALS_QUERY else pair
