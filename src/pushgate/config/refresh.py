"""
Which topics a write makes out of date: the entries of ``refresh:``.

An entry is a topic's path, with or without query parameters. ``*`` as a whole segment stands for anything, and so does
every query parameter that the entry does not name: too many polls are a cost, too few a document that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from ..errors import BadRequest
from ..naming import Template, decode_query, references
from .finding import Finding, did_you_mean
from .gateway import Gateway
from .routes import Route, View, Write
from .tree import Path

ANYTHING = "*"


@dataclass(frozen=True, slots=True)
class Reach:
    """The topics whose path has these segments, decoded, and whose query has these parameters; None is anything."""

    segments: tuple[str | None, ...]
    query: Mapping[str, str | None]

    def within(self, template: Template) -> dict[str, str] | None:
        """Return the values that a topic of this path has if it is one of them; None if no topic of this path is."""
        if len(template.segments) != len(self.segments):
            return None
        values = {name: value for name, value in self.query.items() if value is not None}
        for expected, segment in zip(template.segments, self.segments, strict=True):
            if segment is None:
                continue
            if isinstance(expected, re.Pattern) and (found := expected.fullmatch(segment)):
                values |= found.groupdict()
            elif expected != segment:
                return None
        return values


Fill = Callable[[str], str | None]


def reach_of(entry: str, *, segment: Fill, value: Fill) -> Reach:
    """Return what an entry reaches; ``segment`` and ``value`` make of its templates what they stand for, decoded."""
    path, _, query = entry.partition("?")
    segments = tuple(None if part == ANYTHING else segment(part) for part in path[1:].split("/"))
    return Reach(segments, {name: value(text) for name, text in decode_query(query).items()})


def reach_of_topics(entry: str) -> Reach:
    """Return what an entry reaches in which nothing has to be filled in."""
    return reach_of(entry, segment=unquote, value=str)


def check_refresh(route: Route, gateway: Gateway, routes: Collection[str]) -> Iterator[Finding]:
    """Yield the entries that reach nothing; ``routes`` are all paths of the file, also of entries that are wrong."""
    for method, write in route.write.items():
        for place, entry in places(write):
            if not leads_somewhere(entry, gateway, routes):
                hint = did_you_mean(entry, routes) or "; write the path of a topic, as clients do"
                yield Finding(("write", method, *place), f"`{entry}` leads to no route{hint}")


def leads_somewhere(entry: str, gateway: Gateway, routes: Collection[str]) -> bool:
    """Whether an entry can reach topics of any of these routes."""
    return any(_leads_to(entry, path, gateway) for path in routes)


def places(write: Write) -> Iterator[tuple[Path, str]]:
    """Yield the entries and where they stand; one alone may stand there without a list."""
    is_list = len(write.refresh) > 1
    yield from ((("refresh", index) if is_list else ("refresh",), entry) for index, entry in enumerate(write.refresh))


def _leads_to(entry: str, path: str, gateway: Gateway) -> bool:
    """Whether an entry can reach topics of a route; of one that is wrong in itself nothing but its path is known."""
    found = gateway.entries.get(path)
    route = gateway.routes.get(found.from_) if isinstance(found, View) else found
    try:
        reach = reach_of(entry, segment=_always, value=_always)
        template = Template.parse(path, {} if route is None else route.params)
    except (BadRequest, re.error):
        return False
    listed = reach.query if route is None else {name for name, rule in route.query.items() if rule != "drop"}
    return entry.startswith("/") and reach.query.keys() <= set(listed) and reach.within(template) is not None


def _always(template: str) -> str | None:
    """Return what a template always is; None for one that may be anything."""
    return None if references(template) else unquote(template)
