"""A reload: read aside, taken over in one step or not at all; and what a topic, a timetable and a gate make of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pushgate.adapters.filewatch import moments_to_look
from pushgate.adapters.upstream.budget import Gate
from pushgate.clock import Clock
from pushgate.condition import Terms
from pushgate.config import Gateway as Config
from pushgate.config import parse
from pushgate.config.upstreams import Upstream
from pushgate.errors import ConfigError, ConfigProblem, PollError
from pushgate.generation import Generation
from pushgate.happenings import Answered, Due, Failed, Freshness, Joined, Left, News, Poll, Unchanged, WakeAt
from pushgate.metrics import Metrics
from pushgate.pauses import Pauses
from pushgate.reload import Reloads
from pushgate.schedules.activehours import ActiveHours
from pushgate.schedules.crontimes import CronTimes
from pushgate.schedules.scheduling import FixedRate
from pushgate.succession import Tally
from pushgate.timetable import Moment, Timetable
from pushgate.topic import Topic

MIDNIGHT = 1_704_067_200.0  # a Monday, when the monotonic clock stood at zero
TERMS = Terms(linger=30, stale_after=2, expire=None, confirmations=2)


def at(now: float, chance: float = 0.5) -> Moment:
    return Moment(now, MIDNIGHT + now, chance)


def says(select: str = "a", **server: Any) -> str:
    route = {"upstream": "u", "select": select}
    return json.dumps(
        {"version": 1, "server": server, "upstreams": {"u": {"url": "http://u.example"}}, "routes": {"/t": route}}
    )


class Desk:
    """Where the file lies: what it says, and whether reading it takes until somebody lets go."""

    def __init__(self) -> None:
        self.text = says()
        self.read_times = 0
        self.crash: Exception | None = None

    def read(self) -> Config:
        self.read_times += 1
        if self.crash is not None:
            raise self.crash
        return parse(self.text, file="gateway.yaml", environ={}, base=Path())

    def has_changed(self) -> bool:
        return False

    def folders(self) -> frozenset[Path]:
        return frozenset()


class House:
    """Takes over what it is given, and remembers it."""

    def __init__(self, desk: Desk | None, *, check: Callable[[Generation], None] = lambda _: None) -> None:
        self.metrics = Metrics()
        self.generations: list[Generation] = []
        self.tidied = asyncio.Event()
        first = Generation(parse(says(), file="gateway.yaml", environ={}, base=Path()))
        self.reloads = Reloads(
            desk,
            first,
            check=check,
            take_over=self.take_over,
            tidy=self.tidy,
            metrics=self.metrics,
            clock=Clock(),
        )

    def take_over(self, generation: Generation) -> Tally:
        self.generations.append(generation)
        return Tally(kept=len(self.generations))

    async def tidy(self) -> None:
        self.tidied.set()

    @property
    def is_successful(self) -> bool:
        return b"pushgate_config_last_reload_successful 1.0" in self.metrics.text()


async def test_what_is_sound_is_taken_over_in_one_step() -> None:
    desk = Desk()
    house = House(desk)
    desk.text = says("b")
    assert (await house.reloads.reload(cause="a test")).kept == 1
    assert house.generations[0].routes["/t"].config.select == "b"
    assert house.tidied.is_set() and house.is_successful


@pytest.mark.parametrize("text", [says("["), "nothing", says(listen="127.0.0.1:1")])
async def test_what_is_not_changes_nothing(text: str) -> None:
    desk = Desk()
    house = House(desk)
    desk.text = text
    with pytest.raises(ConfigError) as refused:
        await house.reloads.reload(cause="a test")
    assert refused.value.problems and not house.generations and not house.is_successful
    desk.text = says("b")
    await house.reloads.reload(cause="a test")
    assert house.is_successful


async def test_a_check_of_the_machine_comes_before_the_step() -> None:
    def check(generation: Generation) -> None:
        raise ConfigError([ConfigProblem("gateway.yaml", 1, 1, "no such certificate")])

    house = House(Desk(), check=check)
    with pytest.raises(ConfigError, match="no such certificate"):
        await house.reloads.reload(cause="a test")
    assert not house.generations


async def test_a_bug_of_ours_ends_the_reload_and_not_the_gateway() -> None:
    desk = Desk()
    desk.crash = RuntimeError("boom")
    house = House(desk)
    with pytest.raises(ConfigError, match="RuntimeError"):
        await house.reloads.reload(cause="a test")
    assert not house.is_successful


async def test_what_came_from_standard_input_cannot_be_read_again() -> None:
    house = House(None)
    with pytest.raises(ConfigError, match="-c FILE"):
        await house.reloads.reload(cause="a test")
    await house.reloads.watch()  # ends at once: there is nothing to watch


async def test_nothing_is_taken_over_by_a_gateway_that_ends() -> None:
    house = House(Desk())
    house.reloads.end()
    with pytest.raises(ConfigError, match="ending"):
        await house.reloads.reload(cause="a test")
    assert not house.generations


async def test_there_is_one_reload_at_a_time() -> None:
    """Each compares with the one before, and so none compares with what was never in force."""
    desk = Desk()
    house = House(desk)
    await asyncio.gather(*(house.reloads.reload(cause="a test") for _ in range(5)))
    assert len(house.generations) == 5
    assert len({id(generation.routes["/t"]) for generation in house.generations}) == 1, "the file said the same"


async def test_who_asks_often_before_it_begins_gets_one_reload() -> None:
    desk = Desk()
    house = House(desk)
    for _ in range(10):
        house.reloads.ask()
    async with asyncio.TaskGroup() as tasks:
        obeying = tasks.create_task(house.reloads.obey())
        async with asyncio.timeout(10):
            await house.tidied.wait()
        obeying.cancel()
    assert desk.read_times == 1


async def test_where_the_file_system_says_nothing_it_is_looked_at_now_and_then(tmp_path: Path) -> None:
    """Also where there is nothing to watch yet."""
    for folders in (frozenset([tmp_path]), frozenset([tmp_path / "missing"]), frozenset[Path]()):
        moments = moments_to_look(lambda folders=folders: folders, Clock(), look_every=0.05)
        async with asyncio.timeout(10):
            await anext(moments)
            await anext(moments)
        await moments.aclose()  # type: ignore[attr-defined]  # it is a generator


# What a timetable takes over.


def polled(times: Timetable, now: float, **freshness: Any) -> float:
    outcome = Unchanged(freshness=Freshness(**freshness))
    return times.next(outcome, at(now), began_at=now, failures=0, confirming=None)


def test_topics_that_are_taken_over_together_are_not_polled_together() -> None:
    """Each is somewhere in its new interval, and keeps that place."""
    when = []
    for chance in (0.0, 0.25, 0.5, 0.75):
        before, after = Timetable(FixedRate(3600, 0, now=0)), Timetable(FixedRate(10, 0, now=100))
        planned = polled(before, 0)
        when.append(after.take_over(before, planned, at(100, chance)))
        assert polled(after, when[-1]) == when[-1] + 10
    assert when == [110, 107.5, 105, 102.5]


def test_a_poll_is_never_put_off_by_a_longer_interval() -> None:
    before, after = Timetable(FixedRate(10, 0, now=0)), Timetable(FixedRate(3600, 0, now=5))
    assert after.take_over(before, polled(before, 0), at(5)) == 10
    assert after.why == "every 10s"


def test_what_the_upstream_asked_for_is_still_waited_for() -> None:
    """Freshness, Retry-After and backing off are no matter of the interval."""
    before, after = Timetable(FixedRate(100, 0, now=0)), Timetable(FixedRate(1, 0, now=5))
    assert after.take_over(before, polled(before, 0, fresh_for=200), at(5)) == 200
    before = Timetable(FixedRate(100, 0, now=0))
    planned = before.next(Failed("http_5xx", retry_after=50), at(0), began_at=0, failures=3, confirming=None)
    assert after.take_over(before, planned, at(5)) == planned
    assert "left alone" in after.why or "failed" in after.why


def test_who_only_got_no_turn_need_not_wait_for_the_old_interval() -> None:
    before, after = Timetable(FixedRate(3600, 0, now=0)), Timetable(FixedRate(10, 0, now=5))
    late = Failed("budget", retry_after=7, was_asked=False)
    planned = before.next(late, at(0), began_at=0, failures=0, confirming=None)
    assert after.take_over(before, planned, at(5)) == 10


def test_the_times_of_cron_and_active_hours_hold_from_the_first_poll_on() -> None:
    before = Timetable(FixedRate(10, 0, now=0))
    planned = polled(before, 0)
    assert Timetable(CronTimes("30 * * * *", "UTC", jitter=0), keeps_times=True).take_over(
        before, planned, at(5)
    ) == pytest.approx(1800)
    office = ActiveHours("Mon-Fri 09:00-17:00 UTC")
    assert Timetable(FixedRate(10, 0, now=5), active=office).take_over(before, planned, at(5)) == 9 * 3600


# What a topic makes of it.


def living(*, listeners: bool = True, terms: Terms = TERMS) -> Topic:
    """A topic that was polled at 0 and is polled every 10 seconds."""
    topic = Topic(terms, Timetable(FixedRate(10, 0, now=0)), now=0)
    topic.handle(Joined(), at(0))
    topic.handle(Answered(News("document"), 1000.0), at(0))
    if not listeners:
        topic.handle(Left(), at(0))
    return topic


def test_the_timer_is_set_anew() -> None:
    topic = living()
    commands = topic.revise(TERMS, Timetable(FixedRate(2, 0, now=5)), is_standing=False, at=at(5))
    assert commands == [WakeAt(6)]
    assert topic.revise(TERMS, None, is_standing=False, at=at(5)) == [WakeAt(6)]


def test_a_poll_under_way_is_not_repeated() -> None:
    topic = living()
    topic.handle(Due(), at(10))
    assert topic.is_polling
    assert topic.revise(TERMS, Timetable(FixedRate(2, 0, now=11)), is_standing=False, at=at(11)) == []
    assert topic.handle(Unchanged(), at(12)) == [WakeAt(13)]


def test_who_slept_is_woken_by_a_longer_linger_but_not_all_at_once() -> None:
    """Otherwise the next listener would take it for awake, and nobody would ever poll it."""
    topic = living(listeners=False)
    assert not topic.is_wanted(100)
    longer = Terms(linger=3600, stale_after=2, expire=None, confirmations=2)
    assert topic.revise(longer, None, is_standing=False, at=at(100)) == [WakeAt(105)]
    topic = living(listeners=False)
    assert topic.revise(TERMS, None, is_standing=True, at=at(100, chance=0)) == [Poll(conditional=True)]


def test_who_is_not_wanted_any_more_falls_asleep() -> None:
    topic = living(listeners=False)
    shorter = Terms(linger=1, stale_after=2, expire=None, confirmations=2)
    assert topic.revise(shorter, None, is_standing=False, at=at(5)) == []
    assert topic.handle(Due(), at(10)) == []


def test_a_topic_that_begins_anew_has_its_listeners_already() -> None:
    """It is polled when its turn comes, or as soon as somebody else asks for it."""
    topic = Topic(TERMS, Timetable(FixedRate(10, 0, now=0)), now=0, listeners=2)
    assert topic.is_wanted(0)
    assert topic.handle(Due(), at(0)) == [Poll(conditional=True)]
    topic.handle(Answered(News("document"), 1000.0), at(0))
    topic.handle(Left(), at(1))
    topic.handle(Left(), at(1))
    assert not topic.is_wanted(31)


# What a gate makes of it.


def gate_of(**budget: Any) -> tuple[Gate, Callable[..., Upstream]]:
    def upstream(url: str = "http://u", **changes: Any) -> Upstream:
        return Upstream.model_validate({"url": url, "budget": budget} | changes)

    return Gate("u", upstream(), Clock(), Metrics(), Pauses()), upstream


async def test_who_waits_for_a_turn_gets_it_by_the_new_budget() -> None:
    gate, upstream = gate_of(rate="1/h")
    async with gate.turn():
        pass
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        waiting = tasks.create_task(take_a_turn(gate))
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.revise(upstream(budget={"rate": "100/s"}))
        await waiting


async def take_a_turn(gate: Gate) -> None:
    async with gate.turn():
        pass


async def test_a_gate_that_is_revised_forgets_nothing_that_is_the_same() -> None:
    """Neither what was spent, nor an open breaker, nor where the backend is."""
    gate, upstream = gate_of(rate="1/h", spent="fail")
    breaker = {"failures": 1, "cooldown": "1h"}
    gate.revise(upstream(breaker=breaker))
    async with gate.turn():
        pass
    gate.revise(upstream(breaker=breaker, headers={"X-New": "1"}))
    with pytest.raises(PollError) as refused:
        await take_a_turn(gate)
    assert refused.value.reason == "budget"
    gate.came_out(PollError("connect", "down"))
    gate.revise(upstream(breaker=breaker, budget={}))
    assert gate.breaker_state == "open"
    gate.revise(upstream(budget={}))
    assert gate.breaker_state is None
    assert gate.is_for(upstream()) and not gate.is_for(upstream(url="http://elsewhere"))
