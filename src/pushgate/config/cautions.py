"""What works, and is worth a second thought: the warnings of ``pushgate check``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from .finding import Finding
from .gateway import Gateway
from .hidden import Hidden

_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


def caution(gateway: Gateway) -> Iterator[Finding]:
    """Yield what is worth a warning."""
    yield from _same_requests(gateway)
    yield from _credentials_in_clear(gateway)


def _same_requests(gateway: Gateway) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for path, route in gateway.routes.items():
        request = route.request.model_copy(update={"path": route.request.path or path})
        # A dict with its members in the file's order is not hashable; its repr is, but hides what differs.
        asked = repr((route.upstream, [(name, _clear(value)) for name, value in request]))
        if asked in first:
            message = f"asks the same as route {first[asked]}; one route costs the upstream half the requests"
            yield Finding(("routes", path), message, at_key=True)
        first.setdefault(asked, path)


def _clear(value: object) -> object:
    return sorted((name, str.__str__(text)) for name, text in value.items()) if isinstance(value, dict) else value


def _credentials_in_clear(gateway: Gateway) -> Iterator[Finding]:
    for name, upstream in gateway.upstreams.items():
        url = urlsplit(upstream.url)
        if url.scheme != "http" or _LOOPBACK.fullmatch(url.hostname or ""):
            continue
        secrets = [("headers", header) for header, value in upstream.headers.items() if isinstance(value, Hidden)]
        if upstream.credentials.kind != "none":
            secrets.append(("credentials", "kind"))
        for path in secrets:
            message = "travels without TLS, readable on the way; use https"
            yield Finding(("upstreams", name, *path), message, at_key=True)
