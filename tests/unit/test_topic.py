"""The life of a topic as scripts: what happens, when, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pushgate.condition import Terms
from pushgate.documents.guarding import Doubt
from pushgate.happenings import (
    Announce,
    Answered,
    Append,
    Denied,
    Drop,
    Due,
    End,
    Failed,
    Freshness,
    Joined,
    Left,
    Missing,
    News,
    Paused,
    Poked,
    Poll,
    Refreshed,
    Resumed,
    Unchanged,
    WakeAt,
)
from pushgate.schedules.activehours import ActiveHours
from pushgate.schedules.scheduling import FixedRate
from pushgate.timetable import Moment, Timetable
from pushgate.topic import Topic
from pushgate.values import ABSENT

TERMS = Terms(linger=30, stale_after=2, expire=60, confirmations=2)
ASK = Poll(conditional=True)
ASK_ALL = Poll(conditional=False)
NOT_MODIFIED = Unchanged(not_modified=True)
SAME = Answered(None, 1000.0)
DOUBT = Doubt("empty", "confirm", "nothing is left")
ANY = object()

# The monotonic clock of these scripts began at midnight, on a Monday.
MIDNIGHT = 1_704_067_200.0


def answer(document: Any, **more: Any) -> Answered:
    return Answered(News(document), 1000.0, **more)


def news(document: Any) -> Append:
    return Append(News(document), 1000.0)


def at(now: float, chance: float = 0) -> Moment:
    return Moment(now, MIDNIGHT + now, chance)


def play(
    script: list[tuple[Any, ...]],
    *,
    terms: Terms = TERMS,
    is_standing: bool = False,
    jitter: float = 0,
    chance: float = 0,
    **timetable: Any,
) -> Topic:
    """Play (event, now, *expected commands) and return the topic as it is then; it is polled every 10 seconds."""
    times = Timetable(FixedRate(10, jitter, now=0), **timetable)
    topic = Topic(terms, times, now=0, is_standing=is_standing)
    for event, now, *expected in script:
        commands = topic.handle(event, at(now, chance))
        assert commands == expected, f"{event} at {now}"
    return topic


def test_a_topic_lives() -> None:
    """The first subscriber starts the polling; a change is published; unchanged answers are not."""
    topic = play(
        [
            (Joined(), 0, ASK),
            (answer({"n": 1}), 1, news({"n": 1}), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (SAME, 11, WakeAt(20)),
            (Due(), 20, ASK),
            (NOT_MODIFIED, 21, WakeAt(30)),
            (Due(), 30, ASK),
            (answer({"n": 2}), 31, news({"n": 2}), WakeAt(40)),
        ]
    )
    assert (topic.state, topic.confirmed_at, topic.next_poll_at) == ("live", 31, 40)
    assert topic.next_poll_why == "every 10s"


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
            (SAME, 11, WakeAt(20)),
            (Due(), 20, ASK),
            (SAME, 21, WakeAt(30)),
            (Due(), 30, ASK),
            (SAME, 36),
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
            (SAME, woken, WakeAt(woken + 10)),
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


def test_a_standing_topic_keeps_the_distance_that_it_was_started_with() -> None:
    """Its intervals count from its first poll, or after one interval all standing topics would be polled together."""
    play(
        [(Due(), 3, ASK), (answer(1), 4, news(1), WakeAt(13), Announce()), (Due(), 13, ASK), (SAME, 14, WakeAt(23))],
        is_standing=True,
    )


def test_jitter_does_not_add_up() -> None:
    """The grid stays where it is; only the start of each poll moves within its interval."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(12.5), Announce()),
            (Due(), 12.5, ASK),
            (SAME, 13, WakeAt(22.5)),
            (Due(), 22.5, ASK),
            (SAME, 23, WakeAt(32.5)),
        ],
        jitter=0.5,
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
    assert (topic.state, topic.since, topic.reason, topic.failures) == ("stale", 20, "http_5xx", 3)
    assert topic.handle(Due(), at(80)) == [ASK]
    assert topic.handle(SAME, at(80)) == [WakeAt(90), Announce()]
    assert (topic.state, topic.reason, topic.failures) == ("live", None, 0)


def test_retry_after_is_a_floor() -> None:
    """``Retry-After`` may lengthen the wait but not shorten it."""
    play([(Joined(), 0, ASK), (Failed("rate_limited", retry_after=500), 0, WakeAt(500)), (Joined(), 1), (Left(), 2)])
    play([(Joined(), 0, ASK), (Failed("rate_limited", retry_after=1), 0, WakeAt(10))])


def test_a_poll_that_was_not_let_out_does_not_back_off() -> None:
    """
    Whoever got no turn is owed one: only what the upstream has said counts for backing off.

    Otherwise those who were served once would be served again and again, and the others less and less.
    """
    refused = Failed("rate_limited", retry_after=15, was_asked=False)
    topic = play(
        [
            *LIVE,
            (refused, 10, WakeAt(25)),
            (Due(), 25, ASK),
            (refused, 25, WakeAt(40), Announce()),
            (Due(), 40, ASK),
            (Failed("budget", retry_after=1, was_asked=False), 40, WakeAt(50)),
            (Due(), 50, ASK),
            (Failed("http_5xx"), 50, WakeAt(60)),
            (Due(), 60, ASK),
            (Failed("http_5xx"), 60, WakeAt(80)),
        ]
    )
    assert topic.state == "stale"


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


def test_a_poll_that_was_skipped_is_no_answer_between_two_404s() -> None:
    """An upstream that asks for a rest after every answer has still said twice in a row that it is gone."""
    play(
        [
            (Joined(), 0, ASK),
            (answer(1), 0, news(1), WakeAt(10), Announce()),
            (Due(), 10, ASK),
            (Missing(1000.0), 10, WakeAt(12)),
            (Due(), 12, ASK),
            (Failed("rate_limited", retry_after=20, was_asked=False), 12, WakeAt(32)),
            (Due(), 32, ASK),
            (Missing(1000.0), 32, news(ABSENT), WakeAt(42), Announce()),
        ]
    )


@pytest.mark.parametrize("between", [SAME, NOT_MODIFIED])
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
            (SAME, 10, WakeAt(20)),
            (Due(), 20, ASK),
            (answer(0), 20, news(0), WakeAt(30)),
        ]
    )


def test_not_modified_is_not_believed_for_ever() -> None:
    """After ten answers "not modified" in a row the document is fetched in full."""
    script: list[tuple[Any, ...]] = [(Joined(), 0, ASK), (answer(1), 0, news(1), WakeAt(10), Announce())]
    for n in range(1, 11):
        script += [(Due(), n * 10, ASK), (NOT_MODIFIED, n * 10, WakeAt(n * 10 + 10))]
    script += [(Due(), 110, ASK_ALL), (Unchanged(), 110, WakeAt(120)), (Due(), 120, ASK)]
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


LIVE: list[tuple[Any, ...]] = [(Joined(), 0, ASK), (answer(1), 0, news(1), WakeAt(10), Announce()), (Due(), 10, ASK)]


def test_what_is_hard_to_believe_is_held() -> None:
    """An answer that fails a guard is asked for again, in full, and published when the upstream insists."""
    topic = play(
        [
            *LIVE,
            (answer([], doubt=DOUBT), 10, WakeAt(12), Announce()),
            (Due(), 12, ASK_ALL),
            (answer([], doubt=DOUBT), 12, news([]), WakeAt(20), Announce()),
            (Due(), 20, ASK),
        ]
    )
    assert (topic.state, topic.confirmed_at) == ("live", 12)


def test_a_hiccup_is_never_published() -> None:
    """If the next answer is right again, nobody has heard of the wrong one but for the state."""
    play(
        [
            *LIVE,
            (answer([], doubt=DOUBT), 10, WakeAt(12), Announce()),
            (Due(), 12, ASK_ALL),
            (SAME, 12, WakeAt(20), Announce()),
        ]
    )


@pytest.mark.parametrize("between", [Failed("timeout"), answer("x", doubt=Doubt("type", "confirm", "another type"))])
def test_doubts_must_agree_in_a_row(between: Any) -> None:
    """A failure, or another guard, starts the count again."""
    topic = play([*LIVE, (answer([], doubt=DOUBT), 10, WakeAt(12), Announce()), (Due(), 12, ASK_ALL)])
    topic.handle(between, at(12))
    topic.handle(Due(), at(40))
    assert not any(isinstance(command, Append) for command in topic.handle(answer([], doubt=DOUBT), at(40)))
    assert topic.state == "held"


def test_a_poll_that_was_skipped_does_not_part_two_doubts() -> None:
    """An upstream that asks for a rest after every answer has still insisted, and the poll after it asks in full."""
    play(
        [
            *LIVE,
            (answer([], doubt=DOUBT), 10, WakeAt(12), Announce()),
            (Due(), 12, ASK_ALL),
            (Failed("rate_limited", retry_after=20, was_asked=False), 12, WakeAt(32)),
            (Due(), 32, ASK_ALL),
            (answer([], doubt=DOUBT), 32, news([]), WakeAt(42), Announce()),
        ]
    )


def test_a_held_answer_that_is_followed_by_failures_is_stale() -> None:
    """What is held is no document; trouble is told as always."""
    play(
        [
            *LIVE,
            (answer([], doubt=DOUBT), 10, WakeAt(12), Announce()),
            (Due(), 12, ASK_ALL),
            (Failed("timeout"), 12, WakeAt(22)),
            (Due(), 22, ASK),
            (Failed("timeout"), 22, WakeAt(42), Announce()),
        ]
    )


def test_the_end() -> None:
    """After the document that makes ``until`` true nothing is polled any more, whoever comes."""
    topic = play(
        [
            *LIVE,
            (answer(2, is_last=True), 10, news(2), End(1000.0)),
            (Joined(), 11),
            (Due(), 20),
            (Left(), 21),
            (Joined(), 99),
        ]
    )
    assert (topic.state, topic.next_poll_at, topic.next_poll_why) == ("ended", None, "`until` came true")


def test_the_end_without_news() -> None:
    """The document that was there already may turn out to be the last."""
    play([*LIVE, (replace(SAME, is_last=True), 10, End(1000.0))])


def test_the_caller_is_sent_away() -> None:
    """401 or 403 to the caller's own credentials drops what they were shown, and is not asked again at once."""
    topic = play([*LIVE, (Denied(403), 10, Drop(403), WakeAt(20), Announce())])
    assert (topic.state, topic.denied, topic.has_document) == ("cold", 403, False)
    topic = play(
        [
            *LIVE,
            (Denied(403), 10, Drop(403), WakeAt(20), Announce()),
            (Due(), 20, ASK),
            (answer(1), 20, news(1), WakeAt(30), Announce()),
        ]
    )
    assert topic.denied is None


def test_what_the_upstream_vouches_for_is_not_asked_again() -> None:
    """``max-age`` and ``ttl`` are a floor, within reason; the grid goes on behind it."""
    fresh = replace(SAME, freshness=Freshness(fresh_for=25.0))
    play([*LIVE, (fresh, 10, WakeAt(35)), (Due(), 35, ASK), (SAME, 35, WakeAt(40))])
    play([*LIVE, (Unchanged(freshness=Freshness(fresh_for=5.0, ttl=17.0)), 10, WakeAt(27))])
    play([*LIVE, (replace(SAME, freshness=Freshness(fresh_for=1e6)), 10, WakeAt(310))])
    play([*LIVE, (fresh, 10, WakeAt(20))], respects_freshness=False)


def test_a_poke_polls_at_once() -> None:
    """Whoever knows that there is news need not wait; a poll that began before is followed by another."""
    play([*LIVE, (Poked(), 11), (SAME, 12, ASK), (answer(2), 13, news(2), WakeAt(20)), (Poked(), 14, ASK)])
    play([(Poked(), 0)])


HOURS = ActiveHours("Mon 00:00-00:01")


def test_outside_its_hours_a_topic_is_paused() -> None:
    """At closing time it is paused, not stale, and the first poll is when the hours begin again."""
    week = 7 * 86_400.0
    topic = play(
        [
            *LIVE,
            (SAME, 10, WakeAt(20)),
            (Due(), 50, ASK),
            (SAME, 55, WakeAt(60)),
            (Due(), 60, WakeAt(week), Announce()),
            (Joined(), 70),
            (Due(), week, ASK),
            (SAME, week, WakeAt(week + 10), Announce()),
        ],
        active=HOURS,
    )
    assert topic.state == "live"


def test_outside_its_hours_only_a_missing_document_is_fetched() -> None:
    """Once; and whoever comes later finds it."""
    week = 7 * 86_400.0
    play(
        [
            (Joined(), 100, ASK),
            (answer(1), 101, news(1), WakeAt(week), Announce()),
            (Left(), 102),
            (Joined(), 500, WakeAt(week)),
        ],
        active=HOURS,
    )
    play([(Joined(), 100, ASK), (Failed("timeout"), 101, WakeAt(week)), (Joined(), 200)], active=HOURS)


def test_a_topic_that_slept_past_closing_time_is_not_polled() -> None:
    """Its document is overdue, and stays so until the hours begin."""
    week = 7 * 86_400.0
    script = [(Joined(), 0, ASK), (answer(1), 0, news(1), WakeAt(10), Announce()), (Left(), 1), (Due(), 10)]
    terms = replace(TERMS, linger=0)
    topic = play([*script, (Joined(), 100, WakeAt(week), Announce())], active=HOURS, terms=terms)
    assert (topic.state, topic.is_catching_up) == ("paused", False)


# An operator has a topic rest. Its last poll was at 10, and the next one would be at 20.
PAUSED: list[tuple[Any, ...]] = [*LIVE, (SAME, 10, WakeAt(20)), (Paused(), 12, Announce())]
TURNED_AWAY = Failed("paused", 30.0, was_asked=False)


def test_a_topic_that_is_paused_is_not_polled() -> None:
    """Whatever happens: its time comes, somebody comes, somebody pokes, an operator wants it now after all."""
    topic = play([*PAUSED, (Due(), 20), (Joined(), 21), (Left(), 22), (Poked(), 23), (Refreshed(), 24), (Paused(), 25)])
    assert (topic.state, topic.since, topic.next_poll_at) == ("paused", 12, None)
    assert (topic.next_poll_why, topic.is_paused_by_operator) == ("paused by an operator", True)


def test_a_topic_that_is_new_and_paused_waits() -> None:
    """Whoever comes meanwhile shares its first poll, once there may be one."""
    topic = play([(Paused(), 0, Announce()), (Joined(), 1), (Due(), 2), (Joined(), 3)])
    assert (topic.state, topic.is_new) == ("paused", False)
    assert topic.handle(Resumed(0.5), at(60)) == [WakeAt(60.5), Announce()]
    assert (topic.state, topic.is_new) == ("cold", True)
    assert topic.handle(Joined(), at(60.1)) == [ASK], "whoever comes now does not wait for the others' sake"


def test_what_was_due_is_polled_when_the_pause_is_over() -> None:
    """Not at once, because many are resumed together; the interval counts from there."""
    topic = play([*PAUSED, (Due(), 20), (Resumed(3), 60, WakeAt(63), Announce())])
    assert (topic.state, topic.next_poll_why) == ("live", "an operator has resumed it")
    assert topic.handle(Due(), at(63)) == [ASK]
    assert topic.handle(SAME, at(64)) == [WakeAt(73)]


def test_a_short_pause_changes_no_schedule() -> None:
    """What was not due meanwhile is polled when it would have been."""
    play([*PAUSED, (Resumed(3), 15, WakeAt(20), Announce()), (Due(), 20, ASK), (SAME, 20, WakeAt(30))])


@pytest.mark.parametrize("wish", [Poked(), Refreshed()])
def test_what_was_asked_for_during_the_pause_is_done_after_it(wish: Any) -> None:
    """A write may have changed what is polled, so it is due, whatever the schedule says."""
    play([*PAUSED, (wish, 13), (Resumed(1), 15, WakeAt(16), Announce()), (Due(), 16, ASK), (SAME, 17, WakeAt(26))])


def test_an_answer_that_was_under_way_is_taken() -> None:
    """The upstream has been asked already; what it says is news like any other, and nothing follows it."""
    topic = play(
        [*LIVE, (Paused(), 11, Announce()), (Poked(), 11), (answer(2), 12, news(2)), (Resumed(0), 13, ASK, Announce())]
    )
    assert topic.confirmed_at == 12


def test_what_is_in_doubt_is_not_asked_again_before_the_pause_is_over() -> None:
    """It is held as long as that takes, and its confirmation is still owed."""
    play(
        [
            *LIVE,
            (Paused(), 11, Announce()),
            (answer([], doubt=DOUBT), 12),
            (Due(), 14),
            (Resumed(1), 60, WakeAt(61), Announce()),
            (Due(), 61, ASK_ALL),
            (answer([], doubt=DOUBT), 61, news([]), WakeAt(71), Announce()),
        ]
    )


def test_a_poll_that_was_turned_away_is_no_failure() -> None:
    """It did not take place: nothing is stale for it, and it is made up for."""
    topic = play([*LIVE, (Paused(), 11, Announce()), (TURNED_AWAY, 11), (Resumed(2), 60, WakeAt(62), Announce())])
    assert (topic.state, topic.failures, topic.reason) == ("live", 0, None)
    assert topic.handle(Due(), at(62)) == [ASK]


def test_a_poll_may_be_turned_away_when_the_pause_is_over_already() -> None:
    """Then it is made up for somewhere in its interval, since others are in the same position."""
    play([*LIVE, (Paused(), 11, Announce()), (Resumed(0), 11, Announce()), (TURNED_AWAY, 11, WakeAt(16))], chance=0.5)


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ([*LIVE, (Failed("timeout"), 10, WakeAt(20)), (Due(), 20, ASK), (Failed("timeout"), 20, ANY, ANY)], "stale"),
        ([(Joined(), 0, ASK), (Missing(1000.0), 0, news(ABSENT), WakeAt(10), Announce())], "gone"),
        ([(Joined(), 0, ASK), (Failed("timeout"), 0, WakeAt(10))], "cold"),
    ],
)
def test_after_the_pause_a_topic_is_what_it_was(script: list[tuple[Any, ...]], state: str) -> None:
    """What polls have said still holds; only that none came is over."""
    topic = Topic(TERMS, Timetable(FixedRate(10, 0, now=0)), now=0)
    for event, now, *_ in script:
        topic.handle(event, at(now))
    assert topic.state == state
    assert topic.handle(Paused(), at(25)) == [Announce()]
    assert (topic.state, topic.since) == ("paused", 25)
    assert Announce() in topic.handle(Resumed(0), at(60))
    assert topic.state == state


def test_a_pause_makes_no_document_better() -> None:
    """One that was stale for too long when the pause began, or is during it, is not served."""
    failing = [
        *LIVE,
        (Failed("timeout"), 10, WakeAt(20)),
        (Due(), 20, ASK),
        (Failed("timeout"), 20, WakeAt(40), Announce()),
    ]
    topic = play([*failing, (Paused(), 30, Announce())])
    assert (topic.is_expired(79), topic.is_expired(80)) == (False, True)


def test_what_has_ended_is_not_paused() -> None:
    """It is polled no more anyway."""
    topic = play([*LIVE, (replace(SAME, is_last=True), 10, End(1000.0)), (Paused(), 11), (Resumed(0), 12)])
    assert topic.state == "ended"


def test_nobody_listens_to_a_topic_that_is_resumed() -> None:
    """It sleeps on, and is polled when somebody comes."""
    script = [*PAUSED, (Left(), 13), (Resumed(0), 60, Announce())]
    topic = play([*script, (Joined(), 70, ASK)], terms=replace(TERMS, linger=0))
    assert topic.is_catching_up


def test_a_pause_within_a_pause() -> None:
    """Outside its hours a topic stays paused when the operator's pause is over, and says when they begin."""
    week = 7 * 86_400.0
    script = [*LIVE, (SAME, 10, WakeAt(20)), (Paused(), 55, Announce()), (Due(), 60)]
    topic = play([*script, (Resumed(0), 70, WakeAt(week), Announce())], active=HOURS)
    assert (topic.state, topic.next_poll_why) == ("paused", "its active hours begin")
    play([*script, (Poked(), 61), (Resumed(0), 70, ASK, Announce())], active=HOURS)


def test_other_terms_do_not_end_a_pause() -> None:
    """A reload that changes the interval polls nothing that an operator has paused."""
    topic = play(PAUSED)
    faster = Timetable(FixedRate(1, 0, now=0))
    assert topic.revise(TERMS, faster, is_standing=True, at=at(30)) == []
    assert topic.state == "paused"
    assert topic.handle(Resumed(0.25), at(40)) == [WakeAt(40.25), Announce()]


def test_a_refresh_polls_at_once() -> None:
    """Also what has no document because polls have been failing; whoever has mended the backend wants to see it."""
    play([*LIVE, (SAME, 10, WakeAt(20)), (Refreshed(), 12, ASK)])
    play([(Joined(), 0, ASK), (Failed("connect"), 0, WakeAt(10)), (Poked(), 1), (Refreshed(), 2, ASK)])
    play([*LIVE, (Refreshed(), 11), (SAME, 12, ASK)])
