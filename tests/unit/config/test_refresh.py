"""Which topics a write reaches, and what `pushgate check` says of writes that anybody may make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pushgate import config
from pushgate.config.gateway import Gateway
from pushgate.config.refresh import Reach
from pushgate.naming import Template


@pytest.mark.parametrize(
    ("segments", "values"),
    [
        (("stations", "paris", "1.json"), {"city": "paris", "id": "1"}),
        (("stations", None, "1.json"), {"id": "1"}),
        ((None, None, None), {}),
        (("stations", "paris", "x.json"), None),
        (("stations", "PARIS", "1.json"), None),
        (("station", "paris", "1.json"), None),
        (("stations", "paris"), None),
    ],
)
def test_the_topics_of_a_route(segments: tuple[str | None, ...], values: dict[str, str] | None) -> None:
    """What their parameters must be, so far as that is said; None is no topic of the route at all."""
    template = Template.parse("/stations/{city}/{id}.json", {"city": "[a-z]+", "id": "[0-9]"})
    assert Reach(segments, {}).within(template) == values
    if values is not None:
        assert Reach(segments, {"lang": "de", "any": None}).within(template) == {**values, "lang": "de"}


@pytest.mark.parametrize(
    ("route", "is_open"),
    [
        ({"write": {"POST": {}}}, True),
        ({"write": {"POST": {}}, "share": "identity"}, True),
        ({"write": {"POST": {}}, "share": "identity", "forward": {"cookies": "SID"}}, False),
        ({"write": {"POST": {}}, "auth": "none"}, False),
        ({}, False),
    ],
)
def test_writes_that_anybody_may_make(route: dict[str, Any], is_open: bool) -> None:
    """A warning, unless the upstream is shown who writes, or the file says that it is meant."""
    content = {
        "version": 1,
        "upstreams": {"u": {"url": "https://u.example"}},
        "routes": {"/r": {"upstream": "u", **route}},
    }
    text = config.to_yaml(Gateway.model_validate(content))
    parsed = config.parse(text, file="gateway.yaml", environ={}, base=Path("/"))
    warned = [problem.message for problem in config.warnings(parsed)]
    assert [message.startswith("route /r: write: anybody") for message in warned] == [True] * is_open
