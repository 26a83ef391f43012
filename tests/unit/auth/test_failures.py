"""Who tries credentials in vain waits, and longer each time; everybody else does not."""

from __future__ import annotations

import pytest

from pushgate.auth.failures import (
    FIRST_WAIT,
    FORGIVEN_AFTER,
    FREE_FAILURES,
    LONGEST_WAIT,
    MAX_ADDRESSES,
    WINDOW,
    Failures,
    is_guess,
)
from pushgate.errors import AuthUnavailable, CredentialFault, NotAuthenticated, TooMany

HERE = "192.0.2.1"


def fail(failures: Failures, times: int = 1, *, now: float, address: str = HERE) -> None:
    for _ in range(times):
        failures.count(address, now=now)


def wait(failures: Failures, *, now: float, address: str = HERE) -> float:
    """How long an attempt has to wait."""
    try:
        failures.check(address, now=now)
    except TooMany as refusal:
        assert refusal.limit == "failures" and refusal.retry_after is not None
        return refusal.retry_after
    return 0.0


def test_people_mistype() -> None:
    failures = Failures()
    fail(failures, FREE_FAILURES - 1, now=0.0)
    assert wait(failures, now=0.0) == 0.0


def test_from_then_on_each_failure_doubles_the_wait() -> None:
    failures = Failures()
    fail(failures, FREE_FAILURES, now=0.0)
    now, waits = 0.0, []
    for _ in range(8):
        waits.append(wait(failures, now=now))
        now += waits[-1]
        assert wait(failures, now=now) == 0.0
        fail(failures, now=now)
    assert waits == [FIRST_WAIT, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT]


def test_failures_that_are_far_apart_are_free() -> None:
    failures = Failures()
    for minute in range(10):
        fail(failures, FREE_FAILURES - 1, now=minute * WINDOW)
        assert wait(failures, now=minute * WINDOW) == 0.0


def test_many_that_come_at_once_are_no_way_round_it() -> None:
    """One attempt is let through after a wait; the others wait on, whatever comes of it."""
    failures = Failures()
    fail(failures, FREE_FAILURES, now=0.0)
    assert [wait(failures, now=FIRST_WAIT) for _ in range(5)] == [0.0, *[FIRST_WAIT] * 4]


def test_only_quiet_is_forgiven() -> None:
    failures = Failures()
    fail(failures, FREE_FAILURES + 10, now=0.0)
    assert wait(failures, now=FORGIVEN_AFTER - 1) == 0.0
    assert wait(failures, now=FORGIVEN_AFTER - 1) == LONGEST_WAIT
    assert [wait(failures, now=FORGIVEN_AFTER) for _ in range(5)] == [0.0] * 5


def test_others_do_not_notice() -> None:
    failures = Failures()
    fail(failures, 100, now=0.0)
    assert wait(failures, now=0.0, address="192.0.2.2") == 0.0


def test_nobody_is_slowed_whose_address_many_may_share() -> None:
    failures = Failures()
    for _ in range(100):
        failures.count(None, now=0.0)
    failures.check(None, now=0.0)
    assert len(failures) == 0


def test_the_table_is_bounded_and_those_that_failed_last_stay() -> None:
    failures = Failures()
    fail(failures, FREE_FAILURES, now=0.0)
    for n in range(MAX_ADDRESSES):
        fail(failures, now=0.1, address=str(n))
        if n % 1000 == 0:
            fail(failures, now=0.1)
    assert len(failures) == MAX_ADDRESSES
    assert wait(failures, now=0.1) > 0
    fail(failures, now=0.2, address="one more")
    assert len(failures) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("fault", "is_one"),
    [
        ("credentials_unknown", True),
        ("credentials_refused", True),
        ("token_signature", True),
        ("credentials_malformed", True),
        ("credentials_missing", False),
        ("credentials_expired", False),
        ("credentials_revoked", False),
    ],
)
def test_what_a_guess_is(fault: CredentialFault, *, is_one: bool) -> None:
    """A page left open overnight tries its old token every few seconds, and guesses nothing."""
    assert is_guess(NotAuthenticated(fault, "no")) is is_one
    assert not is_guess(AuthUnavailable("the issuer does not answer"))
