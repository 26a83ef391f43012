"""How a route's document is compared and kept: keys, quiet members, statuses, history."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

from .expressions import pointer_of
from .scalars import Count, Period, Size, text_of
from .section import Section, misplaced

Key = str | tuple[str, ...]


def document_pointer_of(value: object) -> str:
    """Return the text if it is a JSON Pointer into a document, or to the document itself, whose pointer is empty."""
    return "" if value == "" else pointer_of(value)


def _one_key(value: Any) -> Key:
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("names no member")
        return tuple(text_of(name) for name in value)
    return text_of(value)


def key_of(value: Any) -> Key | dict[str, Key]:
    """Return a member's name, the names of a compound key, or one of these for each array's pointer."""
    if not isinstance(value, dict):
        return _one_key(value)
    keys: dict[str, Key] = {}
    for pointer, name in value.items():
        try:
            keys[document_pointer_of(pointer)] = _one_key(name)
        except ValueError as error:
            raise misplaced(pointer, str(error)) from None
    return keys


def _written(key: Any) -> Any:
    if isinstance(key, dict):
        return {pointer: _written(name) for pointer, name in key.items()}
    return list(key) if isinstance(key, tuple) else key


def _status(value: object) -> int:
    text = str(value)
    if not (text.isdecimal() and 100 <= int(text) <= 599):
        raise ValueError(f"`{text}` is no status; write one from 100 to 599")
    if int(text) == 304:
        raise ValueError("304 always means that nothing changed; remove it")
    return int(text)


def _tolerance(value: object) -> float | Literal["any"]:
    if value == "any":
        return "any"
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ValueError("must be a tolerance from 0 up, or any")


DocumentPointer = Annotated[
    str,
    BeforeValidator(document_pointer_of),
    WithJsonSchema({"title": "JSON Pointer", "type": "string", "examples": ["/items", "/hosts/*/tags"]}),
]
DocumentKey = Annotated[
    Key | dict[str, Key],
    PlainValidator(key_of),
    PlainSerializer(_written, when_used="json"),
    WithJsonSchema(
        {
            "title": "name, names, or one for each pointer",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "object"}],
        }
    ),
]
Status = Annotated[int, BeforeValidator(_status)]
Verdict = Literal["gone", "keep", "fail"]
Tolerance = Annotated[
    float | Literal["any"],
    PlainValidator(_tolerance),
    WithJsonSchema({"title": "number or any", "anyOf": [{"type": "number", "minimum": 0}, {"const": "any"}]}),
]


class History(Section):
    """How much of the past is kept, so that clients can continue; whichever bound is met first."""

    events: Count = 1_000
    """Changes."""
    bytes: Size = 8_000_000
    """Their size."""
    age: Period = 3_600.0
    """Their age."""
