"""
What the answers to one topic mean, and what is kept of them.

Rule 1: only an answer that the topic accepted leaves anything: a held, rejected or failed one leaves no validators, no
document and no position, so that the next poll asks for the same again.
Rule 2: "nothing has changed" (a 304, or the same bytes) is believed only about the answer that was accepted.
Rule 3: a topic whose answer or document is big is away: somebody else is commissioned to read it. It comes home when
both are well below that, so that one which is now a little larger, now a little smaller, does not go to and fro.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .answers import NO_VALIDATORS, Accepted, Answer, hash_of
from .documents.changes import Sealed, Version
from .documents.guarding import Doubt
from .errors import PollError, PollErrorReason
from .happenings import Answered, Denied, Freshness, Missing, Outcome, Unchanged
from .refinery import Decoder, Refinery
from .routes import Route
from .values import ABSENT, UNREAD, Document, State, Validators
from .workbench import Base, Commission, Finished

# To read, compare and encode so many bytes takes about 10 ms, and meanwhile nobody else is served.
BIG_BYTES = 512 * 1024

# An answer or document below this part of it is no longer big.
HOME_PART = 0.5


@dataclass(frozen=True, slots=True)
class Held:
    """The latest answer, which a guard holds back."""

    doubt: Doubt
    size: int  # bytes of the answer
    document: Document | Sealed  # what it would have become


class Reception:
    """Takes in the answers to one topic."""

    __slots__ = ("_body_hash", "_refinery", "_route", "accepted", "held", "is_away")

    def __init__(self, route: Route, decoder: Decoder) -> None:
        self._route = route
        self._refinery = Refinery(route.recipe, decoder)
        self._body_hash: bytes | None = None  # of the latest answer, if its body was looked at
        self.accepted = Accepted()
        self.held: Held | None = None
        self.is_away = False

    def revise(self, route: Route, published: Version | None) -> None:
        """
        Go on for a route that makes the same documents of the same answers, but may believe others and end elsewhere.

        So the next answer is looked at, whatever it is. ``published``: the current document.
        """
        self._route = route
        self._refinery.recipe = route.recipe
        body = self.accepted.body if route.config.is_raw else None
        self.accepted = replace(self.accepted, validators=NO_VALIDATORS, body_hash=None, body=body)
        if self.is_away and route.is_read_here:
            self._come_home(published)

    def since(self, now: float) -> tuple[str, str] | None:
        """Return the query parameter that asks only for what is new; None asks for everything."""
        return self._refinery.since(now)

    def validators(self, *, is_conditional: bool) -> Validators:
        """Return what to ask with whether anything has changed."""
        return self.accepted.validators if is_conditional else NO_VALIDATORS

    def commission(self, answer: Answer, published: Version | None) -> Commission | None:
        """
        Return what somebody else shall make of an answer; None if it is to be understood here.

        ``published``: the current document; None if there is none yet.
        """
        size = max(len(answer.body), 0 if published is None else published.size)
        is_big = size > BIG_BYTES * (HOME_PART if self.is_away else 1)
        if not is_big and not self.is_away:
            return None
        if self._route.is_read_here or answer.value is not UNREAD or self._route.meaning(answer.status) != "document":
            return None
        if not is_big:
            self._come_home(published)
            return None
        if not self.is_away:
            self.is_away = True
            self._refinery.forget()
        base = None if published is None or published.is_absent else Base(published.digest, published.snapshot)
        known = self.accepted.body_hash if self.accepted.content_type == answer.content_type else None
        return Commission(self._route.config, answer.body, answer.content_type, answer.at, base, known)

    def _come_home(self, published: Version | None) -> None:
        self.is_away = False
        if published is not None and (document := published.document) is not ABSENT:
            self._refinery.resume(document)

    def finish(self, answer: Answer, finished: Finished) -> Outcome:
        """Return what an answer means, of which somebody else has made this."""
        self._body_hash = finished.body_hash
        if finished.answered is None:
            return Unchanged(freshness=Freshness(answer.fresh_for, answer.modified_at, self._refinery.ttl))
        self._refinery.ttl = finished.ttl
        return replace(finished.answered, freshness=Freshness(answer.fresh_for, answer.modified_at, finished.ttl))

    def understand(self, answer: Answer, asked_with: Validators, *, has_document: bool) -> Outcome:
        """Turn an answer into what happened to the topic; raises PollError if it is no good."""
        self._body_hash = None
        freshness = Freshness(answer.fresh_for, answer.modified_at, self._refinery.ttl)
        if answer.status == 304:
            if asked_with == NO_VALIDATORS:
                raise PollError("protocol", "the upstream answered 304 although it was shown nothing to compare")
            if answer.fresh_for is None:
                freshness = replace(freshness, fresh_for=self.accepted.renewable_for)
            return Unchanged(not_modified=True, freshness=freshness)
        if answer.verdict is None and self._route.is_denied(answer.status) and not answer.is_over_quota:
            return Denied(answer.status)
        try:
            verdict = answer.verdict or self._route.verdict(answer.status)
        except PollError as error:
            reason: PollErrorReason = "rate_limited" if answer.is_over_quota else error.reason
            raise PollError(reason, error.detail, retry_after=answer.retry_after) from error
        match verdict:
            case "keep" if not has_document:
                raise PollError("protocol", f"the upstream answered {answer.status}, and there is nothing to keep yet")
            case "gone":
                return Missing(answer.at, Freshness(answer.fresh_for))
            case "document" if not self._is_known(answer):
                return self._refinery.refine(answer)
            case _:
                return Unchanged(freshness=freshness)

    def _is_known(self, answer: Answer) -> bool:
        """Whether the answer is the accepted one again: the same bytes, and meant to be read in the same way."""
        self._body_hash = hash_of(answer.body)
        return self._body_hash == self.accepted.body_hash and self.accepted.content_type == answer.content_type

    def remember(self, answer: Answer, outcome: Outcome, state: State) -> None:
        """Keep what the next poll needs; ``state``: the topic's, now that it has heard of the outcome."""
        self.held = None
        match outcome:
            case Unchanged():
                self.accepted = self.accepted.confirmed_by(answer, self._body_hash)
            case Missing() if state != "gone":
                self.accepted = self.accepted.in_doubt()
            case Missing() | Denied():
                self.accepted = Accepted()
                self._refinery.forget()
            case Answered(doubt=Doubt() as doubt) if state == "held":
                document = ABSENT if outcome.news is None else outcome.news.document
                self.held = Held(doubt, len(answer.body), document)
            case Answered():
                self.accepted = self._accepted(answer)
                if not self.is_away:
                    self._refinery.accept()
            case _:
                raise AssertionError("a failed poll is never remembered")

    def _accepted(self, answer: Answer) -> Accepted:
        # What accumulates is a part of the document only, so the same bytes need not mean the same document.
        if self._route.recipe.accumulate is not None:
            return Accepted()
        return Accepted.of(answer, self._body_hash, with_body=self._route.config.is_raw)
