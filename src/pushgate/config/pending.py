"""
What gateway.yaml can say already and a later release will do.

Such a key is validated like any other, and refused if it is set to anything but its default: nothing that the file
says is ever ignored. A feature that is implemented leaves this list.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .report import Report
from .routes import Route
from .section import Section, defaults_of
from .server import Server
from .tree import Mapping, Path, find, leaves, plain
from .upstreams import Upstream

_SERVER = {
    "tls": "HTTPS on the public listener",
    "trusted_proxies": "believing X-Forwarded-For",
    "limits.accept_rate": "limiting new connections",
    "limits.memory": "limiting memory",
    "limits.per_address": "limiting connections of one address",
    "max_connection_age": "asking old streams to reconnect",
    "drain": "closing streams over a while",
    "poke": "polls on demand",
    "admin.token": "operators from elsewhere than loopback",
}
_UPSTREAM = {
    "host": "another Host header",
    "proxy": "outbound proxies",
    "credentials": "credentials towards the upstream",
    "tls": "certificates of the upstream",
    "budget": "request budgets",
    "redirects": "following redirects",
    "breaker": "leaving a failing upstream alone",
}
_ROUTE = {
    "request.body": "polls with a body",
    "request.form": "polls with a form",
    "request.body_file": "polls with a body",
    "poll.cron": "polling at cron times",
    "poll.timezone": "polling at cron times",
    "poll.adaptive": "adaptive intervals",
    "poll.retry": "trying again after a cron time",
    "poll.active": "active hours",
    "poll.respect_cache": "following the answer's freshness",
    "poll.ttl": "following the body's freshness",
    "poll.until": "ending a topic",
    "pages": "answers in pages",
    "accumulate": "answers that only tell what is new",
    "batch": "many topics in one request",
    "guards": "confirming implausible answers",
    "unordered": "arrays without an order",
    "quiet": "members that are no change by themselves",
    "share": "documents that differ between clients",
    "forward": "forwarding the client's values",
    "auth": "who may listen",
    "allow": "who may listen",
    "write": "writes",
}

# Whole sections.
_TOP = {"auth": "who may listen", "proxy": "passing requests through"}

_CLAIM = re.compile(r"\{claims\.")


def _is_other_format(value: Any) -> bool:
    return (value.get("kind") if isinstance(value, dict) else value) in ("xml", "csv", "feed", "html", "text", "binary")


def _is_other_method(value: Any) -> bool:
    return value in ("HEAD", "POST", "PUT", "PATCH", "DELETE")


# Keys of which only some values are for later.
_VALUES: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "upstreams": {
        "url": (lambda value: str(value).startswith("unix:"), "unix sockets"),
    },
    "routes": {
        "upstream": (lambda value: "{" in str(value), "upstreams chosen by a parameter"),
        "request.method": (_is_other_method, "polls by other methods"),
        "format": (_is_other_format, "formats beside JSON"),
        "key": (lambda value: not isinstance(value, str), "compound keys, and keys for single arrays"),
    },
}


def pending_keys() -> dict[Path, str]:
    """Return the paths of all keys that do nothing yet, with what they will do; ``*`` stands for a name."""
    sections: dict[Path, dict[str, str]] = {
        (): _TOP,
        ("server",): _SERVER,
        ("upstreams", "*"): _UPSTREAM,
        ("routes", "*"): {**_ROUTE, "from": "views"},
    }
    return {(*path, *_steps(key)): words for path, keys in sections.items() for key, words in keys.items()}


def report_pending(report: Report) -> None:
    """Report every key whose value is not implemented yet, whether or not the value is valid."""
    tree = report.tree
    for key, words in _TOP.items():
        if report.value((key,)):
            report.add_pending((key,), words)
    if report.value(("store", "kind")) == "redis":
        report.add_pending(("store", "kind"), "histories in Redis")
    _report_section(report, ("server",), _SERVER, Server)
    for name in _entries(tree, "upstreams"):
        _report_section(report, ("upstreams", name), _UPSTREAM, Upstream)
        _report_values(report, ("upstreams", name))
    for path in _entries(tree, "routes"):
        _report_route(report, ("routes", path))


def _report_route(report: Report, route: Path) -> None:
    if find(report.tree, (*route, "from")) is not None:
        report.add_pending((*route, "from"), "views")
        return
    _report_section(report, route, _ROUTE, Route)
    _report_values(report, route)
    node = find(report.tree, route)
    for path, leaf in leaves(node) if node is not None else ():
        if _CLAIM.search(str(plain(leaf))) and not _is_pending(path):
            report.add_pending((*route, *path), "values of the client's claims")


def _entries(tree: Mapping, section: str) -> list[str]:
    node = find(tree, (section,))
    return list(node.entries) if isinstance(node, Mapping) else []


def _is_pending(path: Path) -> bool:
    return any(path[: len(_steps(key))] == _steps(key) for key in _ROUTE)


def _report_section(report: Report, section: Path, keys: dict[str, str], kind: type[Section]) -> None:
    defaults = defaults_of(kind)
    for key, words in keys.items():
        node = find(report.tree, (*section, *_steps(key)))
        unset = _lookup(defaults, _steps(key))
        if node is None:
            continue
        if any(not _is_neutral(plain(leaf), _lookup(unset, path)) for path, leaf in leaves(node)):
            report.add_pending((*section, *_steps(key)), words)


def _report_values(report: Report, entry: Path) -> None:
    for key, (is_pending, words) in _VALUES[str(entry[0])].items():
        value = report.value((*entry, *_steps(key)))
        if value is not None and is_pending(value):
            report.add_pending((*entry, *_steps(key)), words)


def _steps(key: str) -> tuple[str, ...]:
    return tuple(key.split("."))


def _lookup(document: Any, path: Path) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _is_neutral(value: Any, default: Any) -> bool:
    """Whether a value asks for nothing: it is the default, absent, empty, or turns off what is off anyway."""
    return value == default or value in (None, "", [], {}) or (default is None and value in ("off", "none"))
