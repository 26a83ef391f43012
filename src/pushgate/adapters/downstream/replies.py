"""
Answers that are whole when they are given: their header fields, and their two ways out.

A reply is written by aiohttp while the socket is aiohttp's (``to_response``), and as bytes once it is ours
(``to_bytes``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from math import ceil

from aiohttp import web

from ...channel import Channel
from ...config.server import Cors
from ...correlation import REQUEST_ID
from ...errors import Refusal
from ...ledger import Mention
from ...packing import Pieces, gzip_member, joined
from ...values import Event, Transport
from ...wire import http_head, problem_body

VARY = "Accept, Accept-Encoding, Authorization, Cookie, Origin, Prefer"
EXPOSED = "Pushgate-Cursor, Pushgate-State, ETag, Age, Retry-After, X-Request-Id"
EXPOSED_BY_WRITES = f"{EXPOSED}, Pushgate-Settled"
ALLOWED = "Authorization, If-None-Match, Last-Event-ID, Prefer"
ALLOWED_IN_WRITES = f"{ALLOWED}, Content-Type"
READING = ("GET", "HEAD")

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; to a HEAD, aiohttp sends its fields only."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""
    mentions: tuple[Mention, ...] = ()  # what it tells of topics

    def with_fields(self, fields: Mapping[str, str]) -> Reply:
        return replace(self, fields={**self.fields, **fields})

    def to_response(self) -> web.Response:
        return web.Response(status=self.status, headers=self.fields, body=self.body)

    def told(self, transport: Transport) -> web.Response:
        """Return the answer for aiohttp to send, and count what it tells."""
        for mention in self.mentions:
            mention.count(transport)
        return self.to_response()

    def written(self, *, keep_alive: bool) -> Written:
        """Return the answer as it goes over a connection of our own."""
        return Written(self.to_bytes(keep_alive=keep_alive), self.status, self.mentions)

    def to_bytes(self, *, keep_alive: bool) -> bytes:
        fields = {**self.fields, "Date": formatdate(usegmt=True)}
        if self.status not in (204, 304):
            fields["Content-Length"] = str(len(self.body))
        if not keep_alive:
            fields["Connection"] = "close"
        return http_head(f"{self.status} {HTTPStatus(self.status).phrase}", fields) + self.body


@dataclass(frozen=True, slots=True)
class Written:
    """An answer as all get it who have asked the same."""

    data: bytes
    status: int
    mentions: tuple[Mention, ...]


def whole(fields: Mapping[str, str], pieces: Pieces, *, takes_gzip: bool, mentions: tuple[Mention, ...] = ()) -> Reply:
    """Return a 200 with this body, compressed if that is worth it and the client ``takes_gzip``."""
    member = gzip_member(pieces) if takes_gzip else None
    if member is None:
        return Reply(200, fields, joined(pieces), mentions)
    return Reply(200, {**fields, "Content-Encoding": "gzip"}, member, mentions)


def mention(channel: Channel, event: Event) -> Mention:
    """Say what an answer tells that has this event."""
    return Mention(channel.ledger, event.kind, len(event.data), event.at)


def identified(answer: bytes, request_id: str) -> tuple[bytes, memoryview]:
    """Return an answer that many get as one of them does: with the id of the request, and without copying the rest."""
    begin = answer.index(b"\r\n") + 2
    return b"%s%s: %s\r\n" % (answer[:begin], REQUEST_ID.encode(), request_id.encode()), memoryview(answer)[begin:]


def topic_fields(channel: Channel) -> dict[str, str]:
    """Return what every answer about a topic says."""
    age = channel.feed.age
    fields = {"Pushgate-State": channel.state, "Vary": VARY}
    if age is not None:
        fields["Age"] = str(round(age))
    return fields


def cors_fields(origin: str | None, cors: Cors, *, exposed: str = EXPOSED) -> dict[str, str]:
    """Return what lets a page of another origin read the answer, if the configuration lets it."""
    if origin is None or not ("*" in cors.origins or origin in cors.origins):
        return {}
    fields = {"Access-Control-Expose-Headers": exposed}
    fields["Access-Control-Allow-Origin"] = "*" if "*" in cors.origins else origin
    if cors.credentials:
        fields["Access-Control-Allow-Credentials"] = "true"
    return fields


def methods_text(writing: Iterable[str], *, reading: Iterable[str] = READING) -> str:
    """Return all methods of a path, those that read and those that write, as header fields list them."""
    return ", ".join([*reading, *writing, "OPTIONS"])


def preflight(origin: str | None, cors: Cors, *, writing: Collection[str], reading: Collection[str] = READING) -> Reply:
    """Return what may be asked; ``writing``: the methods that send a body here."""
    methods = methods_text(writing, reading=reading)
    fields = {"Allow": methods, "Vary": VARY, "Cache-Control": "no-store"}
    if allowed := cors_fields(origin, cors):
        fields |= allowed
        fields["Access-Control-Allow-Methods"] = methods
        fields["Access-Control-Allow-Headers"] = ALLOWED_IN_WRITES if writing else ALLOWED
        fields["Access-Control-Max-Age"] = str(round(cors.max_age))
    return Reply(204, fields)


def refusal_reply(refusal: Refusal, *, request_id: str | None = None) -> Reply:
    """Return a refusal as a problem document; ``request_id``: None where many share the answer."""
    fields = {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
        "Vary": VARY,
        **refusal.headers,
    }
    if refusal.retry_after is not None:
        fields["Retry-After"] = str(max(1, ceil(refusal.retry_after)))  # whole seconds, and never too early
    return Reply(refusal.status, fields, problem_body(refusal, request_id))
