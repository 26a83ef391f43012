"""
gateway.yaml: read, checked, and frozen.

    text ─source─▶ tree ─defaults─▶ tree ─models─▶ Gateway ─checks─▶ Gateway, or a ConfigError with everything wrong

``source`` knows YAML and positions; the sections (``server``, ``upstreams``, ``routes``, …) know meanings; ``report``
brings the two together again for messages. ``pending`` is what a later release does.
"""

from .gateway import Gateway
from .loader import load, parse, warnings
from .output import effective, json_schema, to_yaml
from .routes import Route, View
from .server import Server
from .upstreams import Upstream

__all__ = [
    "Gateway",
    "Route",
    "Server",
    "Upstream",
    "View",
    "effective",
    "json_schema",
    "load",
    "parse",
    "to_yaml",
    "warnings",
]
