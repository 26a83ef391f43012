"""
What a configuration will ask of its upstreams, held against their budgets: the arithmetic of ``pushgate plan``.

Rule 1: everything is per upstream and as that sees it: replicas that do not share a store poll each for itself, and
keep to the budget each for itself.
Rule 2: what is asked is a range, as ``config.demand`` says; a budget fits if its upper end does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..config.demand import NOTHING, Demand, Range, demands
from ..config.gateway import Gateway
from ..quantities import Rate

# How a budget and what is asked go together. ``may stretch``, ``may fail``: at the upper end of the range only.
# ``exceeds``: the replicas together ask more than the budget says, because each of them keeps to all of it.
Verdict = Literal["fits", "may stretch", "stretches", "may fail", "fails", "exceeds"]

# Sums of intervals are wrong in their last digits; a budget that is met exactly fits.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Window:
    """One rate. ``asked``: requests in its time; ``stretch``: how many times as long intervals get at most."""

    rate: Rate
    asked: Range
    stretch: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Load:
    """What one upstream has to bear of all replicas together: requests per second, by route and in all."""

    upstream: str
    demands: tuple[Demand, ...]
    requests: Range
    windows: tuple[Window, ...]

    @property
    def fits(self) -> bool:
        return all(window.verdict == "fits" for window in self.windows)


def plan(gateway: Gateway, *, topics: Mapping[str, int], replicas: int) -> list[Load]:
    """
    Return what each upstream has to bear, in the order of the file.

    ``topics``: how many topics routes have, where they do not list them; the others are taken to have as many as they
    may. Views and routes of other upstreams cost an upstream nothing.
    """
    pollers = replicas if gateway.store.kind == "memory" else 1
    asked = list(demands(gateway, topics))
    return [_load(name, gateway, [demand for demand in asked if demand.upstream == name], pollers)
            for name in gateway.upstreams]  # fmt: skip


def _load(name: str, gateway: Gateway, asked: list[Demand], pollers: int) -> Load:
    of_one = sum((demand.requests for demand in asked), NOTHING)
    budget = gateway.upstreams[name].budget
    windows = tuple(_window(rate, of_one, pollers, budget.spent) for rate in budget.rate)
    of_all = tuple(replace(demand, requests=demand.requests.times(pollers)) for demand in asked)
    return Load(name, of_all, of_one.times(pollers), windows)


def _window(rate: Rate, of_one: Range, pollers: int, spent: Literal["stretch", "fail"]) -> Window:
    asked = of_one.times(rate.per)
    stretch = max(1.0, asked.most / rate.count)
    limit = rate.count * (1 + ROUNDING)
    verdict: Verdict
    if asked.least > limit:
        verdict = "stretches" if spent == "stretch" else "fails"
    elif asked.most > limit:
        verdict = "may stretch" if spent == "stretch" else "may fail"
    else:
        verdict = "fits"
    if pollers > 1 and min(asked.most, rate.count) * pollers > limit:
        verdict = "exceeds"
    return Window(rate, asked.times(pollers), stretch, verdict)
