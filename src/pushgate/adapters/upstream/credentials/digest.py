"""
HTTP Digest (RFC 7616), also as its forerunners RFC 2617 and RFC 2069 have it, which devices still speak.

Rule 1: of several challenges the first that can be answered counts (RFC 7616 section 3.7).
Rule 2: a nonce is used again with a higher count, so that most polls are one request.
Rule 3: a refusal is answered once with a new nonce, whether it says ``stale`` or not: many do not bother to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlsplit

from ....values import UpstreamRequest
from ..exchange import Reply, Send
from .shown import with_field

_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}

_TOKENS = re.compile(r"([A-Za-z0-9_-]++)(?:\s*=\s*(?:\"((?:[^\"\\]|\\.)*+)\"|([^\s,\"=]++)))?")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an upstream wants to see. ``qop`` is None for RFC 2069, which has neither counts nor nonces of ours."""

    realm: str
    nonce: str
    algorithm: str | None = None  # as it was written; None is MD5
    qop: str | None = None
    opaque: str | None = None
    hides_user: bool = False

    @property
    def hash_name(self) -> str | None:
        return _ALGORITHMS.get((self.algorithm or "MD5").upper().removesuffix("-SESS"))

    @property
    def is_session(self) -> bool:
        return (self.algorithm or "").upper().endswith("-SESS")


def read_challenge(fields: Iterable[str]) -> Challenge | None:
    """Return the first Digest challenge of WWW-Authenticate fields that can be answered."""
    challenges = (_challenge(parameters) for value in fields for parameters in _digest_parameters(value))
    return next((challenge for challenge in challenges if challenge is not None), None)


def _digest_parameters(value: str) -> list[dict[str, str]]:
    """Return the parameters of each Digest challenge in a field that may hold several, also of other schemes."""
    found: list[dict[str, str]] = []
    scheme = ""
    for match in _TOKENS.finditer(value):
        name, quoted, plain = match[1].lower(), match[2], match[3]
        if quoted is None and plain is None:  # a word by itself begins a challenge
            scheme = name
            found += [{}] if scheme == "digest" else []
        elif scheme == "digest":
            found[-1].setdefault(name, plain if quoted is None else _ESCAPED.sub(r"\1", quoted))
    return found


def _challenge(parameters: dict[str, str]) -> Challenge | None:
    offered = [value.strip().lower() for value in parameters.get("qop", "").split(",") if value.strip()]
    qop = next((value for value in ("auth", "auth-int") if value in offered), None)
    if not parameters.get("nonce") or (offered and qop is None):
        return None
    challenge = Challenge(
        realm=parameters.get("realm", ""),
        nonce=parameters["nonce"],
        algorithm=parameters.get("algorithm"),
        qop=qop,
        opaque=parameters.get("opaque"),
        hides_user=parameters.get("userhash", "").lower() == "true",
    )
    return challenge if challenge.hash_name in hashlib.algorithms_available else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that is to be signed; ``uri`` is its target as it is sent."""

    method: str
    uri: str
    body: bytes
    count: int
    cnonce: str


@dataclass(frozen=True, slots=True)
class Account:
    username: str
    password: str = field(repr=False)


def authorization(challenge: Challenge, account: Account, attempt: Attempt) -> str:
    """Return the value of Authorization (RFC 7616 section 3.4)."""

    def hashed(*parts: str | bytes) -> str:
        name = challenge.hash_name
        assert name is not None, "such a challenge is never read"
        joined = b":".join(part if isinstance(part, bytes) else part.encode() for part in parts)
        return hashlib.new(name, joined, usedforsecurity=False).hexdigest()

    count = f"{attempt.count:08x}"
    secret = hashed(account.username, challenge.realm, account.password)
    if challenge.is_session:
        secret = hashed(secret, challenge.nonce, attempt.cnonce)
    asked = [attempt.method, attempt.uri, *([hashed(attempt.body)] if challenge.qop == "auth-int" else [])]
    proof = [challenge.nonce, *([count, attempt.cnonce, challenge.qop] if challenge.qop else []), hashed(*asked)]
    username = hashed(account.username, challenge.realm) if challenge.hides_user else account.username
    parts = [
        _named(username),
        f"realm={_quoted(challenge.realm)}",
        f"nonce={_quoted(challenge.nonce)}",
        f"uri={_quoted(attempt.uri)}",
        f'response="{hashed(secret, *proof)}"',
        *([f"algorithm={challenge.algorithm}"] if challenge.algorithm else []),
        *([f"opaque={_quoted(challenge.opaque)}"] if challenge.opaque is not None else []),
        *([f"qop={challenge.qop}", f"nc={count}", f'cnonce="{attempt.cnonce}"'] if challenge.qop else []),
        *(["userhash=true"] if challenge.hides_user else []),
    ]
    return "Digest " + ", ".join(parts)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _named(username: str) -> str:
    """Return the user's name; beyond ASCII as section 3.4 has it (RFC 8187)."""
    if username.isascii():
        return f"username={_quoted(username)}"
    return f"username*=UTF-8''{quote(username, safe='')}"


class Digest:
    """Asks with the nonce that the upstream gave last; ``chance`` makes ours."""

    def __init__(self, username: str, password: str, chance: Callable[[], str]) -> None:
        self._account = Account(username, password)
        self._chance = chance
        self._challenge: Challenge | None = None
        self._count = 0

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        reply = await send(self._signed(request))
        if reply.answer.status == 401:
            challenge = read_challenge(reply.headers.getall("WWW-Authenticate", ()))
            if challenge is None:
                return reply
            self._adopt(challenge)
            reply = await send(self._signed(request))
        self._look_ahead(reply)
        return reply

    def _adopt(self, challenge: Challenge) -> None:
        if challenge != self._challenge:
            self._challenge, self._count = challenge, 0

    def _look_ahead(self, reply: Reply) -> None:
        """Use the nonce that the upstream wants to see next (section 3.5), or none after a refusal."""
        if reply.answer.status == 401:
            self._challenge = None
        elif self._challenge is not None and "Authentication-Info" in reply.headers:
            fields = _digest_parameters("Digest " + reply.headers["Authentication-Info"])
            nonce = fields[0].get("nextnonce") if fields else None
            if nonce:
                self._adopt(replace(self._challenge, nonce=nonce))

    def _signed(self, request: UpstreamRequest) -> UpstreamRequest:
        if self._challenge is None:
            return request
        self._count += 1
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        attempt = Attempt(request.method, target, request.body or b"", self._count, self._chance())
        return with_field(request, "Authorization", authorization(self._challenge, self._account, attempt))
