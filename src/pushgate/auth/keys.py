"""
The keys that tokens are signed with: what each verifies, and by what it is recognised later.

Rule 1: a key knows its algorithms; one that is asked for another has nothing to say (RFC 8725 section 3.1).
Rule 2: of what an issuer publishes (RFC 7517), that is passed over which is not for signatures, is too weak, or is no
secret any more because it was published: symmetric keys, and public keys beside their private part.
Rule 3: a proof is the algorithm and the key's thumbprint (RFC 7638), so a key is the same however it got here.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from jwt import PyJWK, PyJWTError
from jwt.algorithms import get_default_algorithms

from ..config.auth import JwtAuth
from ..config.signatures import Algorithm, algorithms_of, algorithms_of_secret, public_key_of, secret_bytes, strong

# No name of a key is longer; what a stranger calls a key is looked up, and never anything else.
MAX_KID = 256

# So many keys of a set count: an issuer that rotates has two or three, one with many applications a dozen.
MAX_KEYS = 64

_ALGORITHMS = get_default_algorithms()

# What a thumbprint is made of (RFC 7638 section 3.2, RFC 8037 section 2).
_ESSENTIAL = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "oct": ("k", "kty")}


@dataclass(frozen=True, slots=True)
class Key:
    """One key; ``kid`` is what its issuer calls it."""

    kid: str | None
    algorithms: tuple[Algorithm, ...]
    thumbprint: str = field(repr=False)  # a secret's, too
    _prepared: Any = field(repr=False)  # as the library wants it for these algorithms

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether this key, by this algorithm of its own, has made the signature."""
        assert algorithm in self.algorithms, "the caller has looked"
        return _ALGORITHMS[algorithm].verify(signed, self._prepared, signature)

    def proof(self, algorithm: str) -> str:
        return f"{algorithm} {self.thumbprint}"


class Keys(Protocol):
    """Where the keys of one entry of ``auth:`` come from."""

    @property
    def algorithms(self) -> Collection[Algorithm]:
        """What any of the keys may verify."""

    async def find(self, kid: str | None) -> tuple[Key, ...]:
        """
        Return the keys that may have signed a token which names this one, or none; () if there is no such key.

        Raises AuthUnavailable if that cannot be found out now.
        """

    def trusts(self, proof: str) -> bool:
        """Whether a key counts still."""


class OneKey:
    """The key that gateway.yaml holds. It has no name, so what a token calls it does not matter."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._proofs = {key.proof(algorithm) for algorithm in key.algorithms}

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        return self._key.algorithms

    async def find(self, kid: str | None) -> tuple[Key, ...]:
        return (self._key,)

    def trusts(self, proof: str) -> bool:
        return proof in self._proofs


def configured_key(config: JwtAuth) -> OneKey:
    """Return the key of an entry that has a ``secret`` or a ``public_key``."""
    if config.secret is not None:
        secret = config.secret.get_secret_value()
        return OneKey(_key(None, secret_bytes(secret), algorithms_of_secret(secret)))
    assert config.public_key is not None, "keys that are fetched are no part of the file"
    public_key = public_key_of(config.public_key)
    return OneKey(_key(None, public_key, algorithms_of(public_key)))


def _key(kid: str | None, material: Any, algorithms: tuple[Algorithm, ...]) -> Key:
    assert algorithms, "the configuration refuses a key that is good for nothing"
    algorithm = _ALGORITHMS[algorithms[0]]
    prepared = algorithm.prepare_key(material)
    members = algorithm.to_jwk(prepared, as_dict=True)
    essence = {name: members[name] for name in _ESSENTIAL[members["kty"]]}
    digest = sha256(json.dumps(essence, separators=(",", ":"), sort_keys=True).encode()).digest()
    return Key(kid, algorithms, urlsafe_b64encode(digest).rstrip(b"=").decode(), prepared)


# What issuers publish.


class _Jwk(msgspec.Struct):
    """A JSON Web Key; ``d`` is its private part, of RSA keys ``p`` is as good."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None
    n: str | None = None
    e: str | None = None
    d: Any = None
    p: Any = None


class _JwkSet(msgspec.Struct):
    keys: list[msgspec.Raw]


@dataclass(frozen=True)
class KeySet:
    """What an issuer publishes; ``passed_over``: why some of it does not count, by the key's place and name."""

    keys: tuple[Key, ...]
    passed_over: Mapping[str, str] = field(default_factory=dict)

    def named(self, kid: str) -> tuple[Key, ...]:
        return self._by_kid.get(kid, ())

    @cached_property
    def _by_kid(self) -> Mapping[str | None, tuple[Key, ...]]:
        """Keys of different types may have the same name (RFC 7517 section 4.5)."""
        return {kid: tuple(key for key in self.keys if key.kid == kid) for kid in {key.kid for key in self.keys}}

    @cached_property
    def proofs(self) -> frozenset[str]:
        return frozenset(key.proof(algorithm) for key in self.keys for algorithm in key.algorithms)


def read_key_set(body: bytes) -> KeySet:
    """Return the keys of a JSON Web Key Set (RFC 7517 section 5); raises ValueError if it is none."""
    try:
        listed = msgspec.json.decode(body, type=_JwkSet).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("is no JSON Web Key Set") from error
    keys: list[Key] = []
    passed_over: dict[str, str] = {}
    for place, raw in enumerate(listed):
        kid: str | None = None
        try:
            jwk = _read(raw)
            kid = jwk.kid
            if len(keys) == MAX_KEYS:
                raise ValueError(f"comes after {MAX_KEYS} others")
            keys.append(_published_key(jwk))
        except ValueError as error:
            passed_over[f"{place}: {kid}" if kid is not None else str(place)] = str(error)
    return KeySet((*keys,), passed_over)


def _read(raw: msgspec.Raw) -> _Jwk:
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("is no JSON Web Key") from None
    if jwk.kid is not None and len(jwk.kid) > MAX_KID:
        raise ValueError(f"has a name of more than {MAX_KID} characters")
    return jwk


def _published_key(jwk: _Jwk) -> Key:
    """Return a public key that tokens may be signed with; raises ValueError that says why it is none."""
    if jwk.kty == "oct":
        raise ValueError("is a secret, which is none once it was published")
    if jwk.d is not None or jwk.p is not None:
        raise ValueError("is published with its private part")
    if jwk.use not in (None, "sig") or not (jwk.key_ops is None or "verify" in jwk.key_ops):
        raise ValueError("is not for signatures")
    public_key = strong(_public_key(jwk))
    algorithms = _narrowed(algorithms_of(public_key), jwk.alg)
    if not algorithms:
        raise ValueError("is for an algorithm that is not known here, or does not go with it")
    return _key(jwk.kid, public_key, algorithms)


def _public_key(jwk: _Jwk) -> Any:
    """Return the key itself. Any algorithm of its type would read it."""
    reader = {"RSA": "RS256", "OKP": "EdDSA", "EC": {"P-384": "ES384", "P-521": "ES512"}.get(jwk.crv or "", "ES256")}
    if jwk.kty not in reader:
        raise ValueError("is of a type that is not known here")
    members = {"kty": jwk.kty, "crv": jwk.crv, "x": jwk.x, "y": jwk.y, "n": jwk.n, "e": jwk.e}
    try:
        given = {name: value for name, value in members.items() if value is not None}
        return PyJWK(given, algorithm=str(reader[jwk.kty])).key
    except (PyJWTError, ValueError, TypeError):
        raise ValueError("cannot be read") from None  # the library's words hold the key


def _narrowed(algorithms: Iterable[Algorithm], only: str | None) -> tuple[Algorithm, ...]:
    return tuple(name for name in algorithms if only in (None, name))
