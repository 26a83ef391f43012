"""A change on its way to many, a few of them at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from pushgate.documents.changes import Version
from pushgate.subscriber import Subscriber, Waiter
from pushgate.wave import STEP, Errand, Wave, step_for, wake

OLD, NEW, NEWER = (Version(n, at=0.0, document=n) for n in (1, 2, 3))


class Listener:
    """Somebody who writes down what it is told, and may do something else at that."""

    def __init__(self, wave: Wave | None = None, *, is_patient: bool = True) -> None:
        self.heard: list[bytes] = []
        self.wave = wave
        self.is_patient = is_patient
        self.sees: Callable[[], None] = lambda: None
        self.drops: list[Listener] = []

    def send(self, data: bytes) -> None:
        self.heard.append(data)
        self.sees()
        for other in self.drops:
            assert self.wave is not None
            self.wave.drop(as_subscriber(other))

    def wake(self) -> None:
        self.heard.append(b"woken")


def as_subscriber(listener: Listener) -> Subscriber:
    return cast("Subscriber", listener)


def lane_of(
    listeners: list[Listener], data: bytes, told: Callable[[int], None] = lambda _: None
) -> tuple[list[Subscriber], Errand]:
    return [as_subscriber(listener) for listener in listeners], Errand(data, told)


def rolled(listeners: list[Listener], data: bytes = b"new", *, is_patient: bool = True) -> Wave:
    wave = Wave()
    wave.reach(OLD)
    wave.begin(OLD, NEW)
    wave.roll([lane_of(listeners, data)], is_patient=is_patient)
    return wave


async def all_told(listeners: list[Listener]) -> None:
    while not all(listener.heard for listener in listeners):  # noqa: ASYNC110 (steps are what is looked at)
        await asyncio.sleep(0)


def test_a_handful_is_told_at_once() -> None:
    """Without a turn of the loop, and in the order in which they came."""
    listeners = [Listener() for _ in range(STEP)]
    wave = rolled(listeners)
    assert all(listener.heard == [b"new"] for listener in listeners)
    assert wave.version_of(as_subscriber(listeners[0])) is NEW


async def test_many_are_told_in_steps_and_others_have_their_turn_in_between() -> None:
    """Nobody twice, and whoever has not been told yet still stands at the version before."""
    listeners = [Listener() for _ in range(5 * STEP)]
    wave = rolled(listeners)
    others = 0
    while not listeners[-1].heard:
        told = sum(bool(listener.heard) for listener in listeners)
        assert told <= STEP * (others + 1)
        assert all((wave.version_of(as_subscriber(one)) is NEW) == bool(one.heard) for one in listeners)
        await asyncio.sleep(0)
        others += 1
    assert others >= 4
    assert all(listener.heard == [b"new"] for listener in listeners)


async def test_who_leaves_before_its_turn_is_not_told() -> None:
    """Also if that is because of what another one is told."""
    listeners = [Listener() for _ in range(3 * STEP)]
    wave = rolled(listeners)
    wave.drop(as_subscriber(listeners[STEP]))
    listeners[STEP + 1].wave, listeners[STEP + 1].drops = wave, [listeners[STEP + 1], listeners[-1]]
    await all_told([one for one in listeners if one not in (listeners[STEP], listeners[-1])])
    assert listeners[STEP].heard == listeners[-1].heard == []


async def test_a_change_is_told_to_all_before_the_next_one() -> None:
    """Nobody gets them in another order, and none is left out."""
    listeners = [Listener() for _ in range(3 * STEP)]
    wave = rolled(listeners)
    wave.begin(NEW, NEWER)
    assert all(listener.heard == [b"new"] for listener in listeners)
    wave.roll([lane_of(listeners, b"newer")])
    while len(listeners[-1].heard) < 2:  # noqa: ASYNC110 (likewise)
        await asyncio.sleep(0)
    for _ in range(10):  # steps of the first change that find nothing left to do
        await asyncio.sleep(0)
    assert all(listener.heard == [b"new", b"newer"] for listener in listeners)


@pytest.mark.parametrize(("lane", "wave"), [(False, True), (True, False)], ids=["a lane", "a change"])
def test_who_cannot_wait_is_told_at_once(lane: bool, wave: bool) -> None:
    """Because of what it is, or of what there is to tell."""
    listeners = [Listener(is_patient=lane) for _ in range(3 * STEP)]
    rolled(listeners, is_patient=wave)
    assert all(listener.heard for listener in listeners)


def test_nobody_is_told_before_all_are_known_to_wait() -> None:
    """The first of one lane, when it is told, may make one of another fall behind, and that one stands at the old."""
    wave, first, other = Wave(), Listener(), Listener()
    stood: list[Version | None] = []
    first.sees = lambda: stood.append(wave.version_of(as_subscriber(other)))
    wave.reach(OLD)
    wave.begin(OLD, NEW)
    wave.roll([lane_of([first], b"patch"), lane_of([other], b"snapshot")])
    assert stood == [OLD]
    assert (first.heard, other.heard) == ([b"patch"], [b"snapshot"])


@pytest.mark.parametrize("place", [0, 2 * STEP])
async def test_one_that_fails_does_not_keep_the_others_from_theirs(place: int) -> None:
    """A defect of one listener is not everybody's."""
    listeners = [Listener() for _ in range(3 * STEP)]
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(str(what["exception"])))

    def fail() -> None:
        raise RuntimeError("broken")

    listeners[place].sees = fail
    try:
        rolled(listeners)
    except RuntimeError as error:
        complaints.append(str(error))
    await all_told(listeners)
    assert complaints == ["broken"]


def test_the_more_there_is_to_write_the_fewer_are_told_at_a_time() -> None:
    assert step_for(b"") == step_for(b"x" * 2000) == STEP
    assert step_for(b"x" * 100_000) == 10
    assert step_for(b"x" * 5_000_000) == 1


async def test_those_who_wait_are_woken_in_steps() -> None:
    """Each once; who has left meanwhile is let be."""
    waiters = [Listener() for _ in range(3 * STEP)]
    waiting: dict[Any, None] = dict.fromkeys(waiters)
    wake(cast("dict[Waiter, None]", waiting))
    assert sum(bool(waiter.heard) for waiter in waiters) == STEP
    del waiting[waiters[-1]]
    await all_told(waiters[:-1])
    await asyncio.sleep(0)
    assert [waiter.heard for waiter in waiters] == [[b"woken"]] * (3 * STEP - 1) + [[]]


async def test_who_has_been_told_is_counted_and_nobody_else() -> None:
    """Step by step; whoever leaves before its turn is no delivery, and who is told ahead of its turn is one."""
    counts: list[int] = []
    listeners = [Listener() for _ in range(3 * STEP)]
    wave = Wave()
    wave.begin(OLD, NEW)
    wave.roll([lane_of(listeners, b"new", counts.append)])
    wave.drop(as_subscriber(listeners[-1]))
    wave.hurry(as_subscriber(listeners[-2]))
    await all_told(listeners[:-1])
    assert sum(counts) == len(listeners) - 1
    assert max(counts) == STEP


async def test_a_delivery_is_counted_for_the_change_that_it_tells() -> None:
    """Also if the next one has begun before everybody has heard of the last."""
    first: list[int] = []
    second: list[int] = []
    listeners = [Listener() for _ in range(2 * STEP)]
    wave = Wave()
    wave.begin(OLD, NEW)
    wave.roll([lane_of(listeners, b"new", first.append)])
    wave.begin(NEW, NEWER)
    wave.roll([lane_of(listeners, b"newer", second.append)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(listener.heard == [b"new", b"newer"] for listener in listeners)
    assert sum(first) == sum(second) == len(listeners)


async def test_when_everybody_has_been_told() -> None:
    """Or has left, or fell behind: then whoever wants to know that is told, once."""
    listeners = [Listener() for _ in range(2 * STEP + 2)]
    leaving = Listener()
    wave = rolled([*listeners, leaving])
    over: list[int] = []
    wave.when_over(lambda: over.append(sum(bool(listener.heard) for listener in listeners)))
    wave.drop(as_subscriber(leaving))
    assert not over
    await all_told(listeners)
    assert over == [len(listeners)]
    wave.when_over(lambda: over.append(-1))
    assert over == [len(listeners), -1], "there is nobody to wait for"


async def test_the_next_change_ends_the_one_before() -> None:
    """All are told of that first, and it counts for that one only."""
    listeners = [Listener() for _ in range(3 * STEP)]
    wave = rolled(listeners)
    over: list[str] = []
    wave.when_over(lambda: over.append("first"))
    wave.begin(NEW, NEWER)
    assert over == ["first"]
    wave.roll([lane_of(listeners, b"newer")])
    wave.when_over(lambda: over.append("second"))
    while over != ["first", "second"]:  # noqa: ASYNC110 (steps are what is looked at)
        await asyncio.sleep(0)
    assert all(listener.heard == [b"new", b"newer"] for listener in listeners)
