"""What editors and the manual say about gateway.yaml is made from the models, so it is true."""

from __future__ import annotations

from pathlib import Path

from pushgate import config
from pushgate.config.pending import PENDING
from pushgate.config.reference import renewed

MANUAL = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_tables_of_the_manual_are_up_to_date() -> None:
    """`python -m pushgate.config.reference docs/configuration.md` writes them anew."""
    assert renewed(MANUAL.read_text()) == MANUAL.read_text()


def test_every_key_of_every_section_is_described() -> None:
    schema = config.json_schema()
    for name, section in schema["$defs"].items():
        assert section["description"], name
        for key, described in section["properties"].items():
            assert "description" in described or "$ref" in described, f"{name}.{key}"


def test_the_schema_takes_what_the_loader_takes() -> None:
    """A single name for a list, a format by its name, a pattern for a query parameter, `x-` keys at the top."""
    schema = config.json_schema()
    route = schema["$defs"]["Route"]["properties"]
    assert [choice.get("type") for choice in route["emit"]["anyOf"]] == ["string", "array"]
    assert "json" in route["format"]["anyOf"][0]["enum"]
    assert schema["additionalProperties"] is False
    assert "^x-" in schema["patternProperties"]
    assert "required" not in schema["$defs"]["Defaults"]
    assert schema["$defs"]["Poll"]["properties"]["every"]["default"] == "10s"


def test_what_is_not_yet_implemented_exists_in_the_grammar() -> None:
    """A feature that is implemented leaves the list, and none is on it by a wrong name."""
    tables = renewed(MANUAL.read_text())
    assert PENDING
    for path, value in PENDING:
        assert f"`{path[-1]}: {value}`" in tables, path
