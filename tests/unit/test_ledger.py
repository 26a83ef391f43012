"""What a route costs and brings, in numbers."""

from __future__ import annotations

import math

import pytest

from pushgate.answers import Cost
from pushgate.documents.guarding import Doubt
from pushgate.happenings import Answered, Append, Denied, Failed, Happening, Missing, News, Unchanged
from pushgate.ledger import Account, Ledger, Mention, Outcome, Saving, Tally, outcome_of


def test_many_values_at_once_count_like_one_by_one() -> None:
    """Each bound has all values up to it, itself included, and infinity has all there are."""
    tally = Tally((1.0, 2.0))
    tally.add(0.5, 3)
    tally.add(1.0)
    tally.add(1.5, 2)
    tally.add(9.0)
    assert list(tally.cumulated()) == [(1.0, 4), (2.0, 6), (math.inf, 7)]
    assert tally.total == 0.5 * 3 + 1.0 + 1.5 * 2 + 9.0


def test_what_is_saved_only_rises_and_debts_are_paid_first() -> None:
    """Polls that nobody would have made are taken off before anything more is saved."""
    saving = Saving()
    saving.add(5, 1)
    assert saving.saved == 4
    saving.add(0, 1)
    saving.add(0, 1)
    assert saving.saved == 4
    saving.add(2, 1)
    assert saving.saved == 4
    saving.add(4, 1)
    assert saving.saved == 6


def test_one_poll_for_ten_saves_nine() -> None:
    """In requests and in bytes, and the same if all are told that nothing has changed."""
    ledger = Ledger("/t")
    ledger.polled(Cost(bytes=100), followers=10)
    assert (ledger.requests_saved.saved, ledger.bytes_saved.saved) == (9, 900)
    ledger.polled(Cost(bytes=0), followers=10)
    assert (ledger.requests_saved.saved, ledger.bytes_saved.saved) == (18, 900)


def test_one_client_saves_nothing() -> None:
    """It would have asked as often by itself."""
    ledger = Ledger("/t")
    for _ in range(5):
        ledger.polled(Cost(bytes=100), followers=1)
    assert ledger.requests_saved.saved == 0
    assert ledger.bytes_saved.saved == 0


def test_pages_are_requests_that_each_client_would_have_made() -> None:
    """Three pages for four clients: nine requests less."""
    ledger = Ledger("/t")
    ledger.polled(Cost(requests=3, bytes=300), followers=4)
    assert ledger.requests_saved.saved == 9


def test_who_shares_a_request_with_other_topics_has_made_a_part_of_one() -> None:
    """Each of fifty clients of fifty topics in one batch would have asked for itself: 49 are saved."""
    ledger = Ledger("/t")
    for _ in range(50):
        ledger.polled(Cost(bytes=10, sharers=50), followers=1)
    assert ledger.requests_saved.saved == pytest.approx(49)
    assert ledger.bytes_saved.saved == 0


def test_a_lone_short_poller_saves_nothing_and_ten_save_nine_of_ten() -> None:
    """Each answer from memory was a request; the polls that keep it fresh while nobody follows are what it cost."""
    ledger = Ledger("/t")
    account = Account(ledger, now=0.0)
    for clients, saved in ((1, 0), (10, 9)):
        before = ledger.requests_saved.saved
        account.polled(Cost(bytes=70), followers=0)
        for _ in range(clients):
            account.spared(with_body=True)
        assert ledger.requests_saved.saved - before == saved
    assert ledger.bytes_saved.saved == 9 * 70


def test_a_short_poll_that_would_have_been_answered_304_saves_no_bytes() -> None:
    """Nor does one of a topic whose answers are all 304 hide how large its document is."""
    account = Account(Ledger("/t"), now=0.0)
    account.polled(Cost(bytes=70), followers=1)
    account.polled(Cost(bytes=0), followers=1)
    account.spared(with_body=False)
    assert account.ledger.bytes_saved.saved == 0
    account.spared(with_body=True)
    assert account.ledger.bytes_saved.saved == 70


def test_time_counts_for_the_state_that_it_was_spent_in_as_far_as_the_topic_was_wanted() -> None:
    """What came before, and the sleep after its linger, is nobody's."""
    account = Account(Ledger("/t"), now=100.0)
    account.spend("cold", until=101.0, now=101.0)
    account.spend("live", until=111.0, now=111.0)
    account.spend("live", until=115.0, now=200.0)  # it slept from 115 on
    account.spend("live", until=205.0, now=205.0)
    account.spend("live", until=-math.inf, now=300.0)
    assert account.ledger.seconds == {"cold": 1.0, "live": 19.0}


def test_an_event_for_many_is_counted_for_each_with_its_bytes_and_its_delay() -> None:
    """A clock that was set back makes no negative delay, and who came late is no delay at all."""
    ledger = Ledger("/t")
    ledger.told("sse", "patch", size=10, count=5, delay=0.02)
    ledger.told("sse", "patch", size=10, delay=-3.0)
    ledger.told("sse", "snapshot", size=100)
    assert ledger.deliveries["sse", "patch"] == 6
    assert ledger.sent_bytes["sse"] == 160
    assert list(ledger.delays.cumulated())[-1] == (math.inf, 6)


def test_an_answer_to_a_poll_has_a_delay_only_if_its_client_waited() -> None:
    """The same answer is old news to one that has just come."""
    ledger = Ledger("/t")
    mention = Mention(ledger, "patch", 10, at=50.0)
    mention.count("long_poll")
    mention.count("long_poll", now=50.4)
    assert ledger.deliveries["long_poll", "patch"] == 2
    assert list(ledger.delays.cumulated())[-1] == (math.inf, 1)
    assert ledger.delays.total == pytest.approx(0.4)


DOUBT = Doubt("empty", "confirm", "it has nothing")
APPENDED = [Append(News(1), 0.0)]


@pytest.mark.parametrize(
    ("event", "commands", "outcome"),
    [
        (Answered(News(1), 0.0), APPENDED, "changed"),
        (Answered(None, 0.0), [], "unchanged"),
        (Unchanged(), [], "unchanged"),
        (Unchanged(not_modified=True), [], "not_modified"),
        (Answered(News(1), 0.0, DOUBT), [], "held"),
        (Answered(News(1), 0.0, DOUBT), APPENDED, "changed"),
        (Missing(0.0), APPENDED, "gone"),
        (Failed("timeout"), [], "failed"),
        (Failed("connect", was_asked=False), [], "skipped"),
        (Failed("budget", was_asked=False), [], "failed"),
        (Denied(403), [], "failed"),
    ],
)
def test_every_poll_has_one_outcome(event: Happening, commands: list[Append], outcome: Outcome) -> None:
    """Also one that was held at first and is published now."""
    assert outcome_of(event, commands) == outcome
