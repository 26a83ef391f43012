"""The alerts, the dashboard and the page about them: all they speak of is there, and nothing goes unexplained."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from series import CONFIGURED, SERIES, STATUS, Series, complaints, names_in

ROOT = Path(__file__).parents[1]
KIT = ROOT / "observability"
PAGE = ROOT / "docs" / "monitoring.md"

sys.path.insert(0, str(KIT))
import dashboard  # noqa: E402 (it is no package: what is beside alerts.yaml is for operators)

Rule = dict[str, Any]


@cache
def rules() -> list[Rule]:
    return [rule for group in yaml.safe_load((KIT / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


ALERTS: list[Rule] = [rule for rule in rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
BOARD: dict[str, Any] = json.loads(dashboard.TARGET.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]

# What alerts.yaml looks for, and an operator may record.
THEIRS = {"route:pushgate_frozen_after:seconds"}


def id_of(thing: dict[str, Any]) -> str:
    name: str = thing.get("alert") or thing.get("record") or thing["title"]
    return name


# Everything that is asked for is there.


@pytest.mark.parametrize("rule", rules(), ids=id_of)
def test_what_a_rule_asks_for_is_there(rule: Rule) -> None:
    """Under that name, with those labels and those values: a misspelt alert is silent for ever."""
    assert [*complaints(rule["expr"])] == []
    assert {name for name in names_in(rule["expr"]) if ":" in name} <= RECORDED | THEIRS


@pytest.mark.parametrize("panel", PANELS, ids=id_of)
def test_what_a_panel_asks_for_is_there(panel: dict[str, Any]) -> None:
    """And without the rules, which not everybody loads."""
    for target in panel["targets"]:
        assert [*complaints(target["expr"])] == []
        assert not [name for name in names_in(target["expr"]) if ":" in name]


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("pushgate_pols_total", "there is no pushgate_pols_total"),
        ("pushgate_delivery_seconds", "there is no pushgate_delivery_seconds"),
        ("pushgate_draining_total == 1", "there is no pushgate_draining_total"),
        ('pushgate_topics{state="frozen"}', "pushgate_topics has no state=frozen"),
        ('rate(pushgate_topic_seconds_total{state=~"cold|old"}[5m])', "pushgate_topic_seconds_total has no state=old"),
        ('pushgate_topics{topic="/a"}', "pushgate_topics has no label topic"),
        ("sum by (job, upstream) (pushgate_topics)", "nothing here has the label upstream"),
        ('pushgate_requests_total{code="2xx"}', "pushgate_requests_total has no code=2xx"),
    ],
)
def test_what_is_not_there_is_noticed(expr: str, complaint: str) -> None:
    """A test of the test above."""
    assert [*complaints(expr)] == [complaint]


# Alerts.


@pytest.mark.parametrize("alert", ALERTS, ids=id_of)
def test_an_alert_says_what_is_wrong_and_leads_to_what_to_do(alert: Rule) -> None:
    """With how bad it is, and a section of its own in docs/monitoring.md."""
    assert alert["labels"]["severity"] in ("critical", "warning")
    texts = alert["annotations"]
    assert set(texts) == {"summary", "description", "runbook_url"}
    assert len(texts["summary"]) < 80
    page, _, anchor = texts["runbook_url"].partition("#")
    assert ROOT / page == PAGE
    assert anchor == alert["alert"].lower()
    section = re.search(rf"^### {alert['alert']}\n(.*?)^##", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/monitoring.md has no section {alert['alert']}"
    assert "**It means:**" in section[1] and "**Do:**" in section[1]


def test_every_section_about_an_alert_has_one() -> None:
    written = set(re.findall(r"^### (Pushgate\w+)$", PAGE.read_text(), re.MULTILINE))
    assert written == {alert["alert"] for alert in ALERTS}


def moments() -> Iterator[tuple[str, list[str]]]:
    """Yield what alerts_test.yaml asks for at each moment, and the labels of what fires then."""
    for test in yaml.safe_load((KIT / "alerts_test.yaml").read_text())["tests"]:
        for moment in test["promql_expr_test"]:
            yield moment["expr"], [sample["labels"] for sample in moment.get("exp_samples", [])]


@pytest.mark.parametrize("alert", ALERTS, ids=id_of)
def test_an_alert_is_seen_to_fire_and_to_be_silent(alert: Rule) -> None:
    """In alerts_test.yaml; and its texts name no label that it has not when it fires."""
    name, severity = alert["alert"], alert["labels"]["severity"]
    seen = [fired for expr, fired in moments() if f'alertname="{name}"' in expr]
    assert [] in seen, f"{name} is never silent"
    fired = [labels for labels in chain(*seen) if f'severity="{severity}"' in labels]
    assert fired, f"{name} never fires as {severity}"
    named = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    assert named <= set(re.findall(r"(\w+)=", fired[0])), f"{name} speaks of a label that it has not"


# The dashboard.


def test_the_dashboard_is_what_its_program_writes() -> None:
    """So that who changes a panel changes it in one place."""
    assert dashboard.TARGET.read_text() == dashboard.text(), "run `python observability/dashboard.py`"


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It has an address of its own, no number of somebody's Grafana, and asks which data source it is for."""
    assert BOARD["uid"] == "pushgate"
    assert "id" not in BOARD
    sources = re.findall(r'"type": "prometheus",\s*"uid": "([^"]*)"', dashboard.TARGET.read_text())
    assert set(sources) == {"${datasource}"}
    variables = [variable["name"] for variable in BOARD["templating"]["list"]]
    assert variables == ["datasource", "job", "instance", "route", "upstream"]


@pytest.mark.parametrize("panel", PANELS, ids=id_of)
def test_a_panel_says_what_it_shows_and_what_to_do(panel: dict[str, Any]) -> None:
    """With a unit, and windows that fit the scrape interval."""
    assert len(panel["description"]) > 40
    for target in panel["targets"]:
        assert "[$__rate_interval]" in target["expr"] or "[" not in re.sub(r'"[^"]*"', "", target["expr"])
        assert "@" not in target["expr"] and "$job" in target["expr"]
    units = [panel["fieldConfig"]["defaults"].get("unit"), *panel["fieldConfig"]["overrides"]]
    assert any(units) or panel["type"] == "state-timeline"


def test_panels_do_not_overlap() -> None:
    """And stay within the 24 columns."""
    places: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        box = panel["gridPos"]
        cells = {(box["x"] + x, box["y"] + y) for x in range(box["w"]) for y in range(box["h"])}
        assert not cells & places, panel["title"]
        assert box["x"] + box["w"] <= 24
        places |= cells
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len({*numbers}) == len(numbers)


def test_the_rows_go_from_what_everybody_asks_to_the_machine() -> None:
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        *("Overview", "Polling", "Upstreams", "Changes", "Delivery", "Connections", "Auth and proxy", "House")
    ]


@pytest.mark.parametrize("name", SERIES)
def test_every_metric_is_on_the_dashboard(name: str) -> None:
    """What is shown nowhere is counted in vain."""
    asked = {asked for panel in PANELS for target in panel["targets"] for asked in names_in(target["expr"])}
    assert name in {re.sub(r"_(?:bucket|sum|count)$", "", one) if "seconds" in one else one for one in asked}


# The page.

ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", re.MULTILINE)


def explained() -> dict[str, tuple[str, str]]:
    """The type and the labels of each metric in the tables of the page."""
    return {name: (kind, labels.strip()) for name, kind, labels in ROW.findall(PAGE.read_text())}


def described(series: Series) -> str:
    """The labels of a metric, with their values, as the page has them."""
    return ", ".join(f"`{label}`{_listed(values)}" for label, values in series.labels.items())


def _listed(values: str) -> str:
    is_open = values in (CONFIGURED, STATUS) or "credentials_missing" in values  # the codes of refusals
    return "" if is_open else f": {' '.join(f'`{value}`' for value in values.split())}"


@pytest.mark.parametrize("name", SERIES)
def test_every_metric_is_explained(name: str) -> None:
    """With its type, its labels and all their values."""
    assert explained().get(name) == (SERIES[name].kind, described(SERIES[name]))


def test_only_metrics_that_there_are_are_explained() -> None:
    assert set(explained()) == set(SERIES)
    text = PAGE.read_text()
    spoken_of = set(re.findall(r"pushgate_\w+", re.sub(r"\w+:[\w:]+", "", text)))
    assert {name for name in spoken_of if [*complaints(name)] and name not in SERIES} == set()
