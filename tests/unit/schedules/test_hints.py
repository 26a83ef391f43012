"""What an upstream says about its changes."""

from __future__ import annotations

import pytest

from pushgate.schedules.beats import Window
from pushgate.schedules.hints import Promises, Stamps
from pushgate.schedules.scheduling import Polled


def changed(at: float, *, stamp: float | None = None, fresh_for: float | None = None) -> Polled:
    return Polled(at, at, True, stamp, fresh_for)


def unchanged(at: float, *, stamp: float | None = None, fresh_for: float | None = None) -> Polled:
    return Polled(at, at, False, stamp, fresh_for)


def trusted() -> Stamps:
    stamps = Stamps()
    for n in range(3):
        stamps.see(changed(30.0 * n, stamp=30.0 * n - 10), begin=30.0 * (n - 1))
    return stamps


def test_a_stamp_that_agreed_three_times_is_believed() -> None:
    """From the third on, a change fell in the second that the upstream names, give or take a quarter."""
    stamps = Stamps()
    assert stamps.see(changed(30.0, stamp=21.0), begin=0.0) == Window(0.0, 30.0)
    assert stamps.see(changed(60.0, stamp=50.0), begin=30.0) == Window(30.0, 60.0)
    assert stamps.see(changed(90.0, stamp=75.0), begin=60.0) == Window(74.75, 76.25)


def test_a_stamp_never_widens_what_the_polls_know() -> None:
    """The window stays within the two polls."""
    assert trusted().see(changed(90.0, stamp=60.0), begin=60.5) == Window(60.5, 61.25)
    assert trusted().see(changed(90.0, stamp=89.5), begin=60.0) == Window(89.25, 90.0)


@pytest.mark.parametrize("stamp", [50.0, 200.0, None])
def test_a_stamp_that_the_polls_refute_is_not_believed(stamp: float | None) -> None:
    """The document was still the old one after that moment, or the moment is yet to come, or there is none."""
    assert trusted().see(changed(90.0, stamp=stamp), begin=60.0) == Window(60.0, 90.0)


def test_a_refuted_upstream_has_to_earn_trust_again() -> None:
    """One stamp that was wrong is enough; three that agree are needed."""
    stamps = trusted()
    stamps.see(changed(90.0, stamp=50.0), begin=60.0)
    assert stamps.see(changed(120.0, stamp=110.0), begin=90.0) == Window(90.0, 120.0)


def test_a_stamp_that_is_always_now_is_worthless() -> None:
    """Servers exist whose `Last-Modified` moves although nothing changes."""
    stamps = trusted()
    stamps.see(unchanged(90.0, stamp=90.0), begin=60.0)
    for n in range(4, 9):
        stamps.see(changed(30.0 * n, stamp=30.0 * n - 10), begin=30.0 * (n - 1))
    assert stamps.see(changed(300.0, stamp=290.0), begin=270.0) == Window(270.0, 300.0)


def test_a_stamp_as_good_as_now_proves_nothing() -> None:
    """Trust needs stamps that could have been wrong."""
    stamps = Stamps()
    for n in range(1, 9):
        stamps.see(changed(30.0 * n, stamp=30.0 * n), begin=30.0 * (n - 1))
    assert stamps.see(changed(300.0, stamp=280.0), begin=270.0) == Window(270.0, 300.0)


def kept() -> Promises:
    """Four promises, each followed by a change."""
    promises = Promises()
    for n in range(5):
        promises.see(changed(60.0 * n + 1, fresh_for=59.0))
        promises.see(unchanged(60.0 * n + 30, fresh_for=30.0))
    return promises


def test_promises_that_were_kept_four_times_are_believed() -> None:
    """A change came with the first poll after each, and none before."""
    assert Promises().until is None
    assert kept().until == 300.0


def test_a_change_before_the_time_breaks_all_promises() -> None:
    """An upstream that changes while it vouches is not believed."""
    promises = kept()
    promises.see(changed(280.0, fresh_for=20.0))
    assert promises.until is None


def test_freshness_that_nothing_follows_is_no_rhythm() -> None:
    """A constant max-age says when to ask again, not when something changes."""
    promises = kept()
    for n in range(3):
        promises.see(unchanged(301.0 + 61 * n, fresh_for=60.0))
    assert promises.until is None


def test_no_word_is_no_promise() -> None:
    """An answer without freshness is not vouched for, whatever was said before."""
    promises = kept()
    promises.see(changed(301.0))
    assert promises.until is None


def test_what_was_promised_before_a_nap_is_not_judged() -> None:
    """A change that was slept through neither keeps nor breaks a promise."""
    promises = kept()
    promises.wake()
    promises.see(unchanged(1000.0, fresh_for=30.0))
    assert promises.until == 1030.0
