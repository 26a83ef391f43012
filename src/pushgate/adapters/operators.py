"""
Who may tell the gateway what to do, on the admin listener.

Rule 1: only this machine may.
Rule 2: whoever changes something says so in a header field that no web page can send to another origin unasked
(``Pushgate-Admin: 1``), to a ``Host`` that is ours: a page whose name was made to mean this machine (DNS rebinding) is
of our origin as far as its browser knows, but it still calls us by that name.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from aiohttp import web

from ..errors import Forbidden

CONSENT = "Pushgate-Admin"


def is_local(remote: str | None) -> bool:
    """Whether an address is this machine's own; a listener on ``::`` sees IPv4 as IPv6."""
    try:
        address = ip_address((remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def check_reader(request: web.BaseRequest) -> None:
    """Raise Forbidden for somebody who may not be told how topics and clients are doing."""
    if not is_local(request.remote):
        raise Forbidden("this is for the gateway's own machine only")


def check_operator(request: web.BaseRequest, *, listen: str) -> None:
    """Raise Forbidden for somebody who may change nothing; ``listen``: the host that the listener is bound to."""
    check_reader(request)
    if request.headers.get(CONSENT) != "1":
        raise Forbidden(f"send {CONSENT}: 1 with what changes something")
    host = host_name(request.headers.get("Host", ""))
    if not (host == "localhost" or is_local(host) or host == listen.lower()):
        raise Forbidden("this Host is not known here; use a loopback address or the one that the listener is bound to")


def host_name(field: str) -> str:
    """Return the name or address in a ``Host`` field, without its port and without brackets; "" if there is none."""
    if field.startswith("["):
        return field[1:].partition("]")[0].lower()
    name, _, port = field.rpartition(":")
    return (name if name and port.isdecimal() else field).lower()
