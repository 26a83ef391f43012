"""
``kind: api_key``: keys that are listed in the configuration.

Rule 1: only hashes are kept, also of keys that stand there in clear.
Rule 2: what is presented is hashed and compared with every hash there is, so that no time tells which one was close.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest

import msgspec

from ..config.auth import MAX_KEY_LENGTH, ApiKey, ApiKeyAuth, hash_of
from ..errors import NotAuthenticated
from ..values import Json, Principal
from .carriers import find
from .credential import Credential, Presented

# A verdict costs microseconds; remembering it spares little, and 60 s bound what a keeper may hold on to.
REMEMBERED = 60.0


@dataclass(frozen=True, slots=True)
class _Listed:
    hash: str = field(repr=False)
    principal: Principal


class ApiKeyAuthority:
    """Knows the keys of one entry of ``auth:``."""

    def __init__(self, name: str, config: ApiKeyAuth) -> None:
        self.name = name
        self.carriers = config.carriers
        self.remembers_for = REMEMBERED
        self._config = config
        self._listed = [_listed(name, key) for key in config.keys]
        self._proofs = frozenset(listed.principal.proof for listed in self._listed)

    @property
    def challenge(self) -> str:
        """``Bearer`` (RFC 6750) unless a header of its own carries the key, which no registered scheme describes."""
        header = self._config.header_name
        if header.lower() == "authorization" or "header" not in self._config.carriers:
            return f'Bearer realm="{self.name}"'
        return f'ApiKey realm="{self.name}", header="{header}"'

    def find(self, presented: Presented) -> Credential | None:
        return find(self._config, presented)

    async def verify(self, credential: Credential, *, now: float) -> Principal:
        if not 0 < len(credential.text) <= MAX_KEY_LENGTH:
            raise NotAuthenticated("credentials_malformed", f"a key has from 1 to {MAX_KEY_LENGTH} characters")
        principal = _owner(self._listed, hash_of(credential.text))
        if principal is None:
            raise NotAuthenticated("credentials_unknown", "this key is not known here")
        return principal

    def vouches(self, principal: Principal) -> bool:
        """Whether the very key is still listed, with the same name and claims."""
        return principal.proof in self._proofs


def _listed(auth: str, key: ApiKey) -> _Listed:
    claims: dict[str, Json] = {name: _json(value) for name, value in key.claims.items()}
    proof = sha256(msgspec.json.encode(["api_key", key.fingerprint, key.name, claims], order="sorted")).hexdigest()
    return _Listed(key.fingerprint, Principal(auth, "", key.name, {**claims, "sub": key.name}, proof=proof))


def _json(value: str | tuple[str, ...]) -> Json:
    return value if isinstance(value, str) else [*value]


def _owner(listed: Iterable[_Listed], hashed: str) -> Principal | None:
    owner = None
    for entry in listed:
        if compare_digest(entry.hash, hashed):
            owner = entry.principal
    return owner
