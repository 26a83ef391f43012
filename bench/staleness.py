"""
How late changes are seen for how many requests: ``python -m bench.staleness``; simulated, nothing is sent anywhere.

An update is seen by the first poll at or after it; its delay is the time until then. A fixed interval is compared with
the adaptive schedule (learning included, from the first poll on) and with an oracle that knows every update and polls
right then. All keep the least interval between two polls.

The fixed interval's delay is half of it: that is the mean over all phases, whatever the updates do. The adaptive
schedule is given the same interval as ``every``, which is the mean interval that it may spend, and what it is compared
with is the fixed interval that makes as many requests as intended or as it made itself, whichever are more. The numbers
depend on nothing but the seeds.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random  # noqa: TID251 - the seeds are the point: every run gives the same numbers
from statistics import fmean

from pushgate.schedules.adapting import Adaptive
from pushgate.schedules.scheduling import Polled, Schedule

from .table import Figure, Finding, NotMeasured, table

GAP = 60.0  # seconds between two updates, on average
LEAST, LONGEST = 1.0, 600.0
PER_UPDATE = (1.5, 2.0, 4.0)  # requests
SEEDS = 4
UPDATES = 1_000
DAYS = 5

DAY = 86_400.0
SHARED = Path(__file__).parents[2] / "shared" / "realdata"

# Of what a fixed interval has: a fifth where there is a rhythm; anything less where changes come in bursts or by day;
# and where there is nothing to know, what looking for it may cost. The budget holds in the long run, and 1,000 updates
# that may end within a burst are not that long.
PERIODIC, LESS, POISSON, REQUESTS = 0.2, 1.0, 1.05, 1.03


@dataclass(frozen=True, slots=True)
class Process:
    """How an upstream updates: from a source of chance to the times of its updates, in seconds."""

    name: str
    updates: Callable[[Random], list[float]]
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What polling came to: requests per update, and the mean delay in seconds."""

    requests: float
    delay: float


# The processes.


def clocked(chance: Random, stray: Callable[[Random], float]) -> list[float]:
    """Updates by a clock that keeps time, from which each strays by itself (independent jitter)."""
    return sorted(GAP * (n + 1 + stray(chance)) for n in range(UPDATES))


def drifting(chance: Random, stray: Callable[[Random], float]) -> list[float]:
    """Updates of which each comes a period after the one before, so that what strays adds up (cumulative jitter)."""
    return sums(GAP * (1 + stray(chance)) for _ in range(UPDATES))


def poisson(chance: Random) -> list[float]:
    return sums(chance.expovariate(1 / GAP) for _ in range(UPDATES))


def bursty(chance: Random, *, size: float, within: float) -> list[float]:
    """Bursts of ``size`` updates on average, ``within`` mean gaps apart; the quiet between them is exponential too."""
    quiet = size - (size - 1) * within
    return sums(chance.expovariate(1 / GAP) * (quiet if chance.random() < 1 / size else within) for _ in range(UPDATES))


def daily(chance: Random, *, swing: float) -> list[float]:
    """A Poisson process whose rate goes up and down by ``swing`` (1: down to nothing) once a day."""
    highest = (1 + swing) / GAP
    candidates = sums(chance.expovariate(highest) for _ in range(int(DAYS * DAY * highest)))
    return [t for t in candidates if chance.random() * (1 + swing) < 1 + swing * math.sin(2 * math.pi * t / DAY)]


def even(chance: Random) -> float:
    """5 % jitter: evenly distributed from -5 % to 5 %."""
    return chance.uniform(-0.05, 0.05)


def normal(chance: Random) -> float:
    """A harder 5 %: normally distributed with that standard deviation."""
    return chance.gauss(0.0, 0.05)


def sums(gaps: Iterator[float]) -> list[float]:
    now = 0.0
    return [now := now + gap for gap in gaps]


def recorded(times: list[float], _: Random) -> list[float]:
    """The updates of a recorded series, at a pace at which their mean gap is the others'."""
    scale = GAP * (len(times) - 1) / (times[-1] - times[0])
    return [GAP + (t - times[0]) * scale for t in times]


PROCESSES = (
    Process("periodic, independent jitter", lambda chance: clocked(chance, even), PERIODIC),
    Process("periodic, cumulative jitter", lambda chance: drifting(chance, even), PERIODIC),
    Process("periodic, independent, normal", lambda chance: clocked(chance, normal), PERIODIC),
    Process("periodic, cumulative, normal", lambda chance: drifting(chance, normal), PERIODIC),
    Process("Poisson", poisson, POISSON),
    Process("bursts of 8, a tenth apart", lambda chance: bursty(chance, size=8, within=0.1), LESS),
    Process("bursts of 20, a 50th apart", lambda chance: bursty(chance, size=20, within=0.02), LESS),
    Process("bursts of 4, a third apart", lambda chance: bursty(chance, size=4, within=0.33), LESS),
    Process("daily, up and down by 90 %", lambda chance: daily(chance, swing=0.9), LESS),
    Process("daily, up and down by 50 %", lambda chance: daily(chance, swing=0.5), LESS),
)


def recordings() -> Iterator[Process]:
    """The recorded series, if they are here. What is known of an update is when the recorder saw it."""
    for index in sorted(SHARED.glob("*/index.csv")):
        with index.open(newline="") as lines:
            rows = [(row["observed_utc"], row["sha256_16"]) for row in csv.DictReader(lines)]
        seen = [at for (_, before), (at, body) in pairwise(rows) if body != before]
        times = [datetime.fromisoformat(at).timestamp() for at in seen]
        if len(times) >= 100:
            yield Process(f"recorded: {index.parent.name} ({len(times)})", partial(recorded, times))


# Polling them.


def poll(schedule: Schedule, updates: list[float], chance: Random, *, start: float) -> Outcome:
    """Poll from ``start`` until the last update has been seen; answers take no time."""
    now, seen, requests, delay = start, 0, 0, 0.0
    while seen < len(updates):
        until = bisect_right(updates, now, seen)
        delay += sum(now - update for update in updates[seen:until])
        polled = Polled(began_at=now, ended_at=now, has_changed=until > seen)
        seen, requests = until, requests + 1
        now = schedule.next(polled, now=now, wall=now, chance=chance.random()).when
    return Outcome(requests / len(updates), delay / len(updates))


def oracle(updates: list[float]) -> Outcome:
    """Poll right at each update, or as soon after it as the least interval allows."""
    last, delay, requests = -math.inf, 0.0, 0
    for update in updates:
        if update > last:
            last, requests = max(update, last + LEAST), requests + 1
        delay += last - update
    return Outcome(requests / len(updates), delay / len(updates))


def fixed(updates: list[float], *, requests: float) -> Outcome:
    """The mean over all phases of the interval that makes so many requests per update."""
    return Outcome(requests, updates[-1] / (requests * len(updates)) / 2)


@dataclass(frozen=True, slots=True)
class Row:
    """One process at one number of requests; means over the seeds."""

    process: Process
    intended: float | None  # requests per update; None: as the schedule likes, without ``every``
    fixed: Outcome
    ours: Outcome
    oracle: Outcome

    @property
    def ratio(self) -> float:
        return self.ours.delay / self.fixed.delay

    def cells(self) -> list[str]:
        intended = "-" if self.intended is None else f"{self.intended:.1f}"
        numbers = (self.fixed.delay, self.ours.requests, self.ours.delay, self.oracle.requests, self.oracle.delay)
        return [self.process.name, intended, *(f"{number:.2f}" for number in numbers), f"{self.ratio:.3f}"]


HEADINGS = ["updates", "requests", "fixed: delay", "ours: requests", "delay", "oracle: requests", "delay", "ours/fixed"]


def compare(process: Process, intended: float | None) -> Row:
    ours, rivals, oracles = [], [], []
    for seed in range(SEEDS):
        chance = Random(f"{process.name}/{seed}")
        updates = process.updates(chance)
        every = None if intended is None else updates[-1] / len(updates) / intended
        schedule = Adaptive(minimum=LEAST, maximum=LONGEST if every else GAP, every=every, now=0.0)
        outcome = poll(schedule, updates, chance, start=GAP * chance.random())
        ours.append(outcome)
        rivals.append(fixed(updates, requests=max(outcome.requests, intended or 0.0)))
        oracles.append(oracle(updates))
    return Row(process, intended, mean(rivals), mean(ours), mean(oracles))


def mean(outcomes: list[Outcome]) -> Outcome:
    return Outcome(fmean(one.requests for one in outcomes), fmean(one.delay for one in outcomes))


def compare_all() -> Iterator[Row]:
    for process in (*PROCESSES, *recordings()):
        for intended in (*PER_UPDATE, None):
            yield compare(process, intended)


# What came of it.


def measure() -> Iterator[Finding]:
    rows = []
    for row in compare_all():
        rows.append(row)
        yield figure(row)
    if not any(True for _ in recordings()):
        yield NotMeasured("staleness", "recorded updates", "the recorded series are not beside the project")
    spent = max(rows, key=lambda row: row.ours.requests / row.intended if row.intended and row.process.target else 0)
    assert spent.intended is not None, "the rows with a target are first"
    what = "requests, to what was intended, at most"
    yield Figure("staleness", what, spent.ours.requests / spent.intended, "x", REQUESTS, spent.process.name)


def figure(row: Row) -> Figure:
    by = "by min and max alone" if row.intended is None else f"at {row.intended:g} requests per update"
    note = f"{row.ours.delay:.2f}s to {row.fixed.delay:.2f}s, {row.ours.requests:.2f} requests per update"
    target = None if row.intended is None else row.process.target
    return Figure("staleness", f"{row.process.name}: delay {by}, to fixed", row.ratio, "x", target, note)


def main() -> None:
    seen: list[Row] = []
    for row in compare_all():
        print(".", end="", flush=True)
        seen.append(row)
    lines = [HEADINGS, *(row.cells() for row in seen)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    print("\n")
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print(line[0].ljust(widths[0]), *cells, sep="  ")
    targets = [one for one in map(figure, seen) if one.target is not None]
    print(f"\n{table(one for one in targets if not one.is_met)}" if not all(one.is_met for one in targets) else "")
    print(f"{sum(bool(one.is_met) for one in targets)} of {len(targets)} targets met")


if __name__ == "__main__":
    main()
