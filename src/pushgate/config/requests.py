"""A request that pushgate sends: to poll, to log in, to write."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from .addresses import Headers, HttpPath, Query
from .hidden import hide_text
from .scalars import ReadableFile, Text, WithCredentials
from .section import EMPTY, Section, given, misplaced, refuse_both

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def _body(value: Any) -> Any:
    if isinstance(value, str | dict | list):
        return value
    raise ValueError("must be text, or a mapping or list that is sent as JSON")


Form = WithCredentials[dict[Text, Text]]
Body = WithCredentials[
    Annotated[
        Any,
        BeforeValidator(_body),
        AfterValidator(hide_text),
        WithJsonSchema({"title": "text or JSON", "type": ["string", "object", "array"]}),
    ]
]


class Request(Section):
    """What is asked of the upstream; `{name}` stands for a parameter, escaped for where it stands."""

    method: Method = "GET"
    """The method."""
    path: HttpPath | None = None
    """The path below the upstream's URL; by default the route's own path."""
    query: Query = EMPTY
    """Query parameters that are always sent."""
    headers: Headers = EMPTY
    """Header fields beside the upstream's."""
    body: Body | None = None
    """Text, or a mapping that is sent as JSON."""
    form: Form | None = None
    """Fields of a form, sent as application/x-www-form-urlencoded."""
    body_file: ReadableFile | None = None
    """A file whose content is sent; a relative path starts at the folder of this file."""

    @model_validator(mode="after")
    def _one_body(self) -> Request:
        refuse_both(self, "body", "form", "body_file")
        bodies = given(self, "body", "form", "body_file")
        if bodies and self.method in ("GET", "HEAD"):
            raise misplaced(bodies[0], f"a {self.method} has no body; set `method: POST`")
        return self
