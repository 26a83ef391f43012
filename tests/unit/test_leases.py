"""When credentials end, and what is said before."""

from __future__ import annotations

import asyncio

import looptime
import pytest

from pushgate.auth.visitor import Visitor
from pushgate.errors import Refusal
from pushgate.leases import FURTHEST, NOTICE, Leases, Stay, ended, patience
from pushgate.values import Event, Principal

BEGAN = 1_800_000_000.0


class Connection:
    """Writes down what it is told, and when."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []

    def warn(self, expiring: Event) -> None:
        self.heard.append((round(asyncio.get_running_loop().time()), "warned"))

    def revoke(self, principal: Principal, refusal: Refusal) -> None:
        self.heard.append((round(asyncio.get_running_loop().time()), f"{principal.subject} {refusal.code}"))


class Time:
    """The time of day, which goes on as the loop does, and may be set."""

    def __init__(self) -> None:
        self.offset = BEGAN

    def __call__(self) -> float:
        return self.offset + asyncio.get_running_loop().time()


def ann(lives: float | None, auth: str = "staff") -> Principal:
    return Principal(auth, "", "ann", expires_at=None if lives is None else BEGAN + lives)


def stay_of(time: Time, *principals: Principal) -> tuple[Stay, Connection]:
    visitor = Visitor()
    visitor.principals.update({principal.auth: principal for principal in principals})
    stay, connection = Stay(Leases(time), visitor), Connection()
    stay.begin(connection)
    return stay, connection


def in_virtual_time(seconds: float, *principals: Principal) -> list[tuple[float, str]]:
    async def live() -> list[tuple[float, str]]:
        _, connection = stay_of(Time(), *principals)
        await asyncio.sleep(seconds)
        return connection.heard

    return run(live())


def run(coroutine):  # type: ignore[no-untyped-def]  # of whatever it returns
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(coroutine)


@pytest.mark.parametrize(
    ("lives", "heard"),
    [
        (600.0, [(600.0 - NOTICE, "warned"), (600.0, "ann credentials_expired")]),
        (20.0, [(10.0, "warned"), (20.0, "ann credentials_expired")]),
        (None, []),
    ],
)
def test_the_end_is_announced_and_comes(lives: float | None, heard: list[tuple[float, str]]) -> None:
    """Half a minute before, or after half of a shorter stay; credentials without an end have none."""
    assert in_virtual_time(3600.0, ann(lives)) == heard


def test_each_of_those_who_it_is_has_an_end_of_its_own() -> None:
    heard = in_virtual_time(3600.0, ann(100.0), ann(200.0, "partners"))
    assert [at for at, what in heard if what != "warned"] == [100.0, 200.0]


def test_who_proves_it_again_stays() -> None:
    async def live() -> list[tuple[float, str]]:
        stay, connection = stay_of(Time(), ann(100.0))
        await asyncio.sleep(80)
        stay.renew(connection, stay.visitor.again().only(ann(500.0)))
        await asyncio.sleep(400)
        return connection.heard

    assert run(live()) == [(70.0, "warned"), (470.0, "warned")]


def test_who_has_left_is_told_nothing() -> None:
    async def live() -> list[tuple[float, str]]:
        stay, connection = stay_of(Time(), ann(100.0))
        stay.end()
        await asyncio.sleep(200)
        return connection.heard

    assert run(live()) == []


def test_a_clock_that_is_set_is_noticed_within_a_minute() -> None:
    """The end is a time of day, and not an hour after the beginning."""

    async def live() -> list[tuple[float, str]]:
        time = Time()
        _, connection = stay_of(time, ann(3600.0))
        time.offset += 3600.0
        await asyncio.sleep(FURTHEST + 1)
        return connection.heard

    assert [what for _, what in run(live())] == ["ann credentials_expired"]


def test_nobody_waits_for_longer_than_the_credentials_are_good() -> None:
    now = BEGAN
    assert patience(25.0, ann(10.0), None, ann(None), now=now) == 10.0
    assert patience(25.0, ann(-1.0), now=now) == 0.0
    assert patience(25.0, None, now=now) == 25.0
    assert ended(ann(0.0), now=now) and not ended(ann(1.0), now=now) and not ended(ann(None), now=now)
