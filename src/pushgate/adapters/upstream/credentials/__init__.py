"""
How pushgate shows an upstream who it is: one file per kind that has to think.

Credentials stand between a poll and its exchange: they add what they have, look at the answer, and may get something
new and ask once more. They see only what goes to the upstream's own origin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, assert_never

from ....clock import Clock
from ....config.credentials import (
    ApiKeyCredentials,
    BasicCredentials,
    BearerCredentials,
    DigestCredentials,
    LoginCredentials,
    NoCredentials,
    OAuth2Credentials,
    SessionCredentials,
)
from ....config.upstreams import Upstream
from ....values import UpstreamRequest
from ..exchange import Exchange, Reply, Send
from .digest import Digest
from .login import Login
from .oauth2 import OAuth2
from .renewal import Renewal
from .session import Session
from .shown import ApiKeyField, ApiKeyParameter, Basic, Bearer

Refreshed = Callable[[str, bool], None]


class Credentials(Protocol):
    """Asks an upstream as somebody. Raises PollError(``upstream_auth``) if there is nothing good to show."""

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply: ...


def credentials_for(
    upstream: Upstream, clock: Clock, exchange: Exchange, refreshed: Callable[[bool], None]
) -> Credentials | None:
    """Return what an upstream's ``credentials:`` say, or None; ``refreshed`` hears how each renewal went."""
    match upstream.credentials:
        case NoCredentials():
            return None
        case BasicCredentials(username=username, password=password):
            return Basic(username, password.get_secret_value())
        case DigestCredentials(username=username, password=password):
            return Digest(username, password.get_secret_value(), clock.token)
        case BearerCredentials(token=token):
            return Bearer(token.get_secret_value())
        case ApiKeyCredentials(header=str(header), value=value):
            return ApiKeyField(header, value.get_secret_value())
        case ApiKeyCredentials(query=query, value=value):
            assert query is not None, "the section demands one of them"
            return ApiKeyParameter(query, value.get_secret_value())
        case OAuth2Credentials() as config:
            return OAuth2(config, Renewal(clock, refreshed), clock, exchange)
        case LoginCredentials() as config:
            return Login(config, upstream, Renewal(clock, refreshed))
        case SessionCredentials(status=status, header=header):
            return Session(status, header, refreshed)
        case _:
            assert_never(upstream.credentials)
