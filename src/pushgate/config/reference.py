"""
The tables of docs/configuration.md, written from the models.

``python -m pushgate.config.reference docs/configuration.md`` writes them anew. Only what stands between the two marks
is replaced; the prose around it is written by people.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from .output import json_schema
from .pending import PENDING
from .tree import Path

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def renewed(page: str) -> str:
    """Return the page with its generated part written anew; raises ValueError if it has no marks."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return a table of keys for every section, and the list of what is not yet implemented."""
    schema = json_schema()
    sections = [_section(path, variant, schema["$defs"].get(name, schema)) for path, variant, name in _walk(schema)]
    waiting = [f"| `{'.'.join(map(str, path))}: {value}` | {words} |" for (path, value), words in PENDING.items()]
    return "\n".join([*sections, "### Not yet\n", "| key | what it will do |", "|---|---|", *waiting, ""])


def _walk(schema: dict[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield (path, variant, definition) of every section, each once, where its path is shortest; the top first."""
    found = list(_descend(schema, (), "", ""))
    shortest: dict[str, Path] = {}
    for path, _, name in sorted(found, key=lambda place: len(place[0])):
        shortest.setdefault(name, path)
    yield from (place for place in found if shortest[place[2]] == place[0])


def _descend(schema: dict[str, Any], path: Path, variant: str, name: str) -> Iterator[tuple[Path, str, str]]:
    yield path, variant, name
    for key, described in schema["$defs"].get(name, schema)["properties"].items():
        for below in _references((*path, key), "", described):
            if below[2] != "Defaults":  # a route's keys once more
                yield from _descend(schema, *below)


def _references(path: Path, variant: str, described: dict[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield the sections that a key leads to."""
    if reference := described.get("$ref"):
        yield path, variant, reference.rpartition("/")[2]
    kinds = {ref: f"`kind: {kind}`" for kind, ref in described.get("discriminator", {}).get("mapping", {}).items()}
    for choice in (*described.get("anyOf", ()), *described.get("oneOf", ())):
        name = str(choice.get("$ref", "")).rpartition("/")[2]
        yield from _references(path, kinds.get(choice.get("$ref"), name if "oneOf" in described else variant), choice)
    if "items" in described:
        yield from _references(path, variant, described["items"])
    if isinstance(values := described.get("additionalProperties"), dict):
        yield from _references((*path, "*"), variant, values)


def _section(path: Path, variant: str, definition: dict[str, Any]) -> str:
    title = f"`{'.'.join(map(str, path))}`" if path else "The file"
    described = f"{definition['description']}{_not_yet(path, variant)}"
    heading = f"### {title}{f', {variant}' if variant else ''}\n\n{described}\n"
    required = definition.get("required", [])
    rows = [_row(key, described, is_required=key in required) for key, described in definition["properties"].items()]
    return "\n".join([heading, "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _row(key: str, described: dict[str, Any], *, is_required: bool) -> str:
    default = "required" if is_required else _default(described.get("default"))
    meaning = described.get("description") or _described_there(described)
    return f"| `{key}` | {_kind(described)} | {default} | {meaning} |"


def _not_yet(path: Path, variant: str) -> str:
    """Mark the section that a value leads to which does nothing yet."""
    pending = [(key[:-1], f"`{key[-1]}: {value}`") for key, value in PENDING]
    return " *Not yet.*" if (path, variant) in pending else ""


def _default(value: Any) -> str:
    match value:
        case None | "" | []:
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case list():
            return f"`[{', '.join(map(str, value))}]`"
        case _:
            return f"`{value}`"


def _kind(described: dict[str, Any]) -> str:
    """Say in words what a key takes."""
    if title := described.get("title"):
        return str(title)
    if "$ref" in described or "discriminator" in described:
        return "section"
    if "enum" in described or "const" in described:
        return ", ".join(f"`{value}`" for value in described.get("enum", [described.get("const")]))
    if choices := described.get("anyOf") or described.get("oneOf"):
        if len(choices) > 1 and choices[-1].get("items") == choices[0]:
            return f"{_kind(choices[0])}; one or a list"
        return " or ".join(dict.fromkeys(_kind(choice) for choice in choices if choice.get("type") != "null"))
    if described.get("type") == "array":
        return f"list of {_kind(described['items'])}"
    if isinstance(values := described.get("additionalProperties"), dict):
        return f"mapping to {_kind(values)}"
    return {"string": "text", "object": "mapping"}.get(described.get("type", "object"), "number")


def _described_there(described: dict[str, Any]) -> str:
    """Return the description of the section that a key leads to, where pydantic saw that it is the same."""
    names = [name for _, _, name in _references((), "", described)]
    return str(json_schema()["$defs"][names[0]]["description"])


if __name__ == "__main__":
    page = File(sys.argv[1])
    page.write_text(renewed(page.read_text()))
