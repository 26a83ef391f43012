"""Tokens as an issuer would sign them, for gateways of the tests."""

from __future__ import annotations

import time
from typing import Any

import jwt

SECRET = "a secret that is long enough for HS256"
ISSUER = "https://id.example"

# An entry of ``auth:`` that believes these tokens, wherever they are carried.
STAFF: dict[str, Any] = {
    "kind": "jwt",
    "secret": SECRET,
    "issuer": ISSUER,
    "carriers": ["header", "cookie", "query", "subprotocol", "message", "ticket"],
    "cookie_name": "session",
}


def token(sub: str = "ann", *, lives: float = 3600.0, secret: str = SECRET, iss: str = ISSUER, **claims: Any) -> str:
    """A token of somebody, who has so many seconds left."""
    return jwt.encode({"sub": sub, "iss": iss, "exp": time.time() + lives, **claims}, secret, algorithm="HS256")


def bearer(sub: str = "ann", **options: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sub, **options)}"}
