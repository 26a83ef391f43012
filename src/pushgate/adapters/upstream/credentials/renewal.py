"""
Getting credentials anew: one does it for all who need them, and nobody hammers a door that stays shut.

Topics of one upstream find out in the same moment that a token is no longer good. The first one gets a new one; the
others wait for the same outcome, good or bad. After a refusal, nothing is tried for a while that doubles each time: a
wrong password in a file must not lock an account. What merely could not be asked may be asked again at the next poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ....answers import Answer
from ....clock import Clock
from ....errors import PollError, PollFailureReason

FIRST_HOLD, LONGEST_HOLD = 10.0, 600.0


class Renewal:
    """One thing that is renewed; ``count`` says how often it was."""

    def __init__(self, clock: Clock, heard: Callable[[bool], None]) -> None:
        self.count = 0
        self._clock = clock
        self._heard = heard
        self._lock = asyncio.Lock()
        self._attempts = 0
        self._refusals = 0  # in a row
        self._failure: PollError | None = None
        self._not_before = 0.0
        self._doubted = 0

    async def since(self, count: int, renew: Callable[[], Awaitable[None]]) -> None:
        """
        Renew unless that has happened since ``count`` was read; raises PollError as ``renew`` does.

        While a refusal is recent, it is raised again instead. Waiting for the lock is bounded, since every request of
        the one who holds it is.
        """
        attempts = self._attempts
        async with self._lock:
            if self.count != count:
                return
            if self._failure is not None and (self._attempts != attempts or self._clock.now() < self._not_before):
                raise self._again(self._failure)
            try:
                await renew()
            except PollError as error:
                if error.reason == "paused":  # nobody was asked, so nothing was refused
                    raise
                self._attempts += 1
                self._heard(False)
                self._hold(error)
                raise self._again(error) from error
            self._attempts += 1
            self.count += 1
            self._failure = None
            self._heard(True)

    def proved(self) -> None:
        """Hear that what was got is good."""
        self._refusals = 0

    def doubted(self, count: int, error: PollError) -> None:
        """Hear that what the renewal with this ``count`` brought is no good after all: that was a failure, too."""
        if self._doubted < count == self.count:
            self._doubted = count
            self._heard(False)
            self._hold(error)

    def _hold(self, error: PollError) -> None:
        hold = 0.0
        if error.reason == "upstream_auth":
            hold = min(LONGEST_HOLD, FIRST_HOLD * 2.0 ** min(self._refusals, 16))
            self._refusals += 1
        self._not_before = self._clock.now() + max(hold, min(LONGEST_HOLD, error.retry_after or 0.0))
        self._failure = error

    def _again(self, error: PollError) -> PollError:
        """Return the failure for one more poll, with the time from which on it is worth trying."""
        seconds = self._not_before - self._clock.now()
        return PollError(error.reason, error.detail, retry_after=seconds if seconds > 0 else None)


def refused(what: str, answer: Answer, words: str) -> PollError:
    """Return the failure that an answer to a login or a token request means; a server in trouble is no refusal."""
    reason: PollFailureReason = "upstream_auth"
    if answer.status == 429:
        reason = "rate_limited"
    elif answer.status >= 500:
        reason = "http_5xx"
    return PollError(reason, f"{what}: {words}", retry_after=answer.retry_after)
