"""Who is let in, what is remembered of that, and what a storm of clients costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pushgate.auth.credential import Credential, Presented
from pushgate.auth.keeper import NO_HOLDS, Keeper
from pushgate.auth.visitor import Visitor
from pushgate.clock import Clock
from pushgate.config.auth import Carrier
from pushgate.config.routes import Route as RouteConfig
from pushgate.config.upstreams import Upstream
from pushgate.errors import AuthUnavailable, Forbidden, NotAuthenticated, Refusal, TooMany
from pushgate.metrics import Metrics
from pushgate.routes import Route
from pushgate.values import Principal

UPSTREAMS = {"u": Upstream(url="http://127.0.0.1:1")}


class StillClock(Clock):
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time


class Oracle:
    """An entry of ``auth:`` that knows what it is told to know."""

    carriers: tuple[Carrier, ...] = ("header",)
    challenge = 'Bearer realm="oracle"'
    remembers_for = 60.0

    def __init__(self, name: str, **known: Principal | Refusal) -> None:
        self.name = name
        self.known = known
        self.asked = 0
        self.gate: asyncio.Event | None = None  # set, it lets an answer out
        self.disowned: set[str] = set()

    def find(self, presented: Presented) -> Credential | None:
        text = presented.message or presented.headers.get("authorization")
        return None if text is None else Credential("header", text)

    async def verify(self, credential: Credential, *, now: float) -> Principal:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        verdict = self.known.get(credential.text) or NotAuthenticated("credentials_unknown", "who is that?")
        if isinstance(verdict, Refusal):
            raise verdict
        return verdict

    def vouches(self, principal: Principal) -> bool:
        return principal.subject not in self.disowned


def principal(subject: str, auth: str = "staff", **more: Any) -> Principal:
    return Principal(auth, "", subject, more.pop("claims", {}), **more)


def keeper_of(*oracles: Oracle, clock: Clock | None = None) -> Keeper:
    return Keeper({oracle.name: oracle for oracle in oracles}, clock or StillClock(), Metrics())


def showing(text: str, address: str | None = None) -> Presented:
    return Presented(headers={"authorization": text}, address=address)


async def visit(keeper: Keeper, text: str, *names: str, address: str | None = None) -> Visitor:
    visitor = Visitor()
    await keeper.identify(names or ("staff",), showing(text, address), visitor)
    return visitor


def route(**more: Any) -> Route:
    config = RouteConfig.model_validate({"upstream": "u", "auth": ["staff", "partners"], **more})
    return Route("/of/{who}", config, UPSTREAMS)


async def test_a_verdict_is_remembered_until_it_is_time_to_look_again() -> None:
    clock, staff = StillClock(), Oracle("staff", ann=principal("ann"))
    keeper = keeper_of(staff, clock=clock)
    for _ in range(3):
        assert (await visit(keeper, "ann")).principals == {"staff": principal("ann")}
    assert staff.asked == 1
    clock.time += staff.remembers_for
    await visit(keeper, "ann")
    assert staff.asked == 2


async def test_a_verdict_ends_with_the_credentials() -> None:
    clock = StillClock()
    staff = Oracle("staff", ann=principal("ann", expires_at=clock.time + 5))
    keeper = keeper_of(staff, clock=clock)
    await visit(keeper, "ann")
    clock.time += 5
    await visit(keeper, "ann")
    assert staff.asked == 2


async def test_who_was_let_in_is_looked_at_again_when_its_entry_does_not_vouch_any_more() -> None:
    staff = Oracle("staff", ann=principal("ann"))
    keeper = keeper_of(staff)
    await visit(keeper, "ann")
    staff.disowned.add("ann")
    staff.known.clear()
    assert (await visit(keeper, "ann")).refusals["staff"].code == "credentials_unknown"


async def test_a_no_is_remembered_for_a_moment() -> None:
    """Whatever it is for: an issuer that is away is not asked by everybody in turn."""
    clock, staff = StillClock(), Oracle("staff", ann=AuthUnavailable("the issuer is away", retry_after=2.0))
    keeper = keeper_of(staff, clock=clock)
    for text in ("ann", "eve"):
        for _ in range(3):
            assert (await visit(keeper, text)).refusals
    assert staff.asked == 2
    clock.time += NO_HOLDS
    assert (await visit(keeper, "ann")).refusals["staff"].retry_after == 2.0
    assert staff.asked == 3


async def test_a_storm_of_one_credential_is_one_question() -> None:
    """Also if whoever asked it has left before the answer came."""
    staff = Oracle("staff", ann=principal("ann"))
    staff.gate = asyncio.Event()
    keeper = keeper_of(staff)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(visit(keeper, "ann"))
        others = [tasks.create_task(visit(keeper, "ann")) for _ in range(100)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        staff.gate.set()
    assert all("staff" in other.result().principals for other in others)
    assert staff.asked == 2  # the second by one of those who stayed


async def test_who_comes_at_once_is_not_kept_waiting_for_each_other() -> None:
    """Not even where no verdict is remembered: one that was under way holds for all who came meanwhile."""
    staff = Oracle("staff", ann=principal("ann"))
    staff.remembers_for = 0.0
    staff.gate = asyncio.Event()
    keeper = keeper_of(staff)
    async with asyncio.TaskGroup() as tasks:
        storm = [tasks.create_task(visit(keeper, "ann")) for _ in range(100)]
        await asyncio.sleep(0)
        staff.gate.set()
    assert all("staff" in one.result().principals for one in storm)
    assert staff.asked == 1
    await visit(keeper, "ann")
    assert staff.asked == 2


async def test_who_is_sent_away_while_it_says_who_else_it_is_does_not_come_back_by_that() -> None:
    staff, partners = Oracle("staff", ann=principal("ann")), Oracle("partners", acme=principal("acme", "partners"))
    keeper = keeper_of(staff, partners)
    visitor = await visit(keeper, "ann", "staff")
    partners.gate = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        said = tasks.create_task(keeper.hear(visitor, ["partners"], "acme", is_renewal=True))
        await asyncio.sleep(0)
        del visitor.principals["staff"]  # as a stay forgets it
        partners.gate.set()
    assert {*said.result().principals} == {"partners"}


async def test_any_of_several_entries_is_enough() -> None:
    """And what one of them does not know, another may; its refusal is told only if none does."""
    staff, partners = Oracle("staff"), Oracle("partners", ann=principal("ann", "partners"))
    keeper = keeper_of(staff, partners)
    topic, caller = keeper.admit(route(), {"who": "ann"}, {}, await visit(keeper, "ann", "staff", "partners"))
    assert topic.text == "/of/ann" and caller.principal == principal("ann", "partners")
    with pytest.raises(NotAuthenticated) as refused:
        keeper.admit(route(), {"who": "ann"}, {}, await visit(keeper, "eve", "staff", "partners"))
    assert refused.value.code == "credentials_unknown"
    assert refused.value.headers == {"WWW-Authenticate": 'Bearer realm="oracle"'}


async def test_the_first_who_may_is_who_it_is() -> None:
    """Of two that one client is, the one that has the claims sees the topic."""
    rule = {"claim": "friends", "contains": "{who}"}
    staff = Oracle("staff", x=principal("ann"))
    partners = Oracle("partners", x=principal("acme", "partners", claims={"friends": ["ben"]}))
    keeper = keeper_of(staff, partners)
    visitor = await visit(keeper, "x", "staff", "partners")
    _, caller = keeper.admit(route(allow=[rule]), {"who": "ben"}, {}, visitor)
    assert caller.principal is not None and caller.principal.subject == "acme"
    with pytest.raises(Forbidden):
        keeper.admit(route(allow=[rule]), {"who": "cat"}, {}, visitor)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda staff, clock: staff.disowned.add("ann"), "credentials_missing"),
        (lambda staff, clock: setattr(clock, "time", clock.time + 10), "credentials_missing"),
    ],
    ids=["revoked", "expired"],
)
async def test_who_was_known_when_it_came_may_not_be_any_more(
    change: Callable[[Oracle, StillClock], None], code: str
) -> None:
    """A visitor that stays is asked about each time that it wants something."""
    clock = StillClock()
    staff = Oracle("staff", ann=principal("ann", expires_at=clock.time + 10))
    keeper = keeper_of(staff, clock=clock)
    visitor = await visit(keeper, "ann")
    keeper.admit(route(), {"who": "ann"}, {}, visitor)
    change(staff, clock)
    with pytest.raises(NotAuthenticated) as refused:
        keeper.admit(route(), {"who": "ann"}, {}, visitor)
    assert refused.value.code == code


async def test_other_entries_forget_what_the_old_ones_said() -> None:
    staff = Oracle("staff", ann=principal("ann"))
    keeper = keeper_of(staff)
    await visit(keeper, "ann")
    keeper.revise({"staff": staff})
    await visit(keeper, "ann")
    assert staff.asked == 1
    other = Oracle("staff")
    keeper.revise({"staff": other})
    assert (await visit(keeper, "ann")).refusals and other.asked == 1


async def test_guessing_is_slowed_down_by_address() -> None:
    """Who has shown what is good before goes on; an address that is shared by all is not counted."""
    staff = Oracle("staff", ann=principal("ann"))
    keeper = keeper_of(staff)
    await visit(keeper, "ann", address="192.0.2.1")
    for number in range(20):
        last = await visit(keeper, f"guess {number}", address="192.0.2.1")
    assert isinstance(last.refusals["staff"], TooMany) and staff.asked < 20
    assert (await visit(keeper, "ann", address="192.0.2.1")).principals
    assert (await visit(keeper, "guess", address="192.0.2.2")).refusals["staff"].code == "credentials_unknown"
    for number in range(20):
        shared = await visit(keeper, f"shared {number}")
    assert shared.refusals["staff"].code == "credentials_unknown"


async def test_what_one_entry_does_not_know_is_no_guess_if_another_does() -> None:
    staff, partners = Oracle("staff"), Oracle("partners")
    keeper = keeper_of(staff, partners)
    for number in range(30):
        partners.known[f"t{number}"] = replace(principal("ann", "partners"), proof=str(number))
        visitor = await visit(keeper, f"t{number}", "staff", "partners", address="192.0.2.1")
        assert visitor.principals
