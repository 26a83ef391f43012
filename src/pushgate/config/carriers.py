"""
What spans ``auth:`` and what names it: whether clients can come in by the carriers that there are, and how safely.

A browser's EventSource sends no header fields of its own, and neither does its WebSocket; a plain request has neither
subprotocol nor message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

from ..values import Transport
from .auth import Auth, Carrier, ForwardAuth, JwtAuth
from .finding import Finding
from .gateway import Gateway
from .routes import Route, View

_REQUEST: Final[frozenset[Carrier]] = frozenset(["header", "cookie", "query"])
_ON_A_SOCKET: Final[frozenset[Carrier]] = frozenset(["subprotocol", "message"])
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


def check_carriers(gateway: Gateway) -> Iterator[Finding]:
    """Yield where nobody can ever come in."""
    for path, entry in gateway.entries.items():
        names = _auth_names(entry, gateway)
        if names and not any(_can_come(transport, names, gateway) for transport in entry.transports):
            message = f"{_list(names)} looks for credentials on WebSockets only (`carriers`), and there are none here"
            yield Finding(("routes", path, "transports"), f"{message}; add `websocket`, or a carrier")
    for path, proxy in gateway.proxy.items():
        names = _known(proxy.auth, gateway)
        if names and not any(gateway.auth[name].ways & _REQUEST for name in names):
            message = f"{_list(names)} looks for nothing that a plain request can carry; add `header` to its carriers"
            yield Finding(("proxy", path, "auth"), message)


def caution_carriers(gateway: Gateway) -> Iterator[Finding]:
    """Yield where clients come in with a risk, or not all that one would think."""
    for name, auth in gateway.auth.items():
        for finding in (*_risks(auth), *_services(auth)):
            yield finding.below("auth", name)
    for path, entry in gateway.entries.items():
        for finding in (*_deaf_transports(entry, gateway), *_tickets_only(entry, gateway)):
            yield finding.below("routes", path)
    for finding in (*_other_origins(gateway), *_open_origins(gateway)):
        yield finding.below("server", "cors")


def _risks(auth: Auth) -> Iterator[Finding]:
    if "query" in auth.carriers:
        words = "`query` puts credentials into URLs, which end up in logs and histories"
        yield Finding(("carriers",), f"{words}; prefer `ticket`, `cookie` or `subprotocol`")
    if "carriers" in auth.model_fields_set and "cookie" in auth.carriers and "cookie" not in auth.ways:
        yield Finding(("carriers",), "no cookie is looked at without its name; add `cookie_name`, or remove `cookie`")


def _services(auth: Auth) -> Iterator[Finding]:
    """What is asked of other services without TLS."""
    if isinstance(auth, ForwardAuth) and _is_readable(auth.url):
        yield Finding(("url",), "clients' credentials travel to it without TLS, readable on the way; use https")
    if isinstance(auth, JwtAuth) and auth.jwks_url is not None and _is_readable(auth.jwks_url):
        yield Finding(("jwks_url",), "keys come without TLS, and anybody on the way can put others there; use https")


def _is_readable(url: str) -> bool:
    parts = urlsplit(str.__str__(url))
    return parts.scheme == "http" and _LOOPBACK.fullmatch(parts.hostname or "") is None


def _deaf_transports(entry: Route | View, gateway: Gateway) -> Iterator[Finding]:
    names = _auth_names(entry, gateway)
    deaf = [transport for transport in entry.transports if names and not _can_come(transport, names, gateway)]
    if deaf:
        message = f"{_list(names)} looks for credentials on WebSockets only (`carriers`), not in {', '.join(deaf)}"
        yield Finding(("transports",), f"{message}; set `transports: websocket`, or add a carrier", at_key=True)


def _tickets_only(entry: Route | View, gateway: Gateway) -> Iterator[Finding]:
    """An EventSource whose ticket has gone is refused, and never comes back from that."""
    names = _auth_names(entry, gateway)
    ways = frozenset[Carrier]().union(*(gateway.auth[name].ways for name in names))
    if "sse" in entry.transports and "ticket" in ways and ways.isdisjoint(["cookie", "query"]):
        words = "an EventSource gets in by ticket only, and gives up when that is gone, as after a restart"
        remedy = f"let the page get another one then, or add `cookie` to the carriers of {_list(names)}"
        yield Finding(("transports",), f"{words}; {remedy}", at_key=True)


def _other_origins(gateway: Gateway) -> Iterator[Finding]:
    """Whom the rules of browsers keep out."""
    cors = gateway.server.cors
    for name, auth in gateway.auth.items() if cors.origins else ():
        if not cors.credentials and "ticket" in auth.ways:
            words = f"pages there cannot keep the cookie with which an EventSource comes back (tickets of {name})"
            yield Finding(("origins",), f"{words}; list them with `credentials: true`")
        elif not cors.credentials and auth.ways == {"cookie"}:
            yield Finding(
                ("origins",), f"pages there cannot send the cookie of {name}; list them with `credentials: true`"
            )
        if auth.ways == {"header"} and auth.header_name.lower() != "authorization" and auth.kind != "forward":
            words = f"pages there may send Authorization, and not {auth.header_name}"
            yield Finding(("origins",), f"{words}, which {name} looks for; add another carrier to it")


def _open_origins(gateway: Gateway) -> Iterator[Finding]:
    cors = gateway.server.cors
    if cors.credentials and not cors.origins:
        yield Finding(("credentials",), "has no effect without `origins`; add one", at_key=True)
    for index, origin in enumerate(cors.origins if cors.credentials else ()):
        if _is_readable(origin):
            words = "anybody on the way can change its pages, and act for its visitors"
            yield Finding(("origins", index), f"{origin} is no https: {words}; use https")


def _can_come(transport: Transport, names: Collection[str], gateway: Gateway) -> bool:
    carriers = {*_REQUEST, *(_ON_A_SOCKET if transport == "websocket" else ()), "ticket"}
    return any(gateway.auth[name].ways & carriers for name in names)


def _auth_names(entry: Route | View, gateway: Gateway) -> list[str]:
    """Return the entries that may let somebody in; none if nobody is asked."""
    route = gateway.routes.get(entry.from_) if isinstance(entry, View) else entry
    return [] if route is None else _known(route.auth, gateway)


def _known(names: tuple[str, ...] | None, gateway: Gateway) -> list[str]:
    """Return those that there are; of an entry that is wrong in itself nothing more is said."""
    known = [name for name in names or () if name in gateway.auth]
    return known if len(known) == len(names or ()) else []


def _list(names: Collection[str]) -> str:
    return " or ".join(names)
