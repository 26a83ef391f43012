"""
What a client holds: the document as it follows from what it was sent, by an implementation that is not pushgate's.

A replica checks promise 2 with every event, and remembers every document that it went through, so that a test can ask
afterwards whether each of them was true.
"""

from __future__ import annotations

import json
from typing import Any

import jsonpatch

# What a replica holds that holds nothing, and what it holds of a topic that is gone.
NOTHING: Any = type("Nothing", (), {"__repr__": lambda self: "NOTHING"})()
GONE: Any = type("Gone", (), {"__repr__": lambda self: "GONE"})()

# The position of a cursor among others: the log's epoch, and the number of the change.
Position = tuple[str, int]


def position_of(cursor: str) -> Position:
    epoch, number, _, _ = cursor.split(".")
    return epoch, int(number)


def scope_of(cursor: str) -> str:
    return cursor.split(".")[2]


def canonical(value: Any) -> str:
    """Equal texts for what JSON calls equal: 1 and 1.0, but not 1 and true; whatever the order of keys."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{canonical(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return repr(value) if value in (NOTHING, GONE) else json.dumps(value)


def is_same(one: Any, other: Any, *, ordered: bool = True) -> bool:
    """Whether two documents are equal as JSON; without ``ordered``, two arrays as sets."""
    if not ordered and isinstance(one, list) and isinstance(other, list):
        return sorted(map(canonical, one)) == sorted(map(canonical, other))
    return canonical(one) == canonical(other)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


class Replica:
    """One client's copy. ``key`` names the items of an array for ``items`` events."""

    def __init__(self, key: str = "id") -> None:
        self.document: Any = NOTHING
        self.is_ordered = True  # not after ``items``, which know no order
        self.cursor: str | None = None
        self.states: list[tuple[Position, Any, bool]] = []  # position, document, is_ordered
        self.kinds: list[str] = []  # of all changes that were applied
        self.status: str | None = None
        self._key = key
        self._scope: str | None = None  # of the cursors of whole documents; others know no order
        self._last: Position | None = None  # of the latest change on this subscription

    def subscribe(self) -> None:
        """A new subscription begins: the first change on it may be one that was seen before."""
        self._last = None

    def apply(self, event: dict[str, Any]) -> None:
        """Take an event in, as any client would."""
        kind, cursor, data = event["event"], event["id"], event["data"]
        if kind == "status":
            self.status = data["state"]
        if kind in ("status", "expiring", "problem", "ack"):
            return
        if kind != "heartbeat":
            self.kinds.append(kind)
            self._check_order(cursor)
            self._change(kind, data)
        if kind == "snapshot":
            self._scope = scope_of(cursor)
        if cursor:
            self.cursor = cursor
            # A heartbeat may carry an ``items`` client over a change of nothing but the order.
            self.is_ordered = self.is_ordered and scope_of(cursor) == self._scope
            if self.document is not NOTHING:
                self.states.append((position_of(cursor), self.document, self.is_ordered))

    def holds(self, document: Any) -> bool:
        return is_same(self.document, document, ordered=self.is_ordered)

    def _check_order(self, cursor: str) -> None:
        position = position_of(cursor)
        if self._last is not None and self._last[0] == position[0]:
            assert position[1] > self._last[1], f"promise 2: {cursor} came after number {self._last[1]}"
        self._last = position

    def _change(self, kind: str, data: Any) -> None:
        if kind == "snapshot":
            self.document, self.is_ordered = data, True
        elif kind == "gone":
            self.document, self.is_ordered = GONE, True
        elif kind == "patch":
            assert self.is_ordered, "a patch addresses an order that items events do not keep"
            self.document = jsonpatch.apply_patch(self.document, data)
        elif kind == "merge":
            self.document = merged(self.document, data)
        elif kind == "items":
            self._change_items(data)
        elif kind != "end":  # which leaves the document as it is
            raise AssertionError(f"an event of unknown kind {kind!r}")

    def _change_items(self, data: dict[str, list[Any]]) -> None:
        items = {canonical(item[self._key]): item for item in self.document}
        for key in data["deleted"]:
            del items[canonical(key)]
        for item in data["updated"]:
            assert canonical(item[self._key]) in items, "an item that nobody has seen cannot be updated"
        for item in data["created"]:
            assert canonical(item[self._key]) not in items, "an item that is there cannot be created"
        items |= {canonical(item[self._key]): item for item in [*data["updated"], *data["created"]]}
        self.document, self.is_ordered = list(items.values()), False


def assert_true_at_every_id(replica: Replica, witness: Replica) -> None:
    """Promise 1: wherever a replica stood, it held what a witness that only takes snapshots held there."""
    truth = {position: document for position, document, _ in witness.states}
    assert replica.states, "the replica saw nothing"
    for position, document, is_ordered in replica.states:
        assert position in truth, f"no upstream document has the number {position}"
        assert is_same(document, truth[position], ordered=is_ordered), f"promise 1: a wrong document at {position}"
