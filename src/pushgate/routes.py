"""
A route made ready to run: what gateway.yaml says about it, compiled once.

A topic of the route is named by ``topic``; ``request`` says what to ask the upstream for it, ``verdict`` what the
status of the answer means, ``recipe`` what of the decoded answer is published, and ``timetable`` when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import msgspec

from .asking import Question
from .condition import Terms
from .config.demand import upstream_names
from .config.parameters import QueryParameter
from .config.routes import Route as RouteConfig
from .config.upstreams import Upstream
from .documents.history import Limits
from .errors import BadRequest, PollError
from .identity import NOBODY, Identity, identify
from .naming import Template, canonical_name, decode_path, fill_path, fill_text, references
from .refinery import Recipe
from .schedules.activehours import ActiveHours
from .schedules.adapting import Adaptive
from .schedules.crontimes import CronTimes
from .schedules.scheduling import FixedRate, Schedule
from .timetable import Timetable
from .values import ANYBODY, Caller, Encoding, Mode, Transport, UpstreamRequest
from .writes import Order, Sent, Writing

# Of a route's topics, those that were asked for last; a name takes ten times as long to make as to look up.
NAMES_REMEMBERED = 1024

Verdict = Literal["document", "gone", "keep"]


@dataclass(frozen=True, slots=True)
class TopicName:
    """
    One concrete resource of a route: its canonical name, what it stands for, and whose it is.

    ``parent``: the topic whose document it is a part of, if it is a view's.
    """

    text: str
    values: Mapping[str, str] = field(compare=False)
    identity: Identity = NOBODY
    parent: TopicName | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """What tells topics apart: also whose they are, which is never part of the name."""
        return f"{self.text}\n{self.identity.text}" if self.identity.text else self.text


class Route:
    """One entry of ``routes:`` that polls. ``upstreams``: all there are."""

    def __init__(
        self, path: str, config: RouteConfig, upstreams: Mapping[str, Upstream], *, has_views: bool = False
    ) -> None:
        self.name = path  # also its label in metrics
        self.template = Template.parse(path, config.params)
        self.config = config
        self.upstreams = {name: upstreams[name] for name in upstream_names(config.upstream, config.params)}
        self.modes: tuple[Mode, ...] = config.emit
        self.transports: tuple[Transport, ...] = config.transports
        self.recipe = Recipe(config)
        # Whether documents are read in this process however big they are: the past answers, or the views, need them.
        self.is_read_here = has_views or config.accumulate is not None
        self.keys = self.recipe.keys
        self.encoding: Encoding | None = "base64" if config.format.kind == "binary" else None
        self.terms = Terms(
            linger=config.poll.linger,
            stale_after=config.stale.after,
            expire=config.stale.expire,
            confirmations=config.guards.confirmations,
        )
        self.limits = Limits(events=config.history.events, bytes=config.history.bytes, age=config.history.age)
        self._question = Question(path, config.request, config.upstream, self.upstreams)
        self._active = None if config.poll.active is None else ActiveHours(config.poll.active)
        self._rules = {
            name: (rule, re.compile(rule.pattern))
            for name, rule in config.query.items()
            if isinstance(rule, QueryParameter)
        }
        claims = frozenset[str]().union(*(upstream.claims for upstream in self.upstreams.values()))
        batched = references("" if config.batch is None else config.batch.value)
        self.used = self._question.used | batched | claims
        self._listed_in_use = self.used & self._rules.keys()
        self._named = lru_cache(maxsize=NAMES_REMEMBERED)(self._name)
        self.writes = self._writings()
        self.standing = frozenset(map(self._standing_topic, config.standing_topics()))

    def __repr__(self) -> str:
        return f"<Route {self.name}>"

    @property
    def is_public(self) -> bool:
        """Whether a topic is the same for everybody."""
        return self.config.share == "public"

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are, and everybody sees the same."""
        return self.is_public and not self.config.auth

    @property
    def timeout(self) -> float:
        """How long a poll may take, in seconds."""
        return max(upstream.timeout.total for upstream in self.upstreams.values())

    @property
    def pace(self) -> float:
        """How often a topic is polled, about, in seconds."""
        return self._schedule(0.0).pace

    def upstream_of(self, name: TopicName) -> str:
        """Return the name of the upstream that a topic is asked of."""
        return fill_text(self.config.upstream, name.values)

    @cached_property
    def definition(self) -> str:
        """What documents of this route are made of; another definition makes every old cursor a gap."""
        config = self.config
        passed_on = {name: rule.as_ or name for name, (rule, _) in self._rules.items()}
        pipeline = config.model_dump(
            mode="json",
            include={"on_status", "pages", "accumulate", "batch", "format", "ignore", "guards", "select", "key",
                     "unordered", "quiet"},
        )  # fmt: skip
        parts = [self._question.definition, passed_on, pipeline]
        return msgspec.json.encode(parts, order="sorted", enc_hook=str.__str__).decode()  # hidden texts are texts

    def timetable(self, now: float) -> Timetable:
        """Return when a topic of this route is polled, as it is from ``now`` on."""
        config = self.config
        return Timetable(
            self._schedule(now),
            active=self._active,
            confirm_after=config.guards.confirm_after,
            respects_freshness=config.poll.respect_cache and config.poll.cron is None,
            keeps_times=config.poll.cron is not None,
        )

    def _schedule(self, now: float) -> Schedule:
        poll = self.config.poll
        if poll.cron is not None:
            retry = poll.retry
            return CronTimes(
                poll.cron,
                poll.timezone or "UTC",
                jitter=poll.jitter,
                retry_every=None if retry is None else retry.every,
                retry_for=None if retry is None else retry.for_,
            )
        if poll.adaptive is not None:
            adaptive = poll.adaptive
            return Adaptive(minimum=adaptive.min, maximum=adaptive.max, every=adaptive.every, now=now)
        return FixedRate(poll.every, poll.jitter, now=now, aligned=self.config.batch is not None)

    def topic(
        self, values: Mapping[str, str], query: Mapping[str, str], caller: Caller | Identity = ANYBODY
    ) -> TopicName:
        """
        Name the topic of decoded path parameters and query parameters (without pushgate's own), as the caller sees it.

        An identity stands for a caller who was identified before.

        Raises BadRequest for a query parameter that the route does not let through, or whose value does not fit, and
        Forbidden for a caller without the claims that the topic needs.
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
        missing = self._listed_in_use - values.keys() - listed.keys()
        if missing:
            raise BadRequest(f"{self.name} needs the query parameter {min(missing)!r}")
        public = self._named(tuple(values.items()), tuple(listed.items()))
        if self.config.share == "public":
            return public
        identity = caller if isinstance(caller, Identity) else self._identify(caller)
        return TopicName(public.text, {**public.values, **identity.claims}, identity)

    def _identify(self, caller: Caller) -> Identity:
        return identify(caller, share=self.config.share, forward=self.config.forward, used=self.used)

    def _standing_topic(self, values: Mapping[str, str]) -> TopicName:
        """Name a topic of ``poll.topics``, which may hold listed query parameters beside those of the path."""
        query = {name: value for name, value in values.items() if name in self._rules}
        return self.topic({name: value for name, value in values.items() if name not in query}, query)

    def _name(self, values: tuple[tuple[str, str], ...], listed: tuple[tuple[str, str], ...]) -> TopicName:
        path = decode_path(fill_path(self.name, dict(values)))
        return TopicName(canonical_name(path, dict(listed)), {**dict(listed), **dict(values)})

    def request(self, name: TopicName, *, extra: tuple[str, str] | None = None) -> UpstreamRequest:
        """
        Return what to ask the upstream for a topic; ``extra`` is one more query parameter.

        A listed query parameter is passed on under its own name (or ``as``), unless the request uses it elsewhere.
        Raises BadRequest for a value that cannot stand where the request has it.
        """
        if self.config.batch is not None and self.config.batch.join in self.name_in_batch(name):
            raise BadRequest(f"a parameter holds {self.config.batch.join!r}, which stands between two topics upstream")
        query = self._passed_on(name, self.used)
        if extra is not None:
            query.append(extra)
        return self._question.ask(name.values, query=query, headers=[*name.identity.headers])

    def _passed_on(self, name: TopicName, used: frozenset[str]) -> list[tuple[str, str]]:
        return [
            (rule.as_ or listed, name.values[listed])
            for listed, (rule, _) in self._rules.items()
            if listed in name.values and listed not in used
        ]

    def _writings(self) -> dict[str, Writing]:
        config = self.config
        return {
            method: Writing(
                method,
                write,
                route=self.name,
                own_path=self._question.path,
                listed=self._rules.keys(),
                upstream=config.upstream,
                upstreams=self.upstreams,
            )
            for method, write in config.write.items()
        }

    def order(self, method: str, name: TopicName, caller: Caller, sent: Sent) -> Order:
        """
        Return what to do for a caller that writes to a topic.

        What goes to the path of the topic's own request takes the listed query parameters along as that does. Raises
        the Refusal of what is missing or makes no sense.
        """
        writing = self.writes[method]
        who = identify(caller, share=self.config.share, forward=self.config.forward, used=writing.used)
        query = [] if writing.has_own_path else self._passed_on(name, writing.used)
        return writing.order({**name.values, **who.claims}, sent, query=query, headers=[*who.headers])

    def name_in_batch(self, name: TopicName) -> str:
        """Return what stands for a topic in the request of a batch, and for its part in the answer."""
        assert self.config.batch is not None, "the caller has looked"
        return fill_text(self.config.batch.value, name.values)

    def meaning(self, status: int) -> Verdict | Literal["failure"]:
        """Say what an answer's status means."""
        try:
            return self.verdict(status)
        except PollError:
            return "failure"

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

    def is_denied(self, status: int) -> bool:
        """Whether this status means that the upstream sends away the caller as whom it was asked."""
        return status in (401, 403) and self.config.share == "identity" and status not in self.config.on_status


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
