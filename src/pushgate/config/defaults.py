"""
``defaults:`` merged into every route.

Maps merge; other values replace; null removes; and where a route picks one of several ways to say something
(``every``, ``cron`` or ``adaptive``), the defaults' other ways give room. A view takes only the keys that it knows.
"""

from __future__ import annotations

from .routes import View
from .tree import Entry, Leaf, Mapping, Node, Path

# Where keys exclude each other: the groups of keys that belong together.
ONE_OF: dict[Path, tuple[frozenset[str], ...]] = {
    ("poll",): (frozenset({"every"}), frozenset({"cron", "timezone", "retry"}), frozenset({"adaptive"})),
    ("request",): (frozenset({"body"}), frozenset({"form"}), frozenset({"body_file"})),
}

_FOR_VIEWS = frozenset(name.removesuffix("_") for name in View.model_fields)


def merged(root: Mapping) -> Mapping:
    """Return the file without ``defaults:``, which is in every route now; values keep their places in the file."""
    defaults, routes = root.entries.get("defaults"), root.entries.get("routes")
    entries = {key: entry for key, entry in root.entries.items() if key != "defaults"}
    if routes is not None and isinstance(routes.node, Mapping):
        base = defaults.node if defaults is not None and isinstance(defaults.node, Mapping) else None
        own = {path: Entry(entry.mark, _route(base, entry.node)) for path, entry in routes.node.entries.items()}
        entries["routes"] = Entry(routes.mark, Mapping(routes.node.mark, own, routes.node.size))
    return Mapping(root.mark, entries, root.size)


def _route(base: Mapping | None, own: Node) -> Node:
    if not isinstance(own, Mapping):
        return own
    entries = base.entries if base is not None else {}
    if "from" in own.entries:
        entries = {key: entry for key, entry in entries.items() if key in _FOR_VIEWS}
    return _merge(Mapping(own.mark, entries, 0), own, ())


def _merge(base: Mapping, own: Mapping, path: Path) -> Mapping:
    displaced = _displaced(own, path)
    entries = {key: entry for key, entry in base.entries.items() if key not in displaced}
    for key, entry in own.entries.items():
        below = entries.get(key)
        if _is_null(entry.node) and (below is not None or not path):
            entries.pop(key, None)
        elif below is not None and isinstance(below.node, Mapping) and isinstance(entry.node, Mapping):
            entries[key] = Entry(entry.mark, _merge(below.node, entry.node, (*path, key)))
        else:
            entries[key] = entry
    return Mapping(own.mark, entries, base.size + own.size)


def _is_null(node: Node) -> bool:
    return isinstance(node, Leaf) and node.value is None


def _displaced(own: Mapping, path: Path) -> frozenset[str]:
    """Return the keys that the defaults must not add, because the route has chosen another way."""
    groups = ONE_OF.get(path, ())
    chosen = [group for group in groups if group & own.entries.keys()]
    return frozenset().union(*(group for group in groups if group not in chosen)) if chosen else frozenset()
