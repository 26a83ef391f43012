"""
Where in a request credentials may stand (the carriers of docs/security.md), and what of it is meant for which entry.

Rule 1: the carriers of an entry are looked at in their order, and the first that holds something counts: what is wrong
there is not made good by what stands elsewhere.
Rule 2: a cookie is sent by the browser and not by the page, so it counts only if that page may use it.
Rule 3: who says something over an open WebSocket means that, and not what it said in its handshake.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping

from ..config.auth import Auth, Carrier
from ..errors import OriginForbidden
from .credential import Credential, Presented

# A subprotocol is a token (RFC 9110 section 5.6.2), which most credentials are not: so they are written in base64url.
_IN_PROTOCOL = "pushgate.token."

_AUTHORIZATION = "authorization"


def find(config: Auth, presented: Presented) -> Credential | None:
    """
    Return what is meant for an entry of ``auth:``; None if nothing is.

    Raises OriginForbidden for a cookie of which we cannot be sure that a page of ours has sent it.
    """
    if presented.message is not None:
        is_meant = presented.is_renewal or "message" in config.carriers
        return _credential(config, "message", presented.message) if is_meant else None
    for carrier in config.carriers:
        text = _look(config, carrier, presented)
        if text is not None:
            return _credential(config, carrier, text)
    return None


def _credential(config: Auth, carrier: Carrier, text: str) -> Credential:
    name = config.header_name.lower()
    scheme = "" if name != _AUTHORIZATION else "Basic " if config.kind == "basic" else "Bearer "
    return Credential(carrier, text, (name, f"{scheme}{text}"))


def _look(config: Auth, carrier: Carrier, presented: Presented) -> str | None:
    match carrier:
        case "header":
            return _in_header(config, presented.headers)
        case "cookie":
            return _in_cookie(config, presented)
        case "query":
            return presented.token
        case "subprotocol":
            return presented.protocol
        case "message" | "ticket":  # the one comes later, the other stands for a principal that was proved before
            return None


def _in_header(config: Auth, headers: Mapping[str, str]) -> str | None:
    name = config.header_name.lower()
    value = headers.get(name)
    if value is None or name != _AUTHORIZATION:
        return value
    scheme, _, text = value.strip().partition(" ")
    wanted = "basic" if config.kind == "basic" else "bearer"
    return text.strip() if scheme.lower() == wanted else None


def _in_cookie(config: Auth, presented: Presented) -> str | None:
    value = None if config.cookie_name is None else presented.cookies.get(config.cookie_name)
    if value is not None and not presented.origin_allows_cookies:
        raise OriginForbidden("a page of this origin may not use its visitor's cookies here (server.cors.origins)")
    return value


def token_of_protocols(field: str | None) -> str | None:
    """Return what a ``Sec-WebSocket-Protocol`` carries; "" if that is no base64url."""
    for name in (field or "").split(","):
        if name.strip().startswith(_IN_PROTOCOL):
            return _decoded(name.strip().removeprefix(_IN_PROTOCOL))
    return None


def _decoded(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        return ""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
