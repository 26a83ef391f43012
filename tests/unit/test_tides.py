"""How much happens on a route, in samples."""

from __future__ import annotations

import pytest

from pushgate.tides import FEWEST_SAMPLES, MOST_SAMPLES, Figures, Tide, Tides, in_milliseconds, quantile

INFINITE = float("inf")


def delays(*counts: int) -> tuple[tuple[float, int], ...]:
    return tuple(zip((0.01, 0.1, INFINITE), counts, strict=True))


def test_a_sample_is_what_has_happened_since_the_one_before() -> None:
    tides = Tides()
    tides.take({"/a": Figures(polls=3, changes=1, requests_saved=10.4, subscribers=2)})
    tides.take({"/a": Figures(polls=8, changes=1, requests_saved=12.6, subscribers=1)})
    sample = tides.of("/a").sample
    assert (sample["polls"], sample["changes"], sample["saved"], sample["subscribers"]) == (5, 0, 2, 1)
    assert tides.past()["number"] == 2
    routes = tides.past()["routes"]
    assert isinstance(routes, dict)
    assert routes["/a"]["polls"] == [3, 5]


def test_a_minute_is_the_latest_one_or_what_there_is_of_it() -> None:
    tide = Tide(MOST_SAMPLES)
    assert tide.per_minute("polls") == 0
    tide.take(Figures(polls=5))
    assert tide.per_minute("polls") == 60
    for polls in range(5, 5 + 20):
        tide.take(Figures(polls=polls))
    assert tide.per_minute("polls") == 12


def test_a_delay_is_that_of_the_latest_deliveries() -> None:
    tide = Tide(MOST_SAMPLES)
    tide.take(Figures(delays=delays(100, 100, 100)))
    assert tide.sample["delay"] == 9.5
    tide.take(Figures(delays=delays(100, 200, 200)))
    assert tide.sample["delay"] == 95.5
    tide.take(Figures(delays=delays(100, 200, 200)))
    assert tide.sample["delay"] is None
    assert tide.delay(0.5) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("counts", "fraction", "value"),
    [((0, 0, 0), 0.5, None), ((10, 10, 10), 0.5, 0.005), ((0, 10, 10), 0.5, 0.055), ((0, 0, 4), 0.95, 0.1)],
)
def test_a_quantile_lies_within_its_bucket(counts: tuple[int, ...], fraction: float, value: float | None) -> None:
    """Where an even spread would have it; what is beyond the last bound is told as that."""
    found = quantile(delays(*counts), fraction)
    assert found == (None if value is None else pytest.approx(value))


def test_nothing_was_delivered_by_nobody() -> None:
    assert quantile((), 0.5) is None


def test_with_many_routes_each_has_a_shorter_past() -> None:
    """So that all of them together never take much memory."""
    tides = Tides()
    for _ in range(MOST_SAMPLES + 5):
        tides.take({"/a": Figures()})
    assert len(tides.of("/a").series["polls"]) == MOST_SAMPLES
    tides.take({f"/{number}": Figures() for number in range(400)} | {"/a": Figures()})
    assert tides.past()["length"] == len(tides.of("/a").series["polls"]) == 59
    tides.take({f"/{number}": Figures() for number in range(10_000)})
    assert tides.past()["length"] == FEWEST_SAMPLES


def test_what_was_counted_before_is_in_no_sample() -> None:
    """A route that a reload takes away and another brings back still has its counts, which are not of the moment."""
    tides = Tides()
    tides.take({"/a": Figures(polls=1)})
    tides.take({})
    tides.take({"/a": Figures(polls=9000)})
    tides.take({"/a": Figures(polls=9002)})
    assert [*tides.of("/a").series["polls"]] == [0, 2]
    assert tides.of("/a").per_minute("polls") == 12


def test_what_is_counted_anew_has_not_happened_backwards() -> None:
    """An upstream that a reload changes is another one by the same name, and has been asked nothing yet."""
    tide = Tide(MOST_SAMPLES)
    tide.take(Figures(polls=500))
    tide.take(Figures(polls=3))
    assert tide.sample["polls"] == 3
    assert tide.per_minute("polls") == 36


def test_a_route_that_is_no_more_is_forgotten() -> None:
    tides = Tides()
    tides.take({"/a": Figures(polls=1)})
    tides.take({"/b": Figures(polls=1)})
    assert tides.of("/a").sample == {}
    assert tides.past()["routes"] == {"/b": {name: [*one] for name, one in tides.of("/b").series.items()}}


def test_milliseconds_have_three_digits() -> None:
    assert [in_milliseconds(seconds) for seconds in (0.00012345, 0.0345678, 1.23456)] == [0.123, 34.6, 1230.0]
