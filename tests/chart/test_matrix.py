"""The chart over a matrix of values: Helm renders it, Kubernetes takes it, and so does the gateway its gateway.yaml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts.chart import values

from charts import CASES, CHART, KUBERNETES, complaints, gateway_text, helm, options, rendered, with_dependency
from pushgate.config import parse
from pushgate.errors import ConfigError

MINIMAL = CHART / "ci" / "minimal.yaml"

# Switches, each turned to what it is not by default, beside what is needed for that.
BESIDE = {
    "ingress.enabled": ['ingress.hosts=[{"host":"push.example"}]'],
    "httpRoute.enabled": ['httpRoute.parentRefs=[{"name":"public"}]'],
    "autoscaling.enabled": ['config.store={"kind":"redis","url":"redis://r:6379/0"}'],
}
SWITCHES = [
    value
    for value in values((CHART / "values.yaml").read_text())
    if isinstance(value.default, bool) and value.name != "enabled"
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_helm_finds_nothing(case: Path) -> None:
    """`helm lint --strict` is content with every file in ci/."""
    told = helm("lint", "--strict", CHART, *options([case], ()))
    assert told.returncode == 0, told.stdout
    assert "[WARNING]" not in told.stdout
    assert "funcMap fail" not in told.stderr


def test_helm_finds_nothing_in_the_bare_chart() -> None:
    """Without values it is no error yet: whoever installs it is told what is missing."""
    assert helm("lint", "--strict", CHART).returncode == 0


def test_kubernetes_takes_all_of_it(tmp_path: Path) -> None:
    """Every case, every switch by itself and the neighbour's chart, by the strict schemas of three releases."""
    neighbour = with_dependency(tmp_path)
    objects = {}
    for version in KUBERNETES:
        cases = [one for case in CASES for one in rendered(case, kubernetes=version)]
        switched = [
            one
            for switch in SWITCHES
            for one in rendered(
                MINIMAL,
                settings=[f"{switch.name}={str(not switch.default).lower()}", *BESIDE.get(switch.name, ())],
                kubernetes=version,
            )
        ]
        objects[version] = [*cases, *switched, *rendered(chart=neighbour, kubernetes=version)]
    assert min(map(len, objects.values())) > 80
    assert complaints(objects) == []


def test_kubernetes_would_not_take_a_typo() -> None:
    """The judge is awake: a field of another name, a number as text, a kind that it does not know."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"contaners": []}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": "80"}]}}
    unknown = {"apiVersion": "apps/v1", "kind": "Deplyoment", "metadata": {"name": "x"}}
    assert len(complaints({KUBERNETES[-1]: [pod, service, unknown]})) == 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_gateway_takes_its_configuration(case: Path, tmp_path: Path) -> None:
    """The real loader reads what is in the ConfigMap, and refuses nothing of it but what is not there yet."""
    objects = rendered(case)
    if case.stem in ("existing", "secret"):
        assert not [one for one in objects if one["kind"] == "ConfigMap"]
        return
    text = gateway_text(objects)
    for file in re.findall(r"\$\{file:/run/secrets/([^}]+)\}", text):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(64 * "x")
    text = text.replace("${file:/run/secrets", f"${{file:{tmp_path}")
    try:
        loaded = parse(text, file="gateway.yaml", environ={"LEGACY_PASSWORD": "x"}, base=tmp_path)
    except ConfigError as error:
        assert case.stem in ("shared", "replicas")
        assert all("not yet: " in problem.message for problem in error.problems), str(error)
    else:
        assert loaded.server.listen.host == loaded.server.admin.listen.host == "0.0.0.0"


def test_numbers_stay_what_they_are() -> None:
    """Neither does a large one become 1e+07, nor does a status cease to be a key."""
    text = gateway_text(rendered(CHART / "ci" / "everything.yaml"))
    assert "max_topics: 10000000\n" in text
    assert '"404": keep\n' in text


def test_nothing_secret_is_rendered() -> None:
    """Whatever is secret is named, in every case: there is no Secret, and no password that is not a reference."""
    for case in CASES:
        objects = rendered(case)
        assert not [one for one in objects if one["kind"] == "Secret"]
        texts = [one["data"].get("gateway.yaml", "") for one in objects if one["kind"] == "ConfigMap"]
        for value in re.findall(r"(?:password|secret|token): (.+)", "".join(texts)):
            assert value.startswith(("${", "'${", '"${')), value
