"""
What becomes of a client's write: what is asked of the upstream, and which topics it makes out of date.

Rule 1: all that can be wrong with a write is found out here, before anything is sent: who is refused by pushgate knows
that nothing has happened.
Rule 2: of what the client sent, nothing goes on but its body and the two fields that are about bodies: its type, and
the types that may come back. Who the client is, the route's identity says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from .asking import Question
from .config.refresh import Reach, reach_of
from .config.requests import Request
from .config.routes import Write
from .config.upstreams import Upstream
from .correlation import NO_TRAIL, Trail
from .errors import BadRequest, UnsupportedBody
from .escaping import FORM_TYPE
from .naming import decode_path, fill_path, fill_text, references
from .values import Json, UpstreamRequest

# What people type and programs tell each other; it is kept as a whole until it is sent. Files are for `proxy:`.
MAX_BODY_BYTES = 1_000_000

# More fields than any form has.
MAX_FORM_FIELDS = 1000


@dataclass(frozen=True, slots=True)
class Sent:
    """
    What of a client's request is about its write: its body, and two header fields as they came; and by what it is found
    again, which the backend is told, too.
    """

    body: bytes
    content_type: str | None = None
    accept: str | None = None
    trail: Trail = NO_TRAIL


@dataclass(frozen=True, slots=True)
class Order:
    """A write that is ready to be sent. ``wait``: how long to hold its answer, in seconds."""

    request: UpstreamRequest
    reaches: tuple[Reach, ...]
    wait: float


class Writing:
    """
    One method of a route's ``write:``, for any of its topics.

    ``route`` is its path, ``own_path`` where its own request goes, ``listed`` what clients may say in their query.
    """

    def __init__(
        self,
        method: str,
        config: Write,
        *,
        route: str,
        own_path: str,
        listed: Collection[str],
        upstream: str,
        upstreams: Mapping[str, Upstream],
    ) -> None:
        request = Request.model_construct(
            method=method,
            path=config.path,
            query=config.query,
            headers=config.headers,
            body=config.body,
            form=config.form,
        )
        self.has_own_path = config.path is not None
        self._question = Question(own_path, request, upstream, upstreams)
        self._keeps_body = config.body is None and config.form is None
        self._headers = config.headers
        self._refresh = config.refresh or (route,)
        self._wait = config.wait
        self.used = self._question.used.union(*map(references, self._refresh))
        self._needed = self.used & frozenset(listed)  # any other name may be a literal brace
        self._data = sorted(name for name in self.used if name.startswith("data."))

    def order(
        self,
        values: Mapping[str, str],
        sent: Sent,
        *,
        query: list[tuple[str, str]],
        headers: list[tuple[str, str]],
    ) -> Order:
        """
        Return what to do for a client that sent this; ``values`` are the topic's, ``query`` and ``headers`` go along.

        Raises UnsupportedBody for one that cannot be read though it has to be, and BadRequest for a value that is
        missing or cannot stand where the configuration has it.
        """
        if self._data:
            data = data_of(sent)
            values = {**values, **{name: _member(data, name.removeprefix("data.")) for name in self._data}}
        if missing := self._needed - values.keys():
            raise BadRequest(f"this needs the query parameter {min(missing)!r}")
        request = self._question.ask(values, query=query, headers=[*headers])
        reaches = tuple(_filled(entry, values) for entry in self._refresh)
        return Order(self._with_client(request, sent), reaches, self._wait)

    def _with_client(self, request: UpstreamRequest, sent: Sent) -> UpstreamRequest:
        """Add what the client may say itself, where the configuration says nothing."""
        body, added = request.body, [("Accept", sent.accept), *sent.trail.fields]
        if self._keeps_body and sent.body:
            body = sent.body
            added.append(("Content-Type", sent.content_type))
        fixed = {name.lower() for name, _ in request.headers}
        told = [(name, _sendable(name, value)) for name, value in added if value and name.lower() not in fixed]
        return replace(request, body=body, headers=(*request.headers, *told))


def _sendable(name: str, value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise BadRequest(f"{name} holds what no header field can carry")
    return value


def _filled(entry: str, values: Mapping[str, str]) -> Reach:
    """Return what an entry of ``refresh`` reaches; a value of the client is a whole value, and never an asterisk."""

    def segment(template: str) -> str:
        return decode_path(fill_path(f"/{template}", values))[0]

    return reach_of(entry, segment=segment, value=lambda template: fill_text(template, values))


def data_of(sent: Sent) -> dict[str, Any]:
    """Return the members of a JSON object, or the fields of a form, that a client sent."""
    media_type = (sent.content_type or "").partition(";")[0].strip().lower()
    if media_type == FORM_TYPE:
        return _form(sent.body)
    if media_type.endswith(("/json", "+json")):
        return _object(sent.body)
    raise UnsupportedBody(f"send a JSON object or a form, and say so in Content-Type: application/json or {FORM_TYPE}")


def _form(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except UnicodeDecodeError:
        raise BadRequest("the form is not UTF-8") from None
    except ValueError:
        raise BadRequest(f"the form has more than {MAX_FORM_FIELDS} fields") from None
    fields: dict[str, Any] = dict(pairs)
    if len(fields) < len(pairs):
        raise BadRequest("a field of the form is given twice")
    return fields


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("the body is no JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is JSON, but no object")
    return value


def _member(data: dict[str, Any], name: str) -> str:
    """Return a member as text; dots lead to members of members, unless one is named so with its dots."""
    value: Json = data
    for step in [name] if name in data else name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    match value:
        case str():
            return value
        case bool() | int() | float():
            return msgspec.json.encode(value).decode()
        case None:
            raise BadRequest(f"the body has no {name!r}")
        case _:
            raise BadRequest(f"{name!r} in the body is neither text, nor a number, nor true or false")
