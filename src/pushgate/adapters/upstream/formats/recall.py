"""
What has not changed since the last answer is not parsed again.

An answer is taken apart into the members of its outer containers, down to parts of a few kilobytes. A part whose bytes
were in the last answer is the object that the published document has for it; so it costs a look-up instead of a parse,
and the comparison of the documents ends at its identity. It is bytes that are compared, so nothing is taken for equal
that is not.

It costs the answer's size in memory, and is of use only where the published document has the answer's shape. Where
most of an answer changes each time it costs two or three times as much as to parse all of it; so it rests then, and
tries again after a while.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ....errors import PollError
from ....values import ABSENT, Document, Json
from .charsets import as_utf8
from .json import MAX_DEPTH, check_depth, decode, is_sequence, parse

# Containers smaller than this are parsed at once: there is nothing to win.
SMALL_BYTES = 4096

# So are those with parts smaller than this on average: a number is parsed faster than it is looked up.
MIN_PART_BYTES = 48

# Recalling is worth it while no more than this part of an answer is new.
MAX_NEW_PART = 0.2

# For so many answers it rests when it was not, and each time for twice as many.
FIRST_REST, MAX_REST = 16, 256

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_arrays = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class _Place:
    """A container of the latest answer: where it stands, the names of its parts if it is an object, and their bytes."""

    path: tuple[str | int, ...]
    names: list[str] | None
    texts: list[bytes]


class RecallingDecoder:
    """Decodes the successive answers of one topic; ``learn`` tells it what became of each."""

    def __init__(self) -> None:
        self._known: dict[bytes, Json] = {}  # the parts of the published document, by the bytes they came as
        self._places: list[_Place] = []  # of the latest answer, until its document is known
        self._new_bytes = 0  # of the latest answer, those that had to be parsed
        self._rest = 0  # answers that are parsed as a whole
        self._next_rest = FIRST_REST

    def decode(self, body: bytes, content_type: str) -> Json:
        """Return the JSON value; raises PollError(``decode``) as ``json.decode`` does."""
        self._places = []
        if is_sequence(content_type):
            return decode(body, content_type)
        text = as_utf8(body, content_type)
        if len(text) < SMALL_BYTES or self._is_resting():
            return decode(text, "")
        self._new_bytes = 0
        try:
            value = self._container((), text)
            self._judge(len(text))
            return value
        except (msgspec.DecodeError, ValueError, RecursionError, PollError):
            self._places = []
            return decode(text, "")  # mends what can be mended, or says what is wrong and where

    def _is_resting(self) -> bool:
        if self._rest:
            self._rest -= 1
            return True
        return False

    def _judge(self, size: int) -> None:
        """Rest for a while if there was much to recall and little was recalled."""
        if not self._known:
            return
        if self._new_bytes <= size * MAX_NEW_PART:
            self._next_rest = FIRST_REST
            return
        self._known, self._places = {}, []
        self._rest, self._next_rest = self._next_rest, min(2 * self._next_rest, MAX_REST)

    def learn(self, document: Document | None) -> None:
        """Remember the parts of the document that was published for the latest answer."""
        if document is None:
            self._known = {}
        if self._places:
            self._known = {}
            for place in self._places:
                self._learn_place(place, document)
            self._places = []

    def _container(self, path: tuple[str | int, ...], text: bytes) -> Json:
        if len(path) >= MAX_DEPTH:
            raise PollError("decode", f"the answer is nested more than {MAX_DEPTH} deep")
        opening = text[:64].lstrip()[:1]
        if opening == b"{":
            members = _objects(text)
            if len(text) >= len(members) * MIN_PART_BYTES:
                names = list(members)
                parts = self._parts(_Place(path, names, list(map(bytes, members.values()))))
                return dict(zip(names, parts, strict=True))
        elif opening == b"[":
            items = _arrays(text)
            if len(text) >= len(items) * MIN_PART_BYTES:
                return self._parts(_Place(path, None, list(map(bytes, items))))
        self._new_bytes += len(text)
        return _plain(text, MAX_DEPTH - len(path))

    def _parts(self, place: _Place) -> list[Json]:
        self._places.append(place)
        parts = [self._known.get(text, ABSENT) for text in place.texts]
        return [self._part(place, index) if part is ABSENT else part for index, part in enumerate(parts)]

    def _part(self, place: _Place, index: int) -> Json:
        text = place.texts[index]
        if len(text) < SMALL_BYTES:
            self._new_bytes += len(text)
            return _plain(text, MAX_DEPTH - len(place.path) - 1)
        place.texts[index] = b""  # it is remembered by its own parts
        name = index if place.names is None else place.names[index]
        return self._container((*place.path, name), text)

    def _learn_place(self, place: _Place, document: Document | None) -> None:
        container = document
        for step in place.path:
            container = _member(container, step)
        if place.names is not None and isinstance(container, dict):
            known = {text: container.get(name, ABSENT) for text, name in zip(place.texts, place.names, strict=True)}
            self._known.update((text, part) for text, part in known.items() if part is not ABSENT)
        elif place.names is None and isinstance(container, list) and len(container) == len(place.texts):
            self._known.update(zip(place.texts, container, strict=True))


def _plain(text: bytes, room: int) -> Json:
    value = parse(text)
    check_depth(text, value, room=room)
    return value


def _member(container: Document | None, name: str | int) -> Document:
    """Return what stands at a name or index, or ABSENT."""
    if isinstance(container, dict) and isinstance(name, str):
        return container.get(name, ABSENT)
    if isinstance(container, list) and isinstance(name, int) and name < len(container):
        return container[name]
    return ABSENT
