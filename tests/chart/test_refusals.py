"""What cannot work or would not be safe is refused before anything is installed, with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from charts import CHART, ROOT, helm, options, refusal, template

MINIMAL, SIDECAR = CHART / "ci" / "minimal.yaml", CHART / "ci" / "sidecar.yaml"
REDIS = 'config.store={"kind":"redis","url":"redis://r:6379/0"}'

WHY = (
    "with the memory store: each replica would keep histories of its own, and poll for itself, "
    "and a client that comes back to another one would start over"
)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["replicas=2"],
            f"replicas: 2 {WHY}; say replicas: 1, until there is store: {{kind: redis}} to share the histories",
        ),
        (
            ["autoscaling.enabled=true"],
            f"autoscaling.maxReplicas: 6 {WHY}; say autoscaling.enabled: false, "
            "until there is store: {kind: redis} to share the histories",
        ),
        (
            ["terminationGracePeriodSeconds=20"],
            "terminationGracePeriodSeconds: 20 would kill the gateway before its clients have left; "
            "it needs 35, or a shorter server.drain",
        ),
        (
            ['config.server={"admin":{"listen":"127.0.0.1:8081"}}'],
            "config.server.admin.listen: is a loopback address, which the kubelet's probes cannot reach; "
            "leave it out, as only probes and metrics are open there",
        ),
        (
            ['config.server={"listen":"127.0.0.1:8080"}'],
            "config.server.listen: is a loopback address, which no Service can reach; leave it out",
        ),
        (
            ['config.server={"admin":{"listen":"${ADMIN}"}}'],
            "config.server.admin.listen: ${ADMIN} does not tell its port, which the pod and its Services have to name; "
            "write it, as in 0.0.0.0:8080 or ${LISTEN:-0.0.0.0:8080}",
        ),
        (
            ['existingConfig.configMap="ours"'],
            "config: is not used with existingConfig; keep one of the two",
        ),
        (
            ["config.routes={}"],
            "config: has no routes, so there is nothing to serve; put your gateway.yaml under `config:`, "
            "or name a ConfigMap that has it in existingConfig.configMap",
        ),
        (
            ["ingress.enabled=true"],
            "ingress.hosts: is empty; say for which host, as in [{host: push.example}]",
        ),
        (
            ["httpRoute.enabled=true"],
            "httpRoute.parentRefs: is empty; name the Gateway, as in [{name: public, namespace: gateways}]",
        ),
    ],
    ids=lambda part: part[0].partition("=")[0] if isinstance(part, list) else "",
)
def test_it_is_refused(settings: list[str], message: str, tmp_path: Path) -> None:
    # --set-json adds to a map, so what is to be empty has to be so in a file.
    values = yaml.safe_load(MINIMAL.read_text())
    if settings == ["config.routes={}"]:
        del values["config"]["routes"]
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    assert refusal(file, settings=settings) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["autoscaling.enabled=true", REDIS], "autoscaling: the pods are your Deployment's, so scale that"),
        (["podDisruptionBudget.enabled=true"], "podDisruptionBudget: the pods are your Deployment's"),
        (["networkPolicy.enabled=true"], "networkPolicy: would shut the ports of the gateway's neighbour, too"),
        (
            ["sidecar.selectorLabels=null"],
            "ingress: needs to know your pods; put their labels into sidecar.selectorLabels",
        ),
    ],
    ids=lambda part: part[0].partition("=")[0] if isinstance(part, list) else "",
)
def test_it_is_refused_beside_a_neighbour(settings: list[str], message: str) -> None:
    """What belongs to the neighbour's Deployment, or would hurt it."""
    assert refusal(SIDECAR, settings=settings).startswith(message)


def test_beside_a_neighbour_clients_may_be_in_the_pod_alone() -> None:
    """Where no Service is to reach the gateway, as when the neighbour is what stands before it."""
    alone = CHART / "ci" / "sidecar-alone.yaml"
    assert template(alone, settings=['config.server.listen="127.0.0.1:8080"']).returncode == 0


def test_many_replicas_are_fine_with_a_shared_store() -> None:
    """Also where the chart cannot read the configuration, and has to be told so."""
    assert template(MINIMAL, settings=["replicas=2", REDIS]).returncode == 0
    existing = ['existingConfig.configMap="ours"', "replicas=2"]
    assert "replicas: 2 with the memory store" in refusal(settings=existing)
    assert template(settings=[*existing, 'existingConfig.store="redis"']).returncode == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            'config.routes={"/departures":{"pol":{"every":"5s"}}}',
            "at '/config/routes/~1departures': additional properties 'pol' not allowed",
        ),
        (
            'config.routes={"/departures":{"poll":{"evry":"5s"}}}',
            "at '/config/routes/~1departures/poll': additional properties 'evry' not allowed",
        ),
        (
            'config.routes={"/departures":{"transports":["ssse"]}}',
            "at '/config/routes/~1departures/transports",
        ),
        (
            'config.upstreams={"legacy":{"credentials":{"kind":"berer"}}}',
            "at '/config/upstreams/legacy/credentials/kind': value must be one of 'api_key', 'basic', 'bearer'",
        ),
        (
            'config.upstreams={"legacy":{"credentials":{"kind":"bearer","token":"in clear"}}}',
            "at '/config/upstreams/legacy/credentials/token': 'in clear' does not match pattern",
        ),
        ('config.servr={"heartbeat":"5s"}', "at '/config': additional properties 'servr' not allowed"),
        ("replicaCount=1", "at '': additional properties 'replicaCount' not allowed"),
        ('podMonitor.intervall="5s"', "at '/podMonitor': additional properties 'intervall' not allowed"),
        ('mode="daemonset"', "at '/mode': value must be one of 'standalone', 'sidecar'"),
        ('replicas="2"', "at '/replicas': got string, want integer"),
    ],
    ids=lambda part: part.partition("=")[0] if "=" in part else "",
)
def test_a_typo_fails_lint(setting: str, message: str) -> None:
    """In a route, a value of the chart, or a secret that is written where it should be named: at its place."""
    told = helm("lint", "--strict", CHART, *options([MINIMAL], [setting]))
    assert told.returncode == 1
    assert message in told.stdout


def test_a_misspelt_route_is_told_once() -> None:
    """Not once for each thing that it could have been instead."""
    told = helm("lint", CHART, *options([MINIMAL], ['config.routes={"/departures":{"formt":"xml"}}']))
    said = told.stdout.partition("[ERROR] templates/")[0]
    assert "'formt'" in said
    assert "'from'" not in said
    assert len(said.splitlines()) < 8


def yaml_1_1(text: str) -> bool:
    """Whether Helm, which reads YAML 1.1 and drops nulls, reads the same as the gateway."""
    return ": off" not in text and "null" not in text and ": ~" not in text


GOOD = [
    file
    for file in sorted((ROOT / "tests" / "configs" / "good").glob("*.yaml"))
    if file.stem not in ("yaml_1_2", "neutral_values") and yaml_1_1(file.read_text())
]


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_the_schema_takes_what_the_gateway_takes(file: Path, tmp_path: Path) -> None:
    """A good gateway.yaml is good under `config:` as it is, but for secrets that are written out."""
    values = tmp_path / "values.yaml"
    lines = (f"  {line}" for line in file.read_text().splitlines())
    values.write_text("\n".join(["config:", *lines]))
    told = helm("lint", CHART, "--values", values)
    wrong = [line for line in told.stdout.partition("[ERROR] templates/")[0].splitlines() if " at '" in line]
    leaves = [line for line in wrong if not line.endswith("failed")]
    assert all(r"does not match pattern '^$|\\$\\{'" in line for line in leaves), told.stdout
