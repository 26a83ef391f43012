"""How events are printed: for people in lines with what changed, for programs one envelope a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from ..documents.cursors import Cursor
from ..tools.following import Envelope, Replica
from ..tools.following.differences import Difference, differences
from ..tools.narration import counted, preview
from ..values import ABSENT, Document
from .paint import Paint, legible
from .table import width_of

# So many lines of one change; whoever wants all of them asks for the document, or is a program.
_LINES = 10

_MARGIN = 15  # the time of day, and a gap

_HEAD = _MARGIN + 17  # with kind and number

_OF_DOCUMENTS = ("snapshot", "patch", "merge", "items")


class Teller:
    """Prints events of one topic, or of several; each is applied to a document, so that it can be said what changed."""

    def __init__(self, output: str, *, key: str, shows_document: bool, names_topics: bool) -> None:
        self._output = output
        self._key = key
        self._shows_document = shows_document
        self._names_topics = names_topics
        self._replicas: dict[str, Replica] = {}
        self._paint = Paint(sys.stdout)

    def tell(self, event: Envelope) -> None:
        """Print an event; heartbeats are for programs only."""
        replica = self._replicas.setdefault(str(event.get("topic", "")), Replica(key=self._key))
        before = replica.document
        has_document = replica.take(event) and event["event"] in _OF_DOCUMENTS
        if self._output == "json":
            told = {**event, "document": replica.document} if self._shows_document and has_document else event
            print(json.dumps(told, ensure_ascii=False, separators=(",", ":")), flush=True)
        elif event["event"] != "heartbeat":
            print("\n".join(self._lines(event, before, replica.document)), flush=True)

    def _lines(self, event: Envelope, before: Document, after: Document) -> Iterator[str]:
        found = differences(before, event, after, key=self._key) if event["event"] in _OF_DOCUMENTS else None
        topic = f"{legible(event['topic'])}  " if self._names_topics and event.get("topic") else ""
        summary = self._fitting(f"{topic}{_summary(event, before, found)}", _HEAD)
        yield f"{_time(event)}{self._kind(event)}{summary}".rstrip()
        for difference in (found or [])[:_LINES]:
            yield f"{'':{_MARGIN}}{self._line(difference)}"
        if found is not None and len(found) > _LINES:
            yield f"{'':{_MARGIN}}… and {len(found) - _LINES:,} more"
        if self._shows_document and after is not ABSENT and event["event"] in _OF_DOCUMENTS:
            yield json.dumps(legible(after), ensure_ascii=False, indent=2)

    def _kind(self, event: Envelope) -> str:
        cursor = Cursor.parse(event.get("id") or "")
        number = "" if cursor is None else f"#{cursor.number}"
        text = f"{legible(event['event']):<9} {number:<6} "
        return self._paint.red(text) if event["event"] in ("problem", "gone") else self._paint.bold(text)

    def _line(self, difference: Difference) -> str:
        place = legible(difference.pointer) or "the document"
        before, after = legible(preview(difference.before)), legible(preview(difference.after))
        match difference.mark:
            case "+":
                return self._paint.green(self._fitting(f"+ {place}  {after}"))
            case "-":
                return self._paint.red(self._fitting(f"- {place}  {before}".rstrip()))
            case ">":
                return self._fitting(f"> {place}  from {legible(difference.source)}")
            case _:
                item = "" if difference.item is ABSENT else f"  ({legible(preview(difference.item))})"
                return self._fitting(f"~ {place}  {f'{before} → ' if before else ''}{after}{item}")

    def _fitting(self, text: str, margin: int = _MARGIN) -> str:
        """Return as much of a text as fits into a line of the terminal, if it is one."""
        width = width_of(sys.stdout)
        return text if width is None or margin + len(text) <= width else f"{text[: width - margin - 1]}…"


def _time(event: Envelope) -> str:
    """Return the time of day of an event; some have none."""
    at = event.get("at") or (event["data"].get("at") if isinstance(event.get("data"), dict) else None) or ""
    return f"{str(legible(at)).partition('T')[2]:<{_MARGIN}}"


def _summary(event: Envelope, before: Document, found: list[Difference] | None) -> str:
    data: Any = event.get("data")
    match event["event"]:
        case "snapshot" if before is ABSENT:
            return str(legible(preview(data)))
        case "snapshot" if not found:
            return "as it was"
        case "patch" | "merge" | "items" | "snapshot" if found is not None:
            return counted(len(found), "change")
        case "status" if isinstance(data, dict):
            reason = f": {data['reason']}" if data.get("reason") else ""
            return str(legible(f"{data.get('state')}{reason}"))
        case "problem" if isinstance(data, dict):
            return str(legible(f"{data.get('message')} ({data.get('code')})"))
        case "end":
            return "there will be no more changes"
        case "gone":
            return "the upstream says that it does not exist"
        case "expiring" if isinstance(data, dict):
            return str(legible(f"the credentials end at {data.get('at')}"))
        case _:
            return str(legible(preview(data)))
