"""
What JSON Web Tokens are signed with: the algorithms of RFC 7518 and RFC 8037, and the keys that go with them.

Rule 1: which algorithms count follows from the key and from gateway.yaml; a token has no say in it (RFC 8725 3.1).
Rule 2: a key that is weaker than what it stands for is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:  # cryptography takes its time, and most gateways have no tokens: it is imported where it is used
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes

    PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]

# How long a secret must be for each, in bytes: as long as the hash (RFC 7518 section 3.2).
SECRET_BYTES: Final[Mapping[Algorithm, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}

_OF_RSA: Final[tuple[Algorithm, ...]] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF_CURVES: Final[Mapping[str, Algorithm]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

# What can be verified with a key that everybody may know.
OF_PUBLIC_KEYS: Final[tuple[Algorithm, ...]] = (*_OF_RSA, *_OF_CURVES.values(), "EdDSA")

# In bits (RFC 7518 section 3.3); beyond the largest, a signature takes a millisecond to check.
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192


def public_key_of(pem: str) -> PublicKey:
    """
    Return the key in a PEM text: a public key, or a certificate, of which nothing but the key counts.

    Raises ValueError with words for the user, which do not repeat the text: it may be a private key.
    """
    if "PRIVATE KEY-----" in pem:
        raise ValueError("is a private key; leave it where tokens are made, and write the public one")
    return strong(_loaded(pem.encode()))


def _loaded(pem: bytes) -> PublicKeyTypes | CertificatePublicKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            return load_pem_x509_certificate(pem).public_key()
        return load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(
            "is no public key or certificate in PEM form; it begins with -----BEGIN PUBLIC KEY----- and needs its lines"
        ) from None


def strong(key: PublicKeyTypes | CertificatePublicKeyTypes) -> PublicKey:
    """Return the key if it can stand for a signature; raises ValueError that says why not."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    match key:
        case rsa.RSAPublicKey(key_size=bits) if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
            raise ValueError(f"is an RSA key of {bits} bits; take one of {MIN_RSA_BITS} to {MAX_RSA_BITS}")
        case ec.EllipticCurvePublicKey(curve=curve) if curve.name not in _OF_CURVES:
            raise ValueError(f"is on the curve {curve.name}; take one on {', '.join(_OF_CURVES)}")
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return key
        case _:
            raise ValueError("is of a kind that signs no tokens; take an RSA, EC or Ed25519 key")


def algorithms_of(key: PublicKey) -> tuple[Algorithm, ...]:
    """Return what may be verified with a key."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    match key:
        case rsa.RSAPublicKey():
            return _OF_RSA
        case ec.EllipticCurvePublicKey():
            return (_OF_CURVES[key.curve.name],)
        case _:
            return ("EdDSA",)


def secret_bytes(secret: str) -> bytes:
    """Return a secret as it signs; environment variables bring bytes that are no UTF-8 in this form."""
    return secret.encode("utf-8", "surrogateescape")


def algorithms_of_secret(secret: str) -> tuple[Algorithm, ...]:
    """Return what a secret is long enough for."""
    return tuple(name for name, size in SECRET_BYTES.items() if len(secret_bytes(secret)) >= size)


def is_key(secret: str) -> bool:
    """Whether a secret is a key of the other sort, which is known to too many (RFC 8725 section 3.2)."""
    return "-----BEGIN " in secret or secret.lstrip().startswith(("{", "ssh-"))
