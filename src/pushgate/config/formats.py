"""``format:`` of a route: how an answer becomes JSON. A name alone stands for the format without options."""

from __future__ import annotations

import codecs
import re
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from .expressions import NamedPattern
from .scalars import Flag, Text, text_of
from .section import Names, Section

# Python's encodings that are not how bytes of the web mean text: some even make text that no UTF-8 can carry.
_NO_ENCODINGS = {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}

_FIELD = re.compile(r"(.*?)\s*(?:@([A-Za-z_:][-A-Za-z0-9_:.]*))?", re.DOTALL)


def encoding_of(value: object) -> str:
    """Return Python's name of an encoding of text; raises ValueError."""
    text = text_of(value)
    try:
        name = codecs.lookup(text).name
        if name.replace("_", "-") not in _NO_ENCODINGS:
            b"x".decode(name, "ignore")  # base64 has a codec too, but makes no text
            return name
    except LookupError:
        pass
    raise ValueError(f"`{text}` is no encoding; write it like utf-8 or cp1252")


def field_parts(text: str) -> tuple[str, str | None]:
    """Split ``selector@attribute``: no selector is empty and means the item itself, no attribute means its text."""
    match = _FIELD.fullmatch(text)
    assert match is not None, "it matches any text"
    return match[1].strip(), match[2]


def _delimiter(value: object) -> str:
    text = text_of(value)
    if len(text) != 1:
        raise ValueError(f"`{text}` must be one character")
    if text in '"\r\n\0':
        raise ValueError("must not be a quote or a line end, which CSV has a use for")
    return text


def _named_groups(text: str) -> str:
    if not re.compile(text).groupindex:
        raise ValueError(f"`{text}` names no group; write what you want of it like (?P<load>[0-9.]+)")
    return text


def _selector(value: object) -> str:
    """Return the text if it is a CSS selector; where the library is not installed, nothing is known about that."""
    text = text_of(value)
    try:
        lexbor: Any = import_module("selectolax.lexbor")
    except ImportError:
        return text
    try:
        lexbor.LexborHTMLParser("<p>").css(text)
    except lexbor.SelectolaxError:
        raise ValueError(f"`{text}` is no CSS selector; write it like `table.prices td.name`") from None
    return text


def _some_fields(fields: dict[str, str]) -> dict[str, str]:
    if not fields:
        raise ValueError("must not be empty; name what to take of each item")
    return fields


def _field(value: object) -> str:
    text = text_of(value)
    selector, _ = field_parts(text)
    if selector:
        _selector(selector)
    return text


Encoding = Annotated[str, BeforeValidator(encoding_of), WithJsonSchema({"title": "encoding", "type": "string"})]
Selector = Annotated[
    str,
    BeforeValidator(_selector),
    WithJsonSchema({"title": "CSS selector", "type": "string", "examples": ["tr.price"]}),
]
FieldSelector = Annotated[
    str, BeforeValidator(_field), WithJsonSchema({"title": "CSS selector", "type": "string", "examples": ["td a@href"]})
]
Delimiter = Annotated[str, BeforeValidator(_delimiter), WithJsonSchema({"title": "character", "type": "string"})]


class AutoFormat(Section):
    """By Content-Type; never html or binary."""

    kind: Literal["auto"]
    """By Content-Type."""


class JsonFormat(Section):
    """JSON."""

    kind: Literal["json"]
    """JSON."""
    lines: Flag = False
    """Each line is a value: a list, even of one."""


class XmlFormat(Section):
    """XML: attributes are `@name`, text beside them is `#text`, repeated elements are lists."""

    kind: Literal["xml"]
    """XML."""
    encoding: Encoding | None = None
    """If the answer names a wrong one."""
    force_list: Names[Text] = ()
    """Elements that are a list even when there is one."""
    namespaces: Literal["drop", "keep"] = "drop"
    """Local names, or Clark names such as `{uri}name`."""


class CsvFormat(Section):
    """Lines with a header: a list of objects."""

    kind: Literal["csv"]
    """CSV."""
    delimiter: Delimiter = ","
    """Between two fields."""
    encoding: Encoding | None = None
    """If the answer names none, or a wrong one."""
    header_prefix: Text = ""
    """What stands before the header's first name."""
    numbers: Names[Text] = ()
    """Columns that are numbers."""
    decimal: Literal[".", ","] = "."
    """The decimal sign of these numbers."""


class FeedFormat(Section):
    """RSS and Atom: title, link, updated, ttl, and items keyed by id."""

    kind: Literal["feed"]
    """RSS or Atom."""


class HtmlFormat(Section):
    """A list of what a page repeats."""

    kind: Literal["html"]
    """HTML."""
    items: Selector
    """CSS selector of the repeated elements."""
    fields: Annotated[dict[Text, FieldSelector], AfterValidator(_some_fields)]
    """Members, and the CSS selector of each inside the element; `a@href` is an attribute, `@id` the element's own."""


class TextFormat(Section):
    """Plain text: one string, its lines, or what an expression finds."""

    kind: Literal["text"]
    """Plain text."""
    encoding: Encoding | None = None
    """If the answer names none, or a wrong one."""
    lines: Flag = False
    """A list of lines."""
    regex: Annotated[NamedPattern, AfterValidator(_named_groups)] | None = None
    """Named groups that become an object; with `lines`, a list of one object for each line that matches."""


class BinaryFormat(Section):
    """Bytes, passed on as they are."""

    kind: Literal["binary"]
    """Bytes."""


_Any = AutoFormat | JsonFormat | XmlFormat | CsvFormat | FeedFormat | HtmlFormat | TextFormat | BinaryFormat


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class _NameToo:
    """Tells editors that a format's name may stand for the format without options."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        kinds = handler(schema)
        return {"anyOf": [{"enum": list(kinds["discriminator"]["mapping"])}, kinds]}


Format = Annotated[_Any, Field(discriminator="kind"), BeforeValidator(_named), _NameToo()]
