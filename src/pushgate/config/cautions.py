"""What works, and is worth a second thought: the warnings of ``pushgate check``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..quantities import duration_text
from .carriers import caution_carriers
from .demand import Demand, demands
from .finding import Finding
from .gateway import Gateway
from .hidden import Hidden
from .upstreams import Budget

_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


def caution(gateway: Gateway) -> Iterator[Finding]:
    """Yield what is worth a warning."""
    yield from _same_requests(gateway)
    yield from _credentials_in_clear(gateway)
    yield from _budgets(gateway)
    yield from _open_writes(gateway)
    yield from _shares(gateway)
    yield from caution_carriers(gateway)


def _same_requests(gateway: Gateway) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for path, route in gateway.routes.items():
        request = route.request.model_copy(update={"path": route.request.path or path})
        # A dict with its members in the file's order is not hashable; its repr is, but hides what differs.
        asked = repr((route.upstream, [(name, _clear(value)) for name, value in request]))
        if asked in first:
            message = f"asks the same as route {first[asked]}; one route costs the upstream half the requests"
            yield Finding(("routes", path), message, at_key=True)
        first.setdefault(asked, path)


def _clear(value: object) -> object:
    match value:
        case dict():
            return sorted((name, repr(_clear(inner))) for name, inner in value.items())
        case list():
            return [_clear(inner) for inner in value]
        case Hidden():
            return str.__str__(value)
        case _:
            return value


def _credentials_in_clear(gateway: Gateway) -> Iterator[Finding]:
    for name, upstream in gateway.upstreams.items():
        url = urlsplit(upstream.url)
        if url.scheme != "http" or _LOOPBACK.fullmatch(url.hostname or ""):
            continue
        secrets = [("headers", header) for header, value in upstream.headers.items() if isinstance(value, Hidden)]
        if upstream.credentials.kind != "none":
            secrets.append(("credentials", "kind"))
        for path in secrets:
            message = "travels without TLS, readable on the way; use https"
            yield Finding(("upstreams", name, *path), message, at_key=True)


def _budgets(gateway: Gateway) -> Iterator[Finding]:
    asked: dict[str, list[Demand]] = {name: [] for name in gateway.upstreams}
    for demand in demands(gateway):
        asked[demand.upstream].append(demand)
    for name, upstream in gateway.upstreams.items():
        yield from (finding.below("upstreams", name, "budget") for finding in _without_effect(upstream.budget))
        if upstream.budget.rate:
            yield from _tight(name, upstream.budget, asked[name])
            yield from _many_pages(gateway, upstream.budget, asked[name])


def _without_effect(budget: Budget) -> Iterator[Finding]:
    """What is said in vain."""
    if not budget.rate and budget.burst > 1:
        yield Finding(("burst",), "has no effect without `rate`; add one", at_key=True)
    if budget.rate and budget.burst > (most := max(rate.count for rate in budget.rate)):
        yield Finding(("burst",), f"{budget.burst} never leave at once; the rates let out {most} at most")
    if not budget.rate and budget.concurrency is None and budget.spent == "fail":
        yield Finding(("spent",), "has no effect without `rate` or `concurrency`; add one", at_key=True)


def _tight(name: str, budget: Budget, asked: list[Demand]) -> Iterator[Finding]:
    """More topics than fit: how many do, and what becomes of the others."""
    rate = min(budget.rate, key=lambda rate: rate.per_second)
    outcome = "intervals stretch" if budget.spent == "stretch" else "polls fail"
    fixed = sum(demand.requests.least for demand in asked if demand.source == "listed")
    room = rate.per_second - fixed
    open_ended = [demand for demand in asked if demand.source != "listed"]
    if _is_less(room, 0.0):
        message = (
            f"the routes' listed topics alone ask {fixed / rate.per_second:.3g} times as much as {rate}; {outcome}"
        )
        yield Finding(("upstreams", name, "budget", "rate"), message)
    elif _is_less(room, sum(demand.requests.least for demand in open_ended)):
        fits = [(demand, _fitting(demand, room)) for demand in open_ended]
        if len(fits) == 1:
            demand, number = fits[0]
            message = f"{rate} of upstream {name} fits {number} topics at {_pace(demand)}; above that {outcome}"
            yield Finding(("routes", demand.route), message, at_key=True)
        else:
            either = ", or ".join(f"{number} topics of {demand.route} at {_pace(demand)}" for demand, number in fits)
            yield Finding(("upstreams", name, "budget", "rate"), f"{rate} fits {either}; above that {outcome}")


def _fitting(demand: Demand, room: float) -> int:
    """Return how many topics of a route fit into so many requests per second."""
    return int(room / demand.per_topic.least * (1 + 1e-9))


def _is_less(number: float, other: float) -> bool:
    """Whether it is less by more than sums of intervals are wrong."""
    return number < other - 1e-9 * max(abs(number), abs(other), 1e-9)


def _pace(demand: Demand) -> str:
    return demand.pace if demand.pace.startswith("cron") else duration_text(demand.interval)


def _many_pages(gateway: Gateway, budget: Budget, asked: list[Demand]) -> Iterator[Finding]:
    """A document of as many pages as it may have takes longer to fetch than the route's interval."""
    for demand in asked:
        pages = gateway.routes[demand.route].pages
        if pages is None or pages.max == 1:
            continue
        rate = min(budget.rate, key=lambda rate: rate.per_second)
        seconds = pages.max / rate.per_second
        if _is_less(demand.interval, seconds):
            message = f"takes {duration_text(seconds)} at {rate} if there are {pages.max} pages (max), for one topic"
            yield Finding(("routes", demand.route, "pages"), message, at_key=True)


def _open_writes(gateway: Gateway) -> Iterator[Finding]:
    """Who writes as itself is the upstream's business; who writes as pushgate is ours."""
    for path, route in gateway.routes.items():
        is_caller = route.share == "identity" and (route.forward.headers or route.forward.cookies)
        if route.write and route.auth is None and not is_caller:
            words = "anybody who reaches pushgate may write, and as pushgate: nobody is asked who they are"
            remedy = "`forward` what tells who they are, with `share: identity`, or say `auth: none` if you mean it"
            yield Finding(("routes", path, "write"), f"{words}; {remedy}", at_key=True)


def _shares(gateway: Gateway) -> Iterator[Finding]:
    """Whether one client can be told from another."""
    server, limits = gateway.server, gateway.server.limits
    if limits.per_address is not None and not server.trusted_proxies:
        message = (
            "counts only clients with public addresses unless there are `trusted_proxies`: any other may be a proxy "
            "that many share; name your proxies there, or 127.0.0.1 if there is none"
        )
        yield Finding(("server", "limits", "per_address"), message, at_key=True)
    for network in server.trusted_proxies:
        if network.endswith("/0"):
            message = f"`{network}` is everybody, who may then say to be anywhere; name your proxies"
            yield Finding(("server", "trusted_proxies"), message, at_key=True)
    for key in ("per_principal", "topics_per_principal"):
        if getattr(limits, key) is not None and not gateway.auth:
            message = "has no effect without `auth:`; nobody is asked who they are"
            yield Finding(("server", "limits", key), message, at_key=True)
