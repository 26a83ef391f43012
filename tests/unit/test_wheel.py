"""The wheel that gives every stream its heartbeat."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pushgate.wheel import MAX_TICK, Wheel


@dataclass(eq=False)
class Clocked:
    """A stream that writes down at which turn something was done to it."""

    wheel: Wheel[Clocked]
    heartbeat: float | None = None
    turn: int = 0
    turns: list[int] = field(default_factory=list)  # so far, told by the test
    beats: list[int] = field(default_factory=list)
    checks: list[tuple[int, float]] = field(default_factory=list)

    def beat(self) -> None:
        self.beats.append(len(self.turns))

    def check(self, silence: float) -> None:
        self.checks.append((len(self.turns), silence))


def turned(wheel: Wheel[Clocked], stream: Clocked, times: int) -> None:
    for _ in range(times):
        list(wheel.turn())
        stream.turns.append(0)


def entered(interval: float, heartbeat: float | None = None) -> tuple[Wheel[Clocked], Clocked]:
    wheel: Wheel[Clocked] = Wheel(interval)
    stream = Clocked(wheel, heartbeat)
    wheel.enter(stream)
    return wheel, stream


@pytest.mark.parametrize(("interval", "own"), [(2.0, None), (15.0, None), (15.0, 2.0), (60.0, 2.0), (2.0, 55.0)])
def test_a_stream_is_heard_of_once_in_each_interval_of_its_own(interval: float, own: float | None) -> None:
    """Within an interval from the beginning, and never later after that."""
    wheel, stream = entered(interval, own)
    turns = int((own or interval) / wheel.tick + 0.001)
    turned(wheel, stream, 5 * turns)
    assert stream.beats == [turns - 1 + n * turns for n in range(5)]
    assert wheel.tick <= MAX_TICK


def test_it_is_looked_after_just_before_its_heartbeat() -> None:
    """By then everything that it was sent at the last one should have arrived: all but a turn of its interval ago."""
    wheel, stream = entered(8.0)
    turned(wheel, stream, 32)
    assert [turn for turn, _ in stream.checks] == [beat - 1 for beat in stream.beats]
    assert {silence for _, silence in stream.checks} == {8.0 - wheel.tick}


def test_who_has_gone_is_left_alone() -> None:
    wheel, stream = entered(2.0)
    wheel.exit(stream)
    wheel.exit(stream)
    turned(wheel, stream, 40)
    assert (stream.beats, stream.checks, len(wheel), wheel.everyone()) == ([], [], 0, [])


def test_a_stream_may_go_in_its_own_heartbeat_and_take_others_along() -> None:
    """A heartbeat may be what shows that the client has gone."""
    wheel: Wheel[Clocked] = Wheel(2.0)

    class Leaving(Clocked):
        def beat(self) -> None:
            super().beat()
            for stream in everybody:
                wheel.exit(stream)

    everybody: list[Clocked] = [Leaving(wheel) for _ in range(3)]
    for stream in everybody:
        wheel.enter(stream)
    turned(wheel, everybody[0], 40)
    assert sum(len(stream.beats) for stream in everybody) == 1 and len(wheel) == 0


def test_another_interval_is_obeyed_from_now_on() -> None:
    """Nobody waits longer than its interval for the first heartbeat after that, and not all get it at once."""
    wheel: Wheel[Clocked] = Wheel(60.0)
    streams = []
    for _ in range(60):
        streams.append(Clocked(wheel))
        wheel.enter(streams[-1])
        turned(wheel, streams[0], 1)
    own = Clocked(wheel, 10.0)
    wheel.enter(own)
    wheel.retune(2.0)
    turned(wheel, streams[0], 16)
    assert all(stream.beats for stream in streams)
    assert len({stream.turn for stream in streams}) > 8
    assert not own.beats or own.heartbeat == 10.0
    turned(wheel, own, 80)
    assert own.beats and len(wheel) == 61
