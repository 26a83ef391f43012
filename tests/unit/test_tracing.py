"""What is kept of a poll that changed something."""

from __future__ import annotations

import asyncio

from pushgate.clock import Clock
from pushgate.correlation import read_trace
from pushgate.tracing import NOBODY, Part, Story, begin, under_way


class StillClock(Clock):
    """Ten seconds after it began, an hour after the epoch."""

    def __init__(self) -> None:
        self.time = 10.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 3590 + self.time


class Keeper:
    """Keeps the traces with even ids."""

    is_on = True

    def wants(self, trace_id: int) -> bool:
        return trace_id % 2 == 0

    def tell(self, story: Story) -> None:
        raise AssertionError("nobody has told anything")


async def test_each_poll_has_a_trace_of_its_own() -> None:
    """It is well formed, and says that nobody keeps it."""
    first, second = (begin(Clock(), NOBODY, due_at=0) for _ in range(2))
    assert first.trace.id != second.trace.id
    assert read_trace([first.trace.fields[0][1]], []) == first.trace
    assert not first.is_kept and first.trace.fields[0][1].endswith("-00")


async def test_what_is_sampled_says_so() -> None:
    kept = [begin(Clock(), Keeper(), due_at=0) for _ in range(40)]
    assert {trace.is_kept for trace in kept} == {True, False}
    for trace in kept:
        assert trace.is_kept == (int(trace.trace.id, 16) % 2 == 0) == trace.trace.is_sampled


async def test_whoever_the_poll_asks_for_help_knows_its_trace() -> None:
    """And nobody else does."""

    async def poll() -> bool:
        trace = begin(Clock(), NOBODY, due_at=0)
        async with asyncio.TaskGroup() as tasks:
            helper = tasks.create_task(asyncio.sleep(0, under_way()))
        return helper.result() is trace

    async with asyncio.TaskGroup() as tasks:
        polls = [tasks.create_task(poll()) for _ in range(3)]
    assert all(task.result() for task in polls)
    assert under_way() is None


async def test_a_story_is_told_in_times_of_day() -> None:
    """From when the poll was due to when everybody had been told."""
    clock = StillClock()
    trace = begin(clock, NOBODY, due_at=9.5)
    trace.note("fetch", 10.0, 11.0)
    trace.note("refine", 11.0, 11.5)
    clock.time = 12.0
    story = trace.story({"pushgate.topic": "/t"})
    assert (story.began, story.ended) == (3599.5, 3602.0)
    assert story.parts == (Part("fetch", 3600.0, 3601.0), Part("refine", 3601.0, 3601.5))
    assert (story.id, story.asked) == (trace.trace.id, trace.trace.parent)


async def test_waiting_for_a_turn_is_no_part_of_asking() -> None:
    """What is waited for before the first request; a turn that comes at once was not waited for."""
    clock = StillClock()
    trace, unkept = (begin(clock, NOBODY, due_at=10.0) for _ in range(2))
    trace.is_kept = True

    async def turn(seconds: float) -> None:
        clock.time += seconds

    await trace.wait(turn(2.0))
    await trace.wait(turn(0.0))
    clock.time += 1.0
    await trace.wait(turn(4.0))  # for the next page
    trace.note("fetch", 10.0, clock.time)
    told = [(part.name, part.began - 3590, part.ended - 3590) for part in trace.story({}).parts]
    assert told == [("wait", 10.0, 12.0), ("wait", 13.0, 17.0), ("fetch", 12.0, 17.0)]
    assert trace.waited == 6.0
    await unkept.wait(turn(2.0))
    assert unkept.waited == 2.0 and not unkept.story({}).parts, "it is known, and nothing is noted"
