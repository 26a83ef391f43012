"""
gateway.yaml: read, checked, and frozen.

    text ─source─▶ tree ─defaults─▶ tree ─models─▶ Gateway ─checks─▶ Gateway, or a ConfigError with everything wrong

``source`` knows YAML and positions; the sections (``server``, ``upstreams``, ``routes``, …) know meanings; ``report``
brings the two together again for messages. ``pending`` is what a later release does.

What the package exports is imported when it is asked for: whoever needs ``source`` only, as a probe does that is
started every few seconds, does not wait for the models.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gateway import Gateway
    from .loader import load, parse, warnings
    from .output import brought, effective, json_schema, to_yaml
    from .routes import Route, View
    from .server import Server
    from .upstreams import Upstream

_HOMES = {
    **dict.fromkeys(["load", "parse", "warnings"], "loader"),
    **dict.fromkeys(["brought", "effective", "json_schema", "to_yaml"], "output"),
    **dict.fromkeys(["Route", "View"], "routes"),
    "Gateway": "gateway",
    "Server": "server",
    "Upstream": "upstreams",
}

__all__ = [
    "Gateway",
    "Route",
    "Server",
    "Upstream",
    "View",
    "brought",
    "effective",
    "json_schema",
    "load",
    "parse",
    "to_yaml",
    "warnings",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
