"""The gate before an upstream, under virtual time: who may ask, who waits, and when nobody may."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import looptime
import pytest

from pushgate.adapters.upstream.budget import RETURN_SPREAD, Gate
from pushgate.answers import Answer, Quota
from pushgate.budgeting import most_within
from pushgate.clock import Clock
from pushgate.config.upstreams import Upstream
from pushgate.errors import PollError
from pushgate.metrics import Metrics
from pushgate.pauses import Pauses
from pushgate.values import Validators

Play = Callable[[Callable[[], Awaitable[None]]], None]


class LoopClock(Clock):
    """Time is the loop's, which jumps over idle times; chance is always the same."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def chance(self) -> float:
        return 0.5


@pytest.fixture
def play() -> Iterator[Play]:
    """Run a coroutine function on a loop of its own, whose time begins at 0 and costs nothing."""
    loop = looptime.new_event_loop(start=0, end=200_000)
    yield lambda script: loop.run_until_complete(script())
    loop.close()


def gate_of(metrics: Metrics | None = None, pauses: Pauses | None = None, **upstream: Any) -> Gate:
    config = Upstream.model_validate({"url": "http://u", **upstream})
    return Gate("u", config, LoopClock(), metrics or Metrics(), pauses or Pauses())


def now() -> float:
    return asyncio.get_running_loop().time()


def answer(status: int = 200, *, retry_after: float | None = None, quota: Quota | None = None) -> Answer:
    return Answer(status, "", b"", Validators(), 0.0, retry_after=retry_after, quota=quota)


class Visitors:
    """Polls of one request each; they note who had a turn, and when."""

    def __init__(self, gate: Gate, *, takes: float = 0.0) -> None:
        self.gate = gate
        self.takes = takes
        self.turns: list[tuple[str, float]] = []
        self.refusals: list[tuple[str, float, PollError]] = []
        self.under_way = self.most_under_way = 0

    async def visit(self, name: str, error: PollError | None = None) -> None:
        try:
            async with self.gate.turn():
                self.turns.append((name, now()))
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                await asyncio.sleep(self.takes)
                self.under_way -= 1
        except PollError as refusal:
            self.refusals.append((name, now(), refusal))
            self.gate.came_out(refusal)
        else:
            self.gate.came_out(error)

    async def visit_all(self, names: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(self.visit(name))

    def moments(self) -> list[float]:
        return [moment for _, moment in self.turns]


def test_requests_take_their_turns_in_the_order_in_which_they_came(play: Play) -> None:
    """Over budget, everybody waits for the same time in the end: first come, first served."""
    visitors = Visitors(gate_of(budget={"rate": "10/s"}))

    async def script() -> None:
        await visitors.visit_all("abcdefghij")

    play(script)
    assert "".join(name for name, _ in visitors.turns) == "abcdefghij"
    assert visitors.moments()[-1] == pytest.approx(0.9, abs=0.02)


def test_no_topic_starves_however_eager_the_others_are(play: Play) -> None:
    """A topic that asks again at once has its next turn after everybody else who waits, also after a slower one."""
    visitors = Visitors(gate_of(budget={"rate": "10/s"}))

    async def eager(name: str, tasks: asyncio.TaskGroup) -> None:
        for _ in range(20):
            await visitors.visit(name)

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in "abcd":
                tasks.create_task(eager(name, tasks))
            await asyncio.sleep(1.0)
            asked = now()
            await visitors.visit("slow")
            assert now() - asked <= 0.6  # four before it, at ten a second

    play(script)
    order = [name for name, _ in visitors.turns if name != "slow"]
    assert all(set(order[n : n + 4]) == set("abcd") for n in range(0, 80, 4))


def test_a_newcomer_does_not_overtake_who_waits(play: Play) -> None:
    """Timers may be late; whoever comes between the time and its timer stands behind those who were there before."""
    visitors = Visitors(gate_of(budget={"rate": "1/s"}))

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(visitors.visit_all("ab"))
            await asyncio.sleep(0.5)
            assert visitors.gate._timer is not None
            visitors.gate._timer.cancel()  # so late that the newcomer is there first
            await asyncio.sleep(1)
            tasks.create_task(visitors.visit("newcomer"))

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "b", "newcomer"]


def test_a_budget_counts_what_leaves(play: Play) -> None:
    """However many wait, no second has more requests than the rate says, and no minute (to a millisecond)."""
    visitors = Visitors(gate_of(budget={"rate": ["20/s", "100/m"], "burst": 20}), takes=0.3)

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(150):
                tasks.create_task(visitors.visit("x"))

    play(script)
    assert len(visitors.turns) == 150
    assert most_within(visitors.moments(), 0.999) <= 20
    assert most_within(visitors.moments(), 59.999) <= 100


def test_only_so_many_requests_are_under_way_at_once(play: Play) -> None:
    """`concurrency: 3` holds the fourth back until one of three has its answer."""
    visitors = Visitors(gate_of(budget={"concurrency": 3}), takes=1.0)

    async def script() -> None:
        await visitors.visit_all("abcdefg")

    play(script)
    assert visitors.most_under_way == 3
    assert visitors.moments() == pytest.approx([0, 0, 0, 1, 1, 1, 2])


def test_without_a_budget_nobody_waits(play: Play) -> None:
    visitors = Visitors(gate_of(), takes=1.0)

    async def script() -> None:
        await visitors.visit_all("abcdefg")

    play(script)
    assert visitors.moments() == [0.0] * 7


def test_who_leaves_the_queue_holds_nobody_up(play: Play) -> None:
    """A poll that is cancelled while it waits takes neither a turn nor a place."""
    visitors = Visitors(gate_of(budget={"rate": "1/s"}))

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            polls = {name: tasks.create_task(visitors.visit(name)) for name in "abcd"}
            await asyncio.sleep(0.5)
            polls["b"].cancel()
            polls["c"].cancel()

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "d"]
    assert visitors.moments()[1] == pytest.approx(1.0, abs=0.02)


def test_a_turn_that_comes_in_the_moment_of_cancellation_is_given_back(play: Play) -> None:
    """Who was let go and cancelled at the same time does not keep its place under way for ever."""
    visitors = Visitors(gate_of(budget={"concurrency": 1}), takes=1.0)

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(visitors.visit("a"))
            await asyncio.sleep(0.5)
            doomed = tasks.create_task(visitors.visit("b"))
            await asyncio.sleep(0)
            tasks.create_task(visitors.visit("c"))
            visitors.gate.leave()  # b is let go now, and cancelled before it can run
            doomed.cancel()
        visitors.gate._under_way += 1  # what was given back by hand above

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "c"]
    assert visitors.gate._under_way == 0


def test_all_may_be_cancelled_at_once(play: Play) -> None:
    """When the gateway stops, whoever is under way hands its turn to nobody who is going away too."""
    visitors = Visitors(gate_of(budget={"concurrency": 1}, breaker=BREAKER), takes=1.0)

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            polls = [tasks.create_task(visitors.visit(name)) for name in "abc"]
            await asyncio.sleep(0.5)
            for poll in polls:
                poll.cancel()
        assert all(poll.cancelled() for poll in polls)
        async with asyncio.TaskGroup() as tasks:
            polls = [tasks.create_task(visitors.visit(name)) for name in "de"]
            await asyncio.sleep(0.5)
            polls[1].cancel()
            visitors.gate.heard(answer(429, retry_after=5))  # sends away who is going anyway
        assert polls[1].cancelled()
        await asyncio.sleep(6)
        await visitors.visit("f")

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "d", "f"]


def test_a_spent_budget_may_fail_polls_instead(play: Play) -> None:
    """`spent: fail`: a poll whose turn does not come within `timeout.total` fails, and says when it might come."""
    visitors = Visitors(gate_of(budget={"rate": "1/s", "spent": "fail"}, timeout={"total": "3s"}))

    async def script() -> None:
        await visitors.visit_all("abcdef")

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "b", "c"]
    for _, moment, refusal in visitors.refusals:
        assert moment == pytest.approx(3.0)
        assert (refusal.reason, refusal.asked) == ("budget", False)
        # Not in step with the turns: the same ones would come too late again and again.
        assert refusal.retry_after == pytest.approx(1 + 3 / 2, abs=0.01)
    assert str(visitors.refusals[0][2]) == "budget: the budget is used up: no turn within 3s"


def test_who_cannot_get_a_turn_in_time_fails_at_once(play: Play) -> None:
    """When the day's budget is used up nobody waits ten seconds to be told so."""
    visitors = Visitors(gate_of(budget={"rate": "2/d", "burst": 2, "spent": "fail"}))

    async def script() -> None:
        await visitors.visit_all("abc")

    play(script)
    ((name, moment, refusal),) = visitors.refusals
    assert (name, moment, refusal.reason) == ("c", 0.0, "budget")
    assert refusal.retry_after == pytest.approx(86_400, abs=10)


# Being left alone.


def test_retry_after_holds_the_whole_upstream(play: Play) -> None:
    """A 429 for one topic is a wish about all of them: nobody asks until it is over."""
    visitors = Visitors(gate_of())

    async def script() -> None:
        await visitors.visit("a")
        visitors.gate.heard(answer(429, retry_after=30))
        await visitors.visit("b")
        await asyncio.sleep(29.9)
        await visitors.visit("c")
        await asyncio.sleep(0.2)
        await visitors.visit("d")

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "d"]
    (_, _, first), (_, _, second) = visitors.refusals
    assert (first.reason, first.asked, first.retry_after) == ("rate_limited", False, 30 * (1 + RETURN_SPREAD / 2))
    assert first.detail == ("the upstream is left alone because it answered 429 with Retry-After; asked again in 30s")
    assert second.retry_after == pytest.approx(0.1 * (1 + RETURN_SPREAD / 2))


@pytest.mark.parametrize(
    ("heard", "seconds"),
    [
        (answer(503, retry_after=5), 5),
        (answer(503, retry_after=1e9), 3600),  # a year is a mistake
        (answer(200, quota=Quota(0, 12)), 12),
        (answer(429, retry_after=5, quota=Quota(0, 12)), 5),  # the upstream's word about this very answer
        (answer(200, quota=Quota(1, 12)), 0),
        (answer(200, quota=Quota(0, None)), 0),
        (answer(200, retry_after=5), 0),  # of a redirect or an accepted job, not of a limit
        (answer(500, retry_after=5), 0),  # the topic's own affair
        (answer(429), 0),
        (answer(429, retry_after=-5), 0),
    ],
)
def test_what_an_upstream_says_about_being_asked_again(play: Play, heard: Answer, seconds: float) -> None:
    """`Retry-After` with 429 and 503, and a quota that is used up and knows when it is full again."""
    gate = gate_of()

    async def script() -> None:
        gate.heard(heard)
        refusal = gate._refusal(now())
        assert (refusal is not None) == (seconds > 0)
        if refusal is not None:
            await asyncio.sleep(seconds - 0.01)
            assert gate._refusal(now()) is not None
            await asyncio.sleep(0.02)
            assert gate._refusal(now()) is None

    play(script)


def test_a_shorter_wish_does_not_end_a_longer_one(play: Play) -> None:
    gate = gate_of()

    async def script() -> None:
        gate.heard(answer(429, retry_after=60))
        gate.heard(answer(429, retry_after=1))
        await asyncio.sleep(59)
        with pytest.raises(PollError):
            await gate.turn().__aenter__()

    play(script)


def test_those_who_wait_are_sent_away_when_the_upstream_wants_to_be_left_alone(play: Play) -> None:
    """They would wait in vain otherwise, and their topics would not know why."""
    visitors = Visitors(gate_of(budget={"rate": "1/s"}))

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(visitors.visit_all("abc"))
            await asyncio.sleep(0.1)
            visitors.gate.heard(answer(503, retry_after=60))

    play(script)
    assert [name for name, _ in visitors.turns] == ["a"]
    assert [(name, moment, error.reason) for name, moment, error in visitors.refusals] == [
        ("b", pytest.approx(0.1), "http_5xx"),
        ("c", pytest.approx(0.1), "http_5xx"),
    ]


# The breaker.

BREAKER = {"failures": 3, "cooldown": "30s"}
DOWN = PollError("connect", "refused")


async def break_it(visitors: Visitors) -> None:
    for name in "abc":
        await visitors.visit(name, DOWN)


def test_no_request_reaches_an_upstream_while_its_breaker_is_open(play: Play) -> None:
    """After three failures in a row, of whichever topics, it is left alone for the cooldown."""
    visitors = Visitors(gate_of(breaker=BREAKER))

    async def script() -> None:
        await break_it(visitors)
        assert visitors.gate.breaker_state == "open"
        await asyncio.sleep(29)
        await visitors.visit_all("defgh")
        assert len(visitors.turns) == 3
        await asyncio.sleep(1.1)
        assert visitors.gate.breaker_state == "half_open"
        await visitors.visit("i")
        assert visitors.gate.breaker_state == "closed"

    play(script)
    _, _, refusal = visitors.refusals[0]
    assert (refusal.reason, refusal.asked) == ("connect", False)
    assert refusal.detail == "the upstream is left alone because 3 polls in a row failed; asked again in 1s"
    assert refusal.retry_after == pytest.approx(1.125)


def test_a_good_trial_lets_everybody_in(play: Play) -> None:
    """After the cooldown one poll goes first; those who come meanwhile wait for its end, not for another cooldown."""
    visitors = Visitors(gate_of(breaker=BREAKER), takes=2.0)

    async def script() -> None:
        await break_it(visitors)
        await asyncio.sleep(31)
        began = now()
        await visitors.visit_all("defg")
        assert [(name, moment - began) for name, moment in visitors.turns[3:]] == [
            ("d", 0),
            ("e", pytest.approx(2)),
            ("f", pytest.approx(2)),
            ("g", pytest.approx(2)),
        ]

    play(script)


def test_a_bad_trial_sends_everybody_away(play: Play) -> None:
    visitors = Visitors(gate_of(breaker=BREAKER), takes=2.0)

    async def script() -> None:
        await break_it(visitors)
        await asyncio.sleep(31)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(visitors.visit("d", DOWN))
            await asyncio.sleep(0)
            tasks.create_task(visitors.visit_all("ef"))
        assert visitors.gate.breaker_state == "open"

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "b", "c", "d"]
    assert [name for name, _, _ in visitors.refusals] == ["e", "f"]
    assert all(error.retry_after and 30 < error.retry_after <= 37.5 for _, _, error in visitors.refusals)


def test_a_trial_may_be_of_several_requests(play: Play) -> None:
    """A login, then two pages: all belong to the trial, and go before those who wait for it."""
    visitors = Visitors(gate_of(breaker=BREAKER, budget={"rate": "10/s", "concurrency": 1}), takes=1.0)
    gate = visitors.gate

    async def request(name: str) -> None:
        async with gate.turn():
            visitors.turns.append((name, now()))
            await asyncio.sleep(1)

    async def paged() -> None:
        await request("login")
        async with asyncio.TaskGroup() as pages:
            pages.create_task(request("1"))
            pages.create_task(request("2"))
        gate.came_out(None)

    async def script() -> None:
        await break_it(visitors)
        await asyncio.sleep(31)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(paged())
            await asyncio.sleep(0.5)
            tasks.create_task(visitors.visit("other"))

    play(script)
    assert [name for name, _ in visitors.turns[3:]] == ["login", "1", "2", "other"]


def test_a_trial_that_never_tells_how_it_ended_is_followed_by_another(play: Play) -> None:
    """It is cancelled, or breaks down for a reason of ours: the next in the queue tries."""
    visitors = Visitors(gate_of(breaker=BREAKER), takes=5.0)

    async def script() -> None:
        await break_it(visitors)
        await asyncio.sleep(31)
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(visitors.visit("lost"))
            await asyncio.sleep(0)
            tasks.create_task(visitors.visit_all("de"))
            await asyncio.sleep(1)
            lost.cancel()
        assert visitors.gate.breaker_state == "closed"

    play(script)
    assert [name for name, _ in visitors.turns[3:]] == ["lost", "d", "e"]


def test_nobody_waits_for_a_trial_for_ever(play: Play) -> None:
    """Who waits may hold up the trial itself, by the lock of a login: after `timeout.total` it is sent away."""
    visitors = Visitors(gate_of(breaker=BREAKER, timeout={"total": "3s"}))
    lock = asyncio.Lock()

    async def trial() -> None:
        async with visitors.gate.turn():
            await asyncio.sleep(1)
        async with lock:
            await visitors.visit("trial's login")

    async def other() -> None:
        async with lock:
            await visitors.visit("other's login")

    async def script() -> None:
        await break_it(visitors)
        await asyncio.sleep(31)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(trial())
            await asyncio.sleep(0)
            tasks.create_task(other())
        assert visitors.gate.breaker_state == "closed"

    play(script)
    assert [name for name, _ in visitors.turns[3:]] == ["trial's login"]
    ((name, _, refusal),) = visitors.refusals
    assert (name, refusal.reason, refusal.asked, refusal.retry_after) == ("other's login", "connect", False, 3)


def test_what_is_about_one_topic_leaves_the_breaker_closed(play: Play) -> None:
    """Rights, missing things and answers that cannot be read show that the upstream is there."""
    visitors = Visitors(gate_of(breaker=BREAKER))

    async def script() -> None:
        for reason in ("http_4xx", "upstream_auth", "decode", "rate_limited"):
            await visitors.visit("a", DOWN)
            await visitors.visit("b", DOWN)
            await visitors.visit("c", PollError(reason, "played"))  # type: ignore[arg-type]  # one of the reasons
        assert visitors.gate.breaker_state == "closed"

    play(script)
    assert not visitors.refusals


# What is shown.


def series(metrics: Metrics) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", metrics.text().decode(), re.MULTILINE)}


def test_the_state_of_an_upstream_is_shown(play: Play) -> None:
    """Nothing is shown of what is not known: an upstream that nobody polls is neither up nor down."""
    metrics = Metrics()
    visitors = Visitors(gate_of(metrics, breaker=BREAKER, budget={"rate": "1/s"}))
    polled = {"u"}
    metrics.watch_upstreams([visitors.gate], lambda: polled)

    async def script() -> None:
        assert 'pushgate_upstream_up{upstream="u"}' not in series(metrics)
        await visitors.visit("a")
        visitors.gate.heard(answer(quota=Quota(7, 60)))
        shown = series(metrics)
        assert shown['pushgate_upstream_up{upstream="u"}'] == 1
        assert shown['pushgate_upstream_quota_remaining{upstream="u"}'] == 7
        assert shown['pushgate_breaker_state{state="closed",upstream="u"}'] == 1
        await break_it(visitors)
        shown = series(metrics)
        assert shown['pushgate_upstream_up{upstream="u"}'] == 0
        assert shown['pushgate_breaker_state{state="closed",upstream="u"}'] == 0
        assert shown['pushgate_breaker_state{state="open",upstream="u"}'] == 1
        assert shown['pushgate_budget_wait_seconds_count{upstream="u"}'] == 4
        assert shown['pushgate_budget_wait_seconds_sum{upstream="u"}'] == pytest.approx(3, abs=0.05)
        polled.clear()
        assert 'pushgate_upstream_up{upstream="u"}' not in series(metrics)

    play(script)


def test_a_paused_upstream_lets_nobody_through(play: Play) -> None:
    """Who comes is refused without waiting, who waits is turned away, and who is under way may finish."""
    pauses = Pauses()
    visitors = Visitors(gate_of(pauses=pauses, budget={"concurrency": 1}), takes=10.0)

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(visitors.visit_all("abc"))
            await asyncio.sleep(1)
            pauses.upstreams.add("u")
            visitors.gate.turn_away()
            await asyncio.sleep(1)
            await visitors.visit("d")

    play(script)
    assert visitors.turns == [("a", 0.0)]
    assert [(name, round(moment)) for name, moment, _ in visitors.refusals] == [("b", 1), ("c", 1), ("d", 2)]
    assert {(refusal.reason, refusal.asked) for _, _, refusal in visitors.refusals} == {("paused", False)}


def test_a_turn_that_came_in_the_moment_of_the_pause_is_given_back(play: Play) -> None:
    """The turn was there, but the request had not gone out; so it does not, and the next one finds room."""
    pauses = Pauses()
    visitors = Visitors(gate_of(pauses=pauses, budget={"concurrency": 1}), takes=1.0)

    async def script() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(visitors.visit_all("ab"))
            await asyncio.sleep(0.5)
            visitors.gate.leave = _after(visitors.gate.leave, lambda: pauses.upstreams.add("u"))  # type: ignore[method-assign]  # the moment
            await asyncio.sleep(1)
            pauses.upstreams.clear()
            await visitors.visit("c")

    play(script)
    assert [name for name, _ in visitors.turns] == ["a", "c"]
    assert [(name, refusal.reason) for name, _, refusal in visitors.refusals] == [("b", "paused")]


def _after(do: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        do()
        then()

    return both
