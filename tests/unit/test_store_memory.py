"""The log in memory: how it numbers changes, and what it forgets when there is too much."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.documents.diffing import compare
from pushgate.documents.history import History, Limits
from pushgate.documents.keys import Keys
from pushgate.store.memory import MEMORY_PER_BYTE, MemoryStore
from replicas import Replica

NO_KEYS = Keys()
LIMITS = Limits(events=1000, bytes=8_000_000, age=3600)


def store(limit: int | None = None) -> MemoryStore:
    """A store that may hold so many bytes of JSON."""
    return MemoryStore("e", limit=None if limit is None else limit * MEMORY_PER_BYTE)


def opened(memory: MemoryStore, name: str, limits: Limits = LIMITS) -> History:
    return memory.open(scope=name, limits=limits, keys=NO_KEYS)


def publish(memory: MemoryStore, history: History, document: Any, *, at: float = 0.0) -> None:
    patch = []
    if history.latest is not None:
        difference = compare(history.latest.document, document, keys=NO_KEYS)
        assert difference is not None
        document, patch = difference.document, list(difference.patch)
    memory.append(history, at=at, document=document, patch=patch)


def document(size: int, **members: Any) -> dict[str, Any]:
    """A document of about so many bytes, of which only the members ever change."""
    return {"pad": "x" * size, **members}


def length(history: History) -> int:
    return len(history._changes)


def test_one_counter_numbers_the_changes_of_all_topics() -> None:
    memory = store()
    one, other = opened(memory, "/a"), opened(memory, "/b")
    for history in (one, other, one):
        publish(memory, history, {"n": memory._number})
    assert (one.latest and one.latest.number, other.latest and other.latest.number) == (3, 2)


def test_without_a_limit_nothing_is_forgotten() -> None:
    memory = store()
    history = opened(memory, "/a")
    for n in range(500):
        publish(memory, history, document(1000, n=n))
    assert length(history) == 499
    assert not memory.is_full()
    assert len(memory._oldest) == 1, "a topic is listed once, however often it changes"


def test_the_oldest_changes_of_all_topics_are_forgotten_first() -> None:
    """A busy topic does not push the recent past of a quiet one out; all keep what is younger than the same moment."""
    memory = store(limit=12_000)
    quiet, busy = opened(memory, "/quiet"), opened(memory, "/busy")
    for history in (quiet, busy):
        publish(memory, history, document(1000, n=0))
    publish(memory, busy, document(1000, n=1))  # older than anything else
    for n in range(1, 4):
        publish(memory, quiet, document(1000, n=n))
    before = quiet.oldest
    for n in range(2, 2000):
        publish(memory, busy, document(1000, n=n))
        if length(quiet) < 3:
            break
    assert before is not None
    assert busy.oldest is not None and busy.oldest > before, "the busy one's older changes went first"
    assert not memory.is_full()


def test_a_lower_limit_counts_at_once() -> None:
    """The past goes first, so that nobody is refused, or forgotten, for the sake of changes that nobody needs."""
    memory = store(limit=100_000)
    history = opened(memory, "/t")
    for n in range(50):
        publish(memory, history, document(1000, n=n))
    memory.revise(limit=1500 * MEMORY_PER_BYTE)
    assert not memory.is_full()
    assert 0 < length(history) < 49


def test_current_documents_are_never_forgotten() -> None:
    """What cannot be forgotten makes the store full; its owner has to give topics up."""
    memory = store(limit=2500)
    histories = [opened(memory, f"/{n}") for n in range(3)]
    for history in histories:
        publish(memory, history, document(1000, n=0))
    assert memory.is_full()
    publish(memory, histories[0], document(1000, n=1))
    assert length(histories[0]) == 0
    assert all(history.latest is not None for history in histories)
    memory.forget(histories[1])
    assert not memory.is_full()


def test_a_forgotten_topic_leaves_nothing_behind() -> None:
    """However many topics come and go, only those that live are remembered."""
    memory = store(limit=10_000_000)
    for n in range(1000):
        history = opened(memory, f"/{n}")
        publish(memory, history, {"n": 0})
        publish(memory, history, {"n": 1})
        memory.forget(history)
    assert memory._size == 0
    assert len(memory._oldest) <= 17
    assert dict(memory.usage()) == {"documents": 0, "histories": 0}


def test_a_topic_that_ends_has_one_more_change() -> None:
    memory = store()
    history = opened(memory, "/a")
    publish(memory, history, {"n": 0})
    change = memory.end(history, at=5)
    assert change.after.number == 2


def test_what_is_in_memory_is_shown() -> None:
    memory = store()
    history = opened(memory, "/a")
    publish(memory, history, document(1000, n=1))
    publish(memory, history, document(1000, n=2))
    usage = dict(memory.usage())
    assert usage["documents"] == pytest.approx(1000 * MEMORY_PER_BYTE, rel=0.05)
    assert 0 < usage["histories"] < 100 * MEMORY_PER_BYTE


# Promise 1 under pressure: a cursor of what was forgotten is a gap, and a gap is a snapshot.


def resumed(history: History, cursor: str | None, replica: Replica) -> str:
    """Bring a client up to date; returns how."""
    replay = history.replay(cursor, "patch")
    replica.subscribe()
    for event in replay.events:
        replica.apply({"event": event.kind, "id": event.id, "data": json.loads(event.data)})
    return replay.result


def test_whoever_comes_back_after_the_cap_has_struck_gets_a_snapshot() -> None:
    """Never silence, never a part of what was missed."""
    memory = store(limit=20_000)
    history, other = opened(memory, "/a"), opened(memory, "/b")
    replica = Replica()
    publish(memory, history, document(1000, n=0))
    resumed(history, None, replica)
    cursor = replica.cursor
    for n in range(1, 5):
        publish(memory, history, document(1000, n=n))
    assert history.replay(cursor, "patch").result == "replayed"
    publish(memory, other, document(19_000, n=0))
    assert length(history) == 0
    assert resumed(history, cursor, replica) == "snapshot"
    assert replica.document == document(1000, n=4)
    assert resumed(history, replica.cursor, replica) == "current"


def test_a_catch_up_that_was_prepared_is_made_anew_when_the_past_is_forgotten() -> None:
    """Positions in the log move when its beginning goes; what was made for one is not given to another."""
    memory = store()
    history = opened(memory, "/a")
    cursors = []
    for n in range(12):
        seen = {f"seen {k}": k <= n for k in range(12)}  # so that what is missed differs from cursor to cursor
        publish(memory, history, {"pad": "x" * 100_000, "news": "y" * 30_000 + str(n), **seen})
        cursors.append(history.head("patch"))
    told = [history.replay(cursor, "patch") for cursor in cursors[:6]]
    assert {replay.result for replay in told} == {"combined"}
    history.forget_oldest()
    for cursor, before in zip(cursors[1:6], told[1:], strict=True):
        assert history.replay(cursor, "patch") == before
    assert history.replay(cursors[0], "patch").result == "snapshot"


kinds = st.sampled_from(["publish", "publish", "publish", "resume", "forget", "clear"])
steps = st.lists(st.tuples(st.integers(0, 3), kinds, st.sampled_from([10, 100, 300])), min_size=20, max_size=80)


@given(steps=steps, limit=st.integers(100, 1500), events=st.integers(1, 10))
def test_whatever_is_forgotten_nobody_is_told_anything_wrong(
    steps: list[tuple[int, str, int]], limit: int, events: int
) -> None:
    """After any mixture of changes, evictions, forgotten topics and resumes, a client holds the current document."""
    memory = store(limit=limit)
    limits = Limits(events=events, bytes=8_000_000, age=3600)
    histories = [opened(memory, f"/{n}", limits) for n in range(4)]
    replicas = [Replica() for _ in histories]
    for count, (n, step, size) in enumerate(steps):
        history = histories[n]
        if step == "publish":
            publish(memory, history, document(size, n=count))
        elif step == "forget":
            memory.forget(history)
            histories[n] = opened(memory, f"/{n}", limits)
        elif step == "clear":
            history.clear()
        elif history.latest is not None:
            resumed(history, replicas[n].cursor, replicas[n])
            assert replicas[n].document == history.latest.document
        counted = sum(history.bytes for history in histories) * MEMORY_PER_BYTE
        assert counted <= memory._size, "what is there is counted"
        assert memory._sizes.keys() <= set(histories), "and nothing else"
        assert not memory.is_full() or all(length(history) == 0 for history in memory._sizes)


def test_what_is_counted_is_about_what_is_used() -> None:
    """The limit means memory: documents of records take what they are counted as, within a factor of two."""

    def record(n: int, version: int) -> dict[str, Any]:
        return {"id": n, "name": f"station {n}", "bikes": version % 17, "lat": 48.85 + n / 7, "renting": True}

    gc.collect()
    tracemalloc.start()
    try:
        memory = store()
        histories = [opened(memory, f"/{n}") for n in range(50)]
        for version in range(4):
            for history in histories:
                publish(memory, history, json.loads(json.dumps([record(n, version) for n in range(40)])))
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = sum(size for _, size in memory.usage())
    assert counted / 2 < used < counted * 2
