"""
``kind: forward``: another service decides. It is asked with what the client has shown, and 2xx is yes.

Rule 1: it sees what ``send`` lists, a token that came by another carrier, and nothing else of the request. So requests
that show the same are one question to it, and its verdict holds for all of them.
Rule 2: its silence is a no, and so is a redirect to its login page.
Rule 3: nothing that it says reaches the client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol, TypeAlias

import msgspec

from ..config.auth import ForwardAuth
from ..errors import AuthUnavailable, NotAuthenticated, OriginForbidden
from ..values import Json, Principal
from .carriers import find
from .credential import Credential, Presented

# What a server may well refuse to read, and no session needs.
MAX_SHOWN = 16_384

# Statuses that say something of the moment and nothing of the client.
_LATER = (408, 425, 429)

# When to come back if the service does not say, and how late at most, in seconds.
COME_BACK, LATEST = 5.0, 60.0

_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")

HeaderFields: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered; ``retry_after`` in seconds, if it says."""

    status: int
    headers: HeaderFields = field(default=(), repr=False)
    retry_after: float | None = None


class Inquiry(Protocol):
    """Asks the service."""

    async def ask(self, url: str, shown: HeaderFields, *, timeout: float) -> Reply:
        """Return the head of its answer, whatever the status; raises AuthUnavailable if there is none in time."""


class ForwardAuthority:
    """Has one entry of ``auth:`` decided elsewhere."""

    def __init__(self, name: str, config: ForwardAuth, inquiry: Inquiry) -> None:
        self.name = name
        self.carriers = config.carriers
        self.remembers_for = config.cache
        self._config = config
        self._inquiry = inquiry
        self._url = str.__str__(config.url)
        self._header_name = config.header_name.lower()
        # A header field is shown if it is listed, and not because it looks like a token; a listed cookie is no token.
        apart = {"header", *(["cookie"] if config.cookie_name in config.send.cookies else [])}
        left = tuple(carrier for carrier in config.carriers if carrier not in apart)
        self._tokens = config.model_copy(update={"carriers": left})
        asked = [self._url, config.header_name, config.send.headers, config.send.cookies, config.claims]
        self._proof = sha256(msgspec.json.encode(["forward", *asked], order="sorted")).hexdigest()

    @property
    def challenge(self) -> str:
        """``Cookie`` is no registered scheme; it is what a page needs that shows nothing else."""
        if self._config.send.cookies and not self._config.send.headers:
            return f'Cookie realm="{self.name}", cookie-name="{self._config.send.cookies[0]}"'
        return f'Bearer realm="{self.name}"'

    def find(self, presented: Presented) -> Credential | None:
        """
        Return what the service is to see; None if that is nothing.

        Raises OriginForbidden for what a browser has added by itself to the request of a page that may not use it.
        """
        token = find(self._tokens, presented)
        if token is not None and token.carrier == "message":
            headers = self._headers(presented, apart={self._header_name, "authorization"})
            return Credential("message", "", field=token.field, shown=(*headers, token.field))
        headers, cookies = self._headers(presented), self._cookies(presented)
        if not presented.origin_allows_cookies and (cookies or any(map(_is_by_heart, headers))):
            message = "a page of this origin may not use its visitor's credentials here (server.cors.origins)"
            raise OriginForbidden(message)
        if token is not None and self._header_name not in {name.lower() for name, _ in headers}:
            return Credential(token.carrier, "", field=token.field, shown=(*headers, *cookies, token.field))
        # A cookie is shown in a header field, too.
        return Credential("header", "", shown=(*headers, *cookies)) if headers or cookies else None

    async def verify(self, credential: Credential, *, now: float) -> Principal:
        size = sum(len(name) + len(value) for name, value in credential.shown)
        if size > MAX_SHOWN or any(_UNSAFE.search(value) for _, value in credential.shown):
            raise NotAuthenticated("credentials_malformed", "these credentials fit into no header field")
        reply = await self._inquiry.ask(self._url, credential.shown, timeout=self._config.timeout)
        if reply.status >= 500 or reply.status in _LATER:
            after = COME_BACK if reply.retry_after is None else min(reply.retry_after, LATEST)
            raise AuthUnavailable("the service that decides who may come in cannot say now", retry_after=after)
        if not 200 <= reply.status < 300:
            raise NotAuthenticated("credentials_refused", "the service that decides who may come in said no")
        return self._principal(credential, reply, now)

    def vouches(self, principal: Principal) -> bool:
        """Whether the same service would be asked the same."""
        return principal.proof == self._proof

    def _headers(self, presented: Presented, *, apart: Iterable[str] = ()) -> HeaderFields:
        names = [name for name in self._config.send.headers if name.lower() not in apart]
        return tuple((name, value) for name in names if (value := presented.headers.get(name.lower())))

    def _cookies(self, presented: Presented) -> HeaderFields:
        pairs = [(name, presented.cookies[name]) for name in self._config.send.cookies if name in presented.cookies]
        if any(";" in value for _, value in pairs):
            raise NotAuthenticated("credentials_malformed", "a cookie holds a semicolon, behind which another begins")
        return (("Cookie", "; ".join(f"{name}={value}" for name, value in pairs)),) if pairs else ()

    def _principal(self, credential: Credential, reply: Reply, now: float) -> Principal:
        claims = _claims(self._config.claims, reply.headers)
        expires_at = claims.get("exp")
        assert expires_at is None or isinstance(expires_at, int), "it was read as a number"
        if expires_at is not None and expires_at <= now:
            raise NotAuthenticated("credentials_expired", "these credentials have ended")
        issuer, subject = claims.get("iss", ""), claims.get("sub")
        if subject is None:  # then whoever shows the same is the same, and nobody else is
            subject = credential.digest().hex()
        return Principal(self.name, str(issuer), str(subject), claims, expires_at, self._proof)


def _is_by_heart(shown: tuple[str, str]) -> bool:
    """Whether a browser may have added a field by itself: it does so with passwords and tickets, never with tokens."""
    name, value = shown
    return name.lower() == "authorization" and not value.lower().startswith("bearer ")


def _claims(wanted: Mapping[str, str], headers: HeaderFields) -> dict[str, Json]:
    claims: dict[str, Json] = {}
    for claim, header in wanted.items():
        values = [value.strip() for name, value in headers if name.lower() == header.lower() and value.strip()]
        if claim == "exp" and values:
            claims[claim] = _moment(values)
        elif values and not any(map(_UNSAFE.search, values)):  # what is no UTF-8 is nobody's name and no right
            claims[claim] = _claim(claim, values)
    return claims


def _claim(name: str, values: list[str]) -> Json:
    """Return a claim: a text, or a list if there are several values or commas; a person's name may hold commas."""
    if name in ("sub", "iss"):
        return ", ".join(values)
    parts = [part.strip() for value in values for part in value.split(",") if part.strip()]
    return values[0] if parts == values and len(values) == 1 else [*parts]


def _moment(values: list[str]) -> int:
    """Read seconds since the epoch; who says that there is an end and not when is not understood."""
    if len(values) != 1 or not re.fullmatch("[0-9]{1,12}", values[0]):
        message = "the service that decides who may come in does not say in seconds until when"
        raise AuthUnavailable(message, retry_after=COME_BACK)
    return int(values[0])
