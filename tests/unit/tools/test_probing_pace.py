"""How fast a probe polls."""

from __future__ import annotations

import pytest

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.tools.probing import Pace


def answer(status: int = 200, retry_after: float | None = None) -> Answer:
    return Answer(status, "", b"", NO_VALIDATORS, 0.0, retry_after=retry_after)


def test_it_begins_with_a_second_and_grows_to_five() -> None:
    """Uneven waits tell what counts seconds from what counts polls."""
    pace = Pace()
    waits = []
    for _ in range(20):
        waits.append(pace.wait)
        pace = pace.after(answer(), seconds=0.01)
    assert waits[0] == 1.0
    assert waits == sorted(waits)
    assert waits[-1] == 5.0


def test_a_long_probe_spreads_its_polls() -> None:
    """An hour with 120 polls is one in 30 seconds."""
    pace = Pace.over(3600.0, polls=120)
    for _ in range(60):
        pace = pace.after(answer(), seconds=0.01)
    assert pace.wait == 30.0


def test_too_many_requests_slows_down_for_good() -> None:
    """Twice as slow after each 429, and never faster again."""
    refused = Pace().after(answer(429), seconds=0.01).after(answer(429), seconds=0.01)
    assert refused.wait == 4.0
    assert Pace(wait=8.0).after(answer(429), seconds=0.01).after(answer(), seconds=0.01).wait == 16.0


@pytest.mark.parametrize("status", [200, 429, 503])
def test_retry_after_is_obeyed(status: int) -> None:
    """Whatever the status it comes with."""
    assert Pace().after(answer(status, retry_after=40.0), seconds=0.01).wait == 40.0


def test_a_slow_upstream_is_given_rest() -> None:
    """Five times as long as it worked."""
    assert Pace().after(answer(), seconds=3.0).wait == 15.0


def test_an_upstream_that_did_not_answer_is_asked_slowly() -> None:
    """At the slowest pace at once."""
    assert Pace().after(None, seconds=0.01).wait == 5.0
