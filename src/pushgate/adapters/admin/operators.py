"""
Who may ask and tell the gateway what is not for everybody, on the admin listener.

Rule 1: whoever is on this machine may, and whoever presents the token. A wrong token is no token that was forgotten: it
is refused, also here. A request that a proxy has passed on comes from elsewhere, whoever passed it on.
Rule 2: without the token, the ``Host`` must be ours: a page whose name was made to mean this machine (DNS rebinding) is
of our origin as far as its browser knows, but it still calls us by that name.
Rule 3: no page of another site is listened to, with or without a token; and whoever changes something says so in a
header field that no page can send to another origin unasked (``Pushgate-Admin: 1``).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from aiohttp import web

from ...config.server import Admin as Settings
from ...config.server import is_bearer
from ...errors import Forbidden, NotAuthenticated, Refusal

CONSENT = "Pushgate-Admin"

_SCHEME = "bearer "
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pushgate admin"'}

# RFC 3986 section 3.2.2, as far as a browser writes it.
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]*)?")

# What proxies, balancers and CDNs add to a request, in lower case; and how the names of others begin. From behind one,
# everybody comes from its address, which may be this machine's.
_PASSED_ON = {"forwarded", "via", "x-real-ip", "x-client-ip", "x-original-host", "true-client-ip", "cf-connecting-ip"}
_PASSED_ON_BEGINNINGS = ("x-forwarded", "x-envoy-")


class Operators:
    """Lets operators in, or raises Refusal. ``settings``: those that are in force."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    def check_reader(self, request: web.BaseRequest) -> None:
        """Raise Refusal for somebody who may not be told how topics and clients are doing."""
        self._check_person(request.remote, request.headers)
        if _is_foreign(request.headers) and not _is_followed_link(request.headers):
            raise Forbidden("a page of another site may not ask this")

    def check_operator(self, request: web.BaseRequest) -> None:
        """Raise Refusal for somebody who may change nothing."""
        self._check_person(request.remote, request.headers)
        if _is_foreign(request.headers):
            raise Forbidden("a page of another site may not change anything")
        if request.headers.get(CONSENT) != "1":
            raise Forbidden(f"send {CONSENT}: 1 with what changes something")

    def _check_person(self, remote: str | None, headers: Mapping[str, str]) -> None:
        presented = headers.get("Authorization")
        if presented is not None:
            self._check_token(presented)
        elif not is_local(remote):
            raise self._stranger("this is for the gateway's own machine")
        elif passed_on := next(filter(_is_of_a_proxy, headers), None):
            raise self._stranger(f"this is for the gateway's own machine, and {passed_on} says that it was passed on")
        else:
            self._check_host(headers.get("Host", ""))

    def _check_token(self, presented: str) -> None:
        token = self._settings().token
        text = presented[len(_SCHEME) :].strip() if presented.lower().startswith(_SCHEME) else ""
        if not is_bearer(text):
            raise NotAuthenticated("credentials_malformed", "this is no bearer token", headers=_CHALLENGE)
        if token is None or not hmac.compare_digest(text.encode(), token.get_secret_value().encode()):
            message = "this is not the token of the admin listener (server.admin.token)"
            raise NotAuthenticated("credentials_unknown", message, headers=_CHALLENGE)

    def _stranger(self, reason: str) -> Refusal:
        if self._settings().token is None:
            return Forbidden(f"{reason} only; give it a token (server.admin.token) to be asked from elsewhere")
        message = f"{reason}, or for whoever presents the token (Authorization: Bearer)"
        return NotAuthenticated("credentials_missing", message, headers=_CHALLENGE)

    def _check_host(self, field: str) -> None:
        host, own = host_name(field), self._settings().listen.host.lower()
        if not (host == "localhost" or is_local(host) or (host and host == own)):  # ``:8081`` has no name
            raise Forbidden("this Host is not known here; use a loopback address or the one that the listener has")


def answer_refusal(refusal: Refusal) -> web.Response:
    """Say no."""
    return web.Response(status=refusal.status, text=f"{refusal.message}\n", headers=refusal.headers)


def is_local(remote: str | None) -> bool:
    """Whether an address is this machine's own; a listener on ``::`` sees IPv4 as IPv6."""
    try:
        address = ip_address((remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def host_name(field: str) -> str:
    """Return the name or address in a ``Host`` field, without its port and without brackets; "" if it holds neither."""
    found = _HOST.fullmatch(field)
    return (found["address"] or found["name"]).lower() if found else ""


def _is_of_a_proxy(field: str) -> bool:
    """Whether a header field is added by those who pass requests on."""
    return field.lower() in _PASSED_ON or field.lower().startswith(_PASSED_ON_BEGINNINGS)


def _is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of another site, or of none, is behind this."""
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    return site in ("cross-site", "same-site") or (origin is not None and not _is_own(origin, headers.get("Host", "")))


def _is_own(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False


def _is_followed_link(headers: Mapping[str, str]) -> bool:
    """Whether somebody came by a link, and sees the answer instead of the page that has it."""
    return headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
