"""
``kind: jwt``: whoever has a token that an issuer has signed (RFC 7519), checked as RFC 8725 says.

Rule 1: the signature comes first; what a token says is read when it is known who says it.
Rule 2: whatever claims a token has are what RFC 7519 section 4.1 says, or it is refused. One without ``exp`` does not
end, which is its issuer's decision; one without ``sub`` is nobody in particular, who has no topic of its own.
Rule 3: a token with an ``aud`` that the configuration does not name is meant for somebody else, also if it names none.
Rule 4: by ``leeway`` clocks may differ at both ends. A principal expires when its token would be refused, so that it is
not sent away to come back with the same one.
Rule 5: it is vouched for as long as its key is published, and as the configuration wants its issuer and audience.

The claims are checked here and not by the library, which asks the system for the time.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config.auth import JwtAuth
from ..errors import NotAuthenticated
from ..values import Json, Principal
from .carriers import find
from .credential import Credential, Presented
from .keys import Key, Keys
from .tokens import Token, read_object, read_token

# So long a verdict holds without another look, in seconds. Its key, issuer and audience are looked at each time, so it
# is only a bound for what is kept.
REMEMBERED = 300.0

# A token that names no key is tried with those that it may be signed with, if they are no more than these: each costs
# about as much as a request.
MAX_GUESSES = 4

# The end of the year 9999; what is later is no date but a mistake, in milliseconds for example.
_LAST_DATE = 253_402_300_799


class JwtAuthority:
    """Believes what the holders of ``keys`` have signed."""

    def __init__(self, name: str, config: JwtAuth, keys: Keys) -> None:
        self.name = name
        self.carriers = config.carriers
        self._config = config
        self._keys = keys
        self._algorithms = frozenset(keys.algorithms) & frozenset(config.algorithms or keys.algorithms)

    @property
    def challenge(self) -> str:
        return f'Bearer realm="{self.name}"'

    @property
    def remembers_for(self) -> float:
        return REMEMBERED

    def find(self, presented: Presented) -> Credential | None:
        return find(self._config, presented)

    async def verify(self, credential: Credential, *, now: float) -> Principal:
        token = read_token(credential.text)
        proof = await self._proof(token)
        claims = read_object(token.payload, "payload")
        expires_at = self._check_dates(claims, now)
        self._check_meant(claims)
        return Principal(
            auth=self.name,
            issuer=_text(claims, "iss") or "",
            subject=_subject(claims),
            claims=claims,
            expires_at=expires_at,
            proof=proof,
        )

    def vouches(self, principal: Principal) -> bool:
        return (
            principal.auth == self.name
            and self._keys.trusts(principal.proof)
            and principal.proof.partition(" ")[0] in self._algorithms
            and self._is_from_issuer(principal.claims)
            and self._is_for_audience(principal.claims)
        )

    async def _proof(self, token: Token) -> str:
        """Return by which key and algorithm a token was signed; raises NotAuthenticated."""
        if token.algorithm not in self._algorithms:
            raise NotAuthenticated("token_algorithm", "the token is not signed by an algorithm that counts here")
        key = _signer(token, await self._keys.find(token.kid))
        return key.proof(token.algorithm)

    def _check_dates(self, claims: Mapping[str, Json], now: float) -> float | None:
        """Return when the token ends, if ever; raises NotAuthenticated if it has ended, or does not count yet."""
        ends, begins, issued = (_date(claims, name) for name in ("exp", "nbf", "iat"))
        if ends is not None and ends + self._config.leeway <= now:
            raise NotAuthenticated("credentials_expired", "the token has expired")
        if max(begins or 0.0, issued or 0.0) - self._config.leeway > now:
            raise NotAuthenticated("credentials_premature", "the token is not valid yet (nbf, iat)")
        return None if ends is None else ends + self._config.leeway

    def _check_meant(self, claims: Mapping[str, Json]) -> None:
        """Raise NotAuthenticated unless the token is from the right issuer, and for us."""
        _text(claims, "iss")
        if not self._is_from_issuer(claims):
            raise NotAuthenticated("token_issuer", "the token is not from the issuer that is asked for (iss)")
        audience = claims.get("aud", [])
        if not all(isinstance(name, str) for name in (audience if isinstance(audience, list) else [audience])):
            raise _wrong("the token's aud is neither text nor a list of texts")
        if not self._is_for_audience(claims):
            raise NotAuthenticated("token_audience", "the token is meant for others (aud)")

    def _is_from_issuer(self, claims: Mapping[str, Json]) -> bool:
        return self._config.issuer is None or claims.get("iss") == self._config.issuer

    def _is_for_audience(self, claims: Mapping[str, Json]) -> bool:
        audience = claims.get("aud")
        names = audience if isinstance(audience, list) else [audience]
        if not self._config.audience:
            return "aud" not in claims
        return any(name in self._config.audience for name in names)


def _signer(token: Token, keys: tuple[Key, ...]) -> Key:
    """Return the key that has signed a token; raises NotAuthenticated if none of these has."""
    if not keys:
        raise NotAuthenticated("token_key", "the token is signed by a key that its issuer does not publish (kid)")
    fitting = [key for key in keys if token.algorithm in key.algorithms]
    if not fitting:
        raise NotAuthenticated("token_algorithm", "the token's algorithm does not go with its key")
    if len(fitting) > MAX_GUESSES:
        raise NotAuthenticated("token_key", "the token does not name one of its issuer's keys (kid)")
    for key in fitting:
        if key.verifies(token.algorithm, token.signed, token.signature):
            return key
    raise NotAuthenticated("token_signature", "the token's signature is wrong")


def _date(claims: Mapping[str, Json], name: str) -> float | None:
    """Return a NumericDate: seconds since the epoch, also with a fraction (RFC 7519 section 2)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_DATE:
        raise _wrong(f"the token's {name} is no date: that is a number of seconds since 1970")
    return float(value)


def _text(claims: Mapping[str, Json], name: str) -> str | None:
    value = claims.get(name)
    if name in claims and not isinstance(value, str):
        raise _wrong(f"the token's {name} is no text")
    return value if isinstance(value, str) else None


def _subject(claims: Mapping[str, Json]) -> str:
    subject = _text(claims, "sub")
    if subject == "":
        raise _wrong("the token's sub is empty")
    return subject or ""


def _wrong(message: str) -> NotAuthenticated:
    return NotAuthenticated("token_claims", message)
