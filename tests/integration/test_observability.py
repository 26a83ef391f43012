"""The alerts, the dashboard and the metrics, as Prometheus' own tools see them, and as Prometheus does."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from daemons import Prometheus, find, running
from gateways import Running, eventually, http_client
from processes import ROOT
from series import PROCESS, SERIES, found
from transports import connected
from workdays import CONFIGURED as CONFIG
from workdays import working_day

KIT = ROOT / "observability"
PAGE = (ROOT / "docs" / "monitoring.md").read_text()

# What Grafana puts in the place of its variables; in a test, the past is short.
VARIABLES = {"$__rate_interval": "10s", "$job": "pushgate", "$instance": ".*", "$route": ".*", "$upstream": ".*"}

# What does not happen within the few seconds of a test: a reload, a restart; and who read too little reads nothing now.
UNUSUAL = {"Configuration taken over", "Restart", "Several changes at once"}


async def promtool(*arguments: str | Path, given: bytes = b"") -> tuple[int, str]:
    """Run promtool, and return its exit code and all that it says."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        find("promtool"), *arguments, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, said.decode()


def panels() -> Iterator[tuple[str, str]]:
    """Yield the title of each panel with each of its queries, as Grafana would send it."""
    board = json.loads((KIT / "grafana-dashboard.json").read_text())
    queries = [(panel["title"], one["expr"]) for panel in board["panels"] for one in panel.get("targets", [])]
    queries += [(mark["name"], mark["expr"]) for mark in board["annotations"]["list"]]
    for title, expr in queries:
        for variable, value in VARIABLES.items():
            expr = expr.replace(variable, value)
        assert "$" not in expr, title
        yield title, expr


# What promtool says.


@pytest.mark.timeout(180)  # two thousand minutes, one by one: ten seconds where nothing else runs
async def test_the_alerts_fire_when_they_should_and_not_otherwise() -> None:
    """Each of them, as `promtool test rules` sees it; alerts_test.yaml can be read as their manual."""
    code, said = await promtool("test", "rules", KIT / "alerts_test.yaml")
    assert code == 0, said


async def test_every_query_of_a_panel_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expr} for n, (_, expr) in enumerate(panels())]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    code, said = await promtool("check", "rules", file)
    assert code == 0, said
    assert f"{len(rules)} rules found" in said


async def test_what_the_page_tells_to_configure_is_right(tmp_path: Path) -> None:
    """Prometheus takes the configuration, and the rule that makes an exception for one route."""
    blocks = re.findall(r"^```yml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    config, rules = (next(block for block in blocks if word in block) for word in ("scrape_configs:", "groups:"))
    file = tmp_path / "prometheus.yml"
    file.write_text(config.replace("/etc/prometheus/pushgate", str(KIT)))
    code, said = await promtool("check", "config", file)
    assert code == 0, said
    file.write_text(rules)
    code, said = await promtool("check", "rules", file)
    assert code == 0, said


# A gateway that works.


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with working_day(tmp_path) as running:
        yield running


async def scraped(gateway: Running) -> str:
    async with http_client() as client:
        answer = await client.get(f"{gateway.admin}/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def samples(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            yield sample.name, sample.labels


def _name(metric: str) -> str:
    return re.sub(r"_(?:bucket|sum|count)$", "", metric) if metric not in SERIES else metric


async def test_every_series_is_shown_by_a_gateway_that_works(gateway: Running) -> None:
    """With the type, the labels and the values that are promised, an explanation, and nothing beside them."""

    async def missing() -> set[str]:
        shown = {_name(name) for name, _ in samples(await scraped(gateway))}
        return set(SERIES | PROCESS) - shown

    assert await eventually(missing, lambda names: not names) == set()
    text = await scraped(gateway)
    for name, series in (SERIES | PROCESS).items():
        assert f"\n# TYPE {name} {series.kind}\n" in f"\n{text}", name
    check_labels(text)


def check_labels(text: str) -> None:
    """Check that a scrape has nothing but what is promised, and no label of which the configuration knows nothing."""
    configured = {**CONFIG, "file": {*re.findall(r'file="(.*?/tls.crt)"', text)}}
    for name, labels in samples(text):
        series = found(name)
        assert series is not None, f"{name} is shown, and nobody has promised it"
        assert labels.keys() - {"le"} == series.labels.keys(), name
        for label, value in labels.items():
            is_ours = label == "le" or (series.allows(label, value) and value in configured.get(label, {value}))
            assert is_ours, f"{name} has {label}={value}"


# A word that is nowhere else, and wherever somebody who asks may put it.
MARK = "zzyzx"
TARGETS = [
    *("/{}", "/rows/{}", "/rows?{}=1", "/rows?cursor={}", "/rows?emit={}", "/mine?access_token={}", "/old/{}"),
    *("/-/{}", "/-/events?topic=/{}", "/-/poll?topic=/rows/{}&wait=0", "/-/tickets?{}=1", "/%2e%2e/{}"),
]
FIELDS = [
    *("Authorization", "Cookie", "Origin", "Accept", "Last-Event-ID", "Prefer", "If-None-Match", "User-Agent"),
    *("X-Request-Id", "traceparent", "X-Forwarded-For", "X-Forwarded-Host", "Sec-WebSocket-Protocol"),
]
MESSAGES: list[dict[str, Any]] = [
    {"op": "subscribe", "topic": f"/{MARK}"},
    {"op": "auth", "token": MARK},
    {"op": "send", "topic": f"/{MARK}", "data": MARK},
]


async def ask_for(gateway: Running, target: str) -> None:
    """Ask for it with several methods, as a stream, and of the admin listener."""
    body = json.dumps({"topics": [{"topic": f"/{MARK}"}]})
    async with http_client() as client:
        for method in ("GET", "POST", "DELETE", MARK.upper()):
            await client.request(method, gateway.base + target, content=body)
        async with client.stream("GET", gateway.base + target, headers={"Accept": "text/event-stream"}):
            pass
        await client.get(gateway.admin + target)


async def test_no_label_is_made_by_who_asks(gateway: Running) -> None:
    """Whatever stands in paths, queries, header fields, bodies and messages: it makes no series, and is in none."""
    for target in TARGETS:
        await ask_for(gateway, target.format(MARK))
    async with http_client(base_url=gateway.base) as client:
        for field, value in product(FIELDS, (MARK, f"Bearer {MARK}", f"SID={MARK}", f"pushgate.token.{MARK}")):
            await client.get("/mine", headers={field: value})
            async with client.stream("GET", "/rows", headers={"Accept": "text/event-stream", field: value}):
                pass
    async with connected("websocket", gateway.base, "/rows") as link:
        for message in MESSAGES:
            await link.say(**message, ref=MARK)
            await link.hear("problem")
    text = await scraped(gateway)
    assert MARK not in text.lower()
    check_labels(text)


async def test_promtool_has_nothing_to_say_against_the_metrics(gateway: Running) -> None:
    """Names, units, types and explanations are what Prometheus' conventions ask for."""
    code, said = await promtool("check", "metrics", given=(await scraped(gateway)).encode())
    assert (code, said) == (0, "")


async def test_prometheus_answers_every_panel_and_evaluates_every_rule(gateway: Running) -> None:
    """A real one, which has scraped the gateway for a few seconds; nothing of a working day leaves a panel empty."""
    async with running(Prometheus) as prometheus, http_client(base_url=f"{prometheus.url}/api/v1") as client:
        prometheus.scrape(gateway.admin.removeprefix("http://"))

        async def ask(expr: str) -> list[Any]:
            answer = (await client.get("/query", params={"query": expr})).json()
            assert answer["status"] == "success", (expr, answer)
            result: list[Any] = answer["data"]["result"]
            return result

        async def is_ready() -> bool:
            return (await client.get(f"{prometheus.url}/-/ready")).is_success

        await eventually(is_ready, bool)
        await eventually(lambda: ask("count_over_time(pushgate_build_info[1m]) >= 6"), bool)
        shown = {title for title, expr in panels() if await ask(expr)}
        assert {title for title, _ in panels()} - shown <= UNUSUAL
        groups = (await client.get("/rules")).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert [(rule["name"], rule["lastError"]) for rule in rules if rule.get("lastError")] == []
        assert {rule["health"] for rule in rules if rule["name"] == "PushgateRouteStale"} == {"ok"}
        for bound in re.findall(r"\w+_bucket\{[^}]*le=\"[\d.]+\"\}", (KIT / "alerts.yaml").read_text()):
            assert await ask(bound), f"there is no {bound}"
