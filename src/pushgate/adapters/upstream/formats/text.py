"""
Plain text: one string, its lines, or what a regular expression finds.

Without options the document is the whole text. With ``lines: true`` it is a list of lines without their ends. With
``regex`` it is an object of the named groups: the expression is searched for once, ``^`` and ``$`` stand for the ends
of any line (``\\A`` and ``\\Z`` for those of the text), and no match is a failed poll. With both, each line is searched
by itself, and the document is a list with an object for every line that matches: always a list, even of none, so that a
second match never turns an object into one. A group that took no part in the match is null; all others are strings.

How long an expression takes is its author's doing: one like ``(a+)+b`` can take for ever on a text that ``max_body``
allows.
"""

from __future__ import annotations

import re

from ....errors import PollError
from ....values import Json
from .charsets import text_of

_LINE_END = re.compile(r"\r\n|\r|\n")


def decode(
    body: bytes,
    content_type: str,
    *,
    encoding: str | None = None,
    lines: bool = False,
    regex: re.Pattern[str] | None = None,
) -> Json:
    """Return a string, an object or a list; raises PollError(``decode``)."""
    text = text_of(body, content_type, encoding=encoding)
    if lines:
        return _lines(text, regex)
    if regex is None:
        return text
    match = regex.search(_LINE_END.sub("\n", text))
    if match is None:
        raise PollError("decode", "`regex` matches nothing in the answer")
    return {**match.groupdict()}


def pattern(text: str | None) -> re.Pattern[str] | None:
    """Compile the expression of ``format.regex``."""
    return None if text is None else re.compile(text, re.MULTILINE)


def _lines(text: str, regex: re.Pattern[str] | None) -> list[Json]:
    lines = _LINE_END.split(text)
    if not lines[-1]:
        lines.pop()
    if regex is None:
        return [*lines]
    return [{**match.groupdict()} for line in lines if (match := regex.search(line))]
