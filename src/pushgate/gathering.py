"""
``accumulate``: for backends that only tell what is new, the list of what they have told so far.

The list is in the order in which things were first told; what is told again is replaced where it stands, and of too
many the oldest leave. Nothing is kept of an answer that the topic does not accept, so its part is asked for again.
"""

from __future__ import annotations

from collections.abc import Hashable

from .config.pipeline import Accumulate
from .documents.selecting import compile_value, find
from .errors import PollError
from .values import Json


class Gathering:
    """What one topic's upstream has told so far."""

    __slots__ = ("_asked_all", "_asked_at", "_items", "_next", "_resynced_at", "_settings", "_since")

    def __init__(self, settings: Accumulate) -> None:
        self._settings = settings
        self._since = compile_value(settings.since)
        self._items: list[Json] = []
        self._next: list[Json] = []
        self._asked_all = True  # the poll under way asks for everything
        self._asked_at = 0.0  # when it began
        self._resynced_at: float | None = None  # the latest poll that asked for everything and was believed

    def since(self, now: float) -> tuple[str, str] | None:
        """
        Return the query parameter for the poll that begins ``now`` (monotonic seconds); None asks for everything.

        That is so at first, whenever ``resync`` is over until such an answer was accepted, and while there is nothing
        to continue from.
        """
        settings = self._settings
        is_due = self._resynced_at is None or (
            settings.resync is not None and now >= self._resynced_at + settings.resync
        )
        position = None if is_due or not self._items else self._since(self._items)
        self._asked_all, self._asked_at = position is None, now
        if position is None:
            return None
        return settings.query, position if isinstance(position, str) else _text(position)

    def add(self, answer: Json) -> list[Json]:
        """Return all that was told, this answer included; raises PollError(``select``) if it is no list of items."""
        items = {} if self._asked_all else {self._name(item): item for item in self._items}
        for item in self._told(answer):
            items[self._name(item)] = item
        self._next = list(items.values())[-self._settings.keep :]
        return self._next

    def accept(self) -> None:
        self._items = self._next
        if self._asked_all:
            self._resynced_at = self._asked_at

    def forget(self) -> None:
        self._items, self._next, self._resynced_at = [], [], None

    def _told(self, answer: Json) -> list[Json]:
        told = answer if self._settings.items is None else find(answer, self._settings.items)
        if told is not None and not isinstance(told, list):
            place = self._settings.items or "the answer"
            raise PollError("select", f"accumulate: {place} is no list; name the list with `items:`")
        return told or []

    def _name(self, item: Json) -> Hashable:
        name = item.get(self._settings.key) if isinstance(item, dict) else None
        if name is None or isinstance(name, dict | list):
            raise PollError("select", f"accumulate: an item has no `{self._settings.key}`")
        return isinstance(name, bool), name


def _text(position: Json) -> str:
    if isinstance(position, bool) or not isinstance(position, int | float):
        raise PollError("select", "accumulate: `since` yields neither text nor a number")
    return str(position)
