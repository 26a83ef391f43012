"""
Who is let in: the entries of ``auth:`` at work, and what they have said already.

Rule 1: a verdict is remembered by a digest of the credential, until it expires or its entry wants to look again; so
thousands who come back with the same token cost one verification, and those who come at once share it.
Rule 2: what cannot be found out is a no, and so is everything about which this module is in doubt.
Rule 3: whoever was let in is asked about again each time that it wants something else: an entry may have gone, and a
key with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from ..clock import Clock
from ..errors import Forbidden, NotAuthenticated, Refusal
from ..metrics import Metrics
from ..routes import Route, TopicName
from ..values import Caller, Principal
from ..views import ViewRoute
from .credential import Authority, Credential, Presented
from .failures import Failures, is_guess
from .permission import auth_names, check_allowed
from .visitor import Visitor, ended

log = structlog.get_logger()

# So many verdicts are remembered; the oldest leave. A token and its principal take about 2 KB.
MAX_VERDICTS = 20_000

# For so many seconds a no is remembered: who tries the same again and again costs nobody a verification.
NO_HOLDS = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about a credential; ``until`` when that holds, in seconds since the epoch."""

    outcome: Principal | Refusal
    until: float


class Keeper:
    """Knows who may come in. ``authorities``: by their names in the configuration."""

    def __init__(self, authorities: Mapping[str, Authority], clock: Clock, metrics: Metrics) -> None:
        self._authorities = dict(authorities)
        self._clock = clock
        self._metrics = metrics
        self._verdicts: dict[tuple[str, bytes], Verdict] = {}
        self._pending: dict[tuple[str, bytes], asyncio.Future[Verdict | None]] = {}
        self._failures = Failures()

    def revise(self, authorities: Mapping[str, Authority]) -> None:
        """Go by other entries from now on; what those that stay have said still counts."""
        stay = {name for name, one in authorities.items() if self._authorities.get(name) is one}
        self._authorities = dict(authorities)
        self._verdicts = {key: verdict for key, verdict in self._verdicts.items() if key[0] in stay}

    # Who somebody is.

    @property
    def names(self) -> list[str]:
        """The entries of ``auth:``."""
        return [*self._authorities]

    def awaits_message(self, names: Iterable[str]) -> bool:
        """Whether somebody who has shown nothing may still say who it is, over a WebSocket that is open."""
        return any("message" in self._authorities[name].carriers for name in names if name in self._authorities)

    async def identify(self, names: Iterable[str], presented: Presented, visitor: Visitor) -> bool:
        """
        Find out who a client is for these entries, note it in its visitor, and tell whether it is anybody.

        What it has shown by another carrier than a header field stands for that field when it is asked for as itself.
        """
        visitor.address = presented.address
        proved, guesses = False, 0
        for authority in [self._authorities[name] for name in names if name in self._authorities]:
            try:
                credential = authority.find(presented)
                if credential is None:
                    continue
                principal = await self._judge(authority, credential, presented.address)
                visitor.prove(principal, None if credential.carrier == "header" else credential.field)
                proved = True
            except Refusal as refusal:
                guesses += is_guess(refusal)
                visitor.refusals[authority.name] = self._challenged(refusal, (authority.name,))
        if guesses and not proved:  # what one entry does not know may be meant for another
            self._failures.count(presented.address, now=self._clock.now())
        return proved

    async def hear(self, visitor: Visitor, names: Iterable[str], token: str, *, is_renewal: bool) -> Visitor:
        """
        Return a visitor as it is known by what it has said over a WebSocket; raises the refusal of what proves nothing.

        ``is_renewal``: it was known before, so it may say any credential; what it was stays until that ends.
        """
        asked, shown = [*names], visitor.stranger()
        presented = Presented(message=token, is_renewal=is_renewal, address=visitor.address)
        if not await self.identify(asked, presented, shown):
            raise self._refusal(asked, shown)
        return visitor.proved(shown)  # as it is by now: meanwhile somebody may have been sent away

    def _refusal(self, names: Iterable[str], visitor: Visitor) -> Refusal:
        """Return why a visitor is nobody to these entries."""
        asked = [*names]
        return next(filter(None, map(visitor.refusals.get, asked)), None) or self.missing(asked)

    def known_as(self, names: Iterable[str], visitor: Visitor) -> Principal:
        """Return the first of those who a visitor is whom these entries know; raises why it is nobody to them."""
        asked = [*names]
        for principal in self._present(asked, visitor):
            if principal.auth not in visitor.ticketed:  # a ticket is for topics, and for nothing else
                return principal
        raise self._refusal(asked, visitor)

    def missing(self, names: Iterable[str]) -> NotAuthenticated:
        """Return the refusal of somebody who has shown nothing."""
        message = "this needs credentials, and none were found where they are looked for"
        return NotAuthenticated("credentials_missing", message, headers=self._challenge(names))

    async def _judge(self, authority: Authority, credential: Credential, address: str | None) -> Principal:
        key = authority.name, credential.digest()
        verdict = self._recall(key)
        if verdict is None:
            self._failures.check(address, now=self._clock.now())
            verdict = await self._find_out(key, authority, credential)
        outcome = verdict.outcome
        if isinstance(outcome, Principal):
            self._metrics.authenticated(authority.name, "ok")
            return outcome
        self._metrics.authenticated(authority.name, outcome.code)
        raise _again(outcome)

    def _recall(self, key: tuple[str, bytes]) -> Verdict | None:
        verdict = self._verdicts.get(key)
        if verdict is None or verdict.until <= self._clock.wall():
            return None
        return verdict if self._counts(verdict) else None

    def _counts(self, verdict: Verdict) -> bool:
        return not isinstance(verdict.outcome, Principal) or self.vouches(verdict.outcome)

    async def _find_out(self, key: tuple[str, bytes], authority: Authority, credential: Credential) -> Verdict:
        """Verify a credential; who shows the same one meanwhile waits for what comes of it."""
        while (pending := self._pending.get(key)) is not None:
            await asyncio.wait([pending])  # bounded, as verifying is
            verdict = self._recall(key) or pending.result()
            if verdict is not None and self._counts(verdict):  # also if it is not remembered
                return verdict
        verdict = None
        done = self._pending[key] = asyncio.get_running_loop().create_future()
        try:
            verdict = await self._verify(authority, credential)
            if len(self._verdicts) >= MAX_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[key] = verdict
            return verdict
        finally:
            del self._pending[key]
            done.set_result(verdict)

    async def _verify(self, authority: Authority, credential: Credential) -> Verdict:
        now = self._clock.wall()
        try:
            principal = await authority.verify(credential, now=now)
        except Refusal as refusal:
            log.info("auth.refused", auth=authority.name, carrier=credential.carrier, code=refusal.code)
            return Verdict(refusal, self._clock.wall() + min(NO_HOLDS, authority.remembers_for))
        until = now + authority.remembers_for
        return Verdict(principal, until if principal.expires_at is None else min(until, principal.expires_at))

    # What somebody may have.

    def admit(
        self, entry: Route | ViewRoute, values: Mapping[str, str], query: Mapping[str, str], visitor: Visitor
    ) -> tuple[TopicName, Caller]:
        """
        Return the topic as the visitor sees it, and as whom it sees it: the first of those who it is who may.

        Raises what ``Route.topic`` raises, NotAuthenticated for a visitor whom the route does not know, and Forbidden.
        """
        names = auth_names(entry)
        if not names:
            caller = visitor.caller(None)
            return entry.topic(values, query, caller), caller
        refused: Refusal | None = None
        for principal in self._present(names, visitor):
            caller = visitor.caller(principal)
            try:
                topic = entry.topic(values, query, caller)
                visitor.check_ticket(principal, topic.text)
                check_allowed(entry, principal, topic.values)
                return topic, caller
            except (Forbidden, NotAuthenticated) as refusal:
                refused = refused or refusal
        raise refused or self._refusal(names, visitor)

    def recheck(self, entry: Route | ViewRoute, name: TopicName, principal: Principal | None) -> Refusal | None:
        """Return why somebody who follows a topic may not do so any longer; None if it may."""
        names = auth_names(entry)
        if not names:
            return None
        if principal is None:
            return self.missing(names)
        if principal.auth not in names or not self.vouches(principal):
            return NotAuthenticated("credentials_revoked", "these credentials do not count any more")
        if refusal := ended(principal, now=self._clock.wall()):
            return refusal
        try:
            check_allowed(entry, principal, name.values)
        except Forbidden as refusal:
            return refusal
        return None

    def vouches(self, principal: Principal) -> bool:
        """Whether what a principal once proved would still do."""
        authority = self._authorities.get(principal.auth)
        return authority is not None and authority.vouches(principal)

    def _present(self, names: Iterable[str], visitor: Visitor) -> Iterable[Principal]:
        now = self._clock.wall()
        for name in sorted(names, key=lambda name: name not in visitor.latest) if visitor.latest else names:
            principal = visitor.principals.get(name)
            if principal is not None and self.vouches(principal) and not ended(principal, now=now):
                yield principal

    def _challenged(self, refusal: Refusal, names: Iterable[str]) -> Refusal:
        if isinstance(refusal, NotAuthenticated):
            refusal.headers = self._challenge(names)
        return refusal

    def _challenge(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return the field that says how to do better; one of several challenges is enough for a client."""
        known = [self._authorities[name].challenge for name in names if name in self._authorities]
        return {"WWW-Authenticate": ", ".join(dict.fromkeys(known))} if known else {}


def _again(refusal: Refusal) -> Refusal:
    """Return a refusal for one more client: each raises its own, with a traceback of its own."""
    if isinstance(refusal, NotAuthenticated):
        return NotAuthenticated(refusal.fault, refusal.message)
    return type(refusal)(refusal.message, retry_after=refusal.retry_after)
