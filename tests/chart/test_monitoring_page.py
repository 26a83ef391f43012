"""What docs/monitoring.md tells to write into values of the chart, and instead of it, does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from charts import CHART, ROOT, one, rendered

BLOCKS = re.findall(r"^```yml\n(.*?)^```$", (ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE | re.DOTALL)
[VALUES] = [text for text in BLOCKS if text.startswith("# values.yaml of the chart\n")]
[MONITOR] = [yaml.safe_load(text) for text in BLOCKS if "kind: PodMonitor" in text]


def test_its_values_bring_monitor_alerts_and_dashboard(tmp_path: Path) -> None:
    """With the labels by which a Prometheus operator finds them."""
    file = tmp_path / "values.yaml"
    file.write_text(VALUES)
    objects = rendered(CHART / "ci" / "minimal.yaml", file)
    for kind in ("PodMonitor", "PrometheusRule"):
        assert one(objects, kind)["metadata"]["labels"]["release"] == "prometheus"
    assert any("grafana_dashboard" in thing["metadata"].get("labels", {}) for thing in objects)


def test_the_monitor_without_the_chart_scrapes_what_that_of_the_chart_does(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(VALUES)
    charts = one(rendered(CHART / "ci" / "minimal.yaml", file), "PodMonitor")
    assert MONITOR["apiVersion"] == charts["apiVersion"]
    [shown], [made] = (monitor["spec"]["podMetricsEndpoints"] for monitor in (MONITOR, charts))
    assert shown.items() <= made.items()
