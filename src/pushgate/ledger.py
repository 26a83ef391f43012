"""
What one route costs and brings, in numbers: added to where things happen, read when somebody asks.

Rule 1: to tell one client more costs an integer. Whoever tells many counts them, and says here how many it were.
Rule 2: what is saved is measured. When a topic is polled, each who follows it would have polled it too; and a short
poll that is answered with a document that was there would have been a request. What pushgate asks for beyond that,
while nobody follows a topic any more for instance, is taken off before anything more is saved.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal, TypeAlias

from .answers import Cost
from .happenings import Answered, Append, Command, Denied, Failed, Happening, Missing, Unchanged
from .values import EventKind, State, Transport

Outcome = Literal["changed", "unchanged", "not_modified", "held", "gone", "failed", "skipped"]

# From a loop that has nothing else to do, to what nobody calls live any more.
DELAYS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# From a lookup in memory to the slowest upstream that anybody waits for.
DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# From the grain of timers to a day's budget that was used up.
LAGS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0, 3600.0)

# From a few values to the largest answer that is read beside everything else, and beyond.
DIFFS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Tally:
    """A histogram of integers: many observations of one value cost as much as one. ``bounds`` rise."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0  # the sum of all values

    def add(self, value: float, times: int = 1) -> None:
        self._counts[bisect_left(self._bounds, value)] += times
        self.total += value * times

    def cumulated(self) -> Iterator[tuple[float, int]]:
        """Yield each bound, infinity last, with the number of values up to it."""
        return zip((*self._bounds, float("inf")), accumulate(self._counts), strict=True)


class Saving:
    """What clients would have made and pushgate has not: ``saved`` only rises, and debts are paid first."""

    __slots__ = ("_debt", "saved")

    def __init__(self) -> None:
        self.saved = 0.0
        self._debt = 0.0

    def add(self, would: float, made: float) -> None:
        """Take account of what clients would have made by themselves, and of what was made for all of them."""
        balance = would - made - self._debt
        self.saved += max(balance, 0.0)
        self._debt = max(-balance, 0.0)


Told: TypeAlias = tuple[Transport, EventKind]


class Ledger:
    """The numbers of one route; ``Metrics`` shows them, and the dashboard."""

    __slots__ = (
        *(
            "bytes_saved",
            "changed_at",
            "changes",
            "conflations",
            "delays",
            "deliveries",
            "diffs",
            "durations",
            "failures",
            "keyless",
            "lags",
            "polls",
        ),
        *("rejected", "requests_saved", "route", "seconds", "sent_bytes", "subscribers"),
    )

    def __init__(self, route: str) -> None:
        self.route = route
        self.polls: Counter[Outcome] = Counter()
        self.lags = Tally(LAGS)  # of polls, behind their time
        self.durations = Tally(DURATIONS)  # of polls that reached the upstream
        self.diffs = Tally(DIFFS)  # to read an answer and to find what it changes
        self.failures: Counter[str] = Counter()  # by reason
        self.changes = 0
        self.changed_at: float | None = None  # seconds since the epoch
        self.rejected = 0  # patches that failed their proof
        self.keyless = 0  # arrays that had to be compared by index
        self.subscribers: Counter[Transport] = Counter()  # now
        self.deliveries: Counter[Told] = Counter()
        self.sent_bytes: Counter[Transport] = Counter()
        self.conflations: Counter[Transport] = Counter()
        self.delays = Tally(DELAYS)  # from the upstream's answer to a client's socket
        self.seconds: dict[State, float] = {}  # that topics were wanted, and in this state
        self.requests_saved = Saving()
        self.bytes_saved = Saving()

    def changed(self, *, at: float, keyless: int = 0) -> None:
        self.changes += 1
        self.changed_at = at
        self.keyless += keyless

    def told(
        self, transport: Transport, kind: EventKind, *, size: int, count: int = 1, delay: float | None = None
    ) -> None:
        """
        Count an event that ``count`` clients got, in so many bytes each.

        ``delay``: how long after the upstream's answer; None if it was told late because the client came late.
        """
        self.deliveries[transport, kind] += count
        self.sent_bytes[transport] += size * count
        if delay is not None:
            self.delays.add(max(delay, 0.0), count)

    def polled(self, cost: Cost, *, followers: int) -> None:
        """Count what a poll cost, and what it would have cost if all who follow the topic had polled by themselves."""
        self.requests_saved.add(followers * cost.requests, cost.requests / cost.sharers)
        self.bytes_saved.add(followers * cost.bytes, cost.bytes)

    def spared(self, size: int) -> None:
        """Count a request that was answered with what was there; ``size``: of the upstream's answer, in bytes."""
        self.requests_saved.add(1, 0)
        self.bytes_saved.add(size, 0)


@dataclass(frozen=True, slots=True)
class Mention:
    """An event that an answer to a poll tells, in so many bytes; ``at``: when the upstream's answer was read."""

    ledger: Ledger
    kind: EventKind
    size: int
    at: float

    def count(self, transport: Transport, *, now: float | None = None) -> None:
        """Count it as told; ``now``: since the epoch, if the client was waiting for it."""
        delay = None if now is None else now - self.at
        self.ledger.told(transport, self.kind, size=self.size, delay=delay)


class Account:
    """What is added to the ledger of its route for one topic. All times in monotonic seconds."""

    __slots__ = ("_until", "ledger", "size")

    def __init__(self, ledger: Ledger, *, now: float) -> None:
        self.ledger = ledger
        self.size = 0  # of the latest answer that had a body, in bytes
        self._until = now  # what came before is added

    def spend(self, state: State, *, until: float, now: float) -> None:
        """Add the time since the last account, as far as the topic was wanted (``until``), to its state."""
        if until > self._until:
            seconds = self.ledger.seconds
            seconds[state] = seconds.get(state, 0.0) + until - self._until
        self._until = now

    def polled(self, cost: Cost, *, followers: int) -> None:
        self.size = cost.bytes or self.size  # a 304 has none
        self.ledger.polled(cost, followers=followers)

    def spared(self, *, with_body: bool) -> None:
        """Count a short poll that was answered with what was there."""
        self.ledger.spared(self.size if with_body else 0)


def outcome_of(event: Happening, commands: Sequence[Command]) -> Outcome:
    """Say what a poll came to. ``commands``: what its topic made of it."""
    match event:
        case Failed(is_skipped=True):
            return "skipped"
        case Failed() | Denied():
            return "failed"
        case Missing():
            return "gone"
        case Unchanged(not_modified=True):
            return "not_modified"
        case Answered() if event.doubt is not None and not any(isinstance(one, Append) for one in commands):
            return "held"
        case _:
            return "changed" if any(isinstance(command, Append) for command in commands) else "unchanged"
