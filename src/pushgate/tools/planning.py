"""
What a configuration will ask of its upstreams, held against their budgets: the arithmetic of ``pushgate plan``.

Rule 1: everything is per upstream and as that sees it: replicas that do not share a store poll each for itself, and
keep to the budget each for itself.
Rule 2: what is asked is a range, as ``config.demand`` says; a budget fits if its upper end does.
Rule 3: what does not fit is shared as the gate shares it: every topic gets its turn as often as every other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """
    One rate. ``asked``: requests in its time; ``excess``: how many times as many as there may be, at most.

    ``share``: the requests per second that a topic gets at most; None: as many as it asks.
    """

    rate: Rate
    asked: Range
    excess: float
    share: float | None
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
    windows = tuple(_window(rate, of_one, asked, pollers, budget.spent) for rate in budget.rate)
    of_all = tuple(replace(demand, requests=demand.requests.times(pollers)) for demand in asked)
    return Load(name, of_all, of_one.times(pollers), windows)


def fair_share(demands: Sequence[Demand], *, per_second: float) -> float | None:
    """
    Return how many requests per second each topic gets where there are turns for so many; None: what it asks.

    Turns go round, so whoever asks for less than its share gets that, and the others share the rest: max-min fairness.
    """
    asking = sorted((demand.requests.most / demand.askers, demand.askers) for demand in demands if demand.askers)
    waiting, left = sum(askers for _, askers in asking), per_second
    for asked, askers in asking:
        if asked * waiting > left * (1 + ROUNDING):
            return left / waiting
        waiting, left = waiting - askers, left - asked * askers
    return None


def _window(
    rate: Rate, of_one: Range, demands: Sequence[Demand], pollers: int, spent: Literal["stretch", "fail"]
) -> Window:
    asked = of_one.times(rate.per)
    excess = max(1.0, asked.most / rate.count)
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
    return Window(rate, asked.times(pollers), excess, fair_share(demands, per_second=rate.per_second), verdict)
