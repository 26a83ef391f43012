"""What the configuration says about itself: its effective values, and the schema for editors."""

from __future__ import annotations

from typing import Any

import yaml

from .gateway import Gateway
from .routes import Route
from .source import scalar_of


class _Dumper(yaml.SafeDumper):
    """Writes YAML 1.2: quotes what would be read as a number or a flag, and escapes ``${``."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None if isinstance(scalar_of(text), str) and "${" not in text else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text.replace("${", "$${"), style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def effective(gateway: Gateway) -> dict[str, Any]:
    """Return all values in force, defaults included and secrets redacted, as YAML can write and pushgate can read."""
    written: dict[str, Any] = gateway.model_dump(mode="json", by_alias=True, exclude_none=True)
    return written


def to_yaml(gateway: Gateway) -> str:
    """Return the effective values as a gateway.yaml."""
    text = yaml.dump(effective(gateway), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
    assert isinstance(text, str)
    return text


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12, the subset that editors share) of gateway.yaml."""
    schema = Gateway.model_json_schema(by_alias=True)
    route = schema["$defs"][Route.__name__]
    schema["$defs"]["Defaults"] = {
        **{key: value for key, value in route.items() if key != "required"},
        "description": "Merged into every route: maps merge, other values replace, null removes.",
    }
    schema["properties"]["defaults"] = {"$ref": "#/$defs/Defaults", "description": "What all routes have in common."}
    schema["patternProperties"] = {"^x-": {"description": "Free, for anchors and notes."}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gateway.yaml", **schema}
