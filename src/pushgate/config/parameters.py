"""What may vary in a route: ``params:`` of its path, and the ``query:`` that clients may add."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from ..naming import RESERVED_QUERY, is_safe_segment
from .expressions import Pattern, pattern_of
from .scalars import Text, text_of
from .section import Section, misplaced

ANY_QUERY_VALUE = ".*"


def parameter_of(value: Any) -> str | tuple[str, ...]:
    """Return a pattern, or the values themselves; none of them may change the shape of a path."""
    if not isinstance(value, list | tuple):
        return pattern_of(value)
    if not value:
        raise ValueError("lists no value, so nothing would ever match")
    values = tuple(_listed_value(index, item) for index, item in enumerate(value))
    for index, item in enumerate(values):
        if item in values[:index]:
            raise misplaced(index, f"{item} is listed twice; remove one")
    return values


def _listed_value(index: int, value: Any) -> str:
    try:
        text = text_of(value)
    except ValueError as error:
        raise misplaced(index, str(error)) from None
    if not is_safe_segment(text):
        raise misplaced(index, f"`{text}` cannot stand in a path: it is empty, a dot segment, or holds a slash")
    return text


def query_name_of(value: object) -> str:
    """Return the name of a query parameter that clients may use."""
    text = text_of(value)
    if text in RESERVED_QUERY:
        raise ValueError(f"`{text}` is a query name of pushgate's own; give clients another, with `as: {text}`")
    return text


class QueryParameter(Section):
    """A query parameter that clients may add."""

    as_: Text | None = None
    """Its name in the request to the upstream, if it is another one."""
    pattern: Pattern = ANY_QUERY_VALUE
    """What its value must match, as a whole."""
    default: Text | None = None
    """Its value when a client leaves it out; without one it is left out upstream too."""

    @model_validator(mode="after")
    def _default_matches(self) -> QueryParameter:
        if self.default is not None and not re.fullmatch(self.pattern, self.default):
            raise misplaced("default", f"`{self.default}` does not match the pattern `{self.pattern}`")
        return self


class _PatternToo:
    """Tells editors that a pattern, or ``drop``, may stand for the options."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        options, _drop = handler(schema)["oneOf"]
        return {"anyOf": [{"title": "regular expression", "type": "string"}, options]}


def _query_value(value: Any) -> Any:
    return {"pattern": value} if isinstance(value, str) and value != "drop" else value


def _query_kind(value: Any) -> str:
    return "<drop>" if value == "drop" else "<QueryParameter>"


# A pattern that the whole value must match, or the list of all values.
Parameter = Annotated[
    str | tuple[str, ...],
    PlainValidator(parameter_of),
    PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value, when_used="json"),
    WithJsonSchema(
        {
            "title": "regular expression or values",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        }
    ),
]
QueryName = Annotated[str, BeforeValidator(query_name_of)]
QueryRule = Annotated[
    Annotated[QueryParameter, Tag("<QueryParameter>")] | Annotated[Literal["drop"], Tag("<drop>")],
    Discriminator(_query_kind),
    BeforeValidator(_query_value),
    _PatternToo(),
]
