"""Entries of ``proxy:`` made ready: what is passed on where, as whom, and what is polled afterwards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from ....config.credentials import ApiKeyCredentials, SessionCredentials
from ....config.gateway import Gateway
from ....config.proxy import Proxy
from ....config.refresh import Reach, reach_of_topics
from ....config.upstreams import Upstream
from ....forwarding import Fields, Withheld
from ....naming import CREDENTIALS_QUERY
from ....places import Backend, backend_at
from ....readings import readings


@dataclass(frozen=True, slots=True)
class Refresh:
    """After a request like this, what is polled; None in the path stands for any one segment."""

    method: str
    path: tuple[str | None, ...]
    reaches: tuple[Reach, ...]

    def follows(self, methods: Collection[str], path: str) -> bool:
        """Whether a request is like this, however it is read: too many polls are a cost, too few a mistake."""
        return self.method in methods and any(self._is_like(segments) for segments in readings(path))

    def _is_like(self, segments: tuple[str, ...]) -> bool:
        return len(segments) == len(self.path) and all(
            expected is None or expected.casefold() == segment.casefold()
            for expected, segment in zip(self.path, segments, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Way:
    """
    One entry. ``base`` is the URL that its upstream's paths are below.

    ``is_signed``: as who pushgate is there. ``fields`` are those of pushgate's own that are sent then, and instead of
    the client's. ``claims``: what the upstream's credentials need to know of the client.
    """

    config: Proxy
    base: str
    backend: Backend
    withheld: Withheld
    refreshes: tuple[Refresh, ...]
    is_signed: bool = False
    fields: Fields = field(default=(), repr=False)
    claims: frozenset[str] = frozenset()

    def for_topics(self) -> Way:
        """Return it for requests in which pushgate has looked for tokens, whether the entry wants any or not."""
        return replace(self, withheld=replace(self.withheld, query=self.withheld.query | CREDENTIALS_QUERY))


def ways_of(config: Gateway) -> dict[str, Way]:
    """Return all entries by their paths."""
    return {path: _way(proxy, config) for path, proxy in config.proxy.items()}


def _way(proxy: Proxy, config: Gateway) -> Way:
    upstream, base_path = config.upstreams[proxy.upstream], config.server.base_path
    is_signed = proxy.credentials == "upstream"
    fields = tuple(upstream.headers.items()) if is_signed else ()
    refreshes = []
    for key, entries in proxy.refresh.items():
        method, _, path = key.partition(" ")
        reach = reach_of_topics(path)
        refreshes.append(Refresh(method, reach.segments, tuple(map(reach_of_topics, entries))))
    own = upstream.credentials.query if is_signed and isinstance(upstream.credentials, ApiKeyCredentials) else None
    own_query = () if own is None else (own,)
    return Way(
        proxy,
        upstream.base,
        backend_at(
            upstream.base, alias=upstream.host, base_path=base_path, keeps_cookies=is_signed, own_query=own_query
        ),
        _withheld(proxy, config, upstream if is_signed else None),
        tuple(refreshes),
        is_signed,
        fields,
        upstream.claims if is_signed else frozenset(),
    )


def _withheld(proxy: Proxy, config: Gateway, signer: Upstream | None) -> Withheld:
    """Return what is not passed on; ``signer``: the upstream, if it knows pushgate and not the client."""
    auths = [config.auth[name] for name in proxy.auth or ()]
    headers, query = set[str](), set[str]()
    if auths:
        query |= CREDENTIALS_QUERY
    if signer is not None:
        headers |= {"authorization", "cookie", *(auth.header_name.lower() for auth in auths)}
        headers |= {name.lower() for name in signer.headers}
        match signer.credentials:
            case ApiKeyCredentials(header=str(header)) | SessionCredentials(header=header):
                headers.add(header.lower())
            case ApiKeyCredentials(query=str(name)):
                query.add(name)
    return Withheld(frozenset(headers), frozenset(query), has_tokens=bool(config.auth))
