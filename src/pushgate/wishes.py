"""
What a request for many topics on one connection asks for: by its query, or by a body that says the same.

``?topic=`` and ``?cursor=`` may be repeated. One cursor is for the set, as many as topics are the topics' own, in their
order (an empty one is none). Everything else is as on a topic's own URL, and counts for all topics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import BadRequest
from .misreadings import misread
from .naming import RESERVED_QUERY, decode_pairs
from .negotiation import Ask, clean_cursor, negotiate
from .values import Mode, Transport

# Topics on one connection. A page shows some hundreds at most; when a connection falls behind or is resumed, all of its
# topics are looked at in one go, and at a thousand of them that takes about as long as other topics may have to wait.
MAX_TOPICS = 1000

# Of a body that names that many topics, each with its cursor.
MAX_BODY_BYTES = 256 * 1024

# A topic and its cursor for each, and the rest.
_MAX_FIELDS = 2 * MAX_TOPICS + len(RESERVED_QUERY)
_REPEATED = ("topic", "cursor")


@dataclass(frozen=True, slots=True)
class Wish:
    """One topic that is asked for: path and query as on its own URL, its own cursor, a mode that it may have."""

    topic: str
    cursor: str | None = None
    emit: str | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    All that a request asks for; the set's cursor and what counts for all topics is in ``ask``.

    ``controls``: pushgate's own query parameters, credentials among them.
    """

    topics: tuple[Wish, ...]
    ask: Ask
    controls: Mapping[str, str] = field(default_factory=dict, repr=False)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    topic: str
    cursor: str | None = None
    emit: str | None = None


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    topics: Annotated[list[_Entry], Field(max_length=MAX_TOPICS)]
    cursor: str | None = None


def read_wishes(transport: Transport, headers: Mapping[str, str], query: str, body: bytes | None = None) -> Wishes:
    """
    Read a request; ``query`` is raw, ``body`` None for a GET.

    Raises BadRequest for what cannot be understood, and for more topics than may be.
    """
    pairs = decode_pairs(query, at_most=_MAX_FIELDS)
    controls = _controls(pairs)
    topics = [value for name, value in pairs if name == "topic"]
    cursors = [value for name, value in pairs if name == "cursor"]
    emit = controls.pop("emit", None)
    if body is not None:
        if topics:
            raise BadRequest("topics are named in the query or in the body, not in both")
        if len(cursors) > 1:
            raise BadRequest("topics that are named in the body have their own cursors there")
        told = _read_body(body)
        wishes = [Wish(one.topic, clean_cursor(one.cursor), one.emit or emit) for one in told.topics]
        cursors = [told.cursor] if told.cursor else cursors
    else:
        wishes = [Wish(topic, clean_cursor(own), emit) for topic, own in _pair(topics, cursors, transport)]
    if not wishes and transport != "websocket":
        raise BadRequest("name the topics to follow: ?topic=/path, once for each, encoded")
    if len(wishes) > MAX_TOPICS:
        raise BadRequest(f"a connection has at most {MAX_TOPICS} topics")
    if len(cursors) == 1 and transport != "websocket":
        controls["cursor"] = cursors[0]
    if transport == "sse" and (headers.get("Last-Event-ID") or controls.get("lastEventId")):
        wishes = [Wish(one.topic, None, one.emit) for one in wishes]  # where the stream once began is long past
    ask = negotiate(headers, controls, modes=get_args(Mode), only=transport)
    return Wishes(tuple(wishes), ask, controls)


def _controls(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return what counts for all topics."""
    controls: dict[str, str] = {}
    for name, value in pairs:
        if name not in RESERVED_QUERY:
            raise BadRequest(f"there is no query parameter {name!r} here; a topic's own stand in ?topic=, encoded")
        if name in controls:
            raise BadRequest(f"the query parameter {name!r} is given twice")
        if name not in _REPEATED:
            controls[name] = value
    return controls


def _pair(topics: Sequence[str], cursors: Sequence[str], transport: Transport) -> list[tuple[str, str | None]]:
    """Give each topic its own cursor, if these are such; of one topic and one cursor, whose it is shows later."""
    if len(cursors) == len(topics):
        return list(zip(topics, cursors, strict=True))
    if cursors and (len(cursors) > 1 or transport == "websocket"):
        whose = "its topics' own cursors" if transport == "websocket" else "the set's cursor, or all topics' own"
        raise BadRequest(f"{len(cursors)} cursors for {len(topics)} topics: give {whose} (an empty one is none)")
    return [(topic, None) for topic in topics]


def _read_body(body: bytes) -> _Body:
    try:
        return _Body.model_validate_json(body)
    except ValidationError as exc:
        raise misread("body", exc) from None
