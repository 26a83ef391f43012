"""
What a shell offers for a value when somebody presses Tab.

Rule 1: it is fast, so gateway.yaml is read as YAML and nothing more: its names are what is wanted.
Rule 2: it fails silently. Whoever presses Tab wants to go on typing, and not to read what is wrong with a file.
"""

from __future__ import annotations

import os
import re
from itertools import islice, product
from pathlib import Path
from typing import Any

import typer

# More than this nobody looks through.
_SHOWN = 200

# A gateway on this machine answers in milliseconds; for another one nobody waits while typing.
_AT_ONCE = 0.5

_PARAMETER = re.compile(r"\{(\w+)\}")


def complete_routes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the routes of the configuration that the command line names."""
    return _beginning([*_section(ctx, "routes")], incomplete)


def complete_polled(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the routes that poll, which views do not."""
    return _beginning([path for path, route in _section(ctx, "routes").items() if "from" not in route], incomplete)


def complete_demand(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the beginning of ``ROUTE=N``."""
    return [f"{path}=" for path in complete_polled(ctx, incomplete)]


def complete_upstreams(ctx: typer.Context, incomplete: str) -> list[str]:
    return _beginning([*_section(ctx, "upstreams")], incomplete)


def complete_pausable(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what an operator may pause."""
    return complete_polled(ctx, incomplete) + complete_upstreams(ctx, incomplete)


def complete_auth(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the entries of ``auth:``."""
    return _beginning([*_section(ctx, "auth")], incomplete)


def complete_topics(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the topics that are known without asking anybody: those whose parameters list their values."""
    routes = _section(ctx, "routes")
    return _beginning([topic for path in routes for topic in _topics(path, routes)], incomplete)


def complete_live_topics(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the topics that the running gateway has, or if none answers at once those that can be known beforehand."""
    return _beginning(_live(ctx), incomplete) or complete_topics(ctx, incomplete)


def complete_states(incomplete: str) -> list[str]:
    from typing import get_args

    from ..values import State

    return _beginning([*get_args(State)], incomplete)


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)][:_SHOWN]


def _topics(path: str, routes: dict[str, dict[str, Any]]) -> list[str]:
    parent = routes[path].get("from")
    rules = {**_mapping(_mapping(routes.get(str(parent))).get("params")), **_mapping(routes[path].get("params"))}
    *texts, last = _PARAMETER.split(path)  # texts, with names between them
    between, names = texts[::2], texts[1::2]
    values = [rules[name] if isinstance(rules.get(name), list) else [] for name in names]
    return [
        "".join(f"{text}{value}" for text, value in zip(between, chosen, strict=True)) + last
        for chosen in islice(product(*values), _SHOWN)
    ]


def _live(ctx: typer.Context) -> list[str]:
    import http.client
    import json

    from ..healthcheck import Misused, Unhealthy, admin_address

    if (file := _file(ctx)) == "-":
        return []
    try:
        host, port = admin_address(file, ctx.params.get("admin") or "")
        connection = http.client.HTTPConnection(host, port, timeout=_AT_ONCE)
        connection.request("GET", f"/-/topics?limit={_SHOWN}")
        return [str(topic["topic"]) for topic in json.loads(connection.getresponse().read())["topics"]]
    except (Misused, Unhealthy, OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return []


def _file(ctx: typer.Context) -> str:
    return str(ctx.params.get("file") or os.environ.get("PUSHGATE_CONFIG") or "gateway.yaml")


def _section(ctx: typer.Context, name: str) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        told = yaml.load(Path(_file(ctx)).read_bytes(), Loader=_loader())
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return {str(key): _mapping(value) for key, value in _mapping(_mapping(told).get(name)).items()}


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built so


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
