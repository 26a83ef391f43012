"""Members that change at every turn and say nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import accumulate
from typing import Any

import pytest

from pushgate.tools.probing.moments import moment_of, numbers_of
from pushgate.tools.probing.noise import Noise, find_noise
from pushgate.tools.probing.samples import Version
from pushgate.tools.probing.strands import weave

START = 1_795_486_381.0

# As a probe polls: the waits grow, so that seconds are not polls.
WAITS = [1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 2.9, 3.5]


def noise_of(document: Callable[[int, float], Any], waits: list[float] = WAITS) -> dict[str, Noise]:
    """What is noise in the documents of polls so far apart, made from a poll's number and time."""
    times = [START, *(START + passed for passed in accumulate(waits))]
    versions = [Version(at, times[max(0, number - 1)], number, document(number, at)) for number, at in enumerate(times)]
    woven = weave([version.document for version in versions])
    return {noise.pointer: noise for noise in find_noise(woven, versions, polls=len(versions))}


def ignored(document: Callable[[int, float], Any], waits: list[float] = WAITS) -> dict[str, str]:
    return {pointer: noise.reason for pointer, noise in noise_of(document, waits).items() if noise.is_ignored}


@pytest.mark.parametrize(
    "write",
    [
        int,
        lambda at: int(at * 1000),
        lambda at: str(int(at)),
        lambda at: datetime.fromtimestamp(at, UTC).isoformat(),
        lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda at: format_datetime(datetime.fromtimestamp(at, UTC)),
        lambda at: datetime.fromtimestamp(at, UTC).strftime("%A, %d-%b-%Y %H:%M:%S UTC"),
        lambda at: datetime.fromtimestamp(at + 7200, UTC).strftime("%d.%m.%Y %H:%M:%S"),
    ],
)
def test_the_time_of_the_answer_is_ignored_however_it_is_written(write: Callable[[float], Any]) -> None:
    """Seconds or milliseconds since 1970, ISO 8601, as in mail, with or without a zone."""
    assert ignored(lambda number, at: {"now": write(at), "load": number % 3}) == {"/now": "is the time of the answer"}


def test_a_clock_is_ignored_even_if_nothing_else_ever_changes() -> None:
    """Clearly a clock: then there simply is no news."""
    assert ignored(lambda _number, at: {"generated": int(at), "rows": []}) == {
        "/generated": "is the time of the answer"
    }


def test_what_counts_the_seconds_is_ignored() -> None:
    """An uptime grows as time passes, in whole seconds, in milliseconds or in words."""
    found = ignored(
        lambda _number, at: {
            "a": int(at - START) + 27,
            "b": round((at - START) * 1000),
            "c": f"pid 7, up 0:01:{int(at - START) + 10}",
            "left": 900 - int(at - START),
        }
    )
    assert found == {
        "/a": "counts the seconds",
        "/b": "counts the seconds",
        "/c": "counts the seconds",
        "/left": "counts down the seconds",
    }


def test_a_random_token_is_ignored() -> None:
    """A nonce that is another one in each answer, and never comes back."""
    tokens = ["9f86d081884c", "60303ae22b99", "fd61a03af4f7", "a4e624d686e0", "3e23e8160039", "4b227777d4dd"]
    waits = WAITS[:5]
    found = ignored(lambda number, _at: {"nonce": tokens[number], "load": number // 2}, waits)
    assert found == {"/nonce": "is a random token"}


def test_a_word_that_alternates_is_news() -> None:
    """Two values that come back are states, however often they change."""
    assert ignored(lambda number, _at: {"state": "ACTIVE01" if number % 2 else "PASSIVE2"}) == {}


def test_a_measurement_is_news() -> None:
    """What changes every time and is no clock, no count of time and no token is what clients are here for."""
    assert ignored(lambda number, _at: {"load": (number * 37) % 11 / 10, "name": f"value {number * 7 % 5}"}) == {}


def test_a_counter_is_not_ignored_but_proposed_as_quiet() -> None:
    """A number that only goes up counts something that somebody may want to know."""
    found = noise_of(lambda number, _at: {"requests": 10 + number * number})
    assert not found["/requests"].is_ignored
    assert found["/requests"].reason == "only goes up: it counts something"


def test_a_counter_of_our_own_polls_is_recognised() -> None:
    """One more at each poll, however long it took: the backend counts who asks."""
    found = noise_of(lambda number, _at: {"polls": 10 + number})
    assert not found["/polls"].is_ignored
    assert "count our own requests" in found["/polls"].reason


def test_seconds_and_polls_look_alike_when_polled_every_second() -> None:
    """Only the name can tell then; without one, nothing is ignored."""
    found = ignored(lambda number, _at: {"uptime": 10 + number, "hits": 10 + number}, [1.0] * 8)
    assert found == {"/uptime": "counts the seconds"}


def test_a_clock_of_every_item_is_one_pointer() -> None:
    """All items at once, with a star for the item."""
    found = ignored(lambda _number, at: {"rows": [{"id": name, "seen": int(at)} for name in "abc"]})
    assert list(found) == ["/rows/*/seen"]


def test_times_that_differ_between_items_are_news() -> None:
    """The hours of a forecast all move on, and each says something else."""
    found = ignored(lambda number, _at: {"hours": [{"at": int(START) + 3600 * (at + number)} for at in range(6)]})
    assert found == {}


def test_a_time_of_an_update_is_not_ignored() -> None:
    """A station's own time changes when the station does: proposed as quiet, no more."""
    found = noise_of(
        lambda number, at: {
            "rows": [
                {"id": name, "seen": int(at) if number % 3 == 0 else int(START) + number // 3 * 5} for name in "ab"
            ]
        }
    )
    assert not any(noise.is_ignored for noise in found.values())


def test_one_line_of_a_list_that_never_moves_is_ignored_by_its_index() -> None:
    """Where lines of text became a list of pairs, the one with the time has always the same index."""
    names = ["version", "now", "load"]
    found = ignored(
        lambda number, at: [{"name": name, "value": int(at) if name == "now" else number % 3} for name in names]
    )
    assert list(found) == ["/1/value"]


def test_items_that_move_are_never_addressed_by_an_index() -> None:
    """An index would remove another item's value tomorrow."""

    def rows(number: int, at: float) -> Any:
        items = [{"id": "clock", "value": int(at)}, {"id": "load", "value": number % 3}, {"id": "x", "value": 0}]
        return items[number % 3 :] + items[: number % 3]

    assert ignored(rows) == {}


def test_a_key_is_never_ignored() -> None:
    """What tells the items apart stays, whatever it looks like."""
    found = noise_of(
        lambda number, _at: [{"time": int(START) + at + number, "v": (at + number) * 3} for at in range(5)]
    )
    assert "/*/time" not in found


def test_values_are_followed_by_the_key_of_their_item() -> None:
    """Two items that change places have not changed."""
    one, two = {"id": "a", "n": 1}, {"id": "b", "n": 2}
    woven = weave([[one, two], [two, one]])
    assert {strand.values for strand in woven.leaves["*", "n"]} == {(1, 1), (2, 2)}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T02:13:01Z", START),
        ("2026-11-24 02:13:01", START),
        ("Tue, 24 Nov 2026 02:13:01 GMT", START),
        ("20261124021301", START),
        (1795486381, START),
        ("1795486381000", START),
    ],
)
def test_moments_are_read_in_many_shapes(text: Any, seconds: float) -> None:
    """All of these are the same moment."""
    assert moment_of(text) == seconds


@pytest.mark.parametrize("value", [True, None, 7, "7", "hello world", "12:30 to 14:00", 3.14, "x" * 50, [], {}])
def test_what_is_no_moment_is_none(value: Any) -> None:
    """Small numbers, words, ranges of hours."""
    assert moment_of(value) is None


def test_a_duration_in_a_text_is_one_number() -> None:
    """Hours, minutes and seconds are counted together, so that a minute more is 60."""
    assert numbers_of("up 1:02:03, load 4") == ("up 0, load 0", (3723.0, 4.0))
    assert numbers_of("none") is None
