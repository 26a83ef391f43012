"""
Tickets: what a page shows instead of its credentials where it cannot show those, as in the URL of an EventSource.

Rule 1: a ticket is good once, for a short time, and for what it was given out for: who asked, these topics, this mode.
Rule 2: an EventSource repeats its URL at every reconnect. So who redeems a ticket is given a cookie, and with that the
spent ticket still says who it is; neither does without the other. A URL that leaks is worth nothing.
Rule 3: no ticket and no cookie is kept: of a ticket a digest, and a cookie is made anew when it is shown, from a secret
of this process. All tabs of a browser that follow the same as the same share one, so none takes another's away, and
however often a page is loaded they do not pile up.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256, sha512
from typing import Final, TypeAlias

from ..clock import Clock
from ..errors import NotAuthenticated, TooMany
from ..values import Principal

# Seconds from a ticket to its stream: a page opens it at once, over a slow network.
LIFETIME: Final = 30.0

# Seconds in which a stream can be resumed, if its principal lasts as long: a day's work.
RESUMABLE: Final = 12 * 3600.0

# Unspent tickets of one principal: some browsers of one person, or a service that gets them for its visitors.
MAX_OPEN: Final = 100

# All unspent tickets, and all spent ones that may be resumed: about 10,000 each, if they are for a few topics.
MAX_BYTES: Final = 20_000_000

# What a principal with its claims takes, about.
_PRINCIPAL_BYTES = 2000

# Cookies of browsers that ask for a path longer than that are for the folder it stands in (RFC 6265bis section 5.6).
_MAX_PATH = 1024

# What may stand in a cookie's path (RFC 6265 section 4.1.1).
_IN_PATH = re.compile(r"[!-:<-~]*")

Owner: TypeAlias = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """
    Who was given a ticket, and what of its request goes upstream. Names of header fields are in lower case; ``fields``
    are a visitor's.
    """

    principals: tuple[Principal, ...]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)

    @property
    def owner(self) -> Owner:
        """What is the same whenever these come back."""
        return tuple(sorted((one.auth, one.issuer, one.subject) for one in self.principals))

    def is_expired(self, now: float) -> bool:
        """Whether none of them counts any more; ``now`` is in seconds since the epoch."""
        return all(one.expires_at is not None and one.expires_at <= now for one in self.principals)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the client gets; ``expires_at`` in seconds since the epoch."""

    text: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class ResumeCookie:
    """What a browser needs beside its spent ticket."""

    name: str
    value: str = field(repr=False)

    def field(self, path: str, *, is_secure: bool, is_foreign: bool) -> str:
        """
        Return the ``Set-Cookie`` field.

        ``path``: what the ticket was redeemed on, as the browser wrote it. ``is_foreign``: by a page of another site,
        which gets it only over TLS, and there only below that site (``Partitioned``).
        """
        parts = [f"{self.name}={self.value}", f"Path={_cookie_path(path)}", f"Max-Age={RESUMABLE:.0f}", "HttpOnly"]
        if is_secure:
            parts.append("Secure")
        parts += ["SameSite=None", "Partitioned"] if is_secure and is_foreign else ["SameSite=Lax"]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Whom a ticket stands for and what it is good for; ``cookie``: None for a browser that has it."""

    holder: Holder
    topics: frozenset[str]
    emit: str | None
    cookie: ResumeCookie | None


@dataclass(frozen=True, slots=True)
class _Grant:
    holder: Holder
    topics: frozenset[str]
    emit: str | None
    until: float  # monotonic seconds

    @property
    def bytes(self) -> int:
        """About what it takes."""
        forwarded = [*self.holder.headers.items(), *self.holder.cookies.items(), *self.holder.fields.values()]
        texts = sum(100 + len(topic) for topic in self.topics) + sum(len(name) + len(text) for name, text in forwarded)
        return _PRINCIPAL_BYTES * len(self.holder.principals) + texts


class _Shelf:
    """Grants by the digests of their tickets, in bounds: who has most loses its oldest."""

    def __init__(self) -> None:
        self._grants: dict[str, _Grant] = {}
        self._digests: dict[Owner, dict[str, None]] = {}  # the oldest first
        self._sizes: dict[Owner, int] = {}
        self._size = 0

    def get(self, digest: str, now: float) -> _Grant | None:
        grant = self._grants.get(digest)
        if grant is not None and grant.until <= now:
            self.drop(digest)
            return None
        return grant

    def put(self, digest: str, grant: _Grant) -> None:
        owner = grant.holder.owner
        self._grants[digest] = grant
        self._digests.setdefault(owner, {})[digest] = None
        self._sizes[owner] = self._sizes.get(owner, 0) + grant.bytes
        self._size += grant.bytes
        while self._size > MAX_BYTES:
            greatest = max(self._sizes, key=self._sizes.__getitem__)
            self.drop(next(iter(self._digests[greatest])))

    def drop(self, digest: str) -> None:
        grant = self._grants.pop(digest)
        owner = grant.holder.owner
        del self._digests[owner][digest]
        self._sizes[owner] -= grant.bytes
        self._size -= grant.bytes
        if not self._digests[owner]:
            del self._digests[owner], self._sizes[owner]

    def of(self, owner: Owner, now: float) -> list[_Grant]:
        """Return an owner's, the oldest first."""
        grants = [self.get(digest, now) for digest in [*self._digests.get(owner, ())]]
        return [grant for grant in grants if grant is not None]


class Tickets:
    """All tickets of a process; they outlive a reload, and end with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._secret = "".join(clock.token() for _ in range(4)).encode()  # 256 bits
        self._open = _Shelf()
        self._spent = _Shelf()

    def issue(self, holder: Holder, topics: Collection[str], emit: str | None) -> Ticket:
        """
        Give out a ticket for topics, by their canonical names.

        Raises TooMany if this holder has as many that it has not redeemed.
        """
        now = self._clock.now()
        unspent = self._open.of(holder.owner, now)
        if len(unspent) >= MAX_OPEN:
            message = f"{MAX_OPEN} tickets wait to be redeemed already; get one when the stream is opened"
            raise TooMany(message, retry_after=unspent[0].until - now)
        text = "".join(self._clock.token() for _ in range(3))  # 192 bits
        self._open.put(_digest(text), _Grant(holder, frozenset(topics), emit, now + LIFETIME))
        return Ticket(text, self._clock.wall() + LIFETIME)

    def redeem(self, text: str, *, topics: Collection[str], emit: str | None, cookies: Mapping[str, str]) -> Redeemed:
        """
        Return whom a ticket stands for, once; after that only who has the cookie is told.

        ``topics``: those that are asked for, by their canonical names; none for a connection on which they are named
        later. Raises NotAuthenticated for a ticket that was never given out, is too old, was redeemed by somebody else,
        or is for something else; the last does not spend it.
        """
        digest, now = _digest(text), self._clock.now()
        grant = self._open.get(digest, now)
        is_first = grant is not None
        if grant is None:
            grant = self._resumed(digest, now, cookies)
        _check_use(grant, topics, emit)
        if grant.holder.is_expired(self._clock.wall()):
            raise NotAuthenticated("credentials_expired", "what this ticket was given out for has ended")
        if is_first:
            self._open.drop(digest)
            self._spent.put(digest, replace(grant, until=now + RESUMABLE))
        cookie = self._cookie(grant) if is_first else None
        return Redeemed(grant.holder, grant.topics, grant.emit, cookie)

    def _resumed(self, digest: str, now: float, cookies: Mapping[str, str]) -> _Grant:
        grant = self._spent.get(digest, now)
        if grant is not None:
            cookie = self._cookie(grant)
            shown = cookies.get(cookie.name, "")
            if hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), cookie.value.encode()):
                return grant
        raise NotAuthenticated(
            "ticket_unknown", "this ticket was never given out, was redeemed, or is too old; get one"
        )

    def _cookie(self, grant: _Grant) -> ResumeCookie:
        """
        Return the cookie of all who follow the same as the same.

        Who is somebody else upstream has another value under the same name: otherwise tokens that are renewed and sent
        upstream would leave a cookie each.
        """
        what = (grant.holder.owner, sorted(grant.topics), grant.emit)
        holder = grant.holder
        sent = tuple(sorted(some.items()) for some in (holder.headers, holder.cookies, holder.fields))
        name, value = self._mark(what)[:6].hex(), self._mark((what, sent))[:32]
        return ResumeCookie(f"pushgate_ticket_{name}", urlsafe_b64encode(value).rstrip(b"=").decode())

    def _mark(self, what: object) -> bytes:
        return hmac.new(self._secret, repr(what).encode(), sha512).digest()  # which tells all texts and tuples apart


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _check_use(grant: _Grant, topics: Collection[str], emit: str | None) -> None:
    if not grant.topics.issuperset(topics):
        raise NotAuthenticated("ticket_misused", "this ticket is for other topics; get one for those that are followed")
    if topics and emit != grant.emit:
        given = "without `emit`" if grant.emit is None else f"with `emit={grant.emit}`"
        raise NotAuthenticated("ticket_misused", f"this ticket is for a request {given}; get one for this one")


def _cookie_path(path: str) -> str:
    """Return the path, or the folder it stands in if a cookie's path cannot be like that."""
    clean = _IN_PATH.match(path[:_MAX_PATH])
    assert clean is not None, "it matches nothing at least"
    return path if clean[0] == path else clean[0][: clean[0].rindex("/") + 1]
