"""``{name}`` in a route: what it may stand for, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..naming import placeholders
from .access import Claims
from .finding import Finding, did_you_mean
from .requests import Request
from .routes import Route, Write
from .tree import Path

# What comes from elsewhere than the topic's name: the client's claims, and the body of its write.
_OUTSIDE = re.compile(r"\{(claims|data)\.([^{}]+)\}")


def check_placeholders(path: str, route: Route) -> Iterator[Finding]:
    """Yield what is wrong with the ``{name}`` of a route's request and writes."""
    known = placeholders(path) | {name for name, rule in route.query.items() if rule != "drop"}
    yield from _templates(("request",), route.request, known)
    yield from _outside(("request",), route.request, route)
    for method, write in route.write.items():
        yield from _templates(("write", method), write, known)
        yield from _outside(("write", method), write, route)


def _templates(place: Path, request: Request | Write, known: frozenset[str]) -> Iterator[Finding]:
    """Check the places where braces cannot be literal; in bodies they can, as in JSON and GraphQL."""
    for key, text in _texts(request):
        if key[0] not in ("path", "query", "headers"):
            continue
        for name in sorted(placeholders(text) - known):
            hint = did_you_mean(name, known) or "; it is no parameter of the path and no listed query name"
            yield Finding((*place, *key), f"`{{{name}}}` is unknown{hint}")


def _outside(place: Path, request: Request | Write, route: Route) -> Iterator[Finding]:
    for key, text in _texts(request):
        for kind, name in _OUTSIDE.findall(text):
            if kind == "data" and isinstance(request, Request):
                yield Finding((*place, *key), f"`{{data.{name}}}` only has a meaning in `write`; remove it")
            if kind == "claims" and isinstance(request, Request) and not _is_covered(name, route):
                message = f"`{{claims.{name}}}` would reach others too; set `share: {{claims: [{name}]}}`"
                yield Finding((*place, *key), message)


def _is_covered(claim: str, route: Route) -> bool:
    match route.share:
        case "identity":
            return True
        case Claims(claims=claims):
            return claim in claims
        case _:
            return False


def _texts(request: Request | Write) -> Iterator[tuple[Path, str]]:
    """Yield every text of a request that may hold placeholders, with its path."""
    if request.path is not None:
        yield ("path",), request.path
    for key, texts in (("query", request.query), ("headers", request.headers), ("form", request.form or {})):
        yield from (((key, name), text) for name, text in texts.items())
    yield from _inside(("body",), request.body)


def _inside(path: Path, value: object) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for name, inner in value.items():
                yield from _inside((*path, name), inner)
        case list():
            for index, inner in enumerate(value):
                yield from _inside((*path, index), inner)
