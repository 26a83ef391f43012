"""``upstreams:``: the backends, and how to treat them."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from .addresses import BaseUrl, Headers, Host, ProxyUrl
from .credentials import Credentials, NoCredentials, claims_in, texts_of
from .scalars import Allowed, Count, CountOrZero, Flag, Limit, PemFile, Period, Size
from .section import EMPTY, Names, Section, misplaced


class Timeout(Section):
    """When a poll has taken too long."""

    connect: Period = 3.0
    """For a connection to stand."""
    total: Period = 10.0
    """For the whole exchange, the body included."""


class UpstreamTls(Section):
    """How the upstream's certificate is checked, and which is shown to it; files are read again when they change."""

    ca: PemFile | None = None
    """PEM file with the authorities to trust."""
    certificate: PemFile | None = None
    """PEM file with the client certificate."""
    key: PemFile | None = None
    """PEM file with its private key."""
    verify: Flag = True
    """Whether the certificate is checked at all."""
    server_name: Host | None = None
    """The name that the certificate must have, if not the URL's."""

    @model_validator(mode="after")
    def _certificate_with_key(self) -> UpstreamTls:
        if (self.certificate is None) != (self.key is None):
            key, other = ("certificate", "key") if self.key is None else ("key", "certificate")
            raise misplaced(key, f"needs `{other}` beside it")
        return self


class Budget(Section):
    """What the upstream can bear, shared by all its routes."""

    rate: Names[Allowed] = ()
    """Requests in a while; several must hold together."""
    burst: Count = 1
    """Requests that may go out at once after a quiet time."""
    concurrency: Limit = None
    """Requests under way at the same time."""
    spent: Literal["stretch", "fail"] = "stretch"
    """When it is used up, intervals stretch, or polls fail."""


class Redirects(Section):
    """Which redirects are followed; credentials never leave the origin."""

    max: CountOrZero = 3
    """How many in a row; 0 takes a redirect for the answer."""
    hosts: Names[Host] = ()
    """Other hosts that may be redirected to."""


class Breaker(Section):
    """When to leave a failing upstream alone."""

    failures: Count
    """Failed polls in a row that open the breaker."""
    cooldown: Period = 30.0
    """How long no request goes out then."""


class Upstream(Section):
    """A backend."""

    url: BaseUrl
    """Where it is; also `unix:///run/app.sock`."""
    headers: Headers = EMPTY
    """Header fields of every request; `User-Agent` is `pushgate/<version>` unless given."""
    host: Host | None = None
    """Host header and TLS server name, if they differ from the URL's."""
    proxy: ProxyUrl | None = None
    """Outbound proxy; NO_PROXY is honoured."""
    credentials: Credentials = NoCredentials()
    """How pushgate shows who it is."""
    tls: UpstreamTls = UpstreamTls()
    """Certificates."""
    timeout: Timeout = Timeout()
    """When a poll has taken too long."""
    keep_alive: Flag = True
    """Whether connections are used again."""
    budget: Budget = Budget()
    """What the upstream can bear."""
    max_body: Size = 10_000_000
    """The largest answer that is read, after decompression."""
    redirects: Redirects = Redirects()
    """Which redirects are followed."""
    breaker: Breaker | None = None
    """When to leave it alone."""

    @property
    def base(self) -> str:
        """The URL that requests begin with: behind a unix socket they are for http://localhost."""
        return "http://localhost" if self.url.startswith("unix:") else self.url

    @property
    def claims(self) -> frozenset[str]:
        """What the credentials need to know of the caller, named as in templates: ``claims.sub``."""
        return frozenset(name for text in texts_of(self.credentials).values() for name in claims_in(text))

    @model_validator(mode="after")
    def _socket_is_here(self) -> Upstream:
        if self.proxy is not None and self.url.startswith("unix:"):
            raise misplaced("proxy", "stands beside a unix socket, which no proxy can reach; remove it")
        return self
