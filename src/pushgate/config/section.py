"""
What all sections of gateway.yaml have in common: unknown keys are errors, and nothing changes after loading.

Attributes are named as the YAML keys, with an underscore behind those that Python keeps for itself (``while_``).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

Item = TypeVar("Item")

# The default of all mappings; pydantic copies it for every section.
EMPTY: Final[dict[Any, Any]] = {}


class Section(BaseModel):
    """A mapping of gateway.yaml with known keys."""

    # Keys that are gone before the models read the file.
    READ_BEFORE: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: name.removesuffix("_"),
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def keys_of(section: type[Section]) -> list[str]:
    """Return the YAML keys of a section."""
    return [*(field.alias or name for name, field in section.model_fields.items()), *section.READ_BEFORE]


def defaults_of(section: type[Section]) -> dict[str, Any]:
    """Return the defaults of a section as YAML values; what it requires is left out."""
    return section.model_construct().model_dump(mode="json", by_alias=True, warnings=False)


def misplaced(key: str | int | tuple[str | int, ...], message: str) -> PydanticCustomError:
    """Make the error of a section's own rule about one of its keys, or one further down."""
    path = key if isinstance(key, tuple) else (key,)
    return PydanticCustomError("misplaced", "{message}", {"path": path, "message": message})


def given(section: Section, *names: str) -> list[str]:
    """Return the keys of those attributes that the file sets, in the order asked for."""
    written = [name for name in names if name in section.model_fields_set]
    return [name.removesuffix("_") for name in written if getattr(section, name) is not None]


def refuse_both(section: Section, *names: str) -> None:
    """Raise if the file sets more than one of the attributes: they are ways to say the same thing."""
    both = given(section, *names)
    if len(both) > 1:
        raise misplaced(both[1], f"stands beside `{both[0]}`; keep one of them")


def demand_one(section: Section, *names: str) -> None:
    """Raise unless the file sets exactly one of the attributes."""
    refuse_both(section, *names)
    if not given(section, *names):
        words = ", ".join(f"`{name.removesuffix('_')}`" for name in names)
        raise ValueError(f"needs one of {words}")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise misplaced(index, f"{value} is named twice; remove one")
    return values


def _some(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if not values:
        raise ValueError("must not be empty")
    return values


class _SingleToo:
    """Tells editors that one item may stand for the list."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}


# A list that names nothing twice; a single text stands for a list of one.
Names = Annotated[tuple[Item, ...], BeforeValidator(_listed), AfterValidator(_distinct), _SingleToo()]
OneOrMore = Annotated[Names[Item], AfterValidator(_some)]
