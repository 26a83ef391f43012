"""
What spans several sections: what cannot work, and what cannot be safe.

Rules within one section are that section's own; these look from routes to upstreams, auth and other routes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from math import ceil, prod
from urllib.parse import unquote

from ..naming import PLACEHOLDER, Template, fill_text, is_safe_segment, placeholders
from ..quantities import Rate, duration_text
from .carriers import check_carriers
from .demand import polls_within, upstream_names
from .finding import Finding, did_you_mean
from .gateway import Gateway
from .passages import check_proxy
from .placeholders import check_credentials, check_placeholders
from .poll import Poll
from .refresh import check_refresh
from .routes import Route
from .views import check_view

Names = Mapping[str, Collection[str]]


def check(gateway: Gateway, names: Names) -> Iterator[Finding]:
    """
    Yield everything that is wrong between sections.

    ``names`` are those that the file has in each of ``upstreams``, ``auth``, ``routes`` and ``proxy``, also of entries
    that are wrong in themselves and therefore missing in the gateway.
    """
    if not names["routes"] and not names["proxy"]:
        yield Finding(("routes",), "there is nothing to follow; add a route", at_key=True)
    if "none" in names["auth"]:
        yield Finding(("auth", "none"), "`none` means that nobody is asked; choose another name", at_key=True)
    for path, route in gateway.routes.items():
        for finding in _check_route(path, route, gateway, names):
            yield finding.below("routes", path)
    for path, view in gateway.views.items():
        for finding in check_view(path, view, gateway, names["routes"]):
            yield finding.below("routes", path)
    for path, entry in gateway.proxy.items():
        found = (*_check_upstream(entry.upstream, {}, names), *_check_auth(entry.auth, names))
        for finding in (*found, *check_proxy(path, entry, gateway, names["routes"])):
            yield finding.below("proxy", path)
    yield from check_credentials(gateway)
    yield from check_carriers(gateway)
    yield from _check_standing(gateway)
    yield from _check_paths(gateway)


def _check_standing(gateway: Gateway) -> Iterator[Finding]:
    """The topics that are polled by themselves must leave room for themselves."""
    count = sum(_count_standing(path, route) for path, route in gateway.routes.items())
    limit = gateway.server.limits.topics
    if count > limit:
        message = f"routes with `while: always` mean {count} topics, and server.limits.topics is {limit}; raise it"
        yield Finding(("server", "limits", "topics"), message)


def _check_route(path: str, route: Route, gateway: Gateway, names: Names) -> Iterator[Finding]:
    yield from _check_upstream(route.upstream, route.params, names)
    yield from _check_parameters(path, route)
    yield from check_placeholders(path, route)
    yield from check_refresh(route, gateway, names["routes"])
    yield from _check_always(path, route)
    yield from _check_auth(route.auth, names)
    yield from _check_identity(route)
    yield from _check_budget(route, gateway)


def _check_upstream(text: str, params: Mapping[str, str | tuple[str, ...]], names: Names) -> Iterator[Finding]:
    """An upstream's name may hold a parameter, if that lists its values: then all of these upstreams must exist."""
    values: dict[str, tuple[str, ...]] = {}
    for name in PLACEHOLDER.findall(text):
        listed = params.get(name)
        if not isinstance(listed, tuple):
            yield Finding(("upstream",), f"`{{{name}}}` must be a parameter that lists its values")
            return
        values[name] = listed
    for combination in product(*values.values()):
        upstream = fill_text(text, dict(zip(values, combination, strict=True)))
        if upstream not in names["upstreams"]:
            hint = did_you_mean(upstream, names["upstreams"]) or "; add it under `upstreams:`"
            yield Finding(("upstream",), f"there is no upstream `{upstream}`{hint}")


def _check_parameters(path: str, route: Route) -> Iterator[Finding]:
    in_path = placeholders(path)
    for name in route.params:
        if name not in in_path:
            hint = did_you_mean(name, in_path) or "; put it there, or remove it"
            yield Finding(("params", name), f"is not in the path{hint}", at_key=True)
    for name in route.query:
        if name in in_path:
            yield Finding(("query", name), "is a parameter of the path already; rename one of them", at_key=True)
    try:
        Template.parse(path, route.params)
    except re.error as error:
        yield Finding(("params",), f"the patterns do not go together in one path: {error.msg}", at_key=True)


def _check_always(path: str, route: Route) -> Iterator[Finding]:
    """A topic that is polled without a listener must be known without a request."""
    if route.poll.while_ != "always":
        return
    names = placeholders(path)
    open_names = sorted(name for name in names if not isinstance(route.params.get(name), tuple))
    if open_names and not route.poll.topics:
        message = f"`always` does not know the values of `{open_names[0]}`; list them in `params:`, or add `topics:`"
        yield Finding(("poll", "while"), message)
        return
    for index, topic in enumerate(route.poll.topics):
        yield from (finding.below("poll", "topics") for finding in _check_topic(index, topic, names, route))
    count = _count_standing(path, route)
    if count > route.max_topics:
        message = f"`always` means {count} topics, and max_topics is {route.max_topics}; raise it"
        yield Finding(("poll", "while"), message)


def _count_standing(path: str, route: Route) -> int:
    """Count, not list: a few long lists have more combinations than fit into memory."""
    if route.poll.while_ != "always":
        return 0
    return len(route.poll.topics) or prod(len(route.params.get(name, ())) for name in placeholders(path))


def _check_topic(index: int, topic: dict[str, str], names: frozenset[str], route: Route) -> Iterator[Finding]:
    known = names | {name for name, rule in route.query.items() if rule != "drop"}
    for name in sorted(names - topic.keys()):
        yield Finding((index,), f"gives no value for `{name}`; add it")
    for name, value in topic.items():
        if name not in known:
            hint = did_you_mean(name, known) or "; remove it"
            yield Finding((index, name), f"is no parameter of the route{hint}", at_key=True)
        elif not _fits(name, value, route):
            yield Finding((index, name), f"`{value}` does not match the route's rule for `{name}`")


def _fits(name: str, value: str, route: Route) -> bool:
    if name in route.query:
        rule = route.query[name]
        return rule != "drop" and re.fullmatch(rule.pattern, value) is not None
    rule_of_path = route.params.get(name, "[^/]+")
    if isinstance(rule_of_path, tuple):
        return value in rule_of_path
    return is_safe_segment(value) and re.fullmatch(rule_of_path, value) is not None


def _check_auth(auth: tuple[str, ...] | None, names: Names) -> Iterator[Finding]:
    if auth is None and names["auth"]:
        yield Finding((), "says nothing about `auth`; name an entry of `auth:`, or say `auth: none`", at_key=True)
    for name in auth or ():
        if name not in names["auth"]:
            hint = did_you_mean(name, names["auth"]) or "; add it under `auth:`"
            yield Finding(("auth",), f"there is no auth `{name}`{hint}")


def _check_identity(route: Route) -> Iterator[Finding]:
    if route.auth:
        return
    if route.allow:
        yield Finding(("allow",), "nobody has claims without `auth`; name one", at_key=True)
    if not isinstance(route.share, str):
        yield Finding(("share",), "nobody has claims without `auth`; name one", at_key=True)


def _check_budget(route: Route, gateway: Gateway) -> Iterator[Finding]:
    """A budget that a single topic breaks is a mistake in one of the two."""
    names = dict.fromkeys(upstream_names(route.upstream, route.params))
    upstreams = [gateway.upstreams[name] for name in names if name in gateway.upstreams]
    for rate in dict.fromkeys(rate for upstream in upstreams for rate in upstream.budget.rate):
        poll = route.poll
        if poll.cron is not None:
            yield from _check_cron(poll, rate)
            continue
        adaptive = poll.adaptive
        key, interval = ("every", poll.every) if adaptive is None else ("adaptive", adaptive.every or adaptive.max)
        if interval * rate.per_second < 1:
            least = duration_text(ceil(1_000 / rate.per_second) / 1_000)
            message = f"{duration_text(interval)} breaks the budget {rate} with one topic; at least {least} fits"
            yield Finding(("poll", key), message)


def _check_cron(poll: Poll, rate: Rate) -> Iterator[Finding]:
    without_tries = polls_within(poll.model_copy(update={"retry": None}), rate)
    polls = polls_within(poll, rate)
    if without_tries > rate.count:
        message = f"fires {without_tries} times in {duration_text(rate.per)}, and the budget is {rate}; leave times out"
        yield Finding(("poll", "cron"), message)
    elif polls > rate.count:
        message = f"makes {polls} polls in {duration_text(rate.per)}, and the budget is {rate}; try less often"
        yield Finding(("poll", "retry", "every"), message)


def _check_paths(gateway: Gateway) -> Iterator[Finding]:
    """Paths must be distinguishable, and none may be where pushgate's own endpoints are."""
    seen: dict[str, str] = {}
    for path in gateway.entries:
        if f"{path}/".startswith(gateway.server.prefix):
            message = f"{gateway.server.prefix} is reserved for pushgate itself; choose another path or `server.prefix`"
            yield Finding(("routes", path), message, at_key=True)
        shape = unquote(PLACEHOLDER.sub("{}", path))
        if shape in seen:
            message = f"has the same shape as {seen[shape]}; a request could mean both"
            yield Finding(("routes", path), message, at_key=True)
        seen.setdefault(shape, path)
