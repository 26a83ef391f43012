"""
What gateway.yaml can say already and a later release will do.

Such a key is validated like any other, and refused if it is set to anything but its default: nothing that the file
says is ever ignored. A feature that is implemented leaves this list.
"""

from __future__ import annotations

import re
from typing import Any

from .report import Report
from .routes import Route, View
from .section import Section, defaults_of
from .server import Server
from .tree import Mapping, Path, find, leaves, plain

_SERVER = {
    "tls": "HTTPS on the public listener",
    "trusted_proxies": "believing X-Forwarded-For",
    "limits.per_address": "limiting connections of one address",
    "poke": "polls on demand",
    "admin.token": "operators from elsewhere than loopback",
}
_ROUTE = {
    "auth": "who may listen",
    "allow": "who may listen",
}

_VIEW = {"allow": "who may listen"}

# Whole sections.
_TOP = {"auth": "who may listen", "proxy": "passing requests through"}

_CLAIM = re.compile(r"\{claims\.")


def pending_keys() -> dict[Path, str]:
    """Return the paths of all keys that do nothing yet, with what they will do; ``*`` stands for a name."""
    sections: dict[Path, dict[str, str]] = {
        (): _TOP,
        ("server",): _SERVER,
        ("routes", "*"): _ROUTE,
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
    for path in _entries(tree, "routes"):
        _report_route(report, ("routes", path))


def _report_route(report: Report, route: Path) -> None:
    if find(report.tree, (*route, "from")) is not None:
        _report_section(report, route, _VIEW, View)
        return
    _report_section(report, route, _ROUTE, Route)
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


def _steps(key: str) -> tuple[str, ...]:
    return tuple(key.split("."))


def _lookup(document: Any, path: Path) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _is_neutral(value: Any, default: Any) -> bool:
    """Whether a value asks for nothing: it is the default, absent, empty, or turns off what is off anyway."""
    return value == default or value in (None, "", [], {}) or (default is None and value in ("off", "none"))
