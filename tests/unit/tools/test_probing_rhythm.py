"""How often to poll, and how to push, by how often something changes."""

from __future__ import annotations

import pytest

from pushgate.tools.probing.rhythm import Tempo, find_rhythm, interval, transport


def watched(*changes: float, polls: int = 60, span: float = 120.0, **more: float) -> Tempo:
    """Polls two seconds apart; each change fell somewhere in the two seconds before it was seen."""
    return Tempo(polls, span, [(at - 2, at) for at in changes], **more)  # type: ignore[arg-type]  # all are numbers


def test_changes_at_a_rhythm_make_the_interval_adaptive() -> None:
    """Every twenty seconds: the gateway finds the beat by itself."""
    tempo = watched(14, 34, 54, 74, 94, 114)
    rhythm = find_rhythm(tempo)
    assert rhythm is not None
    assert rhythm.period == pytest.approx(20)
    found = interval(tempo, rhythm)
    assert (found.path, found.value) == (("poll", "adaptive"), {"min": "1s", "max": "20s"})


def test_changes_at_any_time_make_the_interval_half_their_distance() -> None:
    """Without a rhythm a change is then seen after a quarter of the time for which it lasts."""
    tempo = watched(5, 17, 60, 66, 110)
    assert find_rhythm(tempo) is None
    assert interval(tempo, None).value == "10s"


def test_bursts_are_polled_by_an_adaptive_interval() -> None:
    """Many changes close together and a long quiet: fast while it lasts, slow otherwise."""
    tempo = watched(2, 4, 6, 8, 10, 12, 100, 102, 104, 106, polls=60)
    found = interval(tempo, find_rhythm(tempo))
    assert found.path == ("poll", "adaptive")
    assert "bursts" in found.reason


def test_nothing_that_changed_is_a_guess_and_says_so() -> None:
    """30 seconds, for want of anything better."""
    found = interval(watched(), None)
    assert (found.path, found.value) == (("poll", "every"), "30s")
    assert "30s is a guess" in found.reason


def test_last_modified_tells_how_long_nothing_has_changed() -> None:
    """An honest Last-Modified of hours ago says more than two minutes of watching."""
    found = interval(watched(unchanged_for=7200.0), None)
    assert found.value == "5m"
    assert "Last-Modified" in found.reason


def test_the_upstreams_own_stamps_are_finer_than_polls() -> None:
    """Three moments a minute apart are a rhythm, though only two changes were seen."""
    tempo = Tempo(30, 130.0, [(58, 63), (118, 122)], stamps=[1000.0, 1060.0, 1120.0])
    rhythm = find_rhythm(tempo)
    assert rhythm is not None
    assert (rhythm.period, rhythm.known_by) == (60.0, "by its own clock")
    assert interval(tempo, rhythm).value == {"min": "3s", "max": "1m"}


def test_an_interval_respects_how_long_an_answer_is_fresh() -> None:
    """A poll before max-age is over gets the same answer from a cache."""
    found = interval(watched(10, 22, 60, 66, 110, fresh_for=60.0), None)
    assert found.value == "1m"
    assert "vouches" in found.reason


def test_a_slow_upstream_is_given_rest() -> None:
    """What takes two seconds to answer is asked every ten at most."""
    found = interval(watched(*range(2, 120, 2), seconds=2.0), None)
    assert found.value == "10s"
    assert "an answer takes 2s" in found.reason


def test_an_upstream_that_refused_is_not_asked_as_fast_again() -> None:
    """429 with Retry-After: 30 says what it can bear."""
    found = interval(watched(*range(2, 120, 2), least=30.0), None)
    assert found.value == "30s"
    assert "429" in found.reason


@pytest.mark.parametrize(
    ("gap", "value"),
    [
        (1.0, ["websocket", "short_poll"]),
        (10.0, ["sse", "short_poll"]),
        (100.0, ["long_poll", "short_poll"]),
        (None, ["long_poll", "short_poll"]),
    ],
)
def test_the_transport_follows_from_how_often_something_changes(gap: float | None, value: list[str]) -> None:
    """Rare: long poll; medium: SSE; often: WebSocket."""
    count = 0 if gap is None else round(400 / gap)
    tempo = Tempo(200, 400.0, [(at, at + 1.0) for at in range(count)])
    assert transport(tempo, None).value == value


def test_known_long_intervals_need_no_push() -> None:
    """What is vouched for an hour is fetched once an hour: plain short polling is right."""
    tempo = watched(fresh_for=3600.0)
    rhythm = find_rhythm(tempo)
    assert transport(tempo, rhythm).value == "short_poll"
    assert interval(tempo, rhythm).value == "10m"


def test_a_freshness_that_is_not_kept_is_not_believed() -> None:
    """max-age of an hour on what changes every ten seconds is a mistake of somebody's configuration."""
    tempo = watched(10, 14, 38, 44, 62, 93, fresh_for=3600.0)
    assert find_rhythm(tempo) is None
    assert transport(tempo, None).value == ["sse", "short_poll"]


def test_changes_at_nearly_every_poll_have_no_known_rhythm() -> None:
    """What is seen to change every two seconds may change every tenth of one."""
    tempo = watched(*range(2, 120, 2))
    assert find_rhythm(tempo) is None
    assert "more often than that" in interval(tempo, None).reason
