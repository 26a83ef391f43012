"""
``POST /-/tickets``: credentials that a page can send are traded for a ticket that it can write into a URL; and what
becomes of a ticket in one.

Rule 1: a ticket is got with anything but a ticket, and only for topics that these credentials may follow already.
Rule 2: only entries of ``auth:`` that name the carrier ``ticket`` take part, and their principals only.
Rule 3: no page of another site can get one for its visitor: the body is JSON, about which browsers ask first, and with
cookies the Origin must be an allowed one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...auth.permission import auth_names
from ...auth.tickets import Holder, Ticket, Tickets
from ...auth.visitor import Visitor
from ...config.auth import Auth
from ...config.server import Server
from ...documents.changes import encode, timestamp
from ...errors import BadRequest, Forbidden, MethodNotAllowed, NotAuthenticated, Overloaded, Refusal, UnsupportedBody
from ...identity import NOBODY
from ...misreadings import misread
from ...naming import decode_query, origin_form
from ...negotiation import read_mode
from ...values import Mode
from ...wishes import MAX_TOPICS, Wishes
from .bodies import read_body
from .lobby import Entry, Lobby
from .replies import JSON, VARY, Reply, methods_text, preflight
from .tables import Host
from .writing import check_origin

# Of a body that names so many topics as a connection may have, or fewer with long names.
MAX_BODY_BYTES: Final = 64 * 1024

# So many bodies at once are kept in memory.
MAX_UNDER_WAY: Final = 200

_METHODS = ("POST",)

# A topic by its canonical name, and the mode in which it is asked for, if one is.
Want = tuple[str, str | None]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    topics: Annotated[list[str], Field(min_length=1, max_length=MAX_TOPICS)]
    emit: Mode | None = None


class TicketOffice:
    """Gives tickets out and takes them back. ``auths``: the entries of ``auth:`` by their names."""

    def __init__(self, tickets: Tickets, lobby: Lobby, host: Host, settings: Server, auths: Mapping[str, Auth]) -> None:
        self._tickets = tickets
        self._lobby = lobby
        self._host = host
        self._under_way = 0
        self.revise(settings, auths)

    def revise(self, settings: Server, auths: Mapping[str, Auth]) -> None:
        """Go by another configuration from now on."""
        self._settings = settings
        self._takers = frozenset(name for name, auth in auths.items() if "ticket" in auth.carriers)

    # Giving out.

    async def answer(self, request: web.BaseRequest) -> Reply:
        """Return a ticket for what the body names; raises the Refusal of the first topic that there is none for."""
        if request.method == "OPTIONS":
            return preflight(request.headers.get("Origin"), self._settings.cors, writing=_METHODS, reading=())
        if request.method not in _METHODS:
            methods = methods_text(_METHODS, reading=())
            raise MethodNotAllowed(f"this URL takes {methods}", headers={"Allow": methods})
        check_origin(request, is_allowed=self._lobby.is_allowed_origin(request))
        controls = _controls(request)
        asked = _understood(await self._read(request))
        ticket = await self._issue(request, asked, controls)
        body = encode({"ticket": ticket.text, "expires_at": timestamp(ticket.expires_at)})
        return Reply(200, {"Content-Type": JSON, "Cache-Control": "no-store", "Vary": VARY}, body)

    async def _read(self, request: web.BaseRequest) -> bytes:
        if request.content_type != JSON:
            raise UnsupportedBody(f"topics are named in a body of type {JSON}")
        if self._under_way >= MAX_UNDER_WAY:
            raise Overloaded(f"{MAX_UNDER_WAY} others are getting a ticket already", retry_after=1.0)
        self._under_way += 1
        try:
            return await read_body(request, at_most=MAX_BODY_BYTES)
        finally:
            self._under_way -= 1

    async def _issue(self, request: web.BaseRequest, asked: _Body, controls: Mapping[str, str]) -> Ticket:
        found = [self._find(topic, asked.emit) for topic in dict.fromkeys(asked.topics)]
        if not any(auth_names(entry) for entry, _, _ in found):
            raise BadRequest("nobody is asked who they are for these topics; follow them without a ticket")
        visitor = await self._lobby.receive(request, [entry for entry, _, _ in found], controls)
        self._leave_takers(visitor)
        names, principals = [], {}
        for entry, values, query in found:
            name, caller = self._lobby.keeper.admit(entry, values, query, visitor)
            names.append(name.text)
            if caller.principal is not None:
                principals[caller.principal.auth] = caller.principal
        fields = {name: field for name, field in visitor.fields.items() if name in principals}
        holder = Holder((*principals.values(),), visitor.headers, visitor.cookies, fields)
        return self._tickets.issue(holder, names, asked.emit)

    def _find(self, topic: str, emit: Mode | None) -> tuple[Entry, dict[str, str], dict[str, str]]:
        entry, values, query = self._host.resolve(topic)
        read_mode(emit, entry.modes)
        names = auth_names(entry)
        if names and self._takers.isdisjoint(names):
            raise BadRequest(f"{entry.name} takes no tickets (`carriers` of {', '.join(names)})")
        return entry, values, query

    def _leave_takers(self, visitor: Visitor) -> None:
        """Forget those as whom the client may not get a ticket."""
        known = set(visitor.principals)
        for name in known - self._takers:
            del visitor.principals[name]
        if known and not visitor.principals:
            raise Forbidden(f"there are no tickets for the credentials of {', '.join(sorted(known))} (`carriers`)")

    # Taking back.

    def takes(self, entries: Collection[Entry], controls: Mapping[str, str]) -> bool:
        """Whether a request for these comes with a ticket that may mean something there; no entries: not yet named."""
        if "ticket" not in controls:
            return False
        return not entries or any(not self._takers.isdisjoint(auth_names(entry)) for entry in entries)

    def receive(
        self, request: web.BaseRequest, controls: Mapping[str, str], wants: Collection[Want]
    ) -> tuple[Visitor, Mapping[str, str]]:
        """
        Return whom a request's ticket stands for, and the fields that every answer to it must carry.

        That is a refusal, too, which may still come: a ticket that was redeemed is spent. Raises NotAuthenticated.
        """
        modes = {emit for _, emit in wants}
        if len(modes) > 1:
            raise NotAuthenticated(
                "ticket_misused", "a ticket is for topics in one mode; these are asked for in several"
            )
        presented = self._lobby.present(request, controls)
        redeemed = self._tickets.redeem(
            controls["ticket"],
            topics=[topic for topic, _ in wants],
            emit=next(iter(modes), None),
            cookies=presented.cookies,
        )
        visitor, holder = self._lobby.visitor_of(presented), redeemed.holder
        visitor.headers, visitor.cookies, visitor.fields = {**holder.headers}, {**holder.cookies}, {**holder.fields}
        principals = [one for one in holder.principals if one.auth in self._takers]
        visitor.come_by_ticket(principals, redeemed.topics, redeemed.emit)
        if redeemed.cookie is None:
            return visitor, {}
        is_secure = self._lobby.client(request).scheme == "https"
        cookie = redeemed.cookie.field(_path_of(request), is_secure=is_secure, is_foreign=self._is_foreign(request))
        return visitor, {"Set-Cookie": cookie}

    def _is_foreign(self, request: web.BaseRequest) -> bool:
        """Whether a page of another origin asks that may use its visitor's cookies."""
        cors, origin = self._settings.cors, request.headers.get("Origin")
        own = (f"http://{request.host}", f"https://{request.host}")
        return cors.credentials and origin in cors.origins and origin not in own


def want_of(
    entry: Entry, values: Mapping[str, str], query: Mapping[str, str], controls: Mapping[str, str]
) -> list[Want]:
    """Return what a request on a topic's own URL asks for."""
    return [(entry.topic(values, query, NOBODY).text, controls.get("emit"))]


def wants_of(host: Host, wishes: Wishes) -> list[Want]:
    """Return what a request for many topics asks for, as far as a ticket has to be good for it."""
    wants: list[Want] = []
    for wish in wishes.topics:
        with suppress(Refusal):  # which each topic is told by itself
            entry, values, query = host.resolve(wish.topic)
            if auth_names(entry):
                wants.append((entry.topic(values, query, NOBODY).text, wish.emit))
    return wants


def _path_of(request: web.BaseRequest) -> str:
    return origin_form(request.raw_path).partition("?")[0]


def _controls(request: web.BaseRequest) -> dict[str, str]:
    controls = decode_query(origin_form(request.raw_path).partition("?")[2])
    if "ticket" in controls:
        raise BadRequest("a ticket is got with credentials, not with another ticket")
    for name in controls:
        if name != "access_token":
            raise BadRequest(f"there is no query parameter {name!r} here; topics are named in the body")
    return controls


def _understood(body: bytes) -> _Body:
    try:
        return _Body.model_validate_json(body)
    except ValidationError as exc:
        raise misread("body", exc) from None
