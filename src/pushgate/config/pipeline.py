"""What stands between a route's answers and its documents: pages, accumulation, batches, guards."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema

from .expressions import JmesPath, Pointer
from .scalars import Count, CountOrZero, Percentage, Period, Text
from .section import Names, Section

Verdict = Literal["confirm", "accept", "reject"]


class NextPointer(Section):
    """The answer holds the next page's URL."""

    pointer: Pointer
    """Where the URL is."""


class NextNumber(Section):
    """Pages are numbered."""

    param: Text
    """The query parameter with the number."""
    start: CountOrZero = 1
    """The first page's number."""


class NextToken(Section):
    """The answer holds a token that asks for the next page."""

    token: Pointer
    """Where the token is."""
    param: Text
    """The query parameter that takes it."""


def _next_kind(value: Any) -> str:
    match value:
        case NextPointer() | {"pointer": _}:
            return "<NextPointer>"
        case NextToken() | {"token": _}:
            return "<NextToken>"
        case NextNumber() | dict():
            return "<NextNumber>"
        case _:
            return "<link>"


Next = Annotated[
    Annotated[Literal["link_header"], Tag("<link>")]
    | Annotated[NextPointer, Tag("<NextPointer>")]
    | Annotated[NextToken, Tag("<NextToken>")]
    | Annotated[NextNumber, Tag("<NextNumber>")],
    Discriminator(_next_kind),
]


class Pages(Section):
    """Answers that come in pages; all of them, or the poll has failed."""

    next: Next
    """How the next page is found."""
    items: Pointer | None = None
    """The array that the pages share out."""
    max: Count = 20
    """More pages than this fail the poll."""


class Accumulate(Section):
    """For backends that only tell what is new."""

    query: Text
    """The query parameter that asks for what is newer."""
    items: Pointer | None = None
    """Where the list is; by default the answer is the list."""
    since: JmesPath
    """What to send in it, from the document so far."""
    key: Text
    """What makes two items the same."""
    keep: Count = 200
    """How many of the newest are kept."""
    resync: Period | None = None
    """How often everything is asked for again."""


class Batch(Section):
    """Many topics in one request."""

    param: Text
    """The query parameter that lists them."""
    value: Text
    """What stands in it for one topic."""
    join: Text = ","
    """What stands between two."""
    max: Count = 50
    """How many at most."""
    items: Pointer | None = None
    """Where the answers are."""
    match: Text | None = None
    """The member that tells whose an item is; without it the answers are in an object, by their names."""
    missing: Literal["gone", "fail", "keep"] = "gone"
    """What a topic is that the answer leaves out."""


class Shrink(Section):
    """A document that lost suspiciously much."""

    by: Percentage = 0.8
    """The part of its items that is lost."""
    then: Verdict = "confirm"
    """What happens."""


def _verdict_alone(value: Any) -> Any:
    return {"then": value} if isinstance(value, str) else value


class _VerdictToo:
    """Tells editors that a verdict may stand for the section."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(get_args(Verdict))}, handler(schema)]}


class Guards(Section):
    """When an answer is not believed at once."""

    content_type: Names[Text] = ()
    """The media types that an answer may have."""
    fail_if: JmesPath | None = None
    """An answer for which this is true is a failed poll."""
    empty: Verdict = "confirm"
    """Nothing where there was something."""
    type: Verdict = "confirm"
    """Another JSON type than before, of the document or of a keyed array."""
    shrink: Annotated[Shrink, BeforeValidator(_verdict_alone), _VerdictToo()] = Shrink()
    """A loss of many items of the document or of a keyed array, from 10 items up; a verdict alone is for 80%."""
    confirmations: Count = 2
    """Polls that must agree, the first included."""
    confirm_after: Period = 2.0
    """When a confirming poll follows."""
