"""
What an upstream said, and what is kept of the answer that was accepted last.

ETag and Last-Modified are kept and updated each on its own: a new answer replaces both with what it has, a 304 may
bring a new value for one. Only an accepted answer leaves anything, and no Last-Modified that is as good as now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

from .packing import Parcel
from .values import UNREAD, Json, Unread, Validators

NO_VALIDATORS = Validators()

# Seconds after which a document can no longer change without another Last-Modified. That is a whole second, which has
# to be over (RFC 9110 section 8.8.2.2), and the clocks that measure it agree to two.
SETTLED_AFTER = 3.0


@dataclass(frozen=True, slots=True)
class Quota:
    """What the upstream says is left of its own limit: requests, and the seconds until it is full again."""

    remaining: int
    reset_after: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What an answer cost, and would have cost anybody else: requests, and bytes of bodies as they came over the network.

    ``sharers``: how many topics were asked for together; the bytes are this one's share.
    """

    requests: int = 1
    bytes: int = 0
    sharers: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What an upstream said. ``at``: when it was read, since the epoch.

    ``retry_after``: how long to leave it alone, in seconds. ``fresh_for``: for how long it vouches for the answer (RFC
    9111 section 4.2), counted from ``at``; None if it does not say. ``renewable_for``: for how long it is good again if
    a 304 confirms it that does not say. ``modified_at``: when the document last changed as
    the upstream tells it, since the epoch by our clock. ``link_next``: the URL of a Link header with rel=next.
    ``value`` and ``ttl``: what was read of the body already, where that took more than one answer or is only a part of
    one. ``verdict``: what it means, if not its status says so. ``is_redirected``: it is that of
    another URL than the one that was asked first.
    """

    status: int
    content_type: str
    body: bytes
    validators: Validators
    at: float
    retry_after: float | None = None
    fresh_for: float | None = None
    renewable_for: float | None = None
    modified_at: float | None = None
    quota: Quota | None = None
    link_next: str | None = None
    value: Json | Literal[Unread.UNREAD] = UNREAD
    ttl: float | None = None
    verdict: Literal["gone", "keep"] | None = None
    is_redirected: bool = False
    cost: Cost = Cost()

    @property
    def is_over_quota(self) -> bool:
        """Whether a refusal is about how often it is asked, as GitHub's 403 is, and not about who asks."""
        return self.status in (403, 429) and self.quota is not None and self.quota.remaining <= 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is kept of the accepted answer; its body only for ``short_poll: raw``."""

    validators: Validators = NO_VALIDATORS
    body_hash: bytes | None = None  # the same bytes are not parsed again
    body: Parcel | None = None
    content_type: str = ""
    renewable_for: float | None = None

    @classmethod
    def of(cls, answer: Answer, body_hash: bytes | None, *, with_body: bool) -> Accepted:
        body = Parcel(answer.body) if with_body else None
        return cls(_lasting(answer), body_hash, body, answer.content_type, answer.renewable_for)

    def in_doubt(self) -> Accepted:
        """Return what is kept while the upstream has said once that there is no document: nothing to ask with."""
        return replace(self, validators=NO_VALIDATORS)

    def confirmed_by(self, answer: Answer, body_hash: bytes | None) -> Accepted:
        """Return what is kept after an answer that brought nothing new; ``body_hash``: None if nobody looked at it."""
        if answer.status == 304 and self.validators == NO_VALIDATORS:
            return self  # what was asked with has been given up meanwhile: the next answer shall be looked at
        if answer.status == 304:
            kept, news = self.validators, _lasting(answer)
            merged = Validators(news.etag or kept.etag, news.last_modified or kept.last_modified, kept.url)
            return self._with(merged, self.renewable_for if answer.fresh_for is None else answer.renewable_for)
        if body_hash is not None and body_hash == self.body_hash:
            return self._with(_lasting(answer), answer.renewable_for)
        return self  # a status that means "keep" says nothing about the document

    def _with(self, validators: Validators, renewable_for: float | None) -> Accepted:
        if validators == self.validators and renewable_for == self.renewable_for:
            return self
        return replace(self, validators=validators, renewable_for=renewable_for)


def _lasting(answer: Answer) -> Validators:
    """Return the validators that no later document can have."""
    said = answer.validators
    if answer.modified_at is None or answer.at - answer.modified_at >= SETTLED_AFTER:
        return said
    return replace(said, last_modified=None)


def hash_of(body: bytes) -> bytes:
    """Return 128 bits that tell one body from another."""
    return blake2b(body, digest_size=16).digest()
