"""
How long somebody may stay whose credentials end: no longer than they do, and warned before.

Rule 1: an end is a time of day, and clocks are set: when an alarm rings it is looked again how much is left.
Rule 2: a lease belongs to a connection and one of those as whom it is known; what ends with it, the connection knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from .alarms import Alarms
from .auth.visitor import NOW, Visitor, ended
from .errors import Refusal
from .values import Event, Principal
from .wire import expiring_event

# So long before the end it is announced, in seconds: time to get a token and to say it. Of a shorter stay, the half.
NOTICE = 30.0

# An alarm is never further away than this, in seconds: so long may a clock that was set go unnoticed.
FURTHEST = 60.0


def patience(wait: float, *principals: Principal | None, now: float) -> float:
    """Return how long somebody may wait who would like to wait so many seconds: until its credentials end."""
    ends = [one.expires_at - now for one in principals if one is not None and one.expires_at is not None]
    return max(0.0, min([wait, *ends]))


class Tenant(Protocol):
    """A connection that somebody may stay on."""

    def warn(self, expiring: Event) -> None:
        """Tell the client that its credentials end."""

    def revoke(self, principal: Principal, refusal: Refusal) -> None:
        """End what the client may no longer have as this principal."""


class Lease:
    """One stay. ``stop`` it when the connection ends, or when the principal is proved anew."""

    __slots__ = ("_announces_at", "_ends_at", "_leases", "_place", "_principal", "_tenant")

    def __init__(self, leases: Leases, tenant: Tenant, principal: Principal, ends_at: float, now: float) -> None:
        self._leases = leases
        self._tenant = tenant
        self._principal = principal
        self._ends_at = ends_at
        self._announces_at: float | None = ends_at - min(NOTICE, (ends_at - now) / 2)
        self._place = 0
        self._wait(now)

    def stop(self) -> None:
        self._leases.alarms.drop(self, self._place)

    def time_out(self) -> None:
        """Look what has come: the notice, the end, or neither yet."""
        now = self._leases.wall()
        if refusal := ended(self._principal, now=now):
            self._tenant.revoke(self._principal, refusal)
            return
        if self._announces_at is not None and self._announces_at - now <= NOW:
            self._announces_at = None
            self._tenant.warn(expiring_event(self._ends_at, at=now))
        self._wait(now)

    def _wait(self, now: float) -> None:
        due = self._ends_at if self._announces_at is None else self._announces_at
        self._place = self._leases.alarms.set(self, min(max(0.0, due - now), FURTHEST))


class Leases:
    """All stays that end. ``wall``: tells the seconds since the epoch."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self.alarms: Alarms[Lease] = Alarms()

    def begin(self, tenant: Tenant, principal: Principal) -> Lease | None:
        """Have a stay end with the principal's credentials; None if they do not."""
        if principal.expires_at is None:
            return None
        return Lease(self, tenant, principal, principal.expires_at, self.wall())


class Stay:
    """A visitor on one connection, and the leases of those who it is there."""

    __slots__ = ("_leases", "_running", "visitor")

    def __init__(self, leases: Leases, visitor: Visitor) -> None:
        self._leases = leases
        self._running: dict[str, Lease] = {}  # by the entry of ``auth:``
        self.visitor = visitor

    def begin(self, tenant: Tenant) -> None:
        self._begin(tenant, self.visitor.principals.values())

    def renew(self, tenant: Tenant, visitor: Visitor) -> None:
        """Take note that the visitor has proved who it is once more, or who else it is."""
        before, self.visitor = self.visitor.principals, visitor
        now = visitor.principals
        for name in [name for name, one in before.items() if now.get(name) is not one]:
            if (old := self._running.pop(name, None)) is not None:
                old.stop()
        self._begin(tenant, [one for name, one in now.items() if before.get(name) is not one])

    def forget(self, principal: Principal) -> None:
        """Take note that the visitor is not to be this one any more."""
        self.visitor.principals.pop(principal.auth, None)
        if (lease := self._running.pop(principal.auth, None)) is not None:
            lease.stop()

    def end(self) -> None:
        for lease in self._running.values():
            lease.stop()
        self._running.clear()

    def _begin(self, tenant: Tenant, principals: Iterable[Principal]) -> None:
        for principal in principals:
            if (lease := self._leases.begin(tenant, principal)) is not None:
                self._running[principal.auth] = lease
