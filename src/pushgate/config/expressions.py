"""
The small languages inside gateway.yaml: JMESPath, JSON Pointers, regular expressions, cron, active hours.

All of them are compiled while the file is read, so that none can fail at the first poll. The models keep the text;
whoever evaluates it compiles it once more, in the module that owns its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import jmespath
from cronsim import CronSim, CronSimError
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from pydantic import BeforeValidator, WithJsonSchema

from ..schedules.activehours import ActiveHours as Hours
from ..schedules.localtimes import load_zone
from .scalars import text_of

# Where the search for a cron expression's first time starts; any year before a leap year will do.
_SOME_DAY = datetime(2023, 1, 1)

_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
# In a JMESPath, what stands between quotes or backticks; and a place for a value, which is nowhere inside these.
QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`")
_PLACE = re.compile(rf"({QUOTED.pattern})|\{{[A-Za-z_][A-Za-z0-9_.]*\}}")


def jmespath_of(value: object) -> str:
    """Return the text if it is a JMESPath expression that can be evaluated."""
    text = text_of(value)
    if not text.strip():
        raise ValueError("is empty; write a JMESPath, or leave the key out")
    # In a view, {name} stands for a whole string literal.
    expression = _PLACE.sub(lambda found: found[1] or "'x'", text)
    try:
        parsed: Any = jmespath.compile(expression).parsed
    except JMESPathError as error:
        first = str(error).partition("\n")[0].removeprefix("Invalid jmespath expression: ").rstrip(":")
        raise ValueError(f"`{text}` is no JMESPath: {first}") from None
    for name in _functions(parsed):
        if name not in Functions.FUNCTION_TABLE:
            raise ValueError(f"`{text}` calls {name}(), which JMESPath does not have")
    return text


def _functions(parsed: dict[str, Any]) -> Iterator[str]:
    if parsed["type"] == "function_expression":
        yield parsed["value"]
    for child in parsed["children"]:
        if isinstance(child, dict):
            yield from _functions(child)


def has_place(expression: str) -> bool:
    """Whether a JMESPath holds a ``{name}``, which stands for a text in a view and for nothing elsewhere."""
    return any(not found[1] for found in _PLACE.finditer(expression))


def pointer_of(value: object) -> str:
    """Return the text if it is a JSON Pointer (RFC 6901) to something below the document's root."""
    text = text_of(value)
    if not text:
        raise ValueError("`` points at the whole document; name a member, as in /items")
    if _POINTER.fullmatch(text) is None:
        raise ValueError(f"`{text}` is no JSON Pointer; write it like /a/b, with ~1 for a slash and ~0 for a tilde")
    return text


def pattern_of(value: object) -> str:
    """Return the text if it is a regular expression that also works inside a group."""
    text = text_of(value)
    try:
        re.compile(f"(?:{text})(?:)")
    except re.error as error:
        raise ValueError(f"`{text}` is no regular expression: {error.msg}") from None
    return text


def named_pattern_of(value: object) -> str:
    text = text_of(value)
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"`{text}` is no regular expression: {error.msg}") from None
    return text


def cron_of(value: object) -> str:
    """Return the text if it is a cron expression of five fields that fires at all."""
    text = text_of(value)
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"`{text}` is no cron expression; it has five fields: minute hour day month weekday")
    try:
        CronSim(" ".join([*fields[:3], "*", fields[4]]), _SOME_DAY)
        CronSim(" ".join(["*", "*", "*", *fields[3:]]), _SOME_DAY)
    except CronSimError as error:
        words = str(error)
        raise ValueError(f"`{text}` is no cron expression: {words[:1].lower()}{words[1:]}") from None
    try:
        next(CronSim(text, _SOME_DAY))
    except (CronSimError, StopIteration):  # every field is right, and no day has them all
        raise ValueError(f"`{text}` never fires; change its day or month") from None
    return text


def zone_of(value: object) -> str:
    """Return the text if it names a time zone."""
    text = text_of(value)
    load_zone(text)
    return text


def active_of(value: object) -> str:
    """Return the text if it names days, hours and a time zone; hours may run past midnight."""
    text = text_of(value)
    Hours(text)
    return text


def _type(title: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"title": title, "type": "string", "examples": list(examples)})


JmesPath = Annotated[str, BeforeValidator(jmespath_of), _type("JMESPath", "data.items[*].{id: id, name: name}")]
Pointer = Annotated[str, BeforeValidator(pointer_of), _type("JSON Pointer", "/data/items")]
Pattern = Annotated[str, BeforeValidator(pattern_of), _type("regular expression", "[a-z]{2}")]
NamedPattern = Annotated[str, BeforeValidator(named_pattern_of), _type("regular expression", "(?P<load>[0-9.]+)")]
Cron = Annotated[str, BeforeValidator(cron_of), _type("cron", "2-57/5 * * * *")]
Zone = Annotated[str, BeforeValidator(zone_of), _type("time zone", "Europe/Paris")]
ActiveHours = Annotated[str, BeforeValidator(active_of), _type("active hours", "Mon-Fri 09:30-16:00 Europe/Paris")]
