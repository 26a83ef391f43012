"""What the chart's README shows can be copied."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from charts import CHART, ROOT, helm, rendered, with_dependency

README = CHART / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
VALUES = [
    *(text for kind, text in BLOCKS if kind == "yaml" and text.startswith("# values.yaml\n")),
    *re.findall(r"<<'END'\n(.*?)^END$", README.read_text(), re.MULTILINE | re.DOTALL),
]


@pytest.mark.parametrize("text", VALUES, ids=lambda text: str(VALUES.index(text)))
def test_its_values_can_be_installed(text: str, tmp_path: Path) -> None:
    """Those of the chart, and those of a neighbour's chart."""
    file = tmp_path / "values.yaml"
    file.write_text(text)
    if "pushgate" in yaml.safe_load(text):
        assert rendered(file, chart=with_dependency(tmp_path))
    else:
        assert helm("lint", "--strict", CHART, "--values", file).returncode == 0
        assert rendered(file)


def test_there_are_some() -> None:
    assert len(VALUES) == 4


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert targets
    assert all((README.parent / target).exists() for target in targets)


def test_what_is_to_be_included_is_defined_and_used_in_the_example() -> None:
    """In the README, in the templates, and in the Deployment that one copies."""
    named = set(re.findall(r"^\| `(pushgate\.\w+)` \|", README.read_text(), re.MULTILINE))
    example = (ROOT / "examples" / "sidecar" / "templates" / "deployment.yaml").read_text()
    defined = "".join(file.read_text() for file in (CHART / "templates").glob("*.tpl"))
    assert named == set(re.findall(r'include "(pushgate\.\w+)" \$pushgate', example))
    assert all(f'define "{name}"' in defined for name in named)
    assert len(named) == 5
