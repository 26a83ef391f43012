"""The life of a topic as scripts: what happens, when, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pushgate.topic import (
    Announce,
    Answered,
    Append,
    Due,
    Failed,
    Joined,
    Left,
    Missing,
    Poll,
    Terms,
    Topic,
    Unchanged,
    WakeAt,
)
from pushgate.values import ABSENT

TERMS = Terms(every=10, jitter=0, linger=30, stale_after=2, expire=60, key=None)
ASK = Poll(conditional=True)
NOT_MODIFIED = Unchanged(not_modified=True)
ANY = object()


def answer(document: Any) -> Answered:
    return Answered(document, 1000.0)


def news(document: Any, *patch: dict[str, Any]) -> Append:
    return Append(document, 1000.0, patch, 0)


def play(script: list[tuple[Any, ...]], *, terms: Terms = TERMS, is_standing: bool = False, chance: float = 0) -> Topic:
    """Play (event, now, *expected commands) and return the topic as it is then."""
    topic = Topic(terms, now=0, is_standing=is_standing)
    for event, now, *expected in script:
        commands = topic.handle(event, now=now, chance=chance)
        assert commands == expected, f"{event} at {now}"
    return topic


def test_a_topic_lives() -> None:
    """The first subscriber starts the polling; a change is published; unchanged answers are not."""
    topic = play(
        [
            (Joined(), 0, ASK),
            (answer({"n": 1}), 1, news({"n": 1}), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (answer({"n": 1.0}), 11, WakeAt(20)),
            (Due(), 20, ASK),
            (NOT_MODIFIED, 21, WakeAt(30)),
            (Due(), 30, ASK),
            (answer({"n": 2}), 31, news({"n": 2}, {"op": "replace", "path": "/n", "value": 2}), WakeAt(40)),
        ]
    )
    assert (topic.state, topic.document, topic.confirmed_at, topic.next_poll_at) == ("live", {"n": 2}, 31, 40)


def test_one_poll_is_under_way_at_most() -> None:
    """Whoever comes while a poll is under way shares it, and so does a timer."""
    play([(Joined(), 0, ASK), (Joined(), 1), (Due(), 2), (Left(), 3), (answer(1), 4, news(1), WakeAt(10), Announce())])


def test_polling_ends_after_linger() -> None:
    """When the last subscriber has left, polls go on for ``linger`` and then no more."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(1), 1, news(1), WakeAt(10), Announce()),
            (Left(), 5),
            (Due(), 10, ASK),
            (answer(1), 11, WakeAt(20)),
            (Due(), 20, ASK),
            (answer(1), 21, WakeAt(30)),
            (Due(), 30, ASK),
            (answer(1), 36),
            (Due(), 40),
        ]
    )


def test_a_document_is_kept_until_its_next_scheduled_time() -> None:
    """A subscriber that comes back early finds the document; one that comes late starts a poll."""
    script = [
        (Joined(), 0, ASK),
        (answer(1), 1, news(1), WakeAt(10), Announce()),
        (Left(), 2),
    ]
    now = replace(TERMS, linger=0)
    play([*script, (Joined(), 5, WakeAt(10)), (Due(), 10, ASK)], terms=now)
    play([*script, (Due(), 10), (Joined(), 15, ASK)], terms=now)


@pytest.mark.parametrize("woken", [11.0, 15.0, 19.9, 25.0, 29.9, 95.0, 99.9])
def test_a_topic_that_slept_starts_a_grid_of_its_own(woken: float) -> None:
    """However long it slept, the poll that wakes it is followed by the next one a whole interval later."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Left(), 1),
            (Due(), 10),
            (Joined(), woken, ASK),
            (answer(1), woken, WakeAt(woken + 10)),
        ],
        terms=replace(TERMS, linger=0),
    )


def test_linger_may_be_nothing() -> None:
    """Without ``linger`` a poll under way is the last."""
    play([(Joined(), 0, ASK), (Left(), 0), (answer(1), 1, news(1), Announce())], terms=replace(TERMS, linger=0))


def test_a_standing_topic_needs_no_listener() -> None:
    """``while: always`` polls from the start."""
    play(
        [(Due(), 0, ASK), (answer(1), 1, news(1), WakeAt(10), Announce()), (Due(), 10, ASK)],
        terms=replace(TERMS, linger=0),
        is_standing=True,
    )


def test_jitter_does_not_add_up() -> None:
    """The grid stays where it is; only the start of each poll moves within its interval."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(12.5), Announce()),
            (Due(), 12.5, ASK),
            (answer(1), 13, WakeAt(22.5)),
            (Due(), 22.5, ASK),
            (answer(1), 23, WakeAt(32.5)),
        ],
        terms=replace(TERMS, jitter=0.5),
        chance=0.5,
    )


def test_a_poll_longer_than_its_interval_skips_ticks() -> None:
    """Missed polls are not made up for."""
    play([(Joined(), 0, ASK), (answer(1), 34, news(1), WakeAt(40), Announce())])


def test_trouble_is_announced_once() -> None:
    """After ``stale.after`` failures the topic is stale, once; the next good poll makes it live again."""
    topic = play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (Failed("timeout"), 10, WakeAt(20)),
            (Due(), 20, ASK),
            (Failed("http_5xx"), 20, WakeAt(40), Announce()),
            (Due(), 40, ASK),
            (Failed("http_5xx"), 40, WakeAt(80)),
        ]
    )
    assert (topic.state, topic.since, topic.reason, topic.document, topic.failures) == ("stale", 20, "http_5xx", 1, 3)
    assert topic.handle(answer(1), now=80, chance=0) == [WakeAt(90), Announce()]
    assert (topic.state, topic.reason, topic.failures) == ("live", None, 0)


def test_retry_after_is_a_floor() -> None:
    """``Retry-After`` may lengthen the wait but not shorten it."""
    play([(Joined(), 0, ASK), (Failed("rate_limited", retry_after=500), 0, WakeAt(500)), (Joined(), 1), (Left(), 2)])
    play([(Joined(), 0, ASK), (Failed("rate_limited", retry_after=1), 0, WakeAt(10))])


def test_backing_off_is_not_for_newcomers_to_end() -> None:
    """While backing off, nobody who comes reaches the upstream."""
    play(
        [
            (Joined(), 0, ASK),
            (Failed("connect"), 0, WakeAt(10)),
            (Due(), 10, ASK),
            (Failed("connect"), 10, WakeAt(30), Announce()),
            (Left(), 11),
            (Joined(), 12),
            (Left(), 13),
            (Joined(), 29),
            (Due(), 30, ASK),
        ]
    )


def test_a_cold_topic_says_when_it_fails() -> None:
    """A topic that never had a document stays cold, and that it fails is news all the same."""
    topic = play(
        [
            (Joined(), 0, ASK),
            (Failed("dns"), 0, WakeAt(10)),
            (Due(), 10, ASK),
            (Failed("dns"), 10, WakeAt(30), Announce()),
        ]
    )
    assert (topic.state, topic.reason) == ("cold", "dns")


def test_an_unchanged_answer_needs_something_that_is_unchanged() -> None:
    """``keep`` or a 304 without a document never gets here: it is a failed poll before."""
    with pytest.raises(AssertionError, match="nothing to keep"):
        play([(Joined(), 0, ASK), (NOT_MODIFIED, 0, WakeAt(10))])


def test_missing_is_believed_at_the_second_time() -> None:
    """One 404 is asked about again soon; the second in a row is ``gone``, and the third is no news."""
    topic = play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (Missing(1000.0), 10, WakeAt(12)),
            (Due(), 12, ASK),
            (Missing(1000.0), 12, news(ABSENT), WakeAt(20), Announce()),
            (Due(), 20, ASK),
            (Missing(1000.0), 20, WakeAt(30)),
            (Due(), 30, ASK),
            (answer(1), 30, news(1), WakeAt(40), Announce()),
        ]
    )
    assert topic.state == "live"


def test_missing_is_no_confirmation_until_it_is_believed() -> None:
    """One 404 says nothing about the document: it is as old as before."""
    topic = play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (Missing(1000.0), 10, WakeAt(12)),
        ]
    )
    assert (topic.state, topic.confirmed_at) == ("live", 0)


def test_a_failure_between_two_404s_starts_the_count_again() -> None:
    """404, 500, 404 is an upstream in trouble, not a document that is gone."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (Missing(1000.0), 10, WakeAt(12)),
            (Due(), 12, ASK),
            (Failed("http_5xx"), 12, WakeAt(22)),
            (Due(), 22, ASK),
            (Missing(1000.0), 22, WakeAt(24)),
        ]
    )


@pytest.mark.parametrize("between", [answer(1), NOT_MODIFIED])
def test_missing_must_be_said_in_a_row(between: Any) -> None:
    """A good answer between two 404s makes them two hiccups."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (Missing(1000.0), 10, WakeAt(12)),
            (Due(), 12, ASK),
            (between, 12, WakeAt(20)),
            (Due(), 20, ASK),
            (Missing(1000.0), 20, WakeAt(22)),
        ]
    )


def test_a_topic_that_never_was_is_gone_at_once() -> None:
    """Without a document there is nothing to lose, so one 404 is enough."""
    topic = play([(Joined(), 0, ASK), (Missing(1000.0), 0, news(ABSENT), WakeAt(10), Announce())])
    assert (topic.state, topic.is_worthless) == ("gone", False)


def test_null_is_a_document() -> None:
    """JSON's null is a value like any other: it comes, stays and goes."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(None), 0, news(None), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (answer(None), 10, WakeAt(20)),
            (Due(), 20, ASK),
            (answer(0), 20, news(0, {"op": "replace", "path": "", "value": 0}), WakeAt(30)),
        ]
    )


def test_not_modified_is_not_believed_for_ever() -> None:
    """After ten answers "not modified" in a row the document is fetched in full."""
    script: list[tuple[Any, ...]] = [(Joined(), 0, ASK), (answer(1), 0, news(1), WakeAt(10), Announce())]
    for n in range(1, 11):
        script += [(Due(), n * 10, ASK), (NOT_MODIFIED, n * 10, WakeAt(n * 10 + 10))]
    script += [(Due(), 110, Poll(conditional=False)), (Unchanged(), 110, WakeAt(120)), (Due(), 120, ASK)]
    play(script)


@pytest.mark.parametrize(("now", "is_expired"), [(20, False), (79.9, False), (80, True), (1000, True)])
def test_a_stale_document_expires(now: float, is_expired: bool) -> None:
    """``stale.expire`` counts from the moment the topic became stale."""
    topic = play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (Failed("timeout"), 10, WakeAt(20)),
            (Due(), 20, ASK),
            (Failed("timeout"), 20, WakeAt(40), Announce()),
        ]
    )
    assert topic.is_expired(now) is is_expired
    assert not play([(Joined(), 0, ASK)]).is_expired(now)


def test_arrays_without_the_key_are_counted() -> None:
    """An array that had to be compared by index although the route names a key is told with the change."""
    topic = Topic(replace(TERMS, key="id"), now=0)
    topic.handle(Joined(), now=0, chance=0)
    topic.handle(answer([{"id": 1}, {"id": 1}]), now=0, chance=0)
    topic.handle(Due(), now=10, chance=0)
    append = topic.handle(answer([{"id": 1}, {"id": 2}]), now=10, chance=0)[0]
    assert isinstance(append, Append) and append.keyless == 1
