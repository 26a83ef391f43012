"""The log of a topic, and what somebody at a cursor has missed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pushgate.documents.changes import Sealed, Telling, encode
from pushgate.documents.cursors import MAX_CURSOR_LENGTH, Cursor
from pushgate.documents.diffing import compare
from pushgate.documents.equality import digest
from pushgate.documents.history import REPLAY_BYTES, History, Limits
from pushgate.documents.keys import Keys
from pushgate.values import ABSENT, Mode

LIMITS = Limits(events=1000, bytes=8_000_000, age=3600)
PAD = "x" * 1000


def history(*, epoch: str = "E", scope: str = "/t", limits: Limits = LIMITS, key: str | None = "id") -> History:
    return History(epoch=epoch, scope=scope, limits=limits, keys=Keys.of(key))


def append(log: History, number: int, document: Any, *, at: float = 1000.0) -> str:
    """Log a document as the poller does and return its cursor."""
    before = log.latest
    difference = None
    if before is not None and ABSENT not in (before.document, document):
        difference = compare(before.document, document, keys=Keys.of("id"))
    log.append(number, at=at, document=document, patch=difference.patch if difference else [])
    return log.head("patch")


def filled(count: int, *, pad: str = PAD, **options: Any) -> tuple[History, list[str]]:
    log = history(**options)
    return log, [append(log, n, {"n": n, "pad": pad}, at=1000.0 + n) for n in range(1, count + 1)]


def told(log: History, cursor: str | None, mode: Mode = "patch") -> tuple[str, list[str]]:
    replay = log.replay(cursor, mode)
    return replay.result, [event.kind for event in replay.events]


def test_a_cursor_is_four_parts() -> None:
    """Epoch, number, what it is for, and the digest of the document: safe in URLs, headers and SSE."""
    _, (cursor,) = filled(1)
    assert str(Cursor.parse(cursor)) == cursor
    assert len(cursor) <= MAX_CURSOR_LENGTH
    assert all(letter.isascii() and (letter.isalnum() or letter in "._~-") for letter in cursor)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a.1.b", "a.b.c.d", "a.-1.b.c", "a.1.b.c.d", "a.².b.c", "a.٣.b.c", "a. 1.b.c", "9" * 500, "a..b.c"],
)
def test_other_texts_are_no_cursors(text: str) -> None:
    """Whatever a client hands back, reading it never fails."""
    assert Cursor.parse(text) is None
    log, _ = filled(1)
    assert told(log, text) == ("snapshot", ["snapshot"])


def test_who_has_no_cursor_gets_the_document() -> None:
    """First contact is a snapshot with the current cursor."""
    log, cursors = filled(3)
    (event,) = log.replay(None, "patch").events
    assert (event.kind, event.id, json.loads(event.data)) == ("snapshot", cursors[-1], {"n": 3, "pad": PAD})


def test_who_is_current_gets_nothing() -> None:
    """At the current cursor there is nothing to say."""
    log, cursors = filled(3)
    assert told(log, cursors[-1]) == ("current", [])


def test_who_is_behind_gets_every_change() -> None:
    """Small changes are replayed one by one, each with its own id."""
    log, cursors = filled(4)
    replay = log.replay(cursors[0], "patch")
    assert (replay.result, [event.id for event in replay.events]) == ("replayed", cursors[1:])


def test_much_is_told_as_one() -> None:
    """Changes that together are larger than 16 KB and than a snapshot become one, with the last one's id."""
    log = history()
    first = append(log, 1, {"pad": PAD, "a": "a" * 3000})
    for n in range(2, 12):
        last = append(log, n, {"pad": PAD, "a": str(n) * 3000})
    replay = log.replay(first, "patch")
    assert (replay.result, [event.kind for event in replay.events]) == ("combined", ["patch"])
    assert replay.events[0].id == last


def test_a_sum_that_does_not_pay_is_a_snapshot() -> None:
    """If the one change would not be smaller than the document, the document is sent."""
    log = history()
    first = append(log, 1, {"a": "a" * 3000})
    for n in range(2, 12):
        append(log, n, {"a": str(n) * 3000})
    assert told(log, first) == ("snapshot", ["snapshot"])


def test_there_and_back_again_is_no_change() -> None:
    """Whoever missed changes that undid each other holds the right document, and is told the new position."""
    log = history()
    first = append(log, 1, {"pad": PAD, "a": "a" * REPLAY_BYTES})
    append(log, 2, {"pad": PAD, "a": "b" * REPLAY_BYTES})
    last = append(log, 3, {"pad": PAD, "a": "a" * REPLAY_BYTES})
    (event,) = log.replay(first, "patch").events
    assert (event.kind, event.id, event.data) == ("patch", last, b"[]")
    assert told(log, first, "items")[0] == "snapshot"  # no array


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Limits(events=3, bytes=8_000_000, age=3600), 3),
        (Limits(events=1000, bytes=120, age=3600), 2),
        (Limits(events=1000, bytes=8_000_000, age=4), 5),
        (Limits(events=1, bytes=1, age=0.5), 0),
    ],
)
def test_the_past_is_bounded(limits: Limits, kept: int) -> None:
    """Old changes leave by number, size and age; below the floor every cursor is a gap."""
    log, cursors = filled(20, limits=limits)
    results = [told(log, cursor)[0] for cursor in cursors]
    assert results == ["snapshot"] * (19 - kept) + ["replayed"] * kept + ["current"]


def test_another_scope_is_a_gap() -> None:
    """A cursor of another topic or another definition is worth nothing, even at the same document."""
    _, cursors = filled(1, scope="/other")
    log, _ = filled(1)
    assert told(log, cursors[0]) == ("snapshot", ["snapshot"])


def test_another_epoch_is_judged_by_the_document() -> None:
    """After a restart a cursor is good if its document is still the current one, whatever its number was."""
    before, cursors = filled(3, epoch="before")
    after = history(epoch="after")
    append(after, 1, {"n": 2, "pad": PAD})
    append(after, 2, {"n": 3, "pad": PAD})
    assert told(after, cursors[2]) == ("current", [])
    assert told(after, cursors[1]) == ("snapshot", ["snapshot"])
    assert before.etag == after.etag


def test_a_number_between_two_changes_is_the_earlier_one() -> None:
    """Numbers are shared by all topics: a position between two changes of this one stands at the earlier."""
    log = history()
    first = append(log, 10, {"n": 1, "pad": PAD})
    append(log, 20, {"n": 2, "pad": PAD})
    moved = first.replace(".10.", ".15.")
    assert told(log, moved) == ("replayed", ["patch"])
    assert told(log, first.replace(".10.", ".9.")) == ("snapshot", ["snapshot"])
    assert told(log, first.replace(".10.", ".20.")) == ("snapshot", ["snapshot"])


def test_items_lead_only_to_items() -> None:
    """An ``items`` cursor is a gap under patch; a document cursor continues under items."""
    log = history()
    rows = [{"id": n, "pad": PAD} for n in range(3)]
    first = append(log, 1, rows)
    append(log, 2, [{**rows[0], "n": 1}, *rows[1:]])
    (event,) = log.replay(first, "items").events
    assert event.kind == "items" and event.id is not None
    append(log, 3, rows)
    assert told(log, event.id, "items") == ("replayed", ["items"])
    for mode in ("patch", "merge", "snapshot"):
        assert told(log, event.id, mode) == ("snapshot", ["snapshot"])  # type: ignore[arg-type]


def test_an_order_is_nothing_to_items() -> None:
    """Where only the order changed, ``items`` has nothing to tell, and the position moves on."""
    log = history()
    rows = [{"id": n, "pad": PAD} for n in range(3)]
    first = append(log, 1, rows)
    append(log, 2, rows[::-1])
    assert told(log, first, "items") == ("current", [])
    assert told(log, first, "patch")[0] == "replayed"
    assert log.head("items") != log.head("patch")


def test_gone_is_a_change() -> None:
    """What disappears has a number of its own, and what returns is a snapshot."""
    log = history()
    first = append(log, 1, {"n": 1})
    second = append(log, 2, ABSENT)
    assert told(log, first) == ("replayed", ["gone"])
    assert told(log, None) == ("snapshot", ["gone"])
    append(log, 3, {"n": 1})
    assert told(log, first) == ("replayed", ["gone", "snapshot"])
    assert told(log, second) == ("replayed", ["snapshot"])


def test_the_etag_is_the_document_and_what_it_is_for() -> None:
    """It does not depend on numbers, epochs or the order of keys, but on the topic and the values."""
    log = history()
    append(log, 1, {"a": 1, "b": 2})
    other = history(epoch="other")
    append(other, 99, {"b": 2.0, "a": 1})
    assert log.etag == other.etag
    append(other, 100, {"b": True, "a": 1})
    assert log.etag != other.etag
    elsewhere = history(scope="/elsewhere")
    append(elsewhere, 1, {"a": 1, "b": 2})
    assert log.etag != elsewhere.etag


def sealed(document: Any, **told: Any) -> Sealed:
    """A document as another process would have made it; ``told`` names what a change is in some modes."""
    tellings = {mode: data if data is None else Telling(mode, encode(data)) for mode, data in told.items()}
    snapshot = encode(document)
    return Sealed(snapshot, digest(document), len(snapshot), tellings)


def test_a_sealed_document_is_told_as_it_was_made() -> None:
    """What came with it goes out as it is; any other mode gets the whole document."""
    log = history()
    log.append(1, at=0, document=sealed({"n": 1}), patch=[])
    cursor = log.head("patch")
    change = log.append(2, at=1, document=sealed({"n": 2}, patch=[{"op": "x"}], items=None), patch=[])

    patch, whole = log.event(change, "patch"), log.event(change, "merge")

    assert patch is not None and (patch.kind, patch.data) == ("patch", b'[{"op":"x"}]')
    assert whole is not None and (whole.kind, whole.data) == ("snapshot", b'{"n":2}')
    assert log.event(change, "items") is None
    assert [event.kind for event in log.replay(cursor, "patch").events] == ["patch"]


def test_what_was_not_told_of_a_sealed_past_is_a_snapshot_of_the_present() -> None:
    """The bytes of a big document are kept once: when it is succeeded, what only they could tell is gone."""
    log = history()
    log.append(1, at=0, document=sealed({"n": 1}), patch=[])
    cursor = log.head("patch")
    log.append(2, at=1, document=sealed({"n": 2}), patch=[])
    log.append(3, at=2, document=sealed({"n": 3}, patch=[{"op": "x"}]), patch=[])

    replay = log.replay(cursor, "patch")

    assert (replay.result, [event.data for event in replay.events]) == ("snapshot", [b'{"n":3}'])


def test_a_sealed_document_may_end_and_be_gone() -> None:
    """Both are told without looking into it."""
    log = history()
    log.append(1, at=0, document=sealed({"n": 1}), patch=[])
    gone = log.event(log.append(2, at=1, document=ABSENT, patch=[]), "patch")
    log.append(3, at=2, document=sealed({"n": 1}), patch=[])
    end = log.event(log.end(4, at=3), "patch")

    assert gone is not None and gone.kind == "gone"
    assert end is not None and end.kind == "end"


def test_a_sealed_document_is_opened_for_who_goes_on_with_it() -> None:
    """A change from it to a document that was read here is told as any other."""
    log = history()
    document = {"n": 1, "pad": "x" * 99}
    log.append(1, at=0, document=sealed(document), patch=[])
    assert log.latest is not None and log.latest.document == document
    patch: list[Any] = [{"op": "replace", "path": "/n", "value": 2}]

    event = log.event(log.append(2, at=1, document={**document, "n": 2}, patch=patch), "patch")

    assert event is not None and event.kind == "patch"
