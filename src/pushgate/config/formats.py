"""``format:`` of a route: how an answer becomes JSON. A name alone stands for the format without options."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from .expressions import NamedPattern
from .scalars import Flag, Text, text_of
from .section import Names, Section


def _encoding(value: object) -> str:
    text = text_of(value)
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise ValueError(f"`{text}` is no encoding; write it like utf-8 or cp1252") from None


def _delimiter(value: object) -> str:
    text = text_of(value)
    if len(text) != 1:
        raise ValueError(f"`{text}` must be one character")
    return text


Encoding = Annotated[str, BeforeValidator(_encoding), WithJsonSchema({"title": "encoding", "type": "string"})]
Delimiter = Annotated[str, BeforeValidator(_delimiter), WithJsonSchema({"title": "character", "type": "string"})]


class AutoFormat(Section):
    """By Content-Type; never html or binary."""

    kind: Literal["auto"]
    """By Content-Type."""


class JsonFormat(Section):
    """JSON."""

    kind: Literal["json"]
    """JSON."""


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


class FeedFormat(Section):
    """RSS and Atom: title, updated, and items keyed by id."""

    kind: Literal["feed"]
    """RSS or Atom."""


class HtmlFormat(Section):
    """A list of what a page repeats."""

    kind: Literal["html"]
    """HTML."""
    items: Text
    """CSS selector of the repeated elements."""
    fields: dict[Text, Text]
    """Members, and the CSS selector of each inside the element."""


class TextFormat(Section):
    """Plain text: one string, its lines, or what an expression finds."""

    kind: Literal["text"]
    """Plain text."""
    encoding: Encoding | None = None
    """If the answer names none, or a wrong one."""
    lines: Flag = False
    """A list of lines."""
    regex: NamedPattern | None = None
    """Named groups that become an object, or a list of objects."""


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
