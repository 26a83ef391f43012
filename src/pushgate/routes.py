"""
A route made ready to run: what gateway.yaml says about it, compiled once.

A topic of the route is named by ``topic``; ``request`` says what to ask the upstream for it, ``verdict`` what the
status of the answer means, ``document`` what of the decoded answer is published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import msgspec

from .config.parameters import QueryParameter
from .config.routes import Route as RouteConfig
from .config.upstreams import Upstream
from .errors import BadRequest, PollError
from .history import Limits
from .naming import (
    Template,
    canonical_name,
    decode_path,
    encode_query,
    fill_header,
    fill_path,
    fill_text,
    placeholders,
)
from .selecting import Ignore, compile_select
from .topic import Terms
from .values import Json, Mode, Transport, UpstreamRequest

# Of a route's topics, those that were asked for last; a name takes ten times as long to make as to look up.
NAMES_REMEMBERED = 1024

Verdict = Literal["document", "gone", "keep"]


@dataclass(frozen=True, slots=True)
class TopicName:
    """One concrete resource of a route: its canonical name, and the values that it stands for."""

    text: str
    values: Mapping[str, str] = field(compare=False)


class Route:
    """One entry of ``routes:``."""

    def __init__(self, path: str, config: RouteConfig, upstream: Upstream) -> None:
        self.name = path  # also its label in metrics
        self.template = Template.parse(path, config.params)
        self.config = config
        self.upstream = upstream
        self.modes: tuple[Mode, ...] = config.emit
        self.transports: tuple[Transport, ...] = config.transports
        self.key = config.key if isinstance(config.key, str) else None  # the loader lets no other kind of key pass yet
        self.terms = Terms(
            every=config.poll.every,
            jitter=config.poll.jitter,
            linger=config.poll.linger,
            stale_after=config.stale.after,
            expire=config.stale.expire,
            key=self.key,
        )
        self.limits = Limits(events=config.history.events, bytes=config.history.bytes, age=config.history.age)
        self._path = config.request.path or path
        self._ignore = Ignore(config.ignore)
        self._select = compile_select(config.select)
        self._used = frozenset[str]().union(*map(placeholders, self._templates()))
        self._rules = {
            name: (rule, re.compile(rule.pattern))
            for name, rule in config.query.items()
            if isinstance(rule, QueryParameter)
        }

        self._named = lru_cache(maxsize=NAMES_REMEMBERED)(self._name)
        self.standing = frozenset(map(self._standing_topic, config.standing_topics()))

    def __repr__(self) -> str:
        return f"<Route {self.name}>"

    @property
    def definition(self) -> str:
        """What documents of this route are made of; another definition makes every old cursor a gap."""
        config = self.config
        passed_on = {name: rule.as_ or name for name, (rule, _) in self._rules.items()}
        parts = [
            *(self.upstream.url, config.request.method, self._path, config.request.query, config.request.headers),
            passed_on,
            *(config.format.kind, list(config.ignore), config.select, self.key, sorted(config.on_status.items())),
        ]
        return msgspec.json.encode(parts, order="sorted").decode()

    def _templates(self) -> list[str]:
        request = self.config.request
        return [self._path, *request.query.values(), *request.headers.values()]

    def topic(self, values: Mapping[str, str], query: Mapping[str, str]) -> TopicName:
        """
        Name the topic of decoded path parameters and query parameters (without pushgate's own).

        Raises BadRequest for a query parameter that the route does not let through, or whose value does not fit.
        """
        listed: dict[str, str] = {}
        for name, (rule, pattern) in self._rules.items():
            value = query.get(name, rule.default)
            if value is not None and not pattern.fullmatch(value):
                raise BadRequest(f"the query parameter {name!r} does not fit its pattern")
            if value is not None:
                listed[name] = value
        for name in query:
            if name not in self.config.query:
                raise BadRequest(f"{self.name} takes no query parameter {name!r}")
        missing = self._used - values.keys() - listed.keys()
        if missing:
            raise BadRequest(f"{self.name} needs the query parameter {min(missing)!r}")
        return self._named(tuple(values.items()), tuple(listed.items()))

    def _standing_topic(self, values: Mapping[str, str]) -> TopicName:
        """Name a topic of ``poll.topics``, which may hold listed query parameters beside those of the path."""
        query = {name: value for name, value in values.items() if name in self._rules}
        return self.topic({name: value for name, value in values.items() if name not in query}, query)

    def _name(self, values: tuple[tuple[str, str], ...], listed: tuple[tuple[str, str], ...]) -> TopicName:
        path = decode_path(fill_path(self.name, dict(values)))
        return TopicName(canonical_name(path, dict(listed)), {**dict(listed), **dict(values)})

    def request(self, values: Mapping[str, str]) -> UpstreamRequest:
        """
        Return what to ask the upstream for a topic.

        A listed query parameter is passed on under its own name (or ``as``), unless the request uses it elsewhere.
        """
        config = self.config.request
        query = [(name, fill_text(template, values)) for name, template in config.query.items()]
        query += [
            (rule.as_ or name, values[name])
            for name, (rule, _) in self._rules.items()
            if name in values and name not in self._used
        ]
        url = self.upstream.url.rstrip("/") + fill_path(self._path, values)
        if query:
            url += ("&" if "?" in url else "?") + encode_query(query)
        headers = {**self.upstream.headers, **config.headers}
        filled = tuple((name, fill_header(template, values)) for name, template in headers.items())
        return UpstreamRequest(config.method, url, filled)

    @property
    def keeps_shape(self) -> bool:
        """Whether a document has the answer's shape: nothing but members of objects is ever taken out of it."""
        return self.config.select is None and self._ignore.keeps_shape

    def verdict(self, status: int) -> Verdict:
        """Say what an answer's status means; raises PollError if it is a failure."""
        named = self.config.on_status.get(status)
        if named is not None and named != "fail":
            return named
        if named is None and 200 <= status < 300:
            return "document"
        if named is None and status in (404, 410):
            return "gone"
        raise _status_failure(status)

    def document(self, answer: Json) -> Json:
        """Return the part of a freshly decoded answer that is published; raises PollError(``select``)."""
        return self._select(self._ignore(answer))


def _status_failure(status: int) -> PollError:
    if status in (401, 403):
        return PollError("upstream_auth", f"the upstream answered {status}")
    if status == 429:
        return PollError("rate_limited", "the upstream answered 429")
    if 400 <= status < 500:
        return PollError("http_4xx", f"the upstream answered {status}")
    if status >= 500:
        return PollError("http_5xx", f"the upstream answered {status}")
    return PollError("protocol", f"the upstream answered {status}, which is neither an answer nor an error")
