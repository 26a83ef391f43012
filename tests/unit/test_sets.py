"""One position in a set of topics."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pushgate.documents.cursors import Cursor
from pushgate.documents.diffing import compare
from pushgate.documents.history import History, Limits
from pushgate.documents.keys import Keys
from pushgate.sets import (
    NOWHERE,
    Member,
    Position,
    Recognition,
    continued,
    head,
    resume,
    scope_of_set,
    weigh,
    weight_of,
)
from pushgate.values import ABSENT, Mode

KEYS = Keys.of("id")


def history(name: str, *, epoch: str = "e", events: int = 100) -> History:
    limits = Limits(events=events, bytes=8_000_000, age=3600)
    return History(epoch=epoch, scope=name, limits=limits, keys=KEYS)


def serve(log: History, number: int, document: Any) -> None:
    latest = log.latest
    patch = []
    if latest is not None and latest.document is not ABSENT and document is not ABSENT:
        difference = compare(latest.document, document, keys=KEYS)
        assert difference is not None, "a change"
        patch = difference.patch
    log.append(number, at=float(number), document=document, patch=patch)


def members(*names: str, epoch: str = "e", mode: Mode = "patch") -> list[Member]:
    return [(history(name, epoch=epoch), mode) for name in names]


def scope_of(those: list[Member]) -> str:
    return scope_of_set(log.scope(mode) for log, mode in those)


def cursor_of(those: list[Member]) -> Cursor:
    cursor = Cursor.parse(head(those, scope_of(those)) or "")
    assert cursor is not None
    return cursor


def test_its_scope_is_exactly_these_topics_in_any_order() -> None:
    """The order in which somebody asks means nothing; the family of a topic's cursors does."""
    a, b, c = members("a", "b", "c")
    assert scope_of([a, b]) == scope_of([b, a])
    assert len({scope_of([a, b]), scope_of([a, b, c]), scope_of([a]), scope_of([(a[0], "items"), b])}) == 4
    assert scope_of([a, b]) == scope_of([(a[0], "merge"), b])
    assert scope_of([a]) != a[0].scope("patch"), "a set of one is not its topic"


def test_without_documents_there_is_no_position() -> None:
    """What the client came with stays, until something is told."""
    those = members("a", "b")
    assert head(those, scope_of(those)) is None
    assert Position("e", "s").text is None
    assert Position("e", "s", "mine").text == "mine"


def test_what_is_kept_step_by_step_is_what_all_of_it_comes_to() -> None:
    """A position that is told of each change is the one that a look at all topics finds."""
    those = members("a", "b", "c")
    position = Position("e", scope_of(those))
    weights = {log: 0 for log, _ in those}
    for number, (which, document) in enumerate([(0, 1), (2, 1), (0, 2), (1, [1]), (2, ABSENT), (0, 1)], 1):
        log, mode = those[which]
        serve(log, number, document)
        position.move(weights[log], weight_of((log, mode)), number)
        weights[log] = weight_of((log, mode))
        assert position.text == head(those, scope_of(those))


def test_topics_that_swap_their_documents_are_not_the_same_set() -> None:
    """A document weighs something else in each topic, so sums do not cancel out."""
    one, other = members("a", "b"), members("a", "b")
    for those, documents in ((one, (1, 2)), (other, (2, 1))):
        for number, ((log, _), document) in enumerate(zip(those, documents, strict=True), 1):
            serve(log, number, document)
    assert cursor_of(one).digest != cursor_of(other).digest
    serve(other[0][0], 3, 1)
    serve(other[1][0], 4, 2)
    assert cursor_of(one).digest == cursor_of(other).digest, "it depends on the documents alone"
    assert weigh("a", "x") ^ weigh("b", "x") != 0


def test_each_topic_continues_from_a_cursor_of_its_own() -> None:
    """Also one that has not changed since, or had no document then."""
    those = members("a", "b", "c")
    serve(those[0][0], 1, {"n": 1})
    serve(those[1][0], 2, {"n": 1})
    cursor = cursor_of(those)
    serve(those[0][0], 3, {"n": 2})
    serve(those[2][0], 4, {"n": 1})
    standings = resume(cursor, those)
    assert standings is not None
    results = [log.replay(standing.cursor, mode).result for (log, mode), standing in zip(those, standings, strict=True)]
    assert results[1:] == ["current", "snapshot"] and results[0] != "current"
    assert standings[2] == NOWHERE
    assert [standing.number for standing in standings] == [1, 2, 0]


def test_who_has_heard_the_end_is_over() -> None:
    """Such a topic is not told again; whoever was told before that it would end is told the end."""
    those = members("a", "b")
    for number, (log, _) in enumerate(those, 1):
        serve(log, number, {"n": number})
    before = cursor_of(those)
    those[0][0].end(3, at=3)
    after = cursor_of(those)
    assert before.digest == after.digest and before.number < after.number
    assert [standing.is_over for standing in resume(before, those) or []] == [False, False]
    assert [standing.is_over for standing in resume(after, those) or []] == [True, False]
    own = those[0][0].head("patch")
    assert continued(own, those[0]).is_over and not continued(None, those[0]).is_over
    assert continued(own, those[1]) == type(NOWHERE)(own)


def test_what_the_log_no_longer_knows_is_a_gap_of_the_set() -> None:
    """If one topic cannot say what it was then, nobody can say that of the sum."""
    those: list[Member] = [(history("a", events=2), "patch"), (history("b"), "patch")]
    serve(those[0][0], 1, 0)
    serve(those[1][0], 2, 0)
    cursor = cursor_of(those)
    for number in range(3, 8):
        serve(those[0][0], number, number)
    assert resume(cursor, those) is None


def test_an_idle_topic_never_ages_out() -> None:
    """However much happens to the others."""
    those = members("a", "b")
    serve(those[1][0], 1, 0)
    for number in range(2, 90):
        serve(those[0][0], number, number)
    cursor = cursor_of(those)
    serve(those[0][0], 90, 0)
    standings = resume(cursor, those)
    assert standings is not None and those[1][0].replay(standings[1].cursor, "patch").result == "current"


def test_of_another_epoch_numbers_mean_nothing() -> None:
    """However the numbers compare."""
    old, new = members("a", epoch="e"), members("a", epoch="f")
    serve(old[0][0], 1, 1)
    serve(new[0][0], 1, 1)
    assert resume(cursor_of(old), new) is None


class TestRecognition:
    """After a restart."""

    def restarted(self) -> tuple[Cursor, list[Member]]:
        before = members("a", "b", epoch="before")
        for number, (log, _) in enumerate(before, 5):
            serve(log, number, {"n": number})
        return cursor_of(before), members("a", "b", epoch="after")

    def test_the_same_documents_are_recognised(self) -> None:
        """As soon as the last of them is there, and not before."""
        cursor, those = self.restarted()
        serve(those[1][0], 1, {"n": 6})
        recognition = Recognition(cursor, those)
        assert recognition.verdict is None and recognition.missing == {0}
        serve(those[0][0], 2, {"n": 5})
        recognition.add(0)
        verdict = recognition.verdict
        assert verdict is not None
        assert all(
            log.replay(one.cursor, mode).result == "current" for one, (log, mode) in zip(verdict, those, strict=True)
        )

    def test_a_change_before_the_verdict_is_replayed(self) -> None:
        """Each topic is judged by the document that it had when the client came, or else by its first."""
        cursor, those = self.restarted()
        serve(those[1][0], 1, {"n": 6})
        recognition = Recognition(cursor, those)
        serve(those[1][0], 2, {"n": 7})
        serve(those[0][0], 3, {"n": 5})
        recognition.add(0)
        recognition.add(1)  # which counts once
        verdict = recognition.verdict
        assert verdict is not None
        log, mode = those[1]
        assert log.replay(verdict[1].cursor, mode).result == "replayed"

    def test_another_document_is_a_gap(self) -> None:
        """Known when all are there; for all of the set."""
        cursor, those = self.restarted()
        serve(those[1][0], 1, {"n": 9})
        recognition = Recognition(cursor, those)
        assert recognition.verdict is None
        serve(those[0][0], 2, {"n": 5})
        recognition.add(0)
        assert recognition.verdict == [NOWHERE, NOWHERE]

    def test_nobody_waits_for_ever(self) -> None:
        """Topics that do not come back are given up, or were hopeless from the beginning."""
        cursor, those = self.restarted()
        serve(those[1][0], 1, {"n": 6})
        recognition = Recognition(cursor, those)
        recognition.give_up()
        assert recognition.verdict == [NOWHERE, NOWHERE]
        assert Recognition(cursor, those, hopeless=[0]).verdict == [NOWHERE, NOWHERE]

    def test_a_topic_that_never_had_a_document_is_not_waited_for(self) -> None:
        """What the client holds is all there, whatever else may come."""
        before = members("a", "b", epoch="before")
        serve(before[0][0], 1, {"n": 5})
        those = members("a", "b", epoch="after")
        serve(those[0][0], 1, {"n": 5})
        verdict = Recognition(cursor_of(before), those).verdict
        assert verdict is not None and [bool(standing.cursor) for standing in verdict] == [True, False]

    def test_the_end_is_told_again(self) -> None:
        """A document does not say whether the client has heard of the end."""
        cursor, those = self.restarted()
        for number, (log, _) in enumerate(those, 1):
            serve(log, number, {"n": number + 4})
        those[0][0].end(3, at=3)
        verdict = Recognition(cursor, those).verdict
        assert verdict is not None and not any(standing.is_over for standing in verdict)


Step = tuple[int, int]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=40), st.data())
def test_a_cursor_leads_back_to_the_documents_of_its_time(steps: list[Step], data: st.DataObject) -> None:
    """Whenever a client left, each topic continues from what it was then, and from nothing else."""
    those = members("a", "b", "c", "d")
    numbers = count(1)
    moments: list[tuple[Cursor, list[str | None]]] = []
    for which, document in steps:
        log, _ = those[which]
        if log.latest is None or log.latest.document != document:
            serve(log, next(numbers), document)
            digests = [None if log.latest is None else log.latest.digest for log, _ in those]
            moments.append((cursor_of(those), digests))
    cursor, digests = data.draw(st.sampled_from(moments))
    standings = resume(cursor, those)
    assert standings is not None
    found = [standing.cursor and standing.cursor.rpartition(".")[2] for standing in standings]
    assert found == digests
