"""
Where a client is and how it came, seen through the proxies in front (``server.trusted_proxies``).

Rule 1: fields of a request count for nothing unless a trusted proxy has sent it; and of what it sends, only what it and
the trusted proxies behind it have added: the list is walked from its end, and the first address that is no trusted
proxy's is the client's. What stands before that, anybody may have written.
Rule 2: something that is no address ends the walk, and so does the end of the list; the client is then where the walk
was last.
Rule 3: ``X-Forwarded-For`` and ``Forwarded`` (RFC 7239) must agree if there are both: a proxy adds to the one it knows
and passes the other on as the client wrote it. If they do not, all who send such are one client, at the proxy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal, TypeAlias

Scheme = Literal["http", "https"]
Ip: TypeAlias = IPv4Address | IPv6Address

# The header fields by which proxies tell of a client, in lower case.
FORWARDING = ("x-forwarded-for", "x-forwarded-proto", "forwarded")

# So many proxies one behind the other are looked at; nobody has more.
MAX_HOPS = 16

# The part of an IPv6 address that one subscriber is given as a whole: it may use a new one for each connection.
SUBSCRIBER_BITS = 64

# Reading an address takes ten times as long as looking it up; so many that have asked us last are remembered.
NEIGHBOURS_REMEMBERED = 1024

_SCHEMES: Mapping[str, Scheme] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](?::[^:\]]*)?|(?P<four>[0-9.]+):[^:]*")
_PAIR = re.compile(r'\s*(?P<name>[A-Za-z]+)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^";\s]*))\s*')


@dataclass(frozen=True, slots=True)
class Client:
    """
    A client's address as text, without a port; None: nobody knows (a Unix socket).

    ``counted_as``: what tells it from others; None where many may have the same address.
    """

    address: str | None
    scheme: Scheme
    counted_as: str | None

    @property
    def stands_for_one_client(self) -> bool:
        return self.counted_as is not None


@dataclass(frozen=True, slots=True)
class _Hop:
    """One entry of a list: where a proxy was asked from, and how; None: it does not say, or nothing that is one."""

    ip: Ip | None
    scheme: Scheme | None


class Peers:
    """Finds clients. ``trusted``: the networks of proxies that are believed."""

    def __init__(self, trusted: Collection[str]) -> None:
        self._trusted = tuple(ip_network(network) for network in trusted)
        self._neighbour = lru_cache(maxsize=NEIGHBOURS_REMEMBERED)(self._look_at)

    def client(self, peer: object, scheme: Scheme, fields: Mapping[str, Sequence[str]]) -> Client:
        """
        Return whose request it is.

        ``peer`` is what the transport knows of the other side (``peername``), ``scheme`` how it came to us; ``fields``
        are the lines of ``FORWARDING`` by name, in their order. They are only looked at if the peer is trusted.
        """
        host = peer[0] if isinstance(peer, tuple) and peer else None
        neighbour = self._neighbour(host) if isinstance(host, str) else None
        if neighbour is None:
            return Client(None, scheme, None)
        ip, is_trusted, counted_as = neighbour
        if not is_trusted:
            return Client(str(ip), scheme, counted_as)
        by_x = self._walk(ip, scheme, _x_forwarded(fields))
        by_forwarded = self._walk(ip, scheme, _forwarded(fields.get("forwarded", ())))
        if fields.get("x-forwarded-for") and fields.get("forwarded") and by_x[0] != by_forwarded[0]:
            return Client(str(ip), scheme, _counted(ip))
        at, how = by_x if fields.get("x-forwarded-for") or not fields.get("forwarded") else by_forwarded
        return Client(str(at), how, None if self.is_trusted(at) else _counted(at))

    def peer(self, peer: object) -> tuple[bool, str | None]:
        """Return whether the other end of a connection is a proxy that is believed, and its address."""
        host = peer[0] if isinstance(peer, tuple) and peer else None
        ip = _read_ip(host) if isinstance(host, str) else None
        return ip is not None and self.is_trusted(ip), None if ip is None else str(ip)

    def _look_at(self, host: str) -> tuple[Ip, bool, str | None] | None:
        """Return who asks us, whether it is believed, and what it counts as if it is a client; None for no address."""
        ip = _read_ip(host)
        if ip is None:
            return None
        return ip, self.is_trusted(ip), _counted(ip) if self._trusted or ip.is_global else None

    def is_trusted(self, ip: Ip) -> bool:
        """Whether this is a proxy that is believed."""
        return any(ip in network for network in self._trusted)

    def _walk(self, ip: Ip, scheme: Scheme, hops: Sequence[_Hop]) -> tuple[Ip, Scheme]:
        """Go from the peer towards the client as far as can be believed; the last hop comes first."""
        for hop in hops:
            scheme = hop.scheme or scheme
            if hop.ip is None:
                break
            ip = hop.ip
            if not self.is_trusted(ip):
                break
        return ip, scheme


def _x_forwarded(fields: Mapping[str, Sequence[str]]) -> list[_Hop]:
    """
    Return what ``X-Forwarded-For`` lists, the last first.

    ``X-Forwarded-Proto`` has as many entries if every proxy adds one; otherwise what the last one says is all there is.
    """
    addresses = _entries(fields.get("x-forwarded-for", ()))
    schemes = [_SCHEMES.get(text.lower()) for text in _entries(fields.get("x-forwarded-proto", ()))]
    if not addresses:
        return [_Hop(None, schemes[0])] if schemes else []
    if len(schemes) != len(addresses):
        schemes = [*schemes[:1], *[None] * len(addresses)]
    return [_Hop(_read_node(text), scheme) for text, scheme in zip(addresses, schemes, strict=False)]


def _forwarded(lines: Sequence[str]) -> list[_Hop]:
    """Return what ``Forwarded`` lists, the last first (RFC 7239 section 4)."""
    hops = []
    for entry in _entries(lines):
        said = {}
        for pair in entry.split(";"):
            if match := _PAIR.fullmatch(pair):
                said[match["name"].lower()] = match["plain"] if match["quoted"] is None else match["quoted"]
        hops.append(_Hop(_read_node(said.get("for", "")), _SCHEMES.get(said.get("proto", "").lower())))
    return hops


def _entries(lines: Sequence[str]) -> list[str]:
    """
    Return the last members of a list, the last first.

    They are split off from the end, also within quotes: what a client wrote cannot swallow what was added behind it.
    """
    members: list[str] = []
    for line in reversed(lines):
        members += reversed(line.rsplit(",", MAX_HOPS - len(members))[-(MAX_HOPS - len(members)) :])
        if len(members) >= MAX_HOPS:
            break
    return [text for member in members if (text := member.strip())]


def _read_node(text: str) -> Ip | None:
    """Return the address of ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``, quoted or not."""
    text = text.strip().strip('"')
    match = _WITH_PORT.fullmatch(text)
    return _read_ip((match["six"] or match["four"] or "") if match else text)


def _read_ip(text: str) -> Ip | None:
    """Return an address without a zone; an IPv4 address that is written as IPv6 is one of IPv4."""
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def _counted(ip: Ip) -> str:
    """Return what all addresses of one subscriber have in common."""
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip_network((ip, SUBSCRIBER_BITS), strict=False))
