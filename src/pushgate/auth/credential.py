"""
What a client presents, and who decides whether that proves anything.

``Presented`` is everything of a request that may hold credentials; ``Credential`` is what one entry of ``auth:`` found
there, and an ``Authority`` is that entry at work: it turns a credential into a principal, or refuses it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import Protocol

from ..config.auth import Carrier
from ..values import Principal


@dataclass(frozen=True, slots=True)
class Presented:
    """
    What a client has shown of itself. Names of header fields are in lower case.

    ``token``: of ``?access_token=``, ``protocol``: of ``Sec-WebSocket-Protocol``, already decoded, ``message``: of a
    WebSocket's ``auth``. ``origin_allows_cookies``: whether the page that asks may use its visitor's cookies.
    ``is_renewal``: the message comes from somebody who is known already. ``address``: the client's, if it stands for
    that client alone.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    protocol: str | None = field(default=None, repr=False)
    message: str | None = field(default=None, repr=False)
    is_renewal: bool = False
    origin_allows_cookies: bool = True
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """
    What one entry of ``auth:`` found. ``text`` is the token or key without its scheme; of ``basic`` what stands behind
    ``Basic``. ``field``: the header field that says the same, named in lower case, for who is asked as this client.
    ``shown``: header fields that a subrequest carries (``forward`` only).
    """

    carrier: Carrier
    text: str = field(repr=False)
    field: tuple[str, str] = dataclasses.field(default=("", ""), repr=False)
    shown: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)

    def digest(self) -> bytes:
        """Return what verdicts are remembered by: nothing that could be used as a credential is kept."""
        parts = (self.text, *chain.from_iterable(self.shown))
        # Lone surrogates are what header fields bring that are no UTF-8.
        return sha256("".join(f"{len(part)}:{part}" for part in parts).encode(errors="surrogatepass")).digest()


class Authority(Protocol):
    """One entry of ``auth:`` at work; ``name`` is its name in the configuration."""

    @property
    def name(self) -> str: ...

    @property
    def carriers(self) -> tuple[Carrier, ...]:
        """Where clients may put their credentials."""

    @property
    def challenge(self) -> str:
        """What ``WWW-Authenticate`` says (RFC 9110 section 11.6.1)."""

    @property
    def remembers_for(self) -> float:
        """How long its verdicts hold for the same credential, in seconds; a principal's own expiry may be earlier."""

    def find(self, presented: Presented) -> Credential | None:
        """Return what is meant for this entry; None if nothing is."""

    async def verify(self, credential: Credential, *, now: float) -> Principal:
        """
        Return whose it is; ``now`` is in seconds since the epoch.

        Raises NotAuthenticated with the fault, or AuthUnavailable if that cannot be found out now.
        """

    def vouches(self, principal: Principal) -> bool:
        """Whether what this principal once proved would still do (its expiry aside)."""
