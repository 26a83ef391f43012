"""
All that a path may mean to somebody, and what therefore is passed on where.

Servers disagree about paths: what is decoded and how often, whether a backslash is a slash, what a semicolon cuts off,
whether doubled slashes, the case of letters and dots at the end of a name matter. Nobody knows how a backend reads, so
a path counts as everything that it may be read as.

Rule 1: a path that anybody may take for a topic's, or for pushgate's own, is not passed on.
Rule 2: a path that different readers take to different entries of ``proxy:`` belongs to none, since each has rules of
its own. Nor does one that leads out of the backend's path, or that only an attack is written like.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote, unquote_to_bytes

from .errors import BadRequest, NoSuchTopic
from .naming import PLACEHOLDER

Segments = tuple[str, ...]

# Some servers decode twice; what changes still after so many times is not written by mistake.
MAX_ROUNDS = 3

# Longer than any path that people write; a path that is not plain is read some hundred times.
MAX_ODD_LENGTH = 4096

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-]+(?:\.+[A-Za-z0-9_~!$&'()*+,=:@-]+)*)+/?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f#]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH_PARAMETER = re.compile(r";[^/\\]*")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_SEPARATOR = re.compile(r"%(2f|5c)", re.IGNORECASE)
_NAME_END = re.compile(r"(?:(?<=[^/\\. ])[. ]+|(?<=\.) +)(?=[/\\]|$)")

# What some servers do to a path, each of them or not, in this order. The last is how Windows opens files.
_HABITS: tuple[Callable[[str], str], ...] = (
    partial(unicodedata.normalize, "NFKC"),
    partial(_QUERY.sub, ""),
    lambda text: text.replace("\\", "/"),
    partial(_PATH_PARAMETER.sub, ""),
    partial(_NAME_END.sub, ""),
)

# Longer forms than a character needs (RFC 3629 section 10): what looks for a dot or a slash does not see these.
_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}")


def readings(path: str) -> frozenset[Segments]:
    """Return the segments of a path as it stands in a request, decoded, in every way; raises BadRequest."""
    if _PLAIN.fullmatch(path):
        return frozenset([tuple(path.strip("/").split("/"))])
    if not path.startswith("/"):
        raise BadRequest("a path begins with a slash")
    if _UNPRINTABLE.search(path) or not path.isascii() or _BAD_PERCENT.search(path):
        raise BadRequest("the path holds what no path can hold; percent-encode it")
    return frozenset(_readings(path))


def _readings(path: str) -> Iterator[Segments]:
    if len(path) > MAX_ODD_LENGTH:
        raise BadRequest(f"a path with more than letters and digits has at most {MAX_ODD_LENGTH} characters")
    text = path
    for _ in range(MAX_ROUNDS):
        decoded, within_segments = _decode(text), _decode(_SEPARATOR.sub(r"%25\1", text))
        for segments in _segmented({text, within_segments}):
            yield tuple(map(_decode, segments))
            if text is not path:  # as it came, nobody reads it
                yield segments
        if decoded == text:
            return
        text = decoded
    raise BadRequest("the path is encoded many times over")


def _segmented(texts: set[str]) -> Iterator[Segments]:
    """Yield what servers of any habits make of these."""
    for habit in _HABITS:
        texts = texts | set(map(habit, texts))
    for text in texts:
        yield _segments(text)
        yield _segments(text, are_merged=False)


def _segments(path: str, *, are_merged: bool = True) -> Segments:
    """
    Return the segments without those that are empty or dots (RFC 3986 section 5.2.4).

    ``are_merged``: doubled slashes count as one; otherwise there is an empty segment between them, and dots after them
    lead out of that.
    """
    found: list[str] = []
    for segment in path[1:].split("/"):
        if segment == "..":
            if not found:
                raise BadRequest("the path leads out of where it begins")
            found.pop()
        elif segment != "." and (segment or not are_merged):
            found.append(segment)
    return tuple(filter(None, found))


def _decode(text: str) -> str:
    """Decode once, as UTF-8 or else as Latin-1, which paths of old backends are in."""
    if "%" not in text:
        return text
    raw = unquote_to_bytes(text)
    if _OVERLONG.search(raw):
        raise BadRequest("the path holds an overlong form of a character")
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        decoded = raw.decode("latin-1")
    if _CONTROL.search(decoded):
        raise BadRequest("the path holds a control character")
    return decoded


class Territory:
    """
    What belongs to which entry of ``proxy:``.

    ``entries`` are their paths, ``routes`` those of all routes and views, ``prefix`` is pushgate's own.
    """

    def __init__(self, entries: Collection[str], *, routes: Collection[str], prefix: str) -> None:
        self._entries = {segments_of(path): path for path in entries}
        self._folded = {_fold(segments): path for segments, path in self._entries.items()}
        self._longest = max(map(len, self._entries), default=0)
        self._prefix = _fold(segments_of(prefix))
        self._shapes: dict[int, dict[str, _Shape]] = {}
        for route in routes:
            shape = _Shape.of(route)
            self._shapes.setdefault(len(shape.parts), {})[route] = shape

    def find(self, path: str, *, route: str | None = None) -> str | None:
        """
        Return the entry whose path is the longest above this one; None if there is none.

        ``route`` is the one that the path leads to, if it does, and that lets it go on. Raises NoSuchTopic for what may
        be pushgate's own path or a topic's (another route's), and BadRequest for what nobody can place.
        """
        found: set[str | None] = set()
        own = None if route is None else tuple(map(_decode, path[1:].split("/")))
        for segments in readings(path):
            folded = _fold(segments)
            is_topic = self._is_topic(segments) if route is None else self._is_others(segments, route, own)
            if folded[: len(self._prefix)] == self._prefix or is_topic:
                raise NoSuchTopic("no route fits this path")
            found |= {_above(segments, self._entries, self._longest), _above(folded, self._folded, self._longest)}
        if len(found) > 1:
            raise BadRequest("this path can be read in several ways that lead to different places; write it plainly")
        return found.pop()

    def _is_topic(self, segments: Segments) -> bool:
        """Whether this has the shape of a route's path; what its parameters may be does not matter."""
        return any(shape.fits(segments) for shape in self._shapes.get(len(segments), {}).values())

    def _is_others(self, segments: Segments, route: str, own: Segments | None) -> bool:
        """Whether this may be another route's path; of several with one shape, the one that ``own`` led to is meant."""
        shapes = self._shapes.get(len(segments), {})
        rank = shapes[route].rank if route in shapes else ()
        others = (shape for name, shape in shapes.items() if name != route and shape.fits(segments))
        return any(rank == () or shape.rank < rank or (shape.rank == rank and segments != own) for shape in others)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the segments of a route's paths look like. ``rank``: of two that fit, the lower one is meant."""

    parts: tuple[re.Pattern[str], ...]
    rank: tuple[bool, ...]

    @classmethod
    def of(cls, route: str) -> _Shape:
        segments = [segment for segment in route.split("/") if segment]
        return cls(tuple(map(_part, segments)), tuple(PLACEHOLDER.search(segment) is not None for segment in segments))

    def fits(self, segments: Segments) -> bool:
        return all(part.fullmatch(segment) for part, segment in zip(self.parts, segments, strict=True))


def segments_of(path: str) -> Segments:
    """Return the segments of a path of the configuration, decoded."""
    return tuple(unquote(segment) for segment in path.split("/") if segment)


def _above(segments: Segments, entries: dict[Segments, str], longest: int) -> str | None:
    lengths = range(min(len(segments), longest), -1, -1)
    return next((entries[segments[:length]] for length in lengths if segments[:length] in entries), None)


def _fold(segments: Segments) -> Segments:
    return tuple(segment.casefold() for segment in segments)


def _part(segment: str) -> re.Pattern[str]:
    literals = PLACEHOLDER.split(segment)[::2]
    pattern = ".+".join(re.escape(unquote(literal)) for literal in literals)
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)
