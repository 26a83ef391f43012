"""``pushgate schema``: what editors need to complete and check gateway.yaml."""

from __future__ import annotations

import json


def schema() -> None:
    """Print the JSON Schema of gateway.yaml."""
    from ..config import json_schema

    print(json.dumps(json_schema(), ensure_ascii=False, indent=2))
