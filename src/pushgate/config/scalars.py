"""
The scalar types of gateway.yaml: how each is read, written back, and described to editors.

A reader raises ValueError with a message for the user; the loader adds where, and which route or section. What is
secret has a type that no repr shows: SecretStr, or Hidden inside a mapping.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr, ValidationInfo, WithJsonSchema

from .. import quantities
from ..quantities import Rate
from .hidden import REDACTED, hide_credentials, redact

Read = TypeVar("Read")
Value = TypeVar("Value")

OFF = "off"

_INTERPOLATED = {"type": "string", "pattern": r"\$\{"}


def text_of(value: object) -> str:
    """Return the value if it is text; raises ValueError that says what it is instead."""
    if isinstance(value, str):
        return value
    raise ValueError(f"must be text, not {kind_of(value)}{'; quote it' if isinstance(value, int | float) else ''}")


def kind_of(value: object) -> str:
    """Say what a value is, in a user's words."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "text"


def _quantity(read: Callable[[str], Read], example: str) -> Callable[[object], Read]:
    """Make a reader of text; a bare number gets the hint that its unit is missing."""

    def reader(value: object) -> Read:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"{value} has no unit; write it like {example}")
        return read(text_of(value))

    return reader


def _above_zero(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{quantities.duration_text(value)} must be above 0s")
    return value


def _unless(word: str, read: Callable[[object], Read]) -> Callable[[object], Read | None]:
    """Make a reader that takes the word, or nothing at all, for None."""
    return lambda value: None if value in (None, word, "") else read(value)


def _written(text: Callable[[Any], Any], absent: str | None = None) -> PlainSerializer:
    """Make a writer; ``absent`` is the word for None, if there is one."""
    return PlainSerializer(lambda value: absent if value is None else text(value), when_used="json")


def _schema(title: str, example: str, *more: str) -> WithJsonSchema:
    return WithJsonSchema({"title": title, "type": "string", "examples": [example, *more]})


def _whole(minimum: int) -> Callable[[object], int]:
    def reader(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)  # ${VAR} brings text
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"must be a whole number, not {kind_of(value)}")
        if value < minimum:
            raise ValueError(f"{value} must be at least {minimum}")
        return value

    return reader


def _whole_schema(minimum: int, title: str = "number") -> WithJsonSchema:
    return WithJsonSchema({"title": title, "anyOf": [{"type": "integer", "minimum": minimum}, _INTERPOLATED]})


def _flag(value: object) -> bool:
    flags = {"true": True, "false": False}  # ${VAR} brings text
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in flags:
        return flags[value]
    raise ValueError("must be true or false")


def _secret(value: object) -> SecretStr:
    return value if isinstance(value, SecretStr) else SecretStr(text_of(value))


_duration = _quantity(quantities.parse_duration, "5s, 250ms or 1m30s")
_size = _quantity(quantities.parse_size, "64KB, 10MB or 16MiB")
_rate = _quantity(quantities.parse_rate, "10/s, 300/m or 50000/d")
_percentage = _quantity(quantities.parse_percentage, "10%")


def _period(value: object) -> float:
    return _above_zero(_duration(value))


Text = Annotated[str, BeforeValidator(text_of), WithJsonSchema({"title": "text", "type": "string"})]
Flag = Annotated[
    bool, BeforeValidator(_flag), WithJsonSchema({"title": "flag", "anyOf": [{"type": "boolean"}, _INTERPOLATED]})
]
Count = Annotated[int, BeforeValidator(_whole(1)), _whole_schema(1)]
CountOrZero = Annotated[int, BeforeValidator(_whole(0)), _whole_schema(0)]
Limit = Annotated[
    int | None,
    BeforeValidator(_unless(OFF, _whole(1))),
    _written(lambda value: value, OFF),
    WithJsonSchema(
        {"title": "number or off", "anyOf": [{"type": "integer", "minimum": 1}, {"const": OFF}, _INTERPOLATED]}
    ),
]

Duration = Annotated[
    float, BeforeValidator(_duration), _written(quantities.duration_text), _schema("duration", "5s", "0s", "1m30s")
]
Period = Annotated[
    float, BeforeValidator(_period), _written(quantities.duration_text), _schema("duration", "5s", "250ms", "1m30s")
]
PeriodOrOff = Annotated[
    float | None,
    BeforeValidator(_unless(OFF, _period)),
    _written(quantities.duration_text, OFF),
    _schema("duration or off", OFF, "5m"),
]
PeriodOrNever = Annotated[
    float | None,
    BeforeValidator(_unless("never", _period)),
    _written(quantities.duration_text, "never"),
    _schema("duration or never", "never", "10m"),
]

Size = Annotated[int, BeforeValidator(_size), _written(quantities.size_text), _schema("size", "10MB", "16MiB")]
SizeOrOff = Annotated[
    int | None,
    BeforeValidator(_unless(OFF, _size)),
    _written(quantities.size_text, OFF),
    _schema("size or off", OFF, "256MB"),
]

Allowed = Annotated[Rate, BeforeValidator(_rate), _written(str), _schema("rate", "10/s", "300/m", "50000/d")]
AllowedOrOff = Annotated[
    Rate | None, BeforeValidator(_unless(OFF, _rate)), _written(str, OFF), _schema("rate or off", OFF, "2000/s")
]
Percentage = Annotated[
    float, BeforeValidator(_percentage), _written(quantities.percentage_text), _schema("percentage", "10%")
]

Secret = Annotated[
    SecretStr,
    BeforeValidator(_secret),
    _written(lambda value: REDACTED if value.get_secret_value() else ""),
    _schema("secret", "${PASSWORD}", "${file:/run/secrets/password}"),
]


def _beside(value: object, info: ValidationInfo) -> Path:
    """Return a path; a relative one starts at the folder of gateway.yaml. Nothing has to be there yet."""
    return Path((info.context or {}).get("base") or Path()) / text_of(value)


def _readable(value: object, info: ValidationInfo) -> str:
    """Return the path of a file that can be read."""
    path = _beside(value, info)
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"`{value}` cannot be read: {error.strerror}") from None
    return str(path)


PemFile = Annotated[str, BeforeValidator(lambda value, info: str(_beside(value, info))), _schema("file", "ca.pem")]
ReadableFile = Annotated[str, BeforeValidator(_readable), _schema("file", "orders.xml")]
OptionalSecret = Annotated[
    SecretStr | None,
    BeforeValidator(_unless("", _secret)),
    _written(lambda value: REDACTED),
    _schema("secret", "${TOKEN:-}"),
]

# A mapping (of headers, query parameters, form fields, …) whose credentials are hidden.
WithCredentials = Annotated[Value, AfterValidator(hide_credentials), PlainSerializer(redact, when_used="json")]
