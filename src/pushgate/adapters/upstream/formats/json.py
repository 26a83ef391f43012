"""
JSON answers, decoded so that numbers and text survive.

Integers stay exact up to Python's limit of 4,300 digits, other numbers become the nearest double; NaN and Infinity are
no JSON, and a failed poll. Of members with the same name the last one counts. A byte order mark is dropped, the charset
of the Content-Type is honoured (RFC 8259 knows only UTF-8; backends know more), and lone surrogates, which no UTF-8 can
carry, become U+FFFD.

Several values are a list: JSON Lines, one value a line, and JSON text sequences (RFC 7464). They are known by their
Content-Type or by ``lines: true``, and then one value is a list as well; and by their looks: more than one line, and
each a value.
"""

from __future__ import annotations

import re

import msgspec

from ....errors import PollError
from ....values import Json
from .charsets import as_utf8, is_html, media_type, opening_of

# Deeper than any API, and shallow enough for whoever walks the document.
MAX_DEPTH = 200

_SEQUENCES = re.compile(
    r"(application|text)/(x-)?(ndjson|nd-json|jsonl|jsonlines|json-lines|json-seq|stream\+json|.*\+json-seq)"
)
_RECORD_SEPARATOR = b"\x1e"

_decode = msgspec.json.Decoder().decode

# A surrogate escape without its other half; escaped backslashes are skipped so that ``\\ud800`` is left alone.
_ESCAPE = re.compile(
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4})"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

# What says how deep a text nests is all but these bytes; most documents are told in a few rounds.
_NO_MARKS = bytes(set(range(256)).difference(b'[]{}"'))
_ROUNDS = 16

_PLACE = re.compile(r"\(byte (\d+)\)$")
_NO_NUMBER = re.compile(rb"\b(?:NaN|nan|Infinity|inf)\b")


def decode(body: bytes, content_type: str, *, lines: bool = False) -> Json:
    """Return the JSON value; raises PollError(``decode``) that says where the text stops being JSON."""
    text = as_utf8(body, content_type)
    if lines or is_sequence(content_type) or text.startswith(_RECORD_SEPARATOR):
        return _values(text)
    try:
        value = parse(text)
    except (msgspec.DecodeError, ValueError) as exc:  # ValueError: an integer beyond 4,300 digits
        if "trailing characters" in str(exc) and (values := _lines_of_values(text)):
            return values
        raise PollError("decode", f"the answer {_problem(text, exc)}") from exc
    except RecursionError as exc:
        raise PollError("decode", f"the answer is nested more than {MAX_DEPTH} deep") from exc
    check_depth(text, value)
    return value


def is_sequence(content_type: str) -> bool:
    """Whether the type promises any number of values, so that even one is a list."""
    return _SEQUENCES.fullmatch(media_type(content_type)) is not None


def parse(text: bytes) -> Json:
    """Return the value of a text that is UTF-8; raises what msgspec raises."""
    try:
        value: Json = _decode(text)
    except msgspec.DecodeError:
        repaired = _ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], text)
        if repaired == text:
            raise
        value = _decode(repaired)
    return value


def check_depth(text: bytes, value: Json, *, room: int = MAX_DEPTH) -> None:
    """Raise PollError if containers nest deeper than ``room``; walks one level at a time, so the stack does not."""
    if _is_shallow(text, room):
        return
    level = [value]
    for _ in range(room):
        level = [child for parent in level if isinstance(parent, dict | list)
                 for child in (parent.values() if isinstance(parent, dict) else parent)
                 if isinstance(child, dict | list)]  # fmt: skip
        if not level:
            return
    raise PollError("decode", f"the answer is nested more than {MAX_DEPTH} deep")


def _is_shallow(text: bytes, room: int) -> bool:
    """
    Tell, seven times as fast as by a walk, that containers nest no deeper; False: that is not certain.

    Only brackets and quotes are looked at. Where nothing but pairs of quotes is left of the strings, no bracket stands
    in one; and then every round takes away the innermost containers, at most two levels of them.
    """
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = text.translate(None, _NO_MARKS).replace(b'""', b"")
    if b'"' in marks:
        return False
    for _ in range(min(room // 2, _ROUNDS)):
        if not marks:
            break
        marks = marks.replace(b"[]", b"").replace(b"{}", b"")
    return not marks


def _values(text: bytes) -> list[Json]:
    """Return the values of a sequence; raises PollError(``decode``) that says which of them is none."""
    is_separated = text.startswith(_RECORD_SEPARATOR)
    unit = "record" if is_separated else "line"
    values: list[Json] = []
    for number, part in enumerate(text.split(_RECORD_SEPARATOR if is_separated else b"\n"), 0 if is_separated else 1):
        if not part or part.isspace():
            continue
        try:
            value = parse(part)
        except (msgspec.DecodeError, ValueError, RecursionError) as exc:
            raise PollError("decode", f"{unit} {number} of the answer {_problem(part, exc)}") from exc
        if is_separated and not part[-1:].isspace() and not isinstance(value, str | list | dict):
            # Nothing but the line end tells 12 from the first half of 1234 (RFC 7464 section 2.4).
            raise PollError("decode", f"{unit} {number} of the answer was cut off")
        check_depth(part, value, room=MAX_DEPTH - 1)
        values.append(value)
    return values


def _lines_of_values(text: bytes) -> list[Json] | None:
    """Return the values of JSON Lines that nothing announced; None if it is not that."""
    try:
        values = _values(text)
    except PollError:
        return None
    return values if len(values) > 1 else None


def _problem(text: bytes, exc: Exception) -> str:
    """Say what a text is that is not JSON, above all if it is something that is often met instead."""
    opening = opening_of(text)
    if not opening:
        return "is empty"
    if is_html(opening):
        return "is an HTML page and not JSON; is it a login or an error page?"
    if opening.startswith("<"):
        return "looks like XML and not JSON; try `format: xml`"
    place = _PLACE.search(str(exc))
    if place and _NO_NUMBER.search(text, max(0, int(place[1]) - 4), int(place[1]) + 9):  # it begins like -1 or null
        return f"is not JSON, which has no NaN and no Infinity (byte {place[1]})"
    return f"is not JSON: {exc}"
