"""Who may read a route, whose document it is, and what of the client's request goes upstream."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, PlainSerializer, Tag, WithJsonSchema, model_validator

from .addresses import FieldName
from .scalars import Text
from .section import Names, OneOrMore, Section, given, misplaced


class Claims(Section):
    """One topic for all clients that agree in these claims."""

    claims: OneOrMore[Text]
    """The claims."""


class Rule(Section):
    """One condition for reading a topic."""

    claim: Text
    """The claim that is looked at."""
    equals: Text | None = None
    """It must be this."""
    contains: Text | None = None
    """It must be a list or a text of words with this among them."""
    any: OneOrMore[Text] | None = None
    """It must be, or contain, one of these."""

    @model_validator(mode="after")
    def _one_test(self) -> Rule:
        tests = given(self, "equals", "contains", "any")
        if len(tests) > 1:
            raise misplaced(tests[1], f"stands beside `{tests[0]}`; write two rules")
        if not tests:
            raise ValueError("needs one of `equals`, `contains`, `any`")
        return self


class Forward(Section):
    """What of the client's request is sent upstream."""

    headers: Names[FieldName] = ()
    """These header fields."""
    cookies: Names[FieldName] = ()
    """These cookies."""


def _share_kind(value: Any) -> str:
    return "<Claims>" if isinstance(value, dict | Claims) else "<word>"


def _auth_names(value: Any) -> Any:
    return [] if value == "none" else [value] if isinstance(value, str) else value


def _auth_text(value: tuple[str, ...] | None) -> list[str] | str | None:
    return "none" if value == () else value if value is None else list(value)


Share = Annotated[
    Annotated[Literal["public", "identity"], Tag("<word>")] | Annotated[Claims, Tag("<Claims>")],
    Discriminator(_share_kind),
]

# None: the file says nothing; (): it says `none`.
AuthNames = Annotated[
    tuple[Text, ...] | None,
    BeforeValidator(_auth_names),
    PlainSerializer(_auth_text, when_used="json"),
    WithJsonSchema(
        {"title": "none or names", "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    ),
]
