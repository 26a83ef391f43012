"""
Where a backend says that something is, and where that is for clients: places and cookies in its answers.

Rule 1: what names the backend itself names the gateway instead; anything else is where it is.
Rule 2: a path of the backend never becomes the name of another host.
Rule 3: what pushgate has added to a query to say who it is does not come back to clients.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

# As browsers read it: they know no backslashes, and no tabs (URL standard, section 4.4).
_OTHER_HOST = re.compile(r"/\t*[/\\]")


@dataclass(frozen=True, slots=True)
class Backend:
    """
    What a backend calls itself in its answers: its origins, and the path before all of its own.

    ``base_path`` is the one that clients see instead. ``keeps_cookies``: its cookies are none of the clients' business,
    and neither are ``own_query``, parameters that pushgate adds.
    """

    origins: frozenset[str]
    path: str = ""
    base_path: str = ""
    keeps_cookies: bool = False
    own_query: frozenset[str] = frozenset()


def backend_at(
    url: str, *, alias: str | None, base_path: str, keeps_cookies: bool, own_query: Collection[str] = ()
) -> Backend:
    """Return what is known of the backend at a URL; ``alias`` is the name that it is called by (``host:``)."""
    parts = urlsplit(url)
    names = [parts.netloc, *([alias] if alias else [])]
    origins = frozenset(f"{scheme}://{name}".lower() for scheme in ("http", "https") for name in names)
    return Backend(origins, parts.path.rstrip("/"), base_path, keeps_cookies, frozenset(own_query))


def as_seen(name: str, value: str, backend: Backend) -> str:
    """Return a field as it is true for clients, if it tells where something is."""
    match name.lower():
        case "location" | "content-location":
            return _place(_without_own(value, backend), backend)
        case "set-cookie":
            return _cookie(value, backend)
        case _:
            return value


def query_without(query: str, names: Collection[str]) -> str:
    """Return a query without some of its parameters; all others stay as they are written."""
    if not names or not query:
        return query
    return "&".join(pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) not in names)


def _without_own(location: str, backend: Backend) -> str:
    """Return a place as if it had been asked for without pushgate's own parameters; backends repeat the query."""
    rest, mark, fragment = location.partition("#")
    path, _, query = rest.partition("?")
    kept = query_without(query, backend.own_query)
    return location if kept == query else f"{path}{'?' if kept else ''}{kept}{mark}{fragment}"


def _place(location: str, backend: Backend) -> str:
    """Return a place at the backend as a path of the gateway; any other place is where it is."""
    match = re.match(r"(https?://[^/?#]*)(.*)", location, re.IGNORECASE | re.DOTALL)
    if match is not None and match[1].lower() not in backend.origins:
        return location
    path = match[2] or "/" if match is not None else location
    if not path.startswith("/") or path.startswith("//"):
        return location  # relative to where it is read
    if not _is_below(path, backend.path) or (backend.base_path and _is_below(path, backend.base_path)):
        return location
    here = backend.base_path + path[len(backend.path) :]
    if not here.startswith("/"):
        return f"/{here}"
    return f"/.{here}" if _OTHER_HOST.match(here) else here


def _cookie(cookie: str, backend: Backend) -> str:
    """Return a cookie that the client gets back for the gateway's paths: without the backend's name and path."""
    pair, *attributes = cookie.split(";")
    kept = [pair]
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        word, path = name.strip().lower(), value.strip()
        if word == "domain" and _is_own_domain(path, backend):
            continue
        if word == "path" and backend.path and _is_below(path, backend.path):
            attribute = f"{name}{equals}{backend.base_path + path[len(backend.path) :] or '/'}"
        kept.append(attribute)
    return ";".join(kept)


def _is_own_domain(domain: str, backend: Backend) -> bool:
    hosts = [urlsplit(origin).hostname or "" for origin in backend.origins]
    wanted = domain.lower().lstrip(".")
    return any(host == wanted or host.endswith(f".{wanted}") for host in hosts)


def _is_below(path: str, base: str) -> bool:
    return path == base or path.startswith((f"{base}/", f"{base}?", f"{base}#"))
