"""
``allow:``: whether a principal may have a topic, by its claims.

Rule 1: all rules must hold; who lacks the claim of one may not.
Rule 2: words are compared as wholes: a claim ``cities: parisian`` does not contain ``paris``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..config.access import Rule
from ..errors import Forbidden
from ..naming import fill_text, references
from ..routes import Route
from ..values import Json, Principal
from ..views import ViewRoute


def auth_names(entry: Route | ViewRoute) -> tuple[str, ...]:
    """Return the entries of ``auth:`` any of which is enough for a topic; () if nobody is asked."""
    return route_of(entry).config.auth or ()


def route_of(entry: Route | ViewRoute) -> Route:
    """Return the route that polls, whose rules hold for its views, too."""
    return entry.parent if isinstance(entry, ViewRoute) else entry


def check_allowed(entry: Route | ViewRoute, principal: Principal, values: Mapping[str, str]) -> None:
    """Raise Forbidden unless all rules of a topic hold; ``values``: what stands for ``{name}`` in them."""
    check_rules(entry.config.allow, principal, values)
    if isinstance(entry, ViewRoute):
        check_rules(entry.parent.config.allow, principal, values)


def check_rules(rules: Iterable[Rule], principal: Principal, values: Mapping[str, str]) -> None:
    for rule in rules:
        if not _holds(rule, principal.claims.get(rule.claim), values):
            raise Forbidden(f"the claim {rule.claim!r} does not allow this")


def _holds(rule: Rule, claim: Json, values: Mapping[str, str]) -> bool:
    if rule.equals is not None:
        return _text(claim) in _wanted([rule.equals], values)
    if rule.contains is not None:
        return any(text in _words(claim) for text in _wanted([rule.contains], values))
    return any(text in (_text(claim), *_words(claim)) for text in _wanted(rule.any or (), values))


def _wanted(templates: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """Return what a claim may be; nothing is like a parameter that the client has left out."""
    return [fill_text(text, values) for text in templates if references(text) <= values.keys()]


def _words(claim: Json) -> list[str | None]:
    """Return the members of a list, or the words of a text, as OAuth's ``scope`` is one (RFC 8693 section 4.2)."""
    if isinstance(claim, str):
        return [*claim.split()]
    return [_text(member) for member in claim] if isinstance(claim, list | tuple) else []


def _text(claim: Json) -> str | None:
    match claim:
        case str():
            return claim
        case bool():
            return "true" if claim else "false"
        case int():
            return str(claim)
        case _:
            return None
