"""The simulator behind ``python -m bench.staleness``."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest
from bench.staleness import GAP, PROCESSES, Process, compare, fixed, oracle, poll, recorded

from pushgate.schedules.scheduling import FixedRate


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_updates_come_in_order_and_once_a_minute(process: Process) -> None:
    """All processes have the same mean gap, so that their delays can be compared."""
    updates = process.updates(Random(1))
    assert updates == sorted(updates)
    assert updates[-1] / len(updates) == pytest.approx(GAP, rel=0.3)


@pytest.mark.parametrize("process", PROCESSES[:6], ids=lambda process: process.name)
def test_a_fixed_interval_has_the_delay_that_is_computed_for_it(process: Process) -> None:
    """Half the interval is the mean over the phases, and as many requests are made as said."""
    updates = process.updates(Random(2))
    starts = [GAP / 2 * n / 16 for n in range(16)]
    polled = [poll(FixedRate(GAP / 2, 0.0, now=start), updates, Random(3), start=start) for start in starts]
    computed = fixed(updates, requests=fmean(one.requests for one in polled))
    assert fmean(one.delay for one in polled) == pytest.approx(computed.delay, rel=0.02)


def test_the_oracle_waits_only_for_the_least_interval() -> None:
    """An update right after a poll is seen a second after that poll, together with others in that second."""
    seen = oracle([10.0, 10.5, 10.75, 20.0])
    assert seen.requests == 3 / 4
    assert seen.delay == pytest.approx((0 + 0.5 + 0.25 + 0) / 4)


def test_recorded_series_are_brought_to_the_same_pace() -> None:
    """What was recorded over days is polled as if it came once a minute."""
    updates = recorded([1000.0, 4600.0, 11_800.0], Random(1))
    assert updates == pytest.approx([60.0, 100.0, 180.0])


def test_the_same_seeds_give_the_same_numbers() -> None:
    """Every run of the bench prints the same table."""
    assert compare(PROCESSES[0], 2.0) == compare(PROCESSES[0], 2.0)


def test_a_rhythm_is_worth_a_factor_of_five() -> None:
    """On periodic updates with 5 % jitter the delay is at most a fifth of the fixed interval's."""
    for process in PROCESSES[:2]:
        row = compare(process, 2.0)
        assert row.ratio <= 0.2
        assert row.ours.requests <= 2.0 * 1.02
