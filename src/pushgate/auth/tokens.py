"""
JSON Web Tokens as texts: the compact serialization of RFC 7515 section 7.1, read before anything in it is believed.

Rule 1: there is one way to write a token. Padding, spare bits, a member that occurs twice and depths without end are
what parsers disagree about, so they are refused.
Rule 2: of the header, the algorithm's name and the key's name are read, and each is nothing but a word to look up.
Keys and addresses of keys in it (``jwk``, ``jku``, ``x5c``, ``x5u``) are a stranger's.
Rule 3: extensions that must be understood (``crit``) are not, and neither is a payload that is not encoded (RFC 7797).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass, field

import msgspec

from ..errors import NotAuthenticated
from ..values import Json
from .keys import MAX_KID

# In characters, before anything is decoded. Header fields are rarely let through beyond 8 KB; messages would be.
MAX_TOKEN = 16_384

# Claims are names, lists, and now and then an object with roles by application.
MAX_DEPTH = 32

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)")
_ENCRYPTED_PARTS = 5  # RFC 7516 section 7.1


@dataclass(frozen=True, slots=True)
class Token:
    """A token that may be one: nothing of it is proved. ``signed`` is what the signature is for."""

    algorithm: str
    kid: str | None
    signed: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def read_token(text: str) -> Token:
    """Return the parts of a token; raises NotAuthenticated for what cannot be one."""
    if len(text) > MAX_TOKEN:
        raise malformed(f"the token is longer than {MAX_TOKEN} characters")
    match = _COMPACT.fullmatch(text)
    if match is None and text.count(".") == _ENCRYPTED_PARTS - 1:
        raise malformed("the token is encrypted; only signed ones are understood")
    if match is None:
        raise malformed("this is no JSON Web Token: that has three parts in base64url, with dots between them")
    header = read_object(_decoded(match[1]), "header")
    if "crit" in header or "b64" in header:
        raise malformed("the token asks for extensions that are not understood (crit, b64)")
    return Token(
        algorithm=_algorithm(header),
        kid=_kid(header),
        signed=f"{match[1]}.{match[2]}".encode(),
        payload=_decoded(match[2]),
        signature=_decoded(match[3]),
    )


def _algorithm(header: dict[str, Json]) -> str:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise NotAuthenticated("token_algorithm", "the token does not say how it is signed")
    return algorithm


def _kid(header: dict[str, Json]) -> str | None:
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and len(kid) <= MAX_KID):
        raise malformed(f"the token's key has no name: that is text of at most {MAX_KID} characters")
    return kid if isinstance(kid, str) else None


def _decoded(part: str) -> bytes:
    """Return what base64url without padding stands for, if it is written in the only way (RFC 7515 section 2)."""
    try:
        content = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except Error:
        raise malformed("a part of the token is no base64url") from None
    if urlsafe_b64encode(content).rstrip(b"=").decode() != part:
        raise malformed("a part of the token is no base64url as it must be written")
    return content


def read_object(content: bytes, what: str) -> dict[str, Json]:
    """Return the header or the claims of a token; raises NotAuthenticated unless they are an unambiguous object."""
    try:
        value: Json = msgspec.json.decode(content)
        json.loads(content, object_pairs_hook=_distinct)  # the other library does not tell
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise malformed(f"the token's {what} is no JSON object, or not an unambiguous one") from None
    if not isinstance(value, dict):
        raise malformed(f"the token's {what} is no JSON object")
    if not _is_shallow(value):
        raise malformed(f"the token's {what} is nested deeper than {MAX_DEPTH} levels")
    return value


def _distinct(members: list[tuple[str, object]]) -> None:
    if len({name for name, _ in members}) != len(members):
        raise ValueError("a name occurs twice")


def _is_shallow(value: Json) -> bool:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return [*value.values()]
    return value if isinstance(value, list) else []


def malformed(message: str) -> NotAuthenticated:
    return NotAuthenticated("credentials_malformed", message)
