"""
Origins (RFC 6454), and where a redirect leads.

Rule 1: a request that leaves its origin takes nothing along but what any stranger may know.
Rule 2: a redirect never leads out of TLS.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import quote, urldefrag, urljoin, urlsplit, urlunsplit

from ...errors import PollError
from ...values import UpstreamRequest

REDIRECTS = frozenset([301, 302, 303, 307, 308])

_PORTS = {"http": 80, "https": 443}

# What says nothing about who asks: no credentials, none of the client's values, nothing that the file wrote.
_FOR_STRANGERS = frozenset(
    ["accept", "accept-encoding", "accept-language", "user-agent", "if-none-match", "if-modified-since"]
)
_OF_A_BODY = frozenset(["content-type", "content-encoding", "content-language", "content-length"])

_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


def origin_of(url: str) -> Origin:
    """Return where a URL leads; raises PollError for one that names no web origin, or also a user."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise PollError("protocol", "a URL of the upstream cannot be read") from exc
    if parts.scheme not in _PORTS or not host:
        raise PollError("protocol", f"{parts.scheme or 'no scheme'}: is not where an upstream can be")
    if "@" in parts.netloc:
        raise PollError("protocol", f"a URL of {host} holds a user")
    return Origin(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)


def resolve(base: str, location: str) -> str:
    """Return the absolute URL of a Location field, encoded, without its fragment."""
    # Header fields are bytes; those that are no UTF-8 came as surrogates.
    encoded = quote(location.encode("utf-8", "surrogateescape"), safe=_URL_SAFE)
    try:
        return urldefrag(urljoin(base, encoded)).url
    except ValueError as exc:
        raise PollError("protocol", "the upstream redirects to what is no URL") from exc


def redirected(
    request: UpstreamRequest, status: int, location: str, *, alias: str | None, hosts: Collection[str]
) -> UpstreamRequest:
    """
    Return the request that a redirect asks for, as RFC 9110 section 15.4 and the Fetch standard have it.

    ``alias`` is the name that the upstream knows itself by (``host:``), ``hosts`` those that it may send us to. Raises
    PollError(``protocol``) for any other.
    """
    source = origin_of(request.url)
    url = _unaliased(resolve(request.url, location), source, alias)
    target = origin_of(url)
    is_same = target == source
    if not is_same and not _is_listed(target, hosts):
        raise PollError(
            "protocol", f"the upstream redirects to {target}; if that is right, list {target.host} in redirects.hosts"
        )
    if source.scheme == "https" and target.scheme == "http":
        raise PollError("protocol", f"the upstream redirects out of TLS, to {target}")
    if (status == 303 and request.method != "HEAD") or (status in (301, 302) and request.method == "POST"):
        kept = tuple(field for field in request.headers if field[0].lower() not in _OF_A_BODY)
        request = replace(request, method="GET", headers=kept, body=None)
    if is_same:
        return replace(request, url=url)
    if request.body is not None:
        raise PollError("protocol", f"the upstream redirects a request with a body to {target}; its body stays here")
    kept = tuple(field for field in request.headers if field[0].lower() in _FOR_STRANGERS)
    return replace(request, url=url, headers=kept, claims={})


def _unaliased(url: str, source: Origin, alias: str | None) -> str:
    """Return the URL with the address of the upstream, if it names the upstream by the name that we call it by."""
    if alias is None:
        return url
    parts = urlsplit(url)
    if parts.scheme != source.scheme or parts.netloc.lower() != alias.lower():
        return url
    return urlunsplit(parts._replace(netloc=str(source).partition("://")[2]))


def _is_listed(target: Origin, hosts: Collection[str]) -> bool:
    """A host that is listed with a port means this port; one without means any."""
    names = {target.host, f"{target.host}:{target.port}"}
    return any(host.lower().strip("[]") in names or host.lower() in names for host in hosts)
