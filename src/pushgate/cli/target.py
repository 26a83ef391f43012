"""The topic that a command line names: its route, its view if it is one, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..config.finding import did_you_mean
from ..config.gateway import Gateway
from ..errors import NoSuchTopic
from ..naming import RESERVED_QUERY, Router, Template, decode_path, decode_query, origin_form
from ..routes import Route, TopicName
from ..values import Caller
from ..views import ViewRoute


@dataclass(frozen=True, slots=True)
class Target:
    """``topic`` is polled by ``route``; if ``view`` shows a part of it, ``name`` is what that is called."""

    route: Route
    topic: TopicName
    view: ViewRoute | None
    name: TopicName
    caller: Caller


def find(config: Gateway, text: str, caller: Caller) -> Target:
    """Return what a topic's name, or its whole URL, stands for; raises Refusal as a request for it would."""
    routes = {path: Route(path, route, config.upstreams) for path, route in config.routes.items()}
    views = [ViewRoute(path, view, routes[view.from_]) for path, view in config.views.items()]
    entries: list[Route | ViewRoute] = [*routes.values(), *views]
    path, _, raw = origin_form(text).partition("?")
    base = config.server.base_path
    segments = decode_path(path.removeprefix(base) if base and path.startswith(base + "/") else path)
    found = Router((entry.template, entry) for entry in entries).find(segments)
    if found is None:
        raise NoSuchTopic("; ".join(_near(entries, path, segments)))
    entry, values = found
    query = {name: value for name, value in decode_query(raw).items() if name not in RESERVED_QUERY}
    name = entry.topic(values, query, caller)
    if isinstance(entry, Route):
        target = Target(entry, name, None, name, caller)
    else:
        assert name.parent is not None, "that of a view has one"
        target = Target(entry.parent, name.parent, entry, name, caller)
    target.route.request(target.topic)  # what cannot be asked is no topic either
    return target


def _near(entries: list[Route | ViewRoute], path: str, segments: tuple[str, ...]) -> Iterator[str]:
    """Say why no route fits: a parameter that does not match, or which routes there are."""
    yield "no route fits this path"
    names = [entry.name for entry in entries]
    for entry in entries:
        loose = Template.parse(entry.name, {})
        values = loose.match(segments) if len(loose.segments) == len(segments) else None
        rules = (entry.config if isinstance(entry, Route) else entry.parent.config).params
        if values is not None:
            wrong = [f"{name} = {value}" for name, value in values.items() if name in rules]
            yield f"{entry.name} would, but for its params: {', '.join(wrong)} does not match"
            return
    yield f"the routes are {', '.join(names)}{did_you_mean(path, names)}" if names else "there are no routes"
