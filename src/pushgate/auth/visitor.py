"""Somebody who is here: what was shown of it, and who it proved to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import NotAuthenticated, Refusal
from ..values import Caller, Mode, Principal

# What is earlier than this has come, in seconds: alarms have a grain.
NOW = 0.001


def ended(principal: Principal | None, *, now: float) -> NotAuthenticated | None:
    """Return why somebody may no longer be who it was, if its credentials have ended."""
    if principal is None or principal.expires_at is None or principal.expires_at - now > NOW:
        return None
    return NotAuthenticated("credentials_expired", "the credentials have ended")


class Visitor:
    """
    One client as the gateway knows it, for one request or as long as its connection lasts.

    ``headers`` and ``cookies`` are what may be sent upstream as the client, names of header fields in lower case;
    ``fields`` what takes the place of one of these where it is asked for as somebody, by the entry of ``auth:``.
    ``principals`` is who it is, by the entry of ``auth:`` that says so: several, if it has shown several credentials;
    ``refusals`` what entries said to credentials that prove nothing. ``ticketed``: those of the principals that came by
    a ticket, with the topics and the mode that it is for. ``latest``: entries to which it has said something since it
    came; that counts before what it was. ``address``: its own, if it has one to itself.
    """

    __slots__ = ("address", "cookies", "fields", "headers", "latest", "principals", "refusals", "ticketed")

    def __init__(self, headers: Mapping[str, str] | None = None, cookies: Mapping[str, str] | None = None) -> None:
        self.headers = dict(headers or {})
        self.cookies = dict(cookies or {})
        self.fields: dict[str, tuple[str, str]] = {}
        self.latest: frozenset[str] = frozenset()
        self.address: str | None = None
        self.principals: dict[str, Principal] = {}
        self.refusals: dict[str, Refusal] = {}
        self.ticketed: dict[str, tuple[frozenset[str], str | None]] = {}

    def prove(self, principal: Principal, field: tuple[str, str] | None = None) -> None:
        """Note who it is, by its own credentials; ``field`` says the same, if they were shown by another carrier."""
        self.principals[principal.auth] = principal
        self.ticketed.pop(principal.auth, None)
        self.fields.pop(principal.auth, None)
        if field is not None:
            self.fields[principal.auth] = field

    def come_by_ticket(self, principals: Iterable[Principal], topics: frozenset[str], emit: str | None) -> None:
        """Note who it is, but for these topics in this mode only."""
        for principal in principals:
            self.principals[principal.auth] = principal
            self.ticketed[principal.auth] = topics, emit

    def check_ticket(self, principal: Principal, topic: str) -> None:
        """Raise NotAuthenticated if it is this principal for other topics only."""
        topics, _ = self.ticketed.get(principal.auth, (None, None))
        if topics is not None and topic not in topics:
            raise NotAuthenticated("ticket_misused", "the ticket is for other topics; get one for this one")

    def check_mode(self, principal: Principal | None, mode: Mode, default: Mode) -> None:
        """Raise NotAuthenticated if it is this principal in another mode only; ``default``: where none was named."""
        if principal is None or principal.auth not in self.ticketed:
            return
        _, emit = self.ticketed[principal.auth]
        if mode != (emit or default):
            raise NotAuthenticated("ticket_misused", "the ticket is for another `emit`; get one for this one")

    def caller(self, principal: Principal | None) -> Caller:
        """Return it as one of those who it is, with the credentials of that one and of no other."""
        field = None if principal is None else self.fields.get(principal.auth)
        headers = self.headers if field is None else {**self.headers, field[0]: field[1]}
        return Caller(principal, headers, self.cookies)

    def stranger(self) -> Visitor:
        """Return the same client, as if nobody knew who it is."""
        other = Visitor(self.headers, self.cookies)
        other.address = self.address
        return other

    def again(self) -> Visitor:
        """Return the same visitor, who is about to show something else."""
        other = self.stranger()
        other.latest = self.latest
        other.fields.update(self.fields)
        other.principals.update(self.principals)
        other.ticketed.update(self.ticketed)
        return other

    def proved(self, shown: Visitor) -> Visitor:
        """Return it as it is now that it has shown what makes it these, too."""
        other = self.again()
        for name, principal in shown.principals.items():
            other.prove(principal, shown.fields.get(name))
        other.latest = frozenset(shown.principals)
        return other

    def only(self, principal: Principal) -> Visitor:
        """Return it as it is on a connection where it is nobody else; itself if it is."""
        if len(self.principals) == 1 and self.principals.get(principal.auth) is principal and not self.refusals:
            return self
        other = self.again()
        other.principals = {principal.auth: principal}
        return other
