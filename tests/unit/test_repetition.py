"""What of a trouble that goes on is told."""

from __future__ import annotations

from pushgate.repetition import Ended, Repetitions, Told

FAILED = "poll.failed"


def tell(repetitions: Repetitions, *times: float, subject: str = "/a", reason: str = "timeout") -> list[Told | None]:
    return [repetitions.tell(FAILED, subject, reason, now) for now in times]


def test_a_trouble_is_told_at_once_and_then_once_a_minute() -> None:
    """And each time with how often nothing was said since."""
    assert tell(Repetitions(), 0, 1, 59.9, 60, 61, 200) == [Told(), None, None, Told(2), None, Told(1)]


def test_another_reason_is_told_at_once() -> None:
    repetitions = Repetitions()
    assert tell(repetitions, 0) == [Told()]
    assert tell(repetitions, 1, 2, reason="dns") == [Told(), None]


def test_somebody_elses_trouble_is_told_at_once() -> None:
    repetitions = Repetitions()
    assert tell(repetitions, 0) + tell(repetitions, 0, subject="/b") == [Told(), Told()]
    assert repetitions.tell("write.failed", "/a", "timeout", 0) == Told()


def test_the_end_tells_how_long_it_was() -> None:
    """And how often it happened after the last line about it, whatever the reasons."""
    repetitions = Repetitions()
    tell(repetitions, 10, 11, 12)
    tell(repetitions, 13, 14, reason="dns")
    assert repetitions.end(FAILED, "/a", 40) == Ended(30, 3)


def test_the_end_of_what_nobody_remembers() -> None:
    """It is told all the same: after a restart of the log, somebody may have seen the beginning."""
    assert Repetitions().end(FAILED, "/a", 40) == Ended()


def test_a_trouble_that_comes_and_goes_is_told_once_a_minute() -> None:
    """Its ends too: an end is told only if its beginning was."""
    repetitions = Repetitions()
    assert tell(repetitions, 0) == [Told()]
    assert repetitions.end(FAILED, "/a", 5) == Ended(5)
    assert tell(repetitions, 10) == [None]
    assert repetitions.end(FAILED, "/a", 15) is None
    assert tell(repetitions, 65) == [Told(1)]
    assert repetitions.end(FAILED, "/a", 70) == Ended(5)


def test_what_an_end_has_told_is_not_told_again() -> None:
    """When the trouble comes back, only what was left out since then is counted."""
    repetitions = Repetitions()
    tell(repetitions, 0, 1, 2)
    assert repetitions.end(FAILED, "/a", 3) == Ended(3, 2)
    assert tell(repetitions, 10, 70) == [None, Told(1)]


def test_when_all_have_the_same_trouble_some_are_told() -> None:
    """The others are counted, and the count is said with the first line of the next minute."""
    repetitions = Repetitions(most_lines=2)
    subjects = ["/a", "/b", "/c", "/d"]
    assert [tell(repetitions, 0, subject=one) for one in subjects] == [[Told()], [Told()], [None], [None]]
    assert tell(repetitions, 61, subject="/d") == [Told(0, 2)]


def test_a_line_that_was_one_too_many_counts_as_left_out() -> None:
    repetitions = Repetitions(most_lines=1)
    assert tell(repetitions, 0) == [Told()]
    tell(repetitions, 59, subject="/b")
    assert tell(repetitions, 60) == [Told(0, 1)]
    tell(repetitions, 60, subject="/b")
    assert tell(repetitions, 119.9, 120) == [None, Told(1, 1)]


def test_crowds_are_thinned_out() -> None:
    """What every topic says for itself when something happens to all of them."""
    repetitions = Repetitions(most_lines=2)
    assert [repetitions.crowd("topic.turned", 0) for _ in range(4)] == [Told(), Told(), None, None]
    assert repetitions.crowd("topic.turned", 60) == Told(0, 2)


def test_what_is_remembered_is_bounded() -> None:
    """The trouble that was quiet for longest is forgotten, and is new when it comes again."""
    repetitions = Repetitions(most_troubles=2)
    tell(repetitions, 0)
    tell(repetitions, 1, subject="/b")
    assert tell(repetitions, 2) == [None]
    tell(repetitions, 3, subject="/c")
    assert len(repetitions) == 2
    assert tell(repetitions, 4) == [None]
    assert tell(repetitions, 5, subject="/b") == [Told()]


def test_the_reasons_of_one_trouble_are_bounded_too() -> None:
    """A reason that never repeats does not fill the memory."""
    repetitions = Repetitions(most_lines=10_000)
    told = [repetitions.tell("view.failed", "/a", f"reason {number}", 0) for number in range(1000)]
    assert told == [Told()] * 1000
    assert len(repetitions) == 1
