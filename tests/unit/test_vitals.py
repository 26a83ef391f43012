"""How the gateway itself is doing."""

from __future__ import annotations

import asyncio

from pushgate.clock import Clock
from pushgate.vitals import NAP, PATIENCE, Vitals


class LateClock(Clock):
    """Wakes whoever sleeps as late as it is told, and nobody after the last time."""

    def __init__(self, *delays: float) -> None:
        self.time = 0.0
        self._delays = [*delays]

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if not self._delays:
            await asyncio.get_running_loop().create_future()
        self.time += seconds + self._delays.pop(0)


async def watched(clock: LateClock) -> tuple[Vitals, list[float]]:
    lags: list[float] = []
    vitals = Vitals(clock, lags.append)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(vitals.watch_loop())
        await asyncio.sleep(0)
        task.cancel()
    return vitals, lags


async def test_the_loop_is_as_late_as_it_wakes_whoever_sleeps() -> None:
    vitals, lags = await watched(LateClock(0.0, 0.5, 0.0))
    assert lags == [0.0, 0.5, 0.0]
    assert vitals.silence("loop") is None


async def test_a_timer_that_rings_early_is_not_late() -> None:
    _, lags = await watched(LateClock(-0.001))
    assert lags == [0.0]


async def test_what_has_not_shown_itself_for_long_has_stopped() -> None:
    clock = LateClock(0.0)
    vitals, _ = await watched(clock)
    clock.time = NAP + PATIENCE  # since it was woken
    assert vitals.silence("loop") is None
    clock.time += 1
    assert vitals.silence("loop") == "not for 31s"


def test_what_never_showed_itself_is_given_time_to_begin() -> None:
    clock = LateClock()
    vitals = Vitals(clock, lambda _: None)
    assert vitals.silence("heartbeats") is None
    clock.time = PATIENCE + 1
    assert vitals.silence("heartbeats") == "not for 31s"


async def test_a_task_that_should_not_end_has_ended() -> None:
    """Unless it had nothing to do, or everything ends."""
    vitals = Vitals(Clock(), lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        idle = tasks.create_task(asyncio.sleep(0), name="file watch")
        task = tasks.create_task(asyncio.Event().wait(), name="reloads")
        vitals.rely_on(idle, task)
        await idle
        assert vitals.crashed() is None
        task.cancel()
        await asyncio.wait([task])
        assert vitals.crashed() == "reloads has ended"
        vitals.is_ending = True
        assert vitals.crashed() is None
