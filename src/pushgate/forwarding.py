"""
What of a request and its answer goes on through ``proxy:``, and what ends here (RFC 9110 section 7.6, RFC 9112).

Rule 1: what is about one connection goes no further: the hop-by-hop fields, and those that ``Connection`` names.
Rule 2: what says where a request came from is said by pushgate, and by a client only if a trusted proxy repeats it.
Names that differ from these by underscores are the same names: many backends see no difference.
Rule 3: how long a body is, nobody may be able to see in two ways; such a message is refused, and never repaired.
Rule 4: all else stays as it was written, in its order, field by field.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from .errors import BadRequest, UpstreamFailed

Fields = tuple[tuple[str, str], ...]
RawFields = tuple[tuple[bytes, bytes], ...]

NAME = "pushgate"  # what it calls itself in Via

# As often may a request pass through one and the same gateway, or through several: more is a loop.
MAX_PASSES = 5

_HOP_BY_HOP = frozenset(
    [
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "transfer-encoding", "upgrade", "http2-settings"),
    ]
)

# What is said anew about every request; 100 (Continue) is pushgate's to say, since old backends do not know it.
_SAID_ANEW = frozenset(["host", "content-length", "expect", "forwarded", "x-forwarded-for", "x-forwarded-proto"])
_SAID_ANEW_TOO = frozenset(["x-forwarded-host"])
_OF_PROXIES = frozenset(["x-real-ip", "x-client-ip", "x-forwarded-port", "x-forwarded-server", "x-forwarded-prefix"])

# An upgrade to another form of HTTP would be a way round everything that is said here.
_HTTP_AGAIN = re.compile(r"h2c?|h3|tls|http", re.IGNORECASE)

_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_IN_A_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN_PROTOCOL, _TICKET_COOKIE = "pushgate.token.", "pushgate_ticket_"


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    How a request came: the address of the other end of its connection, ``scheme`` and ``host`` as the client wrote it.

    ``is_trusted``: the other end is a proxy that is believed (``server.trusted_proxies``).
    """

    address: str | None
    scheme: str
    host: str
    is_trusted: bool = False


@dataclass(frozen=True, slots=True)
class Withheld:
    """
    What is meant for pushgate: names of header fields (lower case) and query parameters that end here.

    ``has_tokens``: clients say who they are, so there may be tokens in other fields, too.
    """

    headers: frozenset[str] = frozenset()
    query: frozenset[str] = frozenset()
    has_tokens: bool = False


NOTHING = Withheld()


def check_framing(fields: Iterable[tuple[str, str]], *, version: tuple[int, int]) -> None:
    """
    Raise BadRequest for a request whose end two servers might see in different places (RFC 9112 section 6.3).

    The library's parser has refused most of them before; this does not rely on it.
    """
    lengths, codings = _framing(fields)
    if version not in ((1, 0), (1, 1)):
        raise BadRequest("this version of HTTP is not spoken here")
    if codings and version == (1, 0):
        raise BadRequest("HTTP/1.0 has no Transfer-Encoding")
    if complaint := _contradiction(lengths, codings):
        raise BadRequest(complaint)


def _framing(fields: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    lengths, codings = [], []
    for name, value in fields:
        lowered = name.lower()
        if lowered == "content-length":
            lengths.append(value.strip(" \t"))
        elif lowered == "transfer-encoding":
            codings.append(value.strip(" \t").lower())
    return lengths, codings


def _contradiction(lengths: Sequence[str], codings: Sequence[str]) -> str | None:
    if lengths and codings:
        return "the message has both a Content-Length and a Transfer-Encoding"
    if len(lengths) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
        return "the message has no single Content-Length"
    if codings not in ([], ["chunked"]):
        return "the message has a Transfer-Encoding other than chunked"
    return None


def upgrade_of(fields: Iterable[tuple[str, str]]) -> str | None:
    """Return the protocol that a client asks to speak instead; None if it does not, or if that must not be."""
    pairs = [(name.lower(), value.strip(" \t")) for name, value in fields]
    protocols = [value for name, value in pairs if name == "upgrade"]
    if "upgrade" not in named_by_connection(pairs) or len(protocols) != 1:
        return None
    return None if "," in protocols[0] or _HTTP_AGAIN.match(protocols[0]) else protocols[0]


def named_by_connection(fields: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return what the ``Connection`` fields name, in lower case."""
    values = [value for name, value in fields if name.lower() == "connection"]
    return frozenset(option.strip(" \t").lower() for value in values for option in value.split(","))


def request_fields(
    fields: Sequence[tuple[str, str]], arrival: Arrival, *, withheld: Withheld = NOTHING, upgrade: str | None = None
) -> Fields:
    """
    Return what the backend is told.

    Raises BadRequest for fields that cannot be repeated, and UpstreamFailed for a request that runs in circles.
    """
    if any(_SURROGATE.search(value) for _, value in fields):
        raise BadRequest("a header field holds bytes that are not UTF-8")
    if sum(value.lower().count(f" {NAME}") for name, value in fields if name.lower() == "via") >= MAX_PASSES:
        raise UpstreamFailed("the request runs in circles: the backend that it is passed on to is this gateway")
    ended = _HOP_BY_HOP | _SAID_ANEW | _SAID_ANEW_TOO | named_by_connection(fields) | withheld.headers
    if not arrival.is_trusted:
        ended |= _OF_PROXIES
    kept = [(name, value) for name, value in fields if name.lower().replace("_", "-") not in ended]
    if withheld.has_tokens:
        kept = list(_without_tokens(kept))
    said = [("X-Forwarded-For", address)] if (address := _addresses(fields, arrival)) else []
    said += [
        ("X-Forwarded-Proto", arrival.scheme),
        ("X-Forwarded-Host", _host(fields, arrival)),
        ("Via", f"1.1 {NAME}"),
    ]
    if upgrade is not None:
        said += [("Connection", "Upgrade"), ("Upgrade", upgrade)]
    return (*kept, *said)


def _addresses(fields: Iterable[tuple[str, str]], arrival: Arrival) -> str:
    """Return the client's address, behind those that a trusted proxy has told."""
    told = [value for name, value in fields if arrival.is_trusted and name.lower() == "x-forwarded-for"]
    return ", ".join(filter(None, [*told, arrival.address]))


def _host(fields: Iterable[tuple[str, str]], arrival: Arrival) -> str:
    told = [value for name, value in fields if arrival.is_trusted and name.lower() == "x-forwarded-host"]
    return told[0] if told else arrival.host


def _without_tokens(fields: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Leave out what only pushgate gives out or reads; a field of which nothing is left goes, too."""
    for name, value in fields:
        if name.lower() == "cookie":
            value = _without(value, ";", _TICKET_COOKIE)
        elif name.lower() == "sec-websocket-protocol":
            value = _without(value, ",", _TOKEN_PROTOCOL)
        if value:
            yield name, value


def _without(value: str, separator: str, beginning: str) -> str:
    parts = value.split(separator)
    kept = [part for part in parts if not part.strip(" \t").startswith(beginning)]
    return value if len(kept) == len(parts) else separator.join(kept).strip(" \t")


def query_without(query: str, names: Collection[str]) -> str:
    """Return a query without some of its parameters; all others stay as they are written."""
    if not names or not query:
        return query
    return "&".join(pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) not in names)


# The way back.


@dataclass(frozen=True, slots=True)
class Backend:
    """
    What a backend calls itself in its answers: its origins, and the path before all of its own.

    ``base_path`` is the one that clients see instead. ``keeps_cookies``: its cookies are none of the clients' business.
    """

    origins: frozenset[str]
    path: str = ""
    base_path: str = ""
    keeps_cookies: bool = False


def backend_at(url: str, *, alias: str | None, base_path: str, keeps_cookies: bool) -> Backend:
    """Return what is known of the backend at a URL; ``alias`` is the name that it is called by (``host:``)."""
    parts = urlsplit(url)
    names = [parts.netloc, *([alias] if alias else [])]
    origins = frozenset(f"{scheme}://{name}".lower() for scheme in ("http", "https") for name in names)
    return Backend(origins, parts.path.rstrip("/"), base_path, keeps_cookies)


def answer_fields(fields: RawFields, backend: Backend, *, version: str, upgrade: str | None = None) -> RawFields:
    """
    Return what the client is told, without what is about the body's length; ``version`` is what the backend speaks.

    Raises UpstreamFailed for fields that cannot be passed on as they are.
    """
    if not all(_NAME.fullmatch(name) and not _NOT_IN_A_VALUE.search(value) for name, value in fields):
        raise UpstreamFailed("the upstream's answer has a header field that is none")
    texts = [(name.decode("ascii"), value.decode("latin-1")) for name, value in fields]
    lengths, codings = _framing(texts)
    if complaint := _contradiction(list(dict.fromkeys(lengths)), codings):
        raise UpstreamFailed(f"the upstream's answer cannot be read in one way: {complaint}")
    ended = _HOP_BY_HOP | named_by_connection(texts) | {"content-length"}
    if backend.keeps_cookies:
        ended |= {"set-cookie", "set-cookie2"}
    kept = [(name, _as_seen(name, value, backend)) for name, value in texts if name.lower() not in ended]
    kept.append(("Via", f"{version} {NAME}"))
    if upgrade is not None:
        kept += [("Connection", "Upgrade"), ("Upgrade", upgrade)]
    return tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in kept)


def length_of(fields: RawFields) -> int | None:
    """Return what an answer says that its body has, in bytes; None if it says nothing."""
    return next((int(value) for name, value in fields if name.lower() == b"content-length"), None)


def _as_seen(name: str, value: str, backend: Backend) -> str:
    """Return a field as it is true for clients, if it tells where something is."""
    match name.lower():
        case "location" | "content-location":
            return _place(value, backend)
        case "set-cookie":
            return _cookie(value, backend)
        case _:
            return value


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
    return backend.base_path + path[len(backend.path) :]


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
