"""
OAuth 2.0 client credentials (RFC 6749 section 4.4).

Rule 1: a token is renewed before it ends; while the old one is good, a failed renewal is nobody's problem.
Rule 2: a 401 to a good token renews it once. One that was issued a moment ago is not at fault, so the 401 stands.
Rule 3: of what the token server says, only its error code is ever repeated.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

import msgspec

from ....answers import Answer
from ....clock import Clock
from ....config.credentials import OAuth2Credentials
from ....errors import PollError
from ....values import UpstreamRequest
from ..exchange import Exchange, Reply, Send
from ..origins import origin_of
from .renewal import Renewal, refused
from .shown import with_field

# A token is renewed this many seconds before its end, or after this part of its life, whichever is later.
MARGIN, PART = 60.0, 0.8

# A token younger than this many seconds is not why an upstream says 401.
YOUNG = 10.0

_CODE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,60}")  # RFC 6749 section 5.2
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """An access token; times are monotonic, and infinite if the server does not say."""

    text: str
    issued_at: float
    renew_at: float
    ends_at: float


class OAuth2:
    """Asks with a token that it gets itself."""

    def __init__(self, config: OAuth2Credentials, renewal: Renewal, clock: Clock, exchange: Exchange) -> None:
        self._request = _token_request(config)
        self._renewal = renewal
        self._clock = clock
        is_own = origin_of(config.token_url) == exchange.origin
        self._send: Send = exchange if is_own else exchange.third_party
        self._token: Token | None = None

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        token = await self._good_token()
        count = self._renewal.count
        reply = await send(with_field(request, "Authorization", f"Bearer {token.text}"))
        if reply.answer.status != 401 or self._clock.now() - token.issued_at < YOUNG:
            return reply
        if self._token is token:  # nobody else has found out yet
            await self._renewal.since(count, self._renew)
        assert self._token is not None, "a renewal that went well leaves a token"
        return await send(with_field(request, "Authorization", f"Bearer {self._token.text}"))

    async def _good_token(self) -> Token:
        token, now = self._token, self._clock.now()
        if token is not None and now < token.renew_at:
            return token
        try:
            await self._renewal.since(self._renewal.count, self._renew)
        except PollError:
            if token is None or now >= token.ends_at:
                raise
        assert self._token is not None, "a renewal that went well leaves a token"
        return self._token

    async def _renew(self) -> None:
        asked_at = self._clock.now()
        reply = await self._send(self._request)
        self._token = _read_token(reply.answer, asked_at)
        self._renewal.proved()


def _token_request(config: OAuth2Credentials) -> UpstreamRequest:
    form = {"grant_type": "client_credentials"}
    if config.scopes:
        form["scope"] = " ".join(config.scopes)
    if config.audience is not None:
        form["audience"] = config.audience
    # Section 2.3.1: both are encoded like a form's values before they become user and password.
    pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret.get_secret_value())}"
    headers = (
        ("Authorization", f"Basic {b64encode(pair.encode()).decode()}"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "application/json"),
    )
    return UpstreamRequest("POST", str.__str__(config.token_url), headers, urlencode(form).encode())


def _read_token(answer: Answer, asked_at: float) -> Token:
    """Read a token answer (sections 5.1, 5.2); raises PollError(``upstream_auth``)."""
    try:
        said = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    if answer.status != 200 or not isinstance(said, dict):
        code = said.get("error") if isinstance(said, dict) else None
        words = code if isinstance(code, str) and _CODE.fullmatch(code) else f"status {answer.status}"
        raise refused("the token server gave no token", answer, words)
    text, kind = said.get("access_token"), said.get("token_type", "Bearer")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise PollError("upstream_auth", "the token server's answer holds no access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise PollError("upstream_auth", "the token server gives tokens of another type than Bearer")
    lifetime = _lifetime(said.get("expires_in"))
    margin = min(MARGIN, lifetime * (1 - PART))
    return Token(text, asked_at, asked_at + lifetime - margin, asked_at + lifetime)


def _lifetime(value: object) -> float:
    """Read expires_in, which some servers send as text."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else float("inf")
    except (ValueError, OverflowError):
        return float("inf")
    return seconds if seconds > 0 else float("inf")
