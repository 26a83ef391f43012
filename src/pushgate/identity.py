"""
Whose a topic is: what makes the same name two topics for two clients.

It is part of a topic's key and never of its name, and holds no more than a digest of what clients sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from .config.access import Claims, Forward, Share
from .documents.equality import fingerprint
from .errors import Forbidden
from .values import Caller, Json, Principal


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Nothing for a public topic. ``text`` tells two identities apart; the rest is what the upstream is asked with.

    ``claims`` are named as in templates: ``claims.sub``.
    """

    text: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)
    claims: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


NOBODY = Identity()


def identify(caller: Caller, *, share: Share, forward: Forward, used: frozenset[str]) -> Identity:
    """
    Return whose topic it is that the caller asks for.

    ``used``: what the route's request has in braces. Raises Forbidden for a caller without a claim that is needed.
    """
    principal = caller.principal
    claims = {f"claims.{name}": text for name, text in claims_of(principal, used).items()}
    if isinstance(share, Claims):
        shared: list[Json] = [_value(principal, name) for name in share.claims]
        who = None if principal is None else [principal.auth, principal.issuer]
        return Identity(_text(who, shared), (), claims)
    if principal is not None and not principal.subject:
        raise Forbidden("the claim 'sub' is needed here")
    headers = _forwarded(caller, forward)
    who = None if principal is None else [principal.auth, principal.issuer, principal.subject]
    # With other claims the upstream is asked something else.
    sent: list[Json] = [*map(list[Json], headers), {**claims}]
    return Identity(_text(who, sent), headers, claims)


def claims_of(principal: Principal | None, names: Collection[str]) -> dict[str, str]:
    """Return claims as text, by their names; of ``names`` (such as ``claims.sub``) all others are somebody else's."""
    wanted = [name.removeprefix("claims.") for name in names if name.startswith("claims.")]
    return {name: _claim(principal, name) for name in wanted}


def cookies_of(field: str) -> dict[str, str]:
    """
    Return the cookies of a Cookie field exactly as they stand: quotes belong to a value (RFC 6265 section 4.2.1).

    To take them off would let a semicolon out, and so a cookie that is not to be forwarded. Of two with one name the
    first counts: browsers put the one with the longer path there.
    """
    pairs = [pair.strip(" \t").partition("=") for pair in field.split(";")]
    return {name: value for name, equals, value in reversed(pairs) if equals}


def _forwarded(caller: Caller, forward: Forward) -> tuple[tuple[str, str], ...]:
    """Return the header fields that are sent upstream as the caller."""
    headers = [(name, caller.headers[name.lower()]) for name in forward.headers if name.lower() in caller.headers]
    cookies = [f"{name}={caller.cookies[name]}" for name in forward.cookies if name in caller.cookies]
    return (*headers, *([("Cookie", "; ".join(cookies))] if cookies else []))


def _text(who: list[str] | None, what: list[Json]) -> str:
    # 64 bits would be too few where a collision shows one client the document of another.
    encoded = msgspec.json.encode([who, what], order="sorted")
    return fingerprint(b"1" + encoded) + fingerprint(b"2" + encoded)


def _value(principal: Principal | None, name: str) -> Json:
    if principal is None or principal.claims.get(name) is None:
        raise Forbidden(f"the claim {name!r} is needed here")
    return principal.claims[name]


def _claim(principal: Principal | None, name: str) -> str:
    value = _value(principal, name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Forbidden(f"the claim {name!r} is neither text nor a whole number")
    return str(value)
