"""
Bytes to text, by the charset that they have.

The first that is known decides: a byte order mark, ``format.encoding``, the charset of the Content-Type (RFC 7303 puts
it above an XML declaration), what the text itself declares, UTF-8. Bytes that are none of that charset are a failed
poll: guessing would make a document that the upstream never sent.
"""

from __future__ import annotations

import codecs
import re
from email.message import Message

from ....config.formats import encoding_of
from ....errors import PollError

# UTF-32 stands first: its little-endian mark begins with that of UTF-16.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]

_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})  # ASCII is UTF-8, and who declares it often sends the latter

_HTML = re.compile(r"<!doctype\s+html|<html\b|<head\b|<body\b", re.IGNORECASE)

# How much is looked at to see what an answer is.
_OPENING_BYTES = 1024


def as_utf8(body: bytes, content_type: str) -> bytes:
    """Return the text as UTF-8 without a byte order mark, not verified if it is UTF-8 already."""
    marked = _marked(body)
    text, charset = marked or (body, charset_of(content_type) or "utf-8")
    return text if charset in _UTF8 else decoded(text, charset).encode()


def text_of(body: bytes, content_type: str, *, encoding: str | None = None, declared: str | None = None) -> str:
    """
    Return the text without its byte order mark; raises PollError(``decode``) that names the charset and the place.

    ``declared`` is the charset that the text says it has, if it has a way to say so.
    """
    marked = _marked(body)
    text, charset = marked or (body, encoding or charset_of(content_type) or declared or "utf-8")
    return decoded(text, "utf-8" if charset in _UTF8 else charset)


def decoded(text: bytes, charset: str) -> str:
    """Return the text; raises PollError(``decode``)."""
    try:
        return text.decode(encoding_of(charset))
    except UnicodeDecodeError as exc:
        raise PollError("decode", f"the answer is not {charset[:40]}: {exc.reason} at byte {exc.start}") from exc
    except UnicodeError as exc:
        raise PollError("decode", f"the answer is not {charset[:40]}") from exc
    except ValueError:
        raise PollError("decode", f"the answer's charset {charset[:40]!r} is unknown") from None


def opening_of(body: bytes) -> str:
    """Return the first characters behind a byte order mark and white space, whatever does not decode left out."""
    text, charset = _marked(body[:_OPENING_BYTES]) or (body[:_OPENING_BYTES], "utf-8")
    return text.decode(charset, "ignore").lstrip()


def is_html(opening: str) -> bool:
    """Whether a text that begins so is an HTML page: what a login or an error looks like where data was expected."""
    return _HTML.match(opening) is not None


def media_type(content_type: str) -> str:
    """Return the type without parameters, in lower case; empty if there is none."""
    return content_type.partition(";")[0].strip().lower()


def _marked(body: bytes) -> tuple[bytes, str] | None:
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :], charset
    return None


def charset_of(content_type: str) -> str | None:
    """Return the ``charset`` parameter in lower case, if there is one."""
    if "charset" not in content_type.lower():
        return None
    message = Message()
    message["Content-Type"] = content_type
    return message.get_content_charset()
