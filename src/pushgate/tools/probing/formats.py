"""
Which format an answer really has, whatever its Content-Type says.

The bytes decide; the Content-Type is compared with them afterwards, since backends call JSON ``text/html`` and CSV
``text/plain`` without shame.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ...answers import Answer
from .samples import Finding, Format

# Which media types go with which format; the first is what a careful backend would say.
_TYPES = {
    "json": ("json",),
    "xml": ("xml",),
    "feed": ("rss", "atom", "xml"),
    "csv": ("csv", "tab-separated-values"),
    "html": ("html",),
    "text": ("text/plain",),
    "binary": (),
}
_DELIMITERS = ",;\t|"
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")

# A line such as `Uptime: 27`; what has no name in front of it is left out.
PAIRS = r"^(?P<name>[^:\s][^:]*):[ \t]*(?P<value>.*)$"
_PAIR = re.compile(PAIRS)
_PAIR_SHARE = 0.8

_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_FEED = re.compile(r"<(?:\w+:)?(?:rss|feed|RDF)[\s>]")
_NEWLINE = re.compile(r"\r\n?|\n")
_MEDIA = re.compile(r"(?:image|audio|video|font)/")


@dataclass(frozen=True, slots=True)
class _Table:
    """How lines make a table: the character between fields, and what stands before the header's first name."""

    delimiter: str
    header_prefix: str
    columns: int


def find_format(answers: Sequence[Answer]) -> Finding:
    """Return the format of answers that have a body: the one that most of them have."""
    kinds = Counter(_kind(answer) for answer in answers)
    kind, _ = kinds.most_common(1)[0]
    answer = next(each for each in answers if _kind(each) == kind)
    value, what = _described(kind, answer)
    return Finding(("format",), value, f"{what}; {_says(kind, answer)}")


def with_lists(form: Format, names: Sequence[str]) -> Format:
    """Return an XML format in which the named elements are lists even when there is one."""
    options = dict(form) if not isinstance(form, str) else {"kind": form}
    return {**options, "force_list": sorted({*options.get("force_list", ()), *names})} if names else form


def kind_of(form: Format) -> str:
    return form if isinstance(form, str) else str(form["kind"])


def _kind(answer: Answer) -> str:
    body = answer.body
    if not body.startswith(_MARKS[1:]) and (b"\0" in body[:4096] or _is_media(answer)):
        return "binary"
    text = text_of(answer)
    start = text.lstrip()[:1]
    if start in "{[" and _is_json(text):
        return "json"
    if start == "<":
        return _markup(text)
    if _scalar_json(answer):
        return "json"
    return "csv" if _table(answer, text) is not None else "text"


def _is_media(answer: Answer) -> bool:
    """Whether it says that it is a picture or the like, and is at least no text."""
    try:
        answer.body.decode()
    except UnicodeDecodeError:
        return _MEDIA.match(media_type(answer)) is not None
    return False


def _markup(text: str) -> str:
    head = text[:2000]
    if _HTML.match(head):
        return "html"
    return "feed" if _FEED.search(head) else "xml"


def _is_json(text: str) -> bool:
    """Tell whether it is JSON, or one JSON value a line."""
    if _is_value(text):
        return True
    lines = [line for line in _NEWLINE.split(text) if line.strip()]
    return len(lines) > 1 and all(line.lstrip()[:1] in "{[" and _is_value(line) for line in lines)


def _is_value(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _scalar_json(answer: Answer) -> bool:
    return "json" in media_type(answer) and _is_json(text_of(answer))


def _described(kind: str, answer: Answer) -> tuple[Any, str]:
    """Return the format as gateway.yaml says it, and what was seen."""
    text = text_of(answer)
    match kind:
        case "json":
            if _is_value(text):
                return kind, "the answers are JSON"
            return {"kind": kind, "lines": True}, "the answers are JSON, one value a line"
        case "csv":
            return _with_encoding(_csv_options(answer, text), answer), _table_words(answer, text)
        case "text":
            options, what = _text_options(text)
            return _with_encoding(options, answer), what
        case "html":
            page = {"kind": kind, "items": "body", "fields": {"text": "body"}}
            return page, "a page: replace these by selectors of what matters, so that nonces and adverts never count"
        case "feed":
            return kind, "an RSS or Atom feed"
        case "binary":
            return kind, "bytes that are no text"
        case _:
            return kind, "the answers are XML"


def _says(kind: str, answer: Answer) -> str:
    declared = media_type(answer)
    if not declared:
        return "there is no Content-Type that says so"
    if any(word in declared for word in _TYPES[kind]) or (kind == "binary" and not declared.startswith("text/")):
        return f"the Content-Type says so too: {declared}"
    return f"the Content-Type is wrong: {declared}"


def media_type(answer: Answer) -> str:
    """Return the Content-Type without its parameters, in small letters."""
    return answer.content_type.partition(";")[0].strip().lower()


def text_of(answer: Answer) -> str:
    """Return the body as text, for looking at it; bytes that fit no encoding do not matter here."""
    for mark, encoding in zip(_MARKS, ("utf-8", "utf-16-le", "utf-16-be"), strict=True):
        if answer.body.startswith(mark):
            return answer.body[len(mark) :].decode(encoding, "replace")
    return answer.body.decode("utf-8", "replace")


def _with_encoding(options: dict[str, Any], answer: Answer) -> Format:
    """Name the encoding if the answer names none and is not UTF-8; a format without options is its name."""
    if "charset" not in answer.content_type.lower():
        try:
            answer.body.decode("utf-8-sig" if not answer.body.startswith(_MARKS[1:]) else "utf-16")
        except UnicodeDecodeError:
            options = {**options, "encoding": "cp1252"}
    return options if len(options) > 1 else str(options["kind"])


def _csv_options(answer: Answer, text: str) -> dict[str, Any]:
    table = _table(answer, text)
    assert table is not None, "_kind has found one"
    options: dict[str, Any] = {"kind": "csv"}
    if table.delimiter != ",":
        options["delimiter"] = table.delimiter
    if table.header_prefix:
        options["header_prefix"] = table.header_prefix
    return options


def _table_words(answer: Answer, text: str) -> str:
    table = _table(answer, text)
    assert table is not None, "_kind has found one"
    between = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[table.delimiter]
    header = f", whose header begins with {table.header_prefix!r}" if table.header_prefix else ""
    return f"a table of {table.columns} columns between {between}{header}"


def _table(answer: Answer, text: str) -> _Table | None:
    """Find the delimiter with which all lines have as many fields as the header, which names each column once."""
    lines = [line for line in _NEWLINE.split(text)[:200] if line]
    if len(lines) < 2 and "csv" not in media_type(answer):
        return None
    prefix = (re.match(r"#+[ \t]*", lines[0]) or [""])[0] if lines else ""
    least = 2 if any(word in media_type(answer) for word in _TYPES["csv"]) else 3
    found = [_columns(lines, delimiter, prefix) for delimiter in _DELIMITERS]
    best = max((columns, delimiter) for columns, delimiter in zip(found, _DELIMITERS, strict=True))
    return _Table(best[1], prefix, best[0]) if best[0] >= least else None


def _columns(lines: list[str], delimiter: str, prefix: str) -> int:
    """Count the columns; 0 if this is not what stands between them."""
    try:
        rows = list(csv.reader([lines[0].removeprefix(prefix), *lines[1:]], delimiter=delimiter))
    except csv.Error:
        return 0
    names = rows[0][:-1] if rows[0] and not rows[0][-1] else rows[0]
    if any(not name.strip() for name in names) or len(set(names)) < len(names):
        return 0
    fitting = sum(len(row) == len(rows[0]) for row in rows)
    return len(names) if fitting >= 0.9 * len(rows) else 0


def _text_options(text: str) -> tuple[dict[str, Any], str]:
    lines = [line for line in _NEWLINE.split(text) if line.strip()]
    pairs = [match["name"] for line in lines if (match := _PAIR.match(line))]
    if len(lines) > 2 and len(pairs) >= _PAIR_SHARE * len(lines) and len(set(pairs)) == len(pairs):
        return {
            "kind": "text",
            "lines": True,
            "regex": PAIRS,
        }, "lines such as `name: value`: the expression makes an object of each"
    if len(lines) > 1:
        return {"kind": "text", "lines": True}, "text of several lines: as a list, a change is the lines that changed"
    return {"kind": "text"}, "one line of text"
