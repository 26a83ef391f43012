"""How clients leave: over a while when the gateway goes away, and each at its age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from pushgate.clock import Clock
from pushgate.departures import AGE_SPREAD, GRACE, LOOKS, TICK, Departures
from pushgate.hub import Hub


class VirtualClock(Clock):
    """Time that passes only while somebody sleeps; and dice that never repeat themselves."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._thrown = 0

    def now(self) -> float:
        return self.time

    def chance(self) -> float:
        self._thrown += 1
        return self._thrown * 0.618 % 1

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class Guest:
    """A stream that leaves when it is told to, unless it is stubborn."""

    def __init__(self, house: House, *, is_stubborn: bool = False) -> None:
        self.house = house
        self.is_stubborn = is_stubborn
        self.told_at: list[float] = []
        self.waits: list[float] = []
        self.was_cut = False
        house.guests.append(self)

    def farewell(self, *, retry_after: float) -> None:
        self.told_at.append(self.house.clock.now())
        self.waits.append(retry_after)
        if not self.is_stubborn:
            self.leave()

    def leave(self) -> None:
        if self in self.house.guests:
            self.house.guests.remove(self)

    def abort(self) -> None:
        self.was_cut = True
        self.leave()


class House:
    """As much of a hub as departures need."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.guests: list[Guest] = []
        self.waiting = 0

    @property
    def connections(self) -> int:
        return len(self.guests) + self.waiting

    def everyone(self) -> list[Guest]:
        return [*self.guests]

    def finish_waiting(self) -> None:
        self.waiting = 0


async def until(is_it: Callable[[], bool]) -> None:
    """Let others run until it is so."""
    for _ in range(100_000):
        if is_it():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never is")


@asynccontextmanager
async def departures_of(house: House) -> AsyncIterator[Departures]:
    async with asyncio.TaskGroup() as tasks:
        departures = Departures(cast("Hub", house), house.clock, tasks, retry=house.clock.chance)
        yield departures
        await departures.close()


async def test_streams_leave_one_after_the_other() -> None:
    """A hundred streams over twenty seconds: one every fifth of a second, in no order that they came in."""
    house = House()
    guests = [Guest(house) for _ in range(100)]
    async with departures_of(house) as departures:
        await departures.finish(window=20.0, grace=5.0)
    told = sorted(at - 1000 for guest in guests for at in guest.told_at)
    assert len(told) == 100
    assert told == pytest.approx([number * 0.2 for number in range(100)], abs=2 * TICK)
    assert [guest.told_at for guest in guests] != sorted(guest.told_at for guest in guests)
    assert len({wait for guest in guests for wait in guest.waits}) == 100, "each comes back at a moment of its own"


async def test_it_is_over_as_soon_as_nobody_is_left() -> None:
    """With nobody here at once, and with a single stream as soon as that has gone: nobody waits for the window."""
    house = House()
    async with departures_of(house) as departures:
        await departures.finish(window=20.0, grace=5.0)
        assert house.clock.now() == 1000
    Guest(house)
    async with departures_of(house) as departures:
        await departures.finish(window=20.0, grace=5.0)
        assert house.clock.now() < 1000.5


async def test_a_request_under_way_is_waited_for() -> None:
    """Who is about to be answered is answered, for the window and the grace at most."""
    house = House()
    async with departures_of(house) as departures:
        departures.requests = 1
        await departures.finish(window=20.0, grace=5.0)
        assert house.clock.now() == pytest.approx(1025, abs=0.1)
        departures.requests = 0


async def test_who_does_not_leave_is_cut_when_the_grace_is_over() -> None:
    """The process ends within window and grace, whatever its clients do."""
    house = House()
    stubborn = Guest(house, is_stubborn=True)
    async with departures_of(house) as departures:
        await departures.finish(window=20.0, grace=5.0)
        assert house.clock.now() == pytest.approx(1025, abs=0.1)
        assert not stubborn.was_cut
    assert stubborn.was_cut
    assert house.clock.now() == pytest.approx(1025, abs=0.1)


async def test_a_drain_that_is_not_final_ends_nothing_and_can_be_undone() -> None:
    """Whoever has not been told to leave when it is undone, stays."""
    house = House()
    guests = [Guest(house) for _ in range(10)]
    house.waiting = 3
    async with departures_of(house) as departures:
        departures.begin(window=20.0)
        departures.begin(window=0.0)  # it is under way already
        assert departures.is_draining and house.waiting == 0, "parked long polls are answered at once"
        await until(lambda: house.clock.now() >= 1009.0)
        assert departures.undo()
        assert not departures.is_draining
        for _ in range(1000):
            await asyncio.sleep(0)
        assert house.connections == 5
        assert [len(guest.told_at) for guest in guests].count(1) == 5
        departures.begin(window=0.0)  # and it can be done again
        await asyncio.sleep(0)
        assert house.connections == 0
        assert departures.undo()


async def test_a_final_drain_cannot_be_undone() -> None:
    house = House()
    async with departures_of(house) as departures:
        await departures.finish(window=0.0, grace=0.0)
        assert not departures.undo()
        assert departures.is_draining


async def test_who_comes_in_at_the_last_moment_is_told_too() -> None:
    """A request that was let in before the drain may become a stream after it began."""
    house = House()
    Guest(house)
    async with departures_of(house) as departures:
        departures.begin(window=20.0)
        await asyncio.sleep(0)
        late = Guest(house)
        await departures.finish(window=20.0, grace=5.0)
    assert len(late.told_at) == 1


async def test_who_begins_to_wait_at_the_last_moment_is_answered_too() -> None:
    """A long poll that was let in before may be parked after the others were answered; the end does not wait for it."""
    house = House()
    async with departures_of(house) as departures:
        departures.requests = 1
        end = asyncio.create_task(departures.finish(window=20.0, grace=5.0))
        await until(lambda: house.clock.now() > 1001)
        departures.requests, house.waiting = 0, 1
        await end
    assert house.waiting == 0
    assert house.clock.now() < 1002


async def test_without_a_drain_everybody_is_told_at_once() -> None:
    """That is how a gateway ends whose context is left; two seconds are enough for the last words."""
    house = House()
    quick, stubborn = Guest(house), Guest(house, is_stubborn=True)
    async with departures_of(house):
        pass
    assert (quick.told_at, quick.was_cut) == ([1000], False)
    assert (stubborn.told_at, stubborn.was_cut) == ([1000], True)
    assert house.clock.now() == pytest.approx(1000 + GRACE, abs=0.1)


async def test_a_stream_leaves_at_its_age() -> None:
    """``max_connection_age: 100s`` ends every stream after 80 to 120 seconds, each at another time."""
    house = House()
    guests = [Guest(house) for _ in range(50)]
    async with departures_of(house) as departures, asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(departures.watch_ages(100.0))
        await until(lambda: not house.guests)
        watch.cancel()
    ages = [at - 1000 for guest in guests for at in guest.told_at]
    assert len(ages) == 50
    assert min(ages) >= 100 * (1 - AGE_SPREAD)
    assert max(ages) <= 100 * (1 + AGE_SPREAD) + 2 * 100 / LOOKS
    assert max(ages) - min(ages) > 100 * AGE_SPREAD, "they are spread"


async def test_a_stream_that_is_slow_to_leave_is_not_told_again_and_again() -> None:
    """It has its whole age before it is told once more; cutting it is not the age's business."""
    house = House()
    stubborn = Guest(house, is_stubborn=True)
    async with departures_of(house) as departures, asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(departures.watch_ages(100.0))
        await until(lambda: house.clock.now() >= 1000 + 180)
        watch.cancel()
        assert len(stubborn.told_at) == 1
