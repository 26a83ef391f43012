"""``pushgate config``: what is in force, defaults included."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from .configuration import ConfigFile, require_config


def config(
    file: ConfigFile = "gateway.yaml",
    output: Annotated[Literal["yaml", "json"], typer.Option("--output", help="For people, or for programs.")] = "yaml",
) -> None:
    """
    Print the configuration that is in force, secrets redacted.

    With all defaults, with `defaults:` merged into routes, and with the values of variables.

        pushgate config
        pushgate config --output json | jq '.routes["/departures"].poll'
    """
    from ..config import effective, to_yaml

    gateway = require_config(file)
    if output == "json":
        print(json.dumps(effective(gateway), ensure_ascii=False, indent=2))
    else:
        print(to_yaml(gateway), end="")
