"""``pushgate schema``: what editors need to complete and check gateway.yaml."""

from __future__ import annotations

import json


def schema() -> None:
    """
    Print the JSON Schema of gateway.yaml.

    Editors complete and check a file that begins with `# yaml-language-server: $schema=./gateway.schema.json`.

        pushgate schema > gateway.schema.json
    """
    from ..config import json_schema

    print(json.dumps(json_schema(), ensure_ascii=False, indent=2))
