"""``pushgate plan``: how many requests the upstreams will get, and whether their budgets bear it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, assert_never

import typer

from .arguments import Output
from .completion import complete_demand
from .configuration import ConfigFile, require_config
from .table import table

if TYPE_CHECKING:
    from ..config import Gateway
    from ..config.demand import Demand, Range
    from ..tools.planning import Load, Window


def plan(
    file: ConfigFile = "gateway.yaml",
    topics: Annotated[
        list[str] | None,
        typer.Option(
            "--topics",
            metavar="ROUTE=N",
            help="How many topics of a route are followed; may be repeated.",
            autocompletion=complete_demand,
        ),
    ] = None,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="How many gateways run.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 unless every budget fits.")] = False,
    output: Output = "text",
) -> None:
    """
    Print how many requests upstreams get, against their budgets.

    That is the requests per second that each gets at most, by route.

    A route that lists the values of its parameters has as many topics as they make. Any other is taken to have as many
    as it may (max_topics), which is seldom so: say how many you expect.

        pushgate plan
        pushgate plan --topics '/quotes/{symbol}=200' --replicas 3

        # in CI: not one request more than the budgets allow
        pushgate plan --strict --output json

    A range such as 0.2-4 runs from what is asked in any case to what is asked at most: adaptive intervals, pages, and
    second tries at cron times make it. Views cost nothing, and so do listeners, however many.

    Replicas with `store: memory` poll each for itself, and each keeps to the whole budget: divide it by their number.
    """
    from ..tools.planning import plan as reckon

    gateway = require_config(file)
    loads = reckon(gateway, topics=_numbers(topics or [], gateway), replicas=replicas)
    if output == "json":
        print(json.dumps(_document(loads, replicas), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_text(loads, replicas)))
    if strict and not all(load.fits for load in loads):
        raise typer.Exit(1)


def _numbers(texts: Sequence[str], gateway: Gateway) -> dict[str, int]:
    """Read ``ROUTE=N``; what is no route, or more than it may have, is a wrong command line."""
    from ..config.finding import did_you_mean

    numbers: dict[str, int] = {}
    for text in texts:
        path, _, number = text.rpartition("=")
        if not (number.isascii() and number.isdigit()):
            raise typer.BadParameter(f"`{text}` must be a route and a number, as in '/quotes/{{symbol}}=200'")
        if path in gateway.views:
            raise typer.BadParameter(f"{path} is a view and costs nothing; name the route that polls")
        if path not in gateway.routes:
            raise typer.BadParameter(f"there is no route `{path}`{did_you_mean(path, gateway.routes)}")
        limit = gateway.routes[path].max_topics
        if int(number) > limit:
            raise typer.BadParameter(f"{path} has at most {limit} topics (max_topics)")
        numbers[path] = int(number)
    return numbers


# As text: one table of routes and one of rates for each upstream.


def _text(loads: Sequence[Load], replicas: int) -> Iterator[str]:
    for load in loads:
        yield f"upstream {load.upstream}: {_range(load.requests)} requests per second"
        if load.demands:
            rows = [_route_row(demand, load) for demand in load.demands]
            yield from _table(("route", "topics", "polled every", "requests/s"), rows)
        if load.windows:
            yield from _table(("budget", "asked", ""), [_budget_row(window, replicas) for window in load.windows])
        yield ""
    if any(demand.source == "max_topics" for load in loads for demand in load.demands):
        yield "* as many topics as may be (max_topics); say how many you expect: --topics 'ROUTE=N'"
    yield "every budget fits" if all(load.fits for load in loads) else "not every budget fits"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for line in table((head, *rows), width=None, giving_way=()):
        yield f"  {line}"


def _route_row(demand: Demand, load: Load) -> tuple[str, ...]:
    assumed = "*" if demand.source == "max_topics" else ""
    return demand.route, f"{demand.topics}{assumed}", _pace(demand, load), _range(demand.requests)


def _pace(demand: Demand, load: Load) -> str:
    """Say when a topic of the route is polled, and what the budget makes of that."""
    from ..quantities import duration_text

    shares = [w.share for w in load.windows if w.share is not None and w.verdict in ("stretches", "may stretch")]
    asked = demand.requests.most / demand.askers if demand.askers else 0.0
    stretch = asked / min(shares, default=asked or 1.0)
    if stretch <= 1:
        return demand.pace
    if demand.pace != duration_text(demand.interval):  # it varies
        return f"{demand.pace} → {_number(stretch)} times that"
    return f"{demand.pace} → {_seconds(demand.interval * stretch)}"


def _budget_row(window: Window, replicas: int) -> tuple[str, ...]:
    unit = str(window.rate).partition("/")[2]
    return str(window.rate), f"{_range(window.asked)}/{unit}", _verdict(window, replicas)


def _verdict(window: Window, replicas: int) -> str:
    failing = f"{1 - 1 / window.excess:.0%} of the polls"
    match window.verdict:
        case "fits":
            return f"fits: {window.asked.most / window.rate.count:.0%} of it"
        case "stretches":
            return f"{_number(window.excess)} times as much: intervals stretch, {_turns(window)}"
        case "may stretch":
            return f"up to {_number(window.excess)} times as much: intervals may stretch, {_turns(window)}"
        case "fails":
            return f"up to {failing} fail"
        case "may fail":
            return f"{failing} may fail"
        case "exceeds":
            return f"can be exceeded: each of {replicas} replicas keeps to all of it; divide it by {replicas}"
        case _:
            assert_never(window.verdict)


def _turns(window: Window) -> str:
    assert window.share is not None, "what stretches is shared"
    return f"to a turn every {_seconds(1 / window.share)} for each topic"


def _seconds(seconds: float) -> str:
    from ..quantities import duration_text

    return duration_text(round(seconds)) if seconds >= 60 else f"{seconds:.3g}s"


def _range(requests: Range) -> str:
    least, most = _number(requests.least), _number(requests.most)
    return most if least == most else f"{least}-{most}"


def _number(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


# As JSON.


def _document(loads: Sequence[Load], replicas: int) -> dict[str, Any]:
    return {"replicas": replicas, "fits": all(load.fits for load in loads), "upstreams": list(map(_record, loads))}


def _record(load: Load) -> dict[str, Any]:
    routes = [
        {
            "route": demand.route,
            "topics": demand.topics,
            "topics_from": demand.source,
            "polled_every": demand.pace,
            "requests_per_second": _limits(demand.requests),
        }
        for demand in load.demands
    ]
    budget = [
        {
            "rate": str(window.rate),
            "asked": _limits(window.asked),
            "allowed": window.rate.count,
            "verdict": window.verdict,
            "excess": window.excess,
            "share_per_second": window.share,
        }
        for window in load.windows
    ]
    requests = _limits(load.requests)
    return {"upstream": load.upstream, "requests_per_second": requests, "routes": routes, "budget": budget}


def _limits(requests: Range) -> dict[str, float]:
    return {"least": requests.least, "most": requests.most}
