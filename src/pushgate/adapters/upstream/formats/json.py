"""
JSON answers, decoded so that numbers and text survive.

Integers stay exact up to Python's limit of 4,300 digits, other numbers become the nearest double. A byte order mark is
dropped, the charset of the Content-Type is honoured (RFC 8259 knows only UTF-8; backends know more), and lone
surrogates, which no UTF-8 can carry, become U+FFFD.
"""

from __future__ import annotations

import codecs
import re
from email.message import Message

import msgspec

from ....errors import PollError
from ....values import Document, Json

# Deeper than any API, and shallow enough for whoever walks the document.
MAX_DEPTH = 200

_decode = msgspec.json.Decoder().decode

_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]

# A surrogate escape without its other half; escaped backslashes are skipped so that ``\\ud800`` is left alone.
_ESCAPE = re.compile(
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4})"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def decode(body: bytes, content_type: str) -> Json:
    """Return the JSON value; raises PollError(``decode``) that says where the text stops being JSON."""
    text = as_utf8(body, content_type)
    try:
        value = parse(text)
    except (msgspec.DecodeError, ValueError) as exc:  # ValueError: an integer beyond 4,300 digits
        raise PollError("decode", f"the answer is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise PollError("decode", f"the answer is nested more than {MAX_DEPTH} deep") from exc
    check_depth(text, value)
    return value


class PlainDecoder:
    """Decodes each answer by itself."""

    def decode(self, body: bytes, content_type: str) -> Json:
        return decode(body, content_type)

    def learn(self, document: Document | None) -> None:
        """Nothing is remembered."""


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


def as_utf8(body: bytes, content_type: str) -> bytes:
    """Return the text as UTF-8 without a byte order mark; raises PollError(``decode``)."""
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return _recode(body[len(mark) :], charset)
    charset = _charset(content_type)
    return body if charset in ("utf-8", "utf8", "us-ascii") else _recode(body, charset)


def _recode(body: bytes, charset: str) -> bytes:
    if charset == "utf-8":
        return body
    try:
        return body.decode(charset).encode()
    except LookupError:
        raise PollError("decode", f"the answer's charset {charset!r} is unknown") from None
    except UnicodeError as exc:
        raise PollError("decode", f"the answer is not {charset}: {exc}") from exc


def _charset(content_type: str) -> str:
    if "charset" not in content_type.lower():
        return "utf-8"
    message = Message()
    message["Content-Type"] = content_type
    return message.get_content_charset("utf-8")


def check_depth(text: bytes, value: Json) -> None:
    """Raise PollError if containers nest deeper than MAX_DEPTH; walks one level at a time, so the stack does not."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return  # there are not even so many
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [child for parent in level if isinstance(parent, dict | list)
                 for child in (parent.values() if isinstance(parent, dict) else parent)
                 if isinstance(child, dict | list)]  # fmt: skip
        if not level:
            return
    raise PollError("decode", f"the answer is nested more than {MAX_DEPTH} deep")
