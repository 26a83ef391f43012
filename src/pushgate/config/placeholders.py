"""``{name}`` in a route: what it may stand for, and where."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import product

from pydantic import SecretStr

from ..escaping import content_type_of, escape_of, outside_strings
from ..naming import PLACEHOLDER, fill_text, placeholders, references
from .access import Claims, Rule
from .credentials import claims_in, texts_of
from .expressions import has_place
from .finding import Finding, did_you_mean
from .gateway import Gateway
from .refresh import places
from .requests import Request
from .routes import Route, Write
from .section import Section
from .tree import Path
from .upstreams import Upstream

# What comes from elsewhere than the topic's name: the client's claims, and the body of its write.
_OUTSIDE = re.compile(r"\{(claims|data)\.([^{}]+)\}")


def check_placeholders(path: str, route: Route) -> Iterator[Finding]:
    """Yield what is wrong with the ``{name}`` of a route's request and writes."""
    known = placeholders(path) | {name for name, rule in route.query.items() if rule != "drop"}
    yield from _templates(("request",), route.request, known)
    yield from _outside(("request",), route.request, route)
    yield from _bodies(("request",), route.request, known)
    yield from _batch(path, route, known)
    yield from _expressions(route)
    yield from check_rules(route.allow, known)
    for method, write in route.write.items():
        yield from _templates(("write", method), write, known)
        yield from _outside(("write", method), write, route)
        yield from _bodies(("write", method), write, known)


def check_rules(rules: Iterable[Rule], known: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with the ``{name}`` of an ``allow``; ``known``: the parameters of the path and the query."""
    for index, rule in enumerate(rules):
        for key in ("equals", "contains", "any"):
            value = getattr(rule, key) or ()
            for name in sorted(references(value if isinstance(value, str) else "".join(value)) - set(known)):
                hint = (
                    did_you_mean(name, known) or "; only parameters of the path and listed query names may stand here"
                )
                yield Finding(("allow", index, key), f"`{{{name}}}` is unknown{hint}")


def check_credentials(gateway: Gateway) -> Iterator[Finding]:
    """Yield what is wrong with the claims in credentials: whatever is got with them is for these callers only."""
    for name, upstream in gateway.upstreams.items():
        for key in _meaningless(upstream):
            message = f"`{{claims.…}}` has no meaning in credentials of kind {upstream.credentials.kind}; remove it"
            yield Finding(("upstreams", name, "credentials", *key), message)
    for path, route in gateway.routes.items():
        for name in sorted({name for name in _upstreams_of(route) if name in gateway.upstreams}):
            yield from (finding.below("routes", path) for finding in _uncovered(name, gateway.upstreams[name], route))


def _uncovered(name: str, upstream: Upstream, route: Route) -> Iterator[Finding]:
    for claim in sorted(claim.removeprefix("claims.") for claim in upstream.claims):
        if not _is_covered(claim, route):
            message = f"the credentials of {name} hold `{{claims.{claim}}}`; set `share: {{claims: [{claim}]}}`"
            yield Finding(("upstream",), message)


def _meaningless(upstream: Upstream) -> Iterator[Path]:
    """Yield where credentials hold a claim that nothing fills in."""
    filled = texts_of(upstream.credentials)
    for key, value in upstream.credentials:
        for path, text in _leaves((key,), value):
            if claims_in(text) and path[0] not in filled:
                yield path


def _leaves(path: Path, value: object) -> Iterator[tuple[Path, str]]:
    match value:
        case SecretStr():
            yield path, value.get_secret_value()
        case Section():
            for name, inner in value:
                yield from _leaves((*path, name.removesuffix("_")), inner)
        case _:
            yield from _inside(path, list(value) if isinstance(value, tuple) else value)


def _upstreams_of(route: Route) -> Iterator[str]:
    """Yield the names of the upstreams that a route may choose from by its parameters."""
    names = PLACEHOLDER.findall(route.upstream)
    lists = [values for name in names if isinstance(values := route.params.get(name), tuple)]
    if len(lists) == len(names):
        yield from (fill_text(route.upstream, dict(zip(names, chosen, strict=True))) for chosen in product(*lists))


def _expressions(route: Route) -> Iterator[Finding]:
    """All topics of a route have one pipeline; only a view's expression may differ from topic to topic."""
    since = None if route.accumulate is None else route.accumulate.since
    found = {
        ("select",): route.select,
        ("poll", "ttl"): route.poll.ttl,
        ("poll", "until"): route.poll.until,
        ("guards", "fail_if"): route.guards.fail_if,
        ("accumulate", "since"): since,
    }
    for place, expression in found.items():
        if expression is not None and has_place(expression):
            yield Finding(place, f"`{expression}`: a parameter in braces only has a meaning in a view's `select`")


def _batch(path: str, route: Route, known: frozenset[str]) -> Iterator[Finding]:
    """What tells the topics of a batch apart stands in its own query parameter and nowhere else."""
    if route.batch is None:
        return
    names, request = placeholders(route.batch.value), route.request
    asked = [request.path or path, *(text for _, text in _texts(request)), route.upstream]
    for name in sorted(names - known):
        hint = did_you_mean(name, known) or "; it is no parameter of the path and no listed query name"
        yield Finding(("batch", "value"), f"`{{{name}}}` is unknown{hint}")
    for name in sorted(names & frozenset[str]().union(*map(placeholders, asked))):
        words = f"`{{{name}}}` stands in the request itself too, so no two topics could share one"
        yield Finding(("batch", "value"), f"{words}; give `request` a path without it")
    if not names:
        yield Finding(("batch", "value"), "is the same for all topics; write a parameter in braces")


def _bodies(place: Path, request: Request | Write, known: frozenset[str]) -> Iterator[Finding]:
    """A value stands only where it can be escaped; a file's content is not looked at."""
    if not isinstance(request.body, str):
        return
    media_type = content_type_of(request.headers, request.body, is_form=False).partition(";")[0].strip().lower()
    outside = {f"{kind}.{name}" for kind, name in _OUTSIDE.findall(request.body)}
    names = sorted((placeholders(request.body) & known) | outside)
    if escape_of(media_type) is None:
        for name in names:
            words = f"`{{{name}}}` cannot be escaped in a body of {media_type}"
            yield Finding((*place, "body"), f"{words}; send JSON, XML or a form")
    elif media_type.endswith(("/json", "+json")):
        for name in outside_strings(request.body, names):
            words = f"`{{{name}}}` stands outside the strings of the JSON, where a value could be anything"
            yield Finding((*place, "body"), f"{words}; put it in quotes, or write the body as a mapping")


def _templates(place: Path, request: Request | Write, known: frozenset[str]) -> Iterator[Finding]:
    """Check the places where braces cannot be literal; in bodies they can, as in JSON and GraphQL."""
    for key, text in _texts(request):
        if key[0] not in ("path", "query", "headers", "refresh"):
            continue
        for name in sorted(placeholders(text) - known):
            hint = did_you_mean(name, known) or "; it is no parameter of the path and no listed query name"
            yield Finding((*place, *key), f"`{{{name}}}` is unknown{hint}")


def _outside(place: Path, request: Request | Write, route: Route) -> Iterator[Finding]:
    for key, text in _texts(request):
        for kind, name in _OUTSIDE.findall(text):
            if "/" in name:
                yield Finding((*place, *key), f"`{{{kind}.{name}}}` stands for nothing: no name here has a slash")
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
    if isinstance(request, Write):
        yield from places(request)


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
