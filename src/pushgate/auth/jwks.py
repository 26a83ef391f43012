"""
The keys that an issuer publishes at a URL (RFC 7517 section 5): fetched ahead of need, and kept.

Rule 1: keys are fetched anew when the issuer's ``max-age`` is over, within bounds; nobody waits for that who could go
by those at hand.
Rule 2: a token with an unknown key may come from a rotation, so it is worth one fetch, shared by all who wait; but
names of keys cost nothing to invent, so for a while after each fetch an unknown key is unknown.
Rule 3: while the issuer cannot be asked, or answers with something else than keys, the last ones count, however long
that takes, and it is asked ever less often. A set that is empty is an answer: then nothing counts.
Rule 4: what is not published any more is not trusted any more, also for those whom it let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from ..clock import Clock
from ..config.hidden import redact_url
from ..config.signatures import OF_PUBLIC_KEYS, Algorithm
from ..errors import AuthUnavailable
from .keys import Key, KeySet, read_key_set

log = structlog.get_logger()

# How long keys are fresh, in seconds: if the issuer does not say, and whatever it says. The longest is also how long a
# key may be used at most that the issuer has withdrawn.
LIFE = 600.0
SHORTEST_LIFE, LONGEST_LIFE = 300.0, 86_400.0

# Up to such a part of it earlier they are fetched anew, so that replicas that started together do not ask together.
JITTER = 0.1

# For so long after a fetch, an unknown key is no reason for another one, in seconds.
COOL_DOWN = 30.0

# After a fetch in vain, the next is tried no earlier; doubled each time up to the longest, in seconds.
FIRST_HOLD, LONGEST_HOLD = 2.0, 300.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer with status 200. ``max_age``: seconds for which it is fresh, if it says so (RFC 9111 section 5.2.2)."""

    body: bytes = field(repr=False)
    max_age: float | None


class FetchKeys(Protocol):
    """Gets what is at a URL, within a bounded time and size. Raises AuthUnavailable."""

    async def __call__(self, url: str) -> Fetched: ...


class Jwks:
    """One issuer's keys; ``heard`` is told how each fetch went. ``keep_fresh`` must run as long as they are used."""

    def __init__(self, url: str, fetch: FetchKeys, clock: Clock, heard: Callable[[bool], None]) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._heard = heard
        self._lock = asyncio.Lock()
        self._set: KeySet | None = None
        self._failures = 0  # in a row
        self._due = float("-inf")  # when it is time to fetch them, in monotonic seconds
        self._not_before = float("-inf")

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """A published key never verifies what is signed with a secret."""
        return OF_PUBLIC_KEYS

    async def find(self, kid: str | None) -> tuple[Key, ...]:
        if self._set is None or (kid is not None and not self._set.named(kid)):
            await self._renew()
        if self._set is None:
            wait = max(self._not_before - self._clock.now(), 1.0)
            raise AuthUnavailable("the keys that tokens are signed with cannot be had now", retry_after=wait)
        return self._set.keys if kid is None else self._set.named(kid)

    def trusts(self, proof: str) -> bool:
        return self._set is not None and proof in self._set.proofs

    async def keep_fresh(self) -> None:
        """Fetch the keys now and whenever it is time, for ever."""
        while True:
            if self._due <= self._clock.now():
                await self._renew()
            await self._clock.sleep(max(self._due - self._clock.now(), 0.0))

    async def _renew(self) -> None:
        """
        Fetch the keys unless it is too early, as it is for all who have waited for somebody else's fetch.

        Waiting for the lock is bounded, as every fetch is. One that is cancelled with its request was none: the next
        who waits makes it.
        """
        async with self._lock:
            if self._not_before <= self._clock.now():
                await self._attempt()

    async def _attempt(self) -> None:
        try:
            fetched = await self._fetch(self._url)
            keys = read_key_set(fetched.body)
        except AuthUnavailable as error:
            self._fail(error.message, retry_after=error.retry_after or 0.0)
        except ValueError as error:
            self._fail(str(error), retry_after=0.0)
        else:
            self._adopt(keys, fetched.max_age)

    def _fail(self, reason: str, *, retry_after: float) -> None:
        self._heard(False)
        hold = min(LONGEST_HOLD, max(retry_after, FIRST_HOLD * 2.0 ** min(self._failures, 16)))
        self._failures += 1
        self._due = self._not_before = self._clock.now() + hold
        log.warning("auth.keys_unavailable", url=redact_url(self._url), reason=reason, kept=self._set is not None)

    def _adopt(self, keys: KeySet, max_age: float | None) -> None:
        self._heard(True)
        before = {} if self._set is None else self._set.passed_over
        for key, reason in keys.passed_over.items() - before.items():
            log.warning("auth.key_passed_over", url=redact_url(self._url), key=key, reason=reason)
        self._set = keys
        self._failures = 0
        now = self._clock.now()
        life = min(max(LIFE if max_age is None else max_age, SHORTEST_LIFE), LONGEST_LIFE)
        self._due = now + life * (1 - JITTER * self._clock.chance())
        self._not_before = now + COOL_DOWN
