"""
One gateway.yaml made ready to run, and what becomes of a living topic when the next one takes over.

Rule 1: an entry that is the same in both stays the very object that it was, so nothing that belongs to it notices.
Rule 2: a topic is asked for once more, as a new client would. What answers to its name is its heir; if nothing does,
its clients are told what the new client would be.
Rule 3: an heir that makes the same documents of the same answers goes on with those there are. From any other the
clients get a document of its own, and never one that was made for its predecessor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .config.finding import Finding, did_you_mean
from .config.gateway import Gateway as Config
from .errors import BadRequest, NoSuchTopic, Refusal, Reloaded
from .naming import Router, decode_path, decode_query
from .negotiation import check_offered
from .pauses import Kind
from .routes import Route, TopicName
from .values import Mode, Transport
from .views import ViewRoute

Entry: TypeAlias = Route | ViewRoute


@dataclass(frozen=True, slots=True)
class Kept:
    """The topic goes on, with its document and its history."""

    entry: Entry
    name: TopicName


@dataclass(frozen=True, slots=True)
class Renewed:
    """The topic goes on, and will publish something else."""

    entry: Entry
    name: TopicName


@dataclass(frozen=True, slots=True)
class Ended:
    """There is no such topic any more."""

    refusal: Refusal


Fate: TypeAlias = Kept | Renewed | Ended


class Generation:
    """All that one configuration offers. ``before``: the generation that it takes over from."""

    def __init__(self, config: Config, before: Generation | None = None) -> None:
        self.config = config
        old = {} if before is None else before.entries
        shown = {view.from_ for view in config.views.values()}
        self.routes: dict[str, Route] = {}
        for path, section in config.routes.items():
            route = Route(path, section, config.upstreams, has_views=path in shown)
            was = old.get(path)
            self.routes[path] = was if isinstance(was, Route) and _is_same(was, route) else route
        self.entries: dict[str, Entry] = dict(self.routes)
        for path, shows in config.views.items():
            view, was = ViewRoute(path, shows, self.routes[shows.from_]), old.get(path)
            is_same = isinstance(was, ViewRoute) and was.config == shows and was.parent is view.parent
            self.entries[path] = was if was is not None and is_same else view
        self.router = Router((entry.template, entry) for entry in self.entries.values())
        self._untouched = {id(entry) for path, entry in self.entries.items() if old.get(path) is entry}
        self._hides_nothing = self.entries.keys() <= old.keys()  # only a path that is new can stand before another one

    def check_known(self, kind: Kind, name: str) -> None:
        """Raise the Refusal of a name that nothing has which is polled; ``kind``: a route's, or an upstream's."""
        known = self.routes if kind == "route" else self.config.upstreams
        if name in known:
            return
        if kind == "route" and isinstance(view := self.entries.get(name), ViewRoute):
            raise BadRequest(f"{name} is a view and has no poll of its own; name its parent, {view.parent.name}")
        hint = did_you_mean(name, known) or ";"
        raise NoSuchTopic(f"there is no {kind} `{name}`{hint} there are {', '.join(known)}")

    def fate(self, entry: Entry, name: TopicName, *, has_ended: bool) -> Fate:
        """Say what becomes of a topic of the generation before; ``has_ended``: there will be no more changes."""
        if self._hides_nothing and id(entry) in self._untouched:
            return Kept(entry, name)
        try:
            heir, again = self._ask_again(name)
        except Refusal as refusal:
            return Ended(refusal)
        if type(heir) is not type(entry) or again.key != name.key or _audience(heir) != _audience(entry):
            return Ended(Reloaded("this topic is made differently now; come back to see it", retry_after=1.0))
        is_reopened = has_ended and _until(heir) != _until(entry)
        return Kept(heir, again) if heir.definition == entry.definition and not is_reopened else Renewed(heir, again)

    def _ask_again(self, name: TopicName) -> tuple[Entry, TopicName]:
        path, _, query = name.text.partition("?")
        found = self.router.find(decode_path(path))
        if found is None:
            raise NoSuchTopic("no route fits this path any more")
        entry, values = found
        return entry, entry.topic(values, decode_query(query), name.identity)


def refusal_of(entry: Entry, transport: Transport, mode: Mode | None) -> Refusal | None:
    """Return why a client may not go on listening like this; None if it may. ``mode``: None if it has none."""
    try:
        check_offered(transport, entry.transports)
    except Refusal as refusal:
        return refusal
    if mode is None or mode in entry.modes:
        return None
    return BadRequest(f"this topic does not emit {mode!r} any more; it emits {', '.join(entry.modes)}")


def fixed_keys(before: Config, after: Config) -> list[Finding]:
    """Return what the new configuration changes, although it cannot change while the gateway runs."""
    pairs = {
        ("server", "listen"): (before.server.listen, after.server.listen),
        ("server", "admin", "listen"): (before.server.admin.listen, after.server.admin.listen),
        ("server", "tls"): (before.server.tls is None, after.server.tls is None),
        ("store",): (before.store, after.store),
    }
    message = "cannot change while the gateway runs; restart it, or take the change back"
    return [Finding(path, message, at_key=True) for path, (was, now) in pairs.items() if was != now]


def _is_same(was: Route, now: Route) -> bool:
    """Whether two routes do the same; a definition also has what files hold that a configuration only names."""
    mine, theirs = (was.config, was.upstreams, was.is_read_here), (now.config, now.upstreams, now.is_read_here)
    return mine == theirs and was.definition == now.definition


def _audience(entry: Entry) -> object:
    """What makes two clients' topics different."""
    route = entry.parent if isinstance(entry, ViewRoute) else entry
    return "public" if route.is_public else (route.config.share, route.config.forward, route.used)


def _until(entry: Entry) -> str | None:
    return (entry.parent if isinstance(entry, ViewRoute) else entry).config.poll.until
