"""
How values are written into a request's body: escaped as its type demands, or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote_plus
from xml.sax.saxutils import escape as escape_xml

from .errors import BadRequest

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"

# A JSON string (RFC 8259 section 7).
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')

_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

Escape = Callable[[str], str]


def content_type_of(headers: Mapping[str, str], body: str | None, *, is_form: bool) -> str:
    """Return the type that a request's body is sent as: the one that is configured, or what it looks like."""
    for name, value in headers.items():
        if name.lower() == "content-type":
            return value
    if is_form:
        return FORM_TYPE
    match (body or "").lstrip()[:1]:
        case "{" | "[":
            return JSON_TYPE
        case "<":
            return "text/xml; charset=utf-8"
        case _:
            return "text/plain; charset=utf-8"


def outside_strings(text: str, names: Iterable[str]) -> list[str]:
    """Return those names that stand in braces outside the strings of a JSON text, where no quote holds their values."""
    bare = _STRING.sub("", text)
    return [name for name in names if f"{{{name}}}" in bare]


def escape_of(content_type: str) -> Escape | None:
    """Return how values are escaped in a body of this type; None if they cannot be, and no value may stand there."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == FORM_TYPE:
        return quote_plus
    if media_type.endswith(("/json", "+json")):
        return lambda value: json.dumps(value, ensure_ascii=False)[1:-1]
    if media_type.endswith(("/xml", "+xml")):
        return _escape_xml
    return None


def _escape_xml(value: str) -> str:
    if _NOT_IN_XML.search(value):
        raise BadRequest("a parameter holds characters that XML cannot carry")
    return escape_xml(value, {'"': "&quot;", "'": "&apos;"})
