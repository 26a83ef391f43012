"""Alarms for many who wait for about as long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import looptime
import pytest

from pushgate.alarms import GRAIN, Alarms

Play = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
def play() -> Iterator[Play]:
    """Run a coroutine function on a loop of its own, whose time begins at 0 and costs nothing."""
    loop = looptime.new_event_loop(start=0, end=1000)
    yield lambda script: loop.run_until_complete(script())
    loop.close()


class Sleeper:
    """Notes when it was called, and does what it was told to do then."""

    def __init__(self, do: Callable[[], object] = lambda: None) -> None:
        self.calls: list[float] = []
        self._do = do

    def time_out(self) -> None:
        self.calls.append(asyncio.get_running_loop().time())
        self._do()


@pytest.mark.parametrize("after", [0.0, 0.01, GRAIN, 0.123, 7.0, 54.99])
def test_nobody_is_called_early_nor_later_than_the_grain(play: Play, after: float) -> None:
    async def script() -> None:
        alarms: Alarms[Sleeper] = Alarms()
        await asyncio.sleep(0.017)
        sleeper = Sleeper()
        alarms.set(sleeper, after)
        await asyncio.sleep(60)
        [at] = sleeper.calls
        assert after - 1e-6 <= at - 0.017 <= after + GRAIN + 1e-6
        assert len(alarms) == 0

    play(script)


def test_who_has_left_is_not_called(play: Play) -> None:
    """To leave twice, or after the call, is nothing."""

    async def script() -> None:
        alarms: Alarms[Sleeper] = Alarms()
        stays, leaves = Sleeper(), Sleeper()
        places = [alarms.set(one, 1.0) for one in (stays, leaves)]
        alarms.drop(leaves, places[1])
        alarms.drop(leaves, places[1])
        assert alarms.everyone() == [stays]
        await asyncio.sleep(2)
        alarms.drop(stays, places[0])
        assert (len(stays.calls), len(leaves.calls), len(alarms)) == (1, 0, 0)

    play(script)


def test_who_is_made_to_leave_by_the_call_of_another_is_not_called(play: Play) -> None:
    async def script() -> None:
        alarms: Alarms[Sleeper] = Alarms()
        second = Sleeper()
        first = Sleeper(lambda: alarms.drop(second, place))
        place = alarms.set(first, 1.0)
        assert alarms.set(second, 1.0) == place
        await asyncio.sleep(2)
        assert (len(first.calls), second.calls) == (1, [])

    play(script)


def test_who_sets_another_alarm_when_called_is_called_again_later(play: Play) -> None:
    """At the same moment it would be called for ever."""

    async def script() -> None:
        alarms: Alarms[Sleeper] = Alarms()
        again = [0.0, 0.0, 3.0]
        sleeper = Sleeper(lambda: again and alarms.set(sleeper, again.pop(0)))
        alarms.set(sleeper, 1.0)
        await asyncio.sleep(10)
        assert len(sleeper.calls) == 4
        assert sleeper.calls == sorted(set(sleeper.calls))

    play(script)


def test_one_that_fails_does_not_keep_the_others_waiting(play: Play) -> None:
    async def script() -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        alarms: Alarms[Sleeper] = Alarms()
        failure = ValueError("no")

        def fail() -> None:
            raise failure

        sleepers = [Sleeper(), Sleeper(fail), Sleeper()]
        for sleeper in sleepers:
            alarms.set(sleeper, 1.0)
        await asyncio.sleep(2)
        assert [len(sleeper.calls) for sleeper in sleepers] == [1, 1, 1]
        assert reported == [failure]
        assert len(alarms) == 0

    play(script)


def test_thousands_cost_one_timer(play: Play) -> None:
    async def script() -> None:
        alarms: Alarms[Sleeper] = Alarms()
        places = {alarms.set(Sleeper(), 25.0) for _ in range(5000)}
        assert len(places) == 1
        assert len(alarms) == len(alarms.everyone()) == 5000

    play(script)
