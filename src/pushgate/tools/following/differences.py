"""What an event changed, line by line, for people: a mark, a place, and the values before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ...documents.diffing import compare
from ...documents.equality import same
from ...documents.keys import Keys
from ...documents.patching import Operation, PatchFailed, apply_patch, escape, unescape
from ...values import ABSENT, Document, Json
from .follower import Envelope

Mark = Literal["+", "-", "~", ">"]


@dataclass(frozen=True, slots=True)
class Difference:
    """
    ``+`` came, ``-`` went, ``~`` became another, ``>`` came from ``source``; ABSENT is what is not known.

    ``item``: the key of the item that it is in, since a position says little to people.
    """

    mark: Mark
    pointer: str
    before: Document = ABSENT
    after: Document = ABSENT
    source: str = ""
    item: Document = ABSENT


def differences(before: Document, event: Envelope, after: Document, *, key: str) -> list[Difference] | None:
    """Return what an event changed; None if that cannot be told, since one of the documents is not known."""
    if event["event"] == "patch":
        return [*_told(before, event["data"], key)]
    if before is ABSENT or after is ABSENT:
        return None
    found = compare(before, after, keys=Keys.of(key))
    return [] if found is None else [*_told(before, found.patch, key)]


def _told(document: Document, patch: list[Operation], key: str) -> Iterator[Difference]:
    """Yield what each operation does, to the document as it is by then."""
    for operation in patch:
        pointer, value = str(operation["path"]), operation.get("value", None)
        held, item = _value_at(document, pointer, key)
        match operation["op"]:
            case "add" | "copy":
                yield Difference("+", pointer, after=value)
            case "remove":
                yield Difference("-", pointer, before=held)
            case "replace":
                yield from _replaced(pointer, held, value, item)
            case "move":
                yield Difference(">", pointer, source=str(operation["from"]))
        document = _applied(document, operation)


def _applied(document: Document, operation: Operation) -> Document:
    if document is ABSENT:
        return ABSENT
    try:
        return apply_patch(document, [operation])
    except PatchFailed:
        return ABSENT


def _replaced(pointer: str, before: Document, after: Json, item: Document) -> Iterator[Difference]:
    """Yield what a replacement changed: of an object its members, for which it may have been the shorter way."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        yield Difference("~", pointer, before=before, after=after, item=item)
        return
    for name in {**before, **after}:
        member = f"{pointer}/{escape(name)}"
        if name not in after:
            yield Difference("-", member, before=before[name], item=item)
        elif name not in before:
            yield Difference("+", member, after=after[name], item=item)
        elif not same(before[name], after[name]):
            yield from _replaced(member, before[name], after[name], item)


def _value_at(document: Document, pointer: str, key: str) -> tuple[Document, Document]:
    """Return the value at a pointer, and the key of the innermost item around it; ABSENT for what is not there."""
    value: Document | Json = document
    item: Document = ABSENT
    for token in pointer.split("/")[1:]:
        name = unescape(token)
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
            item = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
        else:
            return ABSENT, ABSENT
    return value, item
