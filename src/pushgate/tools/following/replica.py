"""A document as a client holds it: a snapshot replaces it, everything else changes it."""

from __future__ import annotations

from typing import Any

from ...documents.keys import key_value
from ...documents.patching import PatchFailed, apply_merge, apply_patch
from ...values import ABSENT, Document, Json
from .follower import Envelope


class Replica:
    """
    One topic's document. ``key``: the member that tells its items apart, for changes that come as ``items``.

    ``document`` is ABSENT before there is one, after ``gone``, and after a change that could not be applied.
    """

    def __init__(self, *, key: str = "id") -> None:
        self.document: Document = ABSENT
        self._key = key

    def take(self, event: Envelope) -> bool:
        """Apply an event; returns whether there is a document now that is the one at that event."""
        kind, data = event["event"], event.get("data")
        if kind == "snapshot":
            self.document = data
        elif kind == "gone":
            self.document = ABSENT
        elif kind in ("patch", "merge", "items"):
            self.document = self._changed(kind, data)
        return self.document is not ABSENT

    def _changed(self, kind: str, data: Any) -> Document:
        if self.document is ABSENT:
            return ABSENT
        try:
            match kind:
                case "patch":
                    return apply_patch(self.document, data)
                case "merge":
                    return apply_merge(self.document, data)
                case _:
                    return self._with_items(data)
        except (PatchFailed, KeyError, TypeError, ValueError):
            return ABSENT  # it was another document, or another key: nobody is shown what it never was

    def _with_items(self, data: Any) -> Json:
        """Return the array with its items changed; what is new comes last, for the order is no part of it."""
        if not isinstance(self.document, list):
            raise ValueError("only the items of an array can change")
        held = {_name(key_value(item, self._key)): item for item in self.document}
        for key in data["deleted"]:
            del held[_name(key)]
        for item in (*data["updated"], *data["created"]):
            held[_name(key_value(item, self._key))] = item
        return [*held.values()]


def _name(key: Json) -> tuple[type, Any]:
    """Tell 1 and "1" and true apart."""
    return type(key), key if not isinstance(key, list) else (*key,)
