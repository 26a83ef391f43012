"""
Who tries credentials in vain, by address, and how long it has to wait before it may try again.

Rule 1: a few failures are free, since people mistype; then each further one doubles the wait.
Rule 2: while an address waits, nothing that it shows is looked at, good or bad, and after the wait one attempt is: many
that come at once are no way round it.
Rule 3: success forgives nothing, or whoever has one good password could try others for ever; only quiet does.
"""

from __future__ import annotations

from math import ceil

from ..errors import NotAuthenticated, Refusal, TooMany

# So many failures within so many seconds are people who mistype, and a browser that tries its cookie first.
FREE_FAILURES = 10
WINDOW = 60.0

# The wait after the next failure, in seconds, and the longest. Rightful users of a shared address have to wait, too.
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0

# An address that has not failed for so long, in seconds, is like any other; until then each failure doubles its wait.
FORGIVEN_AFTER = 600.0

# So many addresses are remembered (200 bytes each); those that have been quiet for longest leave.
MAX_ADDRESSES = 20_000

# What is no guess: only who has the real thing can show that it is too old.
_NO_GUESS = ("credentials_missing", "credentials_expired", "credentials_premature", "credentials_revoked")


def is_guess(refusal: Refusal) -> bool:
    """Whether what was refused is what somebody would show who tries out credentials."""
    return isinstance(refusal, NotAuthenticated) and refusal.fault not in _NO_GUESS


class _Record:
    """What is remembered of one address."""

    __slots__ = ("failed_at", "failures", "free_until", "wait", "waits_until")

    def __init__(self, now: float) -> None:
        self.failures = 0  # within the window
        self.free_until = now + WINDOW  # when the window ends
        self.failed_at = now
        self.wait = 0.0  # after the last failure; 0: none yet
        self.waits_until = now


class Failures:
    """Counts failures. ``now`` is monotonic, in seconds; an address is None if many clients may share it."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}  # whoever failed last stands last

    def __len__(self) -> int:
        return len(self._records)

    def check(self, address: str | None, *, now: float) -> None:
        """Let one attempt through; raises TooMany for an address that has to wait."""
        record = None if address is None else self._recall(address, now)
        if record is None or not record.wait:
            return
        if now < record.waits_until:
            left = ceil(record.waits_until - now)
            message = f"too many credentials from this address were wrong; try again in {left}s"
            raise TooMany(message, retry_after=record.waits_until - now, limit="failures")
        record.waits_until = now + record.wait

    def count(self, address: str | None, *, now: float) -> None:
        """Take note of an attempt that failed."""
        if address is None:
            return
        record = self._recall(address, now) or _Record(now)
        self._records.pop(address, None)
        if len(self._records) >= MAX_ADDRESSES:
            del self._records[next(iter(self._records))]
        self._records[address] = record
        record.failed_at = now
        if not record.wait and now >= record.free_until:
            record.failures, record.free_until = 0, now + WINDOW
        record.failures += 1
        if record.failures >= FREE_FAILURES or record.wait:
            record.wait = min(2 * record.wait or FIRST_WAIT, LONGEST_WAIT)
            record.waits_until = now + record.wait

    def _recall(self, address: str, now: float) -> _Record | None:
        record = self._records.get(address)
        if record is not None and now - record.failed_at >= FORGIVEN_AFTER:
            del self._records[address]
            return None
        return record
