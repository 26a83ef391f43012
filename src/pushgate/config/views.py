"""What spans a view and the route that it is a part of: whether there is such a part, and what `{name}` stands for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ..naming import Template, placeholders, references
from .expressions import QUOTED
from .finding import Finding, did_you_mean
from .gateway import Gateway
from .placeholders import check_rules
from .routes import Route, View


def check_view(path: str, view: View, gateway: Gateway, routes: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with a view; ``routes`` are all paths of the file, also of entries that are wrong."""
    if view.from_ not in routes:
        hint = did_you_mean(view.from_, routes) or "; add it under `routes:`"
        yield Finding(("from",), f"there is no route `{view.from_}`{hint}")
    elif view.from_ in gateway.views:
        yield Finding(("from",), f"{view.from_} is a view itself; name the route that polls")
    for name in sorted(placeholders(view.from_) - placeholders(path)):
        yield Finding(("from",), f"needs a value for `{{{name}}}`; put it into the view's path")
    parent = gateway.routes.get(view.from_)
    if parent is not None:
        yield from _check_parameters(path, view, parent)
        yield from _check_part(view, parent)
        yield from _check_placeholders(path, view, parent)
        yield from _check_allow(path, view, parent)


def _check_parameters(path: str, view: View, parent: Route) -> Iterator[Finding]:
    for name in sorted(placeholders(path) & parent.query.keys()):
        message = f"`{name}` is a query parameter of {view.from_} already; rename the one in the view's path"
        yield Finding(("from",), message)
    try:
        Template.parse(path, parent.params)
    except re.error as error:
        yield Finding(("from",), f"its patterns do not go together in the view's path: {error.msg}")


def _check_part(view: View, parent: Route) -> Iterator[Finding]:
    if parent.format.kind == "binary":
        yield Finding(("from",), f"{view.from_} holds bytes, which have no parts; follow it as a whole")
    elif view.item is not None and parent.shelf is None:
        if parent.document_key is None:
            message = f"{view.from_} has no `key`, which tells its items apart; add it there, or use `select`"
        else:
            message = f"{view.from_} has no one array with a `key`, where an item is looked up; use `select`"
        yield Finding(("item",), message)


def _check_allow(path: str, view: View, parent: Route) -> Iterator[Finding]:
    if view.allow and not parent.auth:
        yield Finding(("allow",), f"nobody has claims without `auth`; name one at {view.from_}", at_key=True)
    yield from check_rules(view.allow, _known(path, parent))


def _known(path: str, parent: Route) -> frozenset[str]:
    return placeholders(path) | {name for name, rule in parent.query.items() if rule != "drop"}


def _check_placeholders(path: str, view: View, parent: Route) -> Iterator[Finding]:
    known = _known(path, parent)
    for key in ("item", "pointer", "select"):
        text = getattr(view, key) or ""
        for name in sorted(references(text) - known):
            if name.startswith("claims."):
                message = "a view shows the same to all who share its parent; only parameters may stand here"
                yield Finding((key,), f"`{{{name}}}` has no meaning here: {message}")
            else:
                hint = did_you_mean(name, known) or "; put it into the view's path"
                yield Finding((key,), f"`{{{name}}}` is unknown{hint}")
    for quoted in QUOTED.findall(view.select or ""):
        for name in sorted(references(quoted)):
            yield Finding(("select",), f"`{{{name}}}` is a whole string already; remove the quotes around it")
