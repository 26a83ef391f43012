"""
What of the Helm chart is made from something else: ``python scripts/chart.py`` writes it anew.

- ``values.schema.json``: from the comments and defaults in values.yaml and, for ``config``, from ``pushgate schema``.
- The table of values in README.md: from the same comments.
- ``files/``: what observability/ has for Prometheus and Grafana.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pushgate.config import json_schema

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "pushgate"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"

# Which of our files are also in the chart, because Helm reads none outside of it.
COPIES = {"alerts.yaml": "observability/alerts.yaml", "grafana-dashboard.json": "observability/grafana-dashboard.json"}

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}

# Helm before 3.18 knows no later draft.
_DRAFT = "http://json-schema.org/draft-07/schema#"

# What is secret can be named in values and not written: it would be in a ConfigMap.
_NAMED = r"^$|\$\{"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the chart. ``schema``: what its comment says about it, beside what the default tells."""

    path: tuple[str, ...]
    default: Any
    description: str
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        return ".".join(self.path)


def values(text: str) -> list[Value]:
    """Return what values.yaml has, in its order; what has no comment is a part of the value above it."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return list(_described(root, text.splitlines(), ()))


def _described(node: yaml.MappingNode, lines: list[str], path: tuple[str, ...]) -> Iterator[Value]:
    for key, value in node.value:
        here = (*path, str(key.value))
        comment = _comment_above(lines, key.start_mark.line)
        if not comment.startswith("-- ") and isinstance(value, yaml.MappingNode) and value.value:
            yield from _described(value, lines, here)
            continue
        words, _, schema = comment.removeprefix("-- ").partition("@schema ")
        default = yaml.SafeLoader("").construct_object(value, deep=True)
        yield Value(here, default, words.strip(), json.loads(schema) if schema else {})


def _comment_above(lines: list[str], line: int) -> str:
    """Return the comment that ends right above a line, as one line."""
    found: list[str] = []
    while line > 0 and (match := re.fullmatch(r" *# ?(.*)", lines[line - 1])):
        found.insert(0, match[1])
        line -= 1
    return " ".join(found)


def values_schema(text: str) -> dict[str, Any]:
    """Return the JSON Schema of values.yaml: whatever is misspelt fails ``helm lint``."""
    schema = _section("The values of the pushgate chart.")
    for value in values(text):
        section = schema
        for name in value.path[:-1]:
            section = section["properties"].setdefault(name, _section(""))
        section["properties"][value.path[-1]] = _value_schema(value)
    return {"$schema": _DRAFT, **schema, "definitions": gateway_definitions()}


def _section(description: str) -> dict[str, Any]:
    described = {"description": description} if description else {}
    return {"type": "object", **described, "additionalProperties": False, "properties": {}}


def _value_schema(value: Value) -> dict[str, Any]:
    if "$ref" in value.schema:  # draft 7 looks at nothing beside it
        return {"description": value.description, "allOf": [value.schema]}
    kind = {} if value.default is None else {"type": _TYPES[type(value.default)]}
    return {"description": value.description, **kind, **value.schema}


def gateway_definitions() -> dict[str, Any]:
    """Return the schema of gateway.yaml and its sections as draft 7 knows it, with secrets by reference only."""
    schema = _adapted(json_schema())
    definitions: dict[str, Any] = schema.pop("$defs")
    for top in ("$schema", "required"):  # the chart fills in the version
        schema.pop(top)
    return {**definitions, "Gateway": schema}


def _adapted(node: Any) -> Any:
    match node:
        case {"oneOf": _, "discriminator": {"mapping": kinds}, **rest}:
            return _adapted({**rest, **_by_kind(kinds)})
        case {"oneOf": [{"$ref": "#/$defs/Route" as route}, {"$ref": "#/$defs/View" as view}], **rest}:
            return _adapted({**rest, "if": {"required": ["from"]}, "then": {"$ref": view}, "else": {"$ref": route}})
        case {"$ref": reference, **rest}:
            return {**rest, "$ref": str(reference).replace("#/$defs/", "#/definitions/")}
        case {"title": "secret", **rest}:
            return {**rest, "title": "secret", "pattern": _NAMED}
        case dict():
            return {key: _adapted(value) for key, value in node.items()}
        case list():
            return [_adapted(item) for item in node]
        case _:
            return node


def _by_kind(kinds: dict[str, str]) -> dict[str, Any]:
    """Return what says the same as ``oneOf``, so that a mistake is not told once for each of the others."""
    rules = [
        {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"$ref": reference}}
        for kind, reference in kinds.items()
    ]
    return {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": [*kinds]}}, "allOf": rules}


def readme(page: str, text: str) -> str:
    """Return the chart's README with its table of values written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [f"| `{value.name}` | `{_written(value.default)}` | {value.description} |" for value in values(text)]
    table = "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _written(default: Any) -> str:
    return '""' if default == "" else json.dumps(default, ensure_ascii=False).replace("|", "\\|")


def generated() -> dict[Path, str]:
    """Return every file that is made from others, with what it has to hold."""
    text = (CHART / "values.yaml").read_text()
    schema = json.dumps(values_schema(text), ensure_ascii=False, indent=1)
    made = {
        CHART / "values.schema.json": f"{schema}\n",
        CHART / "README.md": readme((CHART / "README.md").read_text(), text),
    }
    return made | {CHART / "files" / name: (ROOT / source).read_text() for name, source in COPIES.items()}


if __name__ == "__main__":
    for path, content in generated().items():
        path.write_text(content)
