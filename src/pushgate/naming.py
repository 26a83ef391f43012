"""
What a topic is called, and how the values in its name are written into other places.

Rule 1: a path is decoded once, segment by segment; what was decoded is never decoded again.
Rule 2: every spelling of a topic reaches the same canonical name (RFC 3986 section 6.2.2), which is also the only
spelling that is ever sent upstream.
Rule 3: no value can leave its place: a segment stays one segment, a query value one value, a header one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar
from urllib.parse import parse_qsl, quote, unquote

from .errors import BadRequest, NoSuchTopic

# Query names that belong to pushgate itself; a route cannot let a parameter of such a name through.
RESERVED_QUERY = frozenset(
    ["cursor", "wait", "emit", "framing", "throttle", "heartbeat", "lastEventId", "access_token", "ticket", "topic"]
)

# Those of them that say who the client is.
CREDENTIALS_QUERY = frozenset(["access_token", "ticket"])

# More query parameters than any route lists; stops a request from costing more to read than to answer.
MAX_QUERY_FIELDS = 64

# Of so many paths a router knows by heart where they lead, if they are no longer than that: 2 MB at the most.
MAX_KNOWN_PATHS = 2000
MAX_KNOWN_LENGTH = 200

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

# In what is asked of the upstream, a claim of the caller may stand too, and in a write what its body says.
_REFERENCE = re.compile(r"\{((?:claims|data)\.[^{}/]+|[A-Za-z_][A-Za-z0-9_]*)\}")

_SEGMENT_SAFE = "!$&'()*+,;=:@~-._"  # pchar of RFC 3986 section 3.3 without the percent sign
_QUERY_SAFE = "~-._"
_UNSAFE_IN_SEGMENT = re.compile(r"[/\\\x00-\x1f\x7f]")
_ABSOLUTE_FORM = re.compile(r"\Ahttps?://[^/?]*", re.IGNORECASE)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

Target = TypeVar("Target")


def origin_form(target: str) -> str:
    """Return the path and query of a request target that may be a whole URL (RFC 9112 section 3.2.2)."""
    return _ABSOLUTE_FORM.sub("", target, count=1)


def decode_path(raw: str) -> tuple[str, ...]:
    """
    Return the decoded segments of a request path, without its query.

    Raises NoSuchTopic for what cannot be a topic's name: empty segments (doubled or trailing slashes), ``.`` and
    ``..`` also in their encoded forms, encoded slashes, backslashes, control characters, and bytes that are not UTF-8.
    """
    if not raw.startswith("/"):
        raise NoSuchTopic("a topic's path begins with a slash")
    return tuple(_decode_segment(segment) for segment in raw[1:].split("/"))


def _decode_segment(raw: str) -> str:
    try:
        segment = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise NoSuchTopic("the path is not UTF-8") from None
    if not is_safe_segment(segment) or _BAD_PERCENT.search(raw):
        raise NoSuchTopic("a path segment is empty, a dot segment, or holds a slash or a control character")
    return segment


def is_safe_segment(value: str) -> bool:
    """Whether a decoded value may stand as one segment of a path without changing the path's shape."""
    return value not in ("", ".", "..") and not _UNSAFE_IN_SEGMENT.search(value)


def decode_query(raw: str) -> dict[str, str]:
    """Return the query parameters, decoded as HTML forms do (``+`` is a space); a repeated name is a BadRequest."""
    if not raw:
        return {}
    pairs = decode_pairs(raw, at_most=MAX_QUERY_FIELDS)
    query = dict(pairs)
    if len(query) < len(pairs):
        raise BadRequest("a query parameter is given twice")
    return query


def decode_pairs(raw: str, *, at_most: int) -> list[tuple[str, str]]:
    """Return the query parameters in their order, decoded as HTML forms do; raises BadRequest for more than that."""
    try:
        return parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=at_most)
    except UnicodeDecodeError:
        raise BadRequest("the query is not UTF-8") from None
    except ValueError:
        raise BadRequest(f"the query has more than {at_most} parameters") from None


def encode_segment(value: str) -> str:
    return quote(value, safe=_SEGMENT_SAFE)


def encode_query(query: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe=_QUERY_SAFE)}={quote(value, safe=_QUERY_SAFE)}" for name, value in query)


def canonical_name(segments: Sequence[str], query: Mapping[str, str]) -> str:
    """Return a topic's one name: its path and its listed query parameters, sorted, with defaults filled in."""
    path = "/" + "/".join(encode_segment(segment) for segment in segments)
    return f"{path}?{encode_query(sorted(query.items()))}" if query else path


def fill_path(template: str, values: Mapping[str, str]) -> str:
    """
    Write values into a path template; each stays inside its segment.

    The template comes from the configuration; literal text is encoded where it has to be, and percent signs in it are
    taken as already encoded. The caller owes that every placeholder has a value.
    """

    def fill(segment: str) -> str:
        literals = _REFERENCE.split(segment)
        return "".join(
            encode_segment(values[part]) if index % 2 else quote(part, safe=_SEGMENT_SAFE + "%")
            for index, part in enumerate(literals)
        )

    if not all(map(is_safe_segment, (values[name] for name in _REFERENCE.findall(template)))):
        raise BadRequest("a parameter cannot stand in a path: it is empty, a dot segment, or holds a slash")
    filled = [fill(segment) for segment in template.split("/")]
    assert all(unquote(segment) not in (".", "..") for segment in filled), "a value became a dot segment"
    return "/".join(filled)


def fill_text(template: str, values: Mapping[str, str]) -> str:
    """Write values into a query or header template as they are; the place's own encoding is the caller's."""
    return _REFERENCE.sub(lambda match: values[match[1]], template)


def fill_known(template: str, values: Mapping[str, str], *, escape: Callable[[str], str]) -> str:
    """Write escaped values into a text in which other braces are literal, as in GraphQL and JSON."""
    return _REFERENCE.sub(lambda match: escape(values[match[1]]) if match[1] in values else match[0], template)


def references(template: str) -> frozenset[str]:
    """Return all that stands in braces in a template, claims too."""
    return frozenset(_REFERENCE.findall(template))


def placeholders(template: str) -> frozenset[str]:
    return frozenset(PLACEHOLDER.findall(template))


def fill_header(template: str, values: Mapping[str, str]) -> str:
    """Write values into a header field; one that would start a new line or is not Latin-1 is a BadRequest."""
    value = fill_text(template, values)
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or not value.isascii():
        raise BadRequest("a parameter holds characters that a header field cannot carry")
    return value


@dataclass(frozen=True, slots=True)
class Template:
    """A route's public path, such as ``/stations/{city}``, ready to be matched against decoded segments."""

    text: str
    segments: tuple[str | re.Pattern[str], ...]

    @classmethod
    def parse(cls, text: str, patterns: Mapping[str, str | Sequence[str]]) -> Template:
        """Compile a path; ``patterns`` holds a regular expression or a list of values for some of its parameters."""
        return cls(text, tuple(_compile_segment(segment, patterns) for segment in text[1:].split("/")))

    @property
    def rank(self) -> tuple[bool, ...]:
        """Sorts templates of one length so that a literal segment beats a parameter, the leftmost first."""
        return tuple(isinstance(segment, re.Pattern) for segment in self.segments)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """Return the parameters if the segments fit, decoded; None if they do not."""
        values: dict[str, str] = {}
        for expected, segment in zip(self.segments, segments, strict=True):
            if isinstance(expected, str):
                if expected != segment:
                    return None
            elif found := expected.fullmatch(segment):
                values.update(found.groupdict())
            else:
                return None
        return values if all(map(is_safe_segment, values.values())) else None


def _compile_segment(segment: str, patterns: Mapping[str, str | Sequence[str]]) -> str | re.Pattern[str]:
    parts = PLACEHOLDER.split(segment)
    if len(parts) == 1:
        return unquote(segment)
    return re.compile(
        "".join(_named_group(part, patterns) if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )


def _named_group(name: str, patterns: Mapping[str, str | Sequence[str]]) -> str:
    pattern = patterns.get(name, "[^/]+")
    inner = pattern if isinstance(pattern, str) else "|".join(map(re.escape, pattern))
    return f"(?P<{name}>(?:{inner}))"


class Router(Generic[Target]):
    """Finds the route of a path; a literal segment beats a parameter."""

    def __init__(self, routes: Iterable[tuple[Template, Target]]) -> None:
        self._by_length: dict[int, list[tuple[Template, Target]]] = {}
        for template, target in sorted(routes, key=lambda entry: entry[0].rank):
            self._by_length.setdefault(len(template.segments), []).append((template, target))
        self._recall = lru_cache(MAX_KNOWN_PATHS)(self._resolve)  # raises are not kept

    def resolve(self, path: str) -> tuple[Target, dict[str, str]]:
        """
        Return what a path leads to as it stands in a request, and its parameters; raises NoSuchTopic.

        When thousands come back at once, they ask for the same few paths.
        """
        target, values = (self._recall if len(path) <= MAX_KNOWN_LENGTH else self._resolve)(path)
        return target, values.copy()

    def _resolve(self, path: str) -> tuple[Target, dict[str, str]]:
        found = self.find(decode_path(path))
        if found is None:
            raise NoSuchTopic("no route fits this path")
        return found

    def find(self, segments: Sequence[str]) -> tuple[Target, dict[str, str]] | None:
        """Return what the path leads to and its parameters, or None."""
        for template, target in self._by_length.get(len(segments), ()):
            values = template.match(segments)
            if values is not None:
                return target, values
        return None
