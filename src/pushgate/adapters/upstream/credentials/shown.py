"""
Credentials that are simply shown with every request: Basic, bearer tokens, API keys.

``{claims.x}`` in them stands for a claim of the caller as whom the upstream is asked, and for nothing else: other
braces belong to the secret.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace

from ....errors import PollError
from ....naming import encode_query
from ....values import UpstreamRequest
from ..exchange import Reply, Send

_CLAIM = re.compile(r"\{claims\.([^{}/]+)\}")
_NOT_IN_A_FIELD = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def fill_claims(template: str, claims: Mapping[str, str]) -> str:
    """Write claims into a text as they are; raises PollError(``upstream_auth``) if one is missing."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in claims:
            raise PollError("upstream_auth", f"the credentials need the claim {match[1]!r}, which the caller lacks")
        return claims[match[1]]

    return _CLAIM.sub(fill, template) if "{claims." in template else template


def with_field(request: UpstreamRequest, name: str, value: str) -> UpstreamRequest:
    """
    Return the request with this header field, instead of any other of its name.

    Raises PollError(``upstream_auth``) for a value that would not stay inside its field; it is not repeated.
    """
    if _NOT_IN_A_FIELD.search(value):
        raise PollError("upstream_auth", f"the credentials hold characters that {name} cannot carry")
    kept = tuple(field for field in request.headers if field[0].lower() != name.lower())
    return replace(request, headers=(*kept, (name, value)))


def basic_field(username: str, password: str) -> str:
    """Return the value of Authorization for a user and a password (RFC 7617, in UTF-8)."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


class Basic:
    """HTTP Basic (RFC 7617)."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        username = fill_claims(self._username, request.claims)
        if ":" in username:
            raise PollError("upstream_auth", "a user name cannot hold a colon (RFC 7617), and the caller's does")
        password = fill_claims(self._password, request.claims)
        return await send(with_field(request, "Authorization", basic_field(username, password)))


class Bearer:
    """A token in the Authorization header (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        return await send(with_field(request, "Authorization", f"Bearer {fill_claims(self._token, request.claims)}"))


class ApiKeyField:
    """A key in a header field."""

    def __init__(self, name: str, key: str) -> None:
        self._name = name
        self._key = key

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        return await send(with_field(request, self._name, fill_claims(self._key, request.claims)))


class ApiKeyParameter:
    """A key in the query."""

    def __init__(self, name: str, key: str) -> None:
        self._name = name
        self._key = key

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        pair = encode_query([(self._name, fill_claims(self._key, request.claims))])
        if request.url.endswith((f"?{pair}", f"&{pair}")):  # a redirect, or a link to the next page, that repeats it
            return await send(request)
        separator = "&" if "?" in request.url else "?"
        return await send(replace(request, url=f"{request.url}{separator}{pair}"))
