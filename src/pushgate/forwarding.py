"""
What of a request and its answer goes on through ``proxy:``, and what ends here (RFC 9110 section 7.6, RFC 9112).

Rule 1: what is about one connection goes no further: the hop-by-hop fields, and those that ``Connection`` names.
Rule 2: what says where a request came from is said by pushgate, and by a client only if a trusted proxy repeats it.
Names that differ from these by underscores are the same names: many backends see no difference.
Rule 3: how long a body is, nobody may be able to see in two ways; such a message is refused, and never repaired.
Rule 4: ids and traces of requests go on in their exact form only; the client is told the id that the log has.
Rule 5: all else stays as it was written, in its order, field by field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .correlation import CORRELATING, REQUEST_ID
from .errors import BadRequest, UpstreamFailed
from .places import Backend, as_seen

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
_SAID_ANEW_TOO = frozenset(["x-forwarded-host"]) | CORRELATING

# By these, some backends go instead of the path, which is what has been looked at.
_OTHER_PATHS = frozenset(["x-original-url", "x-original-uri", "x-rewrite-url"])

# And by these, instead of the method.
_OTHER_METHODS = frozenset(["x-http-method-override", "x-http-method", "x-method-override"])

# What proxies say of a client; so are all that begin with X-Forwarded.
_OF_PROXIES = frozenset(["x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"])

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


def other_methods(fields: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the methods that a backend may take a request to have, besides the one that it has."""
    return frozenset(value.strip(" \t").upper() for name, value in fields if _plain(name) in _OTHER_METHODS)


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
    fields: Sequence[tuple[str, str]],
    arrival: Arrival,
    *,
    withheld: Withheld = NOTHING,
    trail: Fields = (),
    upgrade: str | None = None,
) -> Fields:
    """
    Return what the backend is told; ``trail``: by what the request is found again.

    Raises BadRequest for fields that cannot be repeated, and UpstreamFailed for a request that runs in circles.
    """
    if any(_SURROGATE.search(value) for _, value in fields):
        raise BadRequest("a header field holds bytes that are not UTF-8")
    if sum(value.lower().count(f" {NAME}") for name, value in fields if name.lower() == "via") >= MAX_PASSES:
        raise UpstreamFailed("the request runs in circles: the backend that it is passed on to is this gateway")
    ended = _HOP_BY_HOP | _SAID_ANEW | _SAID_ANEW_TOO | _OTHER_PATHS
    ended |= set(map(_plain, named_by_connection(fields) | withheld.headers))
    kept = [(name, value) for name, value in fields if _plain(name) not in ended]
    if not arrival.is_trusted:
        kept = [(name, value) for name, value in kept if not _is_of_proxies(_plain(name))]
    if withheld.has_tokens:
        kept = list(_without_tokens(kept))
    said = [("X-Forwarded-For", address)] if (address := _addresses(fields, arrival)) else []
    said += [
        ("X-Forwarded-Proto", arrival.scheme),
        ("X-Forwarded-Host", _host(fields, arrival)),
        ("Via", f"1.1 {NAME}"),
        *((name, value) for name, value in trail if name.lower() not in withheld.headers),
    ]
    if upgrade is not None:
        said += [("Connection", "Upgrade"), ("Upgrade", upgrade)]
    return (*kept, *said)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _is_of_proxies(name: str) -> bool:
    return name in _OF_PROXIES or name.startswith("x-forwarded")


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
        kept = value
        if name.lower() == "cookie":
            kept = _without(value, ";", _TICKET_COOKIE)
        elif name.lower() == "sec-websocket-protocol":
            kept = _without(value, ",", _TOKEN_PROTOCOL)
        if kept or not value:
            yield name, kept


def _without(value: str, separator: str, beginning: str) -> str:
    parts = value.split(separator)
    kept = [part for part in parts if not part.strip(" \t").startswith(beginning)]
    return value if len(kept) == len(parts) else separator.join(kept).strip(" \t")


# The way back.


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
    ended = _HOP_BY_HOP | named_by_connection(texts) | {"content-length", REQUEST_ID.lower()}  # which is pushgate's
    if backend.keeps_cookies:
        ended |= {"set-cookie", "set-cookie2"}
    kept = [(name, as_seen(name, value, backend)) for name, value in texts if name.lower() not in ended]
    kept.append(("Via", f"{version} {NAME}"))
    if upgrade is not None:
        kept += [("Connection", "Upgrade"), ("Upgrade", upgrade)]
    return tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in kept)


def length_of(fields: RawFields) -> int | None:
    """Return what an answer says that its body has, in bytes; None if it says nothing."""
    return next((int(value) for name, value in fields if name.lower() == b"content-length"), None)
