"""Reads ``{version: [object…]}`` as JSON, and writes what Kubernetes' strict schemas say against it, as a list."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

from kubernetes_validate import utils

FOREIGN = ("monitoring.coreos.com/", "gateway.networking.k8s.io/")


def complaint(thing: dict[str, Any], version: str) -> str | None:
    """Return what is wrong with an object; None if nothing is."""
    if thing["apiVersion"].startswith(FOREIGN):
        return None
    name = f"{version} {thing['kind']}/{thing['metadata']['name']}"
    try:
        utils.validate(thing, version, strict=True)
    except utils.ValidationError as error:
        return f"{name}: {'.'.join(map(str, error.path))}: {error.message}"
    except (utils.SchemaNotFoundError, utils.InvalidSchemaError, utils.VersionNotSupportedError) as error:
        return f"{name}: {error.message}"
    return None


def main() -> None:
    utils.schema_contents = cache(utils.schema_contents)  # it reads a megabyte anew for each object
    seen: set[str] = set()
    found: list[str] = []
    for version, things in json.load(sys.stdin).items():
        for thing in things:
            key = version + json.dumps(thing, sort_keys=True)
            said = None if key in seen else complaint(thing, version)
            seen.add(key)
            found += [said] if said else []
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
