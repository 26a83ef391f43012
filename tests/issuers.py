"""Somebody who signs tokens: as RFC 7515 says, or as an attacker would like to."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

ALGORITHMS = get_default_algorithms()
SECRET = "a secret that is as long as HS512 wants it to be: 64 bytes and some"

_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """Return a key; each number stands for another one. Making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class Issuer:
    """One key, and what it signs."""

    algorithm: str
    key: Any = field(repr=False)
    kid: str | None = None

    def token(self, claims: Mapping[str, Any] | bytes, **header: Any) -> str:
        """Return a token with these claims; members of the header that are None are left out."""
        members = {"alg": self.algorithm, "kid": self.kid, **header}
        text = json.dumps({name: value for name, value in members.items() if value is not None})
        return self.signed(text.encode(), claims if isinstance(claims, bytes) else json.dumps(claims).encode())

    def signed(self, header: bytes, payload: bytes) -> str:
        signed = f"{base64url(header)}.{base64url(payload)}"
        signature = ALGORITHMS[self.algorithm].sign(signed.encode(), self.key)
        return f"{signed}.{base64url(signature)}"

    @property
    def pem(self) -> str:
        """The public key."""
        encoded: bytes = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return encoded.decode()

    def jwk(self, **more: Any) -> dict[str, Any]:
        """Return the public key as issuers publish it."""
        members = dict(ALGORITHMS[self.algorithm].to_jwk(self.key.public_key(), as_dict=True))
        members.pop("key_ops", None)
        return {**members, **({} if self.kid is None else {"kid": self.kid}), **more}


def issuer(algorithm: str, kid: str | None = None) -> Issuer:
    """Return somebody with a key of their own; RSA keys are shared by all who sign with RSA."""
    if algorithm.startswith("HS"):
        return Issuer(algorithm, SECRET.encode(), kid)
    if algorithm in _CURVES:
        return Issuer(algorithm, ec.generate_private_key(_CURVES[algorithm]), kid)
    if algorithm == "EdDSA":
        return Issuer(algorithm, ed25519.Ed25519PrivateKey.generate(), kid)
    return Issuer(algorithm, rsa_key(), kid)


def issuer_with_ed448() -> Issuer:
    return Issuer("EdDSA", ed448.Ed448PrivateKey.generate())


def key_set(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()
