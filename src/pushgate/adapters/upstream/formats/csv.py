"""
CSV as a list of objects, one for each line below the header.

The header's names are stripped of white space around them; a column without a name is ``column_N``, a second ``name``
is ``name_2``. A delimiter at the end of the header adds no column, and may end the lines below as well. Lines with
nothing on them are skipped; all others must have a field for every name. Fields are strings, as they stand, but for the
columns in ``numbers``: whole numbers stay exact, others become doubles, an empty field null.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Collection
from typing import Literal

from ....errors import PollError
from ....values import Json
from .charsets import is_html, opening_of, text_of

Decimal = Literal[".", ","]

# The only bound of a field is that of the whole answer, `max_body`. The setting is the process's, not the reader's.
csv.field_size_limit(sys.maxsize)

_WHOLE = re.compile(r"[+-]?[0-9]+")
_FRACTION: dict[Decimal, re.Pattern[str]] = {
    sign: re.compile(rf"[+-]?(?:[0-9]+[{sign}]?[0-9]*|[{sign}][0-9]+)(?:[eE][+-]?[0-9]+)?") for sign in (".", ",")
}


def decode(
    body: bytes,
    content_type: str,
    *,
    delimiter: str = ",",
    encoding: str | None = None,
    header_prefix: str = "",
    numbers: Collection[str] = (),
    decimal: Decimal = ".",
) -> Json:
    """Return the lines below the header; raises PollError(``decode``) that names the line."""
    text = _text(body, content_type, encoding=encoding, header_prefix=header_prefix)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names, has_tail = _header(next((row for row in reader if row), []))
        for name in set(numbers) - set(names):
            raise PollError("decode", f"the answer has no column `{name}`, which `numbers` names")
        rows: list[Json] = []
        for row in reader:
            if len(row) != len(names) and not _fit(row, len(names), reader.line_num, has_tail=has_tail):
                continue
            fields: dict[str, Json] = dict(zip(names, row, strict=True))
            for name in numbers:
                fields[name] = _cell(str(fields[name]), decimal, line=reader.line_num, name=name)
            rows.append(fields)
        return rows
    except csv.Error as exc:
        raise PollError("decode", f"line {reader.line_num} of the answer is not CSV: {exc}") from exc


def _text(body: bytes, content_type: str, *, encoding: str | None, header_prefix: str) -> str:
    text = text_of(body, content_type, encoding=encoding)
    if not text.strip():
        raise PollError("decode", "the answer is empty, without even a header")
    if is_html(opening_of(body)):
        raise PollError("decode", "the answer is an HTML page and not CSV; is it a login or an error page?")
    if "\0" in text:
        raise PollError("decode", "the answer holds NUL, which no CSV does; set `encoding`, perhaps to utf-16-le")
    start = len(text) - len(text.lstrip("\r\n"))  # empty lines stay, so that lines are counted as in the answer
    if not text.startswith(header_prefix, start):
        raise PollError("decode", f"the answer does not begin with header_prefix `{header_prefix}`")
    return text[:start] + text[start + len(header_prefix) :]


def _header(row: list[str]) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether a delimiter stands behind the last."""
    stripped = [name.strip() or f"column_{number}" for number, name in enumerate(row, 1)]
    taken, names, numbers = set(stripped), dict[str, None](), dict[str, int]()
    for name in stripped:
        unique = name
        while unique in names or (unique != name and unique in taken):
            numbers[name] = numbers.get(name, 1) + 1
            unique = f"{name}_{numbers[name]}"
        names[unique] = None
    has_tail = len(row) > 1 and not row[-1].strip()
    return list(names)[: -1 if has_tail else None], has_tail


def _fit(row: list[str], width: int, line: int, *, has_tail: bool) -> bool:
    """Cut the empty field behind the last; return False for an empty line; raises PollError for any other length."""
    if has_tail and len(row) == width + 1 and not row[-1]:
        row.pop()
    elif row:
        raise PollError("decode", f"line {line} of the answer has {len(row)} fields, the header has {width}")
    return bool(row)


def _cell(text: str, decimal: Decimal, *, line: int, name: str) -> int | float | None:
    """Return the number in a field, None if it is empty; raises PollError(``decode``) that says where it stands."""
    try:
        return _number(text, decimal) if (text := text.strip()) else None
    except ValueError:
        raise PollError("decode", f"line {line} of the answer: `{name}` is no number; mend `numbers`") from None


def _number(text: str, decimal: Decimal) -> int | float:
    """Read a number without thousands separators, which nobody could tell from a decimal sign; raises ValueError."""
    if _WHOLE.fullmatch(text):
        return int(text)
    number = float(text.replace(decimal, ".")) if _FRACTION[decimal].fullmatch(text) else math.inf
    if math.isinf(number):
        raise ValueError("no number, or none that a double can hold")
    return number
