"""What a user writes for a duration, a size, a rate or a share, and what pushgate writes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.quantities import (
    Rate,
    duration_text,
    parse_duration,
    parse_percentage,
    parse_rate,
    parse_size,
    percentage_text,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("1m30s", 90), ("2h", 7200), ("1d", 86400), ("0s", 0), ("1d2h3m4s5ms", 93784.005)],
)
def test_durations_name_their_units(text: str, seconds: float) -> None:
    """A duration is a whole number of each unit, the largest unit first."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 s", "s", "1.5s", "-1s", "30s1m", "5S", "1w", "٣s", "5s\n", "1e3s"])
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write it like 250ms, 5s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (90, "1m30s"), (3600, "1h"), (86400, "1d"), (0.0004, "0s")]
)
def test_durations_are_written_shortest(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.integers(0, 10**13))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    assert parse_duration(duration_text(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0B", 0), ("512B", 512), ("64KB", 64_000), ("10MB", 10_000_000), ("16MiB", 16 << 20), ("1GiB", 1 << 30)],
)
def test_sizes_count_in_thousands_or_in_1024s(text: str, size_bytes: int) -> None:
    """KB is 1000 bytes, KiB is 1024."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "10", "10mb", "10 MB", "1.5MB", "-1MB", "MB", "10M"])
def test_what_is_no_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no size; write it like 512B, 64KB"):
        parse_size(text)


@given(st.integers(0, 10**11))
def test_a_written_size_reads_back(size_bytes: int) -> None:
    assert parse_size(size_text(size_bytes)) == size_bytes


@pytest.mark.parametrize(("size_bytes", "text"), [(0, "0B"), (1536, "1536B"), (8_000_000, "8MB"), (16 << 20, "16MiB")])
def test_sizes_are_written_shortest(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("text", "count", "per"), [("10/s", 10, 1), ("300/m", 300, 60), ("600/h", 600, 3600), ("50000/d", 50_000, 86_400)]
)
def test_rates_are_a_count_in_a_time(text: str, count: int, per: float) -> None:
    """A rate reads as so many in so many seconds, and is written as it was."""
    rate = parse_rate(text)
    assert (rate.count, rate.per, str(rate)) == (count, per, text)
    assert rate == Rate(count, per)
    assert rate.per_second == count / per


@pytest.mark.parametrize("text", ["", "10", "10/", "10/w", "10 / s", "1.5/s", "/s", "10/10s"])
def test_what_is_no_rate_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate; write it like 10/s"):
        parse_rate(text)


def test_a_rate_of_zero_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="`0/s` lets nothing through; it must be above 0"):
        parse_rate("0/s")


@pytest.mark.parametrize(("text", "fraction"), [("0%", 0), ("10%", 0.1), ("2.5%", 0.025), ("100%", 1)])
def test_percentages_are_fractions(text: str, fraction: float) -> None:
    assert parse_percentage(text) == fraction
    assert percentage_text(fraction) == text


@pytest.mark.parametrize("text", ["", "10", "0.1", "-1%", "%", "10 %"])
def test_what_is_no_percentage_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no percentage; write it like 10%"):
        parse_percentage(text)


def test_nothing_is_more_than_all() -> None:
    with pytest.raises(ValueError, match="`101%` must be at most 100%"):
        parse_percentage("101%")
