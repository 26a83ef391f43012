"""What of the chart is made from something else is that of this release, and nothing in values.yaml is forgotten."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts import chart

import pushgate
from charts import CHART

VALUES = chart.values((CHART / "values.yaml").read_text())

# What Helm itself reads.
HELMS_OWN = {"enabled", "global"}


@pytest.mark.parametrize(("path", "content"), chart.generated().items(), ids=lambda part: getattr(part, "name", ""))
def test_what_is_generated_is_current(path: Path, content: str) -> None:
    """`python scripts/chart.py` writes the schema of the values, the README's table and the copies anew."""
    assert path.read_text() == content, "run `python scripts/chart.py`"


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_every_value_is_explained(value: chart.Value) -> None:
    assert len(value.description) > 5
    assert value.description.endswith((".", "?", "`"))


def test_no_value_is_told_twice() -> None:
    names = [value.name for value in VALUES]
    assert len(names) == len(set(names)) > 80


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_every_value_is_used(value: chart.Value) -> None:
    """A value that no template reads would be a promise that nobody keeps."""
    templates = "".join(file.read_text() for file in (CHART / "templates").rglob("*") if file.is_file())
    first, last = value.path[0], value.path[-1]
    assert value.name in HELMS_OWN or (
        re.search(rf"\.Values\.{first}\b|\"{first}\"", templates) and re.search(rf"\.{last}\b", templates)
    )


def test_the_chart_is_of_this_release() -> None:
    about: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == pushgate.__version__


def test_the_schema_keeps_to_what_every_helm_knows() -> None:
    """Helm before 3.18 reads draft 7: no word of a later one is in it."""
    schema = chart.values_schema((CHART / "values.yaml").read_text())
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    text = str(schema)
    for later in ("$defs", "unevaluatedProperties", "prefixItems", "dependentRequired", "discriminator"):
        assert later not in text


def test_every_secret_has_to_be_a_reference() -> None:
    """Whatever gateway.yaml calls a secret."""
    definitions = chart.gateway_definitions()
    assert definitions["BearerCredentials"]["properties"]["token"]["pattern"] == r"^$|\$\{"
    assert str(definitions).count(r"'^$|\\$\\{'") >= 8
