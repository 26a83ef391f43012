"""What the configuration says about itself: its effective values, and the schema for editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from .gateway import Gateway
from .hidden import REDACTED, Brought
from .routes import Route
from .section import Section, defaults_of
from .source import scalar_of
from .tree import Leaf, Mapping, Node, Sequence, leaves


class _Dumper(yaml.SafeDumper):
    """Writes YAML 1.2: quotes what would be read as a number or a flag, and escapes ``${``."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None if isinstance(scalar_of(text), str) and "${" not in text else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text.replace("${", "$${"), style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def effective(gateway: Gateway) -> dict[str, Any]:
    """Return all values in force, defaults included and secrets redacted, as YAML can write and pushgate can read."""
    written: dict[str, Any] = gateway.model_dump(mode="json", by_alias=True, exclude_none=True)
    return written if gateway.tree is None else _veiled(written, gateway.tree)


def brought(gateway: Gateway) -> Iterator[str]:
    """Yield what files brought to values (``${file:…}``)."""
    if gateway.tree is not None:
        for text in _brought(gateway.tree):
            yield from text.parts


def _veiled(shown: Any, node: Node) -> Any:
    """Hide in values what files brought; ``node``: what the values were made of."""
    match shown, node:
        case dict(), Mapping(entries=entries):
            names = {name: name.shown for name in entries if isinstance(name, Brought)}
            return {
                names.get(name, name): _veiled(value, entries[name].node) if name in entries else value
                for name, value in shown.items()
            }
        case list(), Sequence(items=items) if len(items) == len(shown):
            return [_veiled(value, item) for value, item in zip(shown, items, strict=True)]
    for text in _brought(node):
        shown = _hidden(shown, text)
    return shown


def _brought(node: Node) -> Iterator[Brought]:
    for _, leaf in leaves(node):
        if isinstance(leaf, Leaf) and isinstance(leaf.value, Brought):
            yield leaf.value


def _hidden(shown: Any, text: Brought) -> Any:
    """Hide what was made of a text: the part that a file brought, or all of it if it is written otherwise now."""
    match shown:
        case dict():
            return {name: _hidden(value, text) for name, value in shown.items()}
        case list():
            return [_hidden(value, text) for value in shown]
        case _:
            return text.shown if shown == text else REDACTED


def to_yaml(gateway: Gateway) -> str:
    """Return the effective values as a gateway.yaml."""
    text = yaml.dump(effective(gateway), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
    assert isinstance(text, str)
    return text


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12, the subset that editors share) of gateway.yaml."""
    schema = Gateway.model_json_schema(by_alias=True)
    sections = _all_sections(Section)
    for name, definition in [*schema["$defs"].items(), (Gateway.__name__, schema)]:
        _write_defaults(definition, defaults_of(sections[name]))
    route = schema["$defs"][Route.__name__]
    schema["$defs"]["Defaults"] = {
        **{key: value for key, value in route.items() if key != "required"},
        "description": "Merged into every route: maps merge, other values replace, null removes.",
    }
    schema["properties"]["defaults"] = {"$ref": "#/$defs/Defaults", "description": "What all routes have in common."}
    schema["patternProperties"] = {"^x-": {"description": "Free, for anchors and notes."}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "gateway.yaml"}


def _all_sections(parent: type[Section]) -> dict[str, type[Section]]:
    found = {parent.__name__: parent}
    for child in parent.__subclasses__():
        found.update(_all_sections(child))
    return found


def _write_defaults(definition: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Give every key the default that a user would write: ``10s``, not 10.0; a section's default is in its own keys."""
    for key, described in definition.get("properties", {}).items():
        described.pop("default", None)
        if described.get("title") == key.replace("_", " ").title():  # pydantic's guess, which says nothing new
            del described["title"]
        default = defaults.get(key)
        if default is not None and not isinstance(default, dict):
            described["default"] = default
