"""What the entries of ``auth:`` say to a token, by the gateway's own code, and which routes that opens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from ..adapters.authority import Inquiries
from ..auth.credential import Authority, Presented
from ..auth.permission import auth_names, check_rules, route_of
from ..auth.roster import Roster
from ..clock import Clock
from ..config import Gateway
from ..config.access import Claims, Rule
from ..config.auth import Auth
from ..errors import NotAuthenticated, Refusal
from ..metrics import Metrics
from ..naming import references
from ..routes import Route
from ..values import Principal
from ..views import ViewRoute


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an entry said: ``principal``, or why not with the problem code of that."""

    auth: str
    principal: Principal | None
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether a route is open to somebody; ``condition``: for which of its topics, or why for none."""

    route: str
    is_open: bool
    condition: str = ""


async def judge(config: Gateway, token: str) -> list[Verdict]:
    """Show a token to every entry; issuers and services are asked as the gateway would."""
    clock = Clock()
    async with Inquiries(clock) as inquiries, asyncio.TaskGroup() as tasks:
        roster = Roster(inquiries, clock, Metrics(), tasks)
        authorities = roster.call(config.auth)
        try:
            return [await _verdict(authorities[name], auth, token, clock) for name, auth in config.auth.items()]
        finally:
            roster.stop()


async def _verdict(authority: Authority, config: Auth, token: str, clock: Clock) -> Verdict:
    try:
        credential = authority.find(_presented(config, token))
        if credential is None:
            raise NotAuthenticated("credentials_missing", "it takes something else")
        return Verdict(authority.name, await authority.verify(credential, now=clock.wall()))
    except Refusal as refusal:
        return Verdict(authority.name, None, refusal.code, refusal.message)


def _presented(config: Auth, token: str) -> Presented:
    """Return a request that carries a token wherever the entry looks for one."""
    if config.carriers and config.ways <= {"message", "ticket"}:
        return Presented(message=token)
    name = config.header_name.lower()
    headers = {"authorization": f"Bearer {token}"} | ({} if name == "authorization" else {name: token})
    cookies = {config.cookie_name: token} if config.cookie_name is not None else {}
    return Presented(headers=headers, cookies=cookies, token=token, protocol=token)


def openings(config: Gateway, principal: Principal) -> Iterator[Opening]:
    """Yield which of the routes that know this principal are open to it."""
    routes = {path: Route(path, route, config.upstreams) for path, route in config.routes.items()}
    views = [ViewRoute(path, view, routes[view.from_]) for path, view in config.views.items()]
    entries: list[Route | ViewRoute] = [*routes.values(), *views]
    for entry in entries:
        if principal.auth in auth_names(entry):
            yield _opening(entry, principal)


def _opening(entry: Route | ViewRoute, principal: Principal) -> Opening:
    parent = route_of(entry)
    rules = (*entry.config.allow, *(parent.config.allow if parent is not entry else ()))
    fixed = [rule for rule in rules if not _names_in(rule)]
    try:
        check_rules(fixed, principal, {})
    except Refusal as refusal:
        return Opening(entry.name, is_open=False, condition=refusal.message)
    needed = [rule.claim for rule in rules if _names_in(rule)]
    share = parent.config.share
    needed += [*share.claims] if isinstance(share, Claims) else ["sub"] if share == "identity" else []
    missing = [claim for claim in needed if principal.claims.get(claim) in (None, "", [])]
    if missing:
        return Opening(entry.name, is_open=False, condition=f"the claim {missing[0]!r} is needed here")
    conditions = [_condition(rule, principal) for rule in rules if _names_in(rule)]
    return Opening(entry.name, is_open=True, condition="; ".join(conditions))


def _names_in(rule: Rule) -> set[str]:
    texts = [text for text in (rule.equals, rule.contains, *(rule.any or ())) if text is not None]
    return {name for text in texts for name in references(text)}


def _condition(rule: Rule, principal: Principal) -> str:
    """Say for which values of parameters a rule holds: those that the claim has."""
    claim = principal.claims[rule.claim]
    words = claim.split() if isinstance(claim, str) and rule.equals is None else claim
    told = ", ".join(map(str, words)) if isinstance(words, list) else str(words)
    named = " or ".join(f"{{{name}}}" for name in sorted(_names_in(rule)))
    return f"{named} of {rule.claim}: {told}"
