"""Beside a neighbour: what its Deployment includes, and how the two begin and end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charts import CHART, KUBERNETES, Object, gateway, one, rendered, with_dependency

SIDECAR = CHART / "ci" / "sidecar.yaml"


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_dependency(tmp_path_factory.mktemp("neighbour"))


def pod(objects: list[Object]) -> dict[str, Any]:
    spec = one(objects, "Deployment", "legacy-shop")["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


@pytest.mark.parametrize("version", KUBERNETES)
def test_it_is_a_native_sidecar_where_there_are_such(neighbour: Path, version: str) -> None:
    """An init container that stays; before Kubernetes 1.29, a container like any other."""
    spec = pod(rendered(chart=neighbour, kubernetes=version))
    inits, containers = spec.get("initContainers", []), spec["containers"]
    if version == "1.28.0":
        assert [one["name"] for one in containers] == ["shop", "pushgate"]
        assert "initContainers" not in spec
        assert "restartPolicy" not in containers[1]
    else:
        assert [one["name"] for one in inits] == ["pushgate"]
        assert inits[0]["restartPolicy"] == "Always"
        assert [one["name"] for one in containers] == ["shop"]


@pytest.mark.parametrize(("native", "version", "where"), [("always", "1.28.0", 1), ("never", "1.37.0", 0)])
def test_it_can_be_said_what_the_cluster_has(neighbour: Path, native: str, version: str, where: int) -> None:
    """For clusters with the feature switched on early, and for renderers that do not know the cluster."""
    spec = pod(rendered(settings=[f'pushgate.sidecar.native="{native}"'], chart=neighbour, kubernetes=version))
    assert len(spec.get("initContainers", [])) == where


@pytest.mark.parametrize("version", KUBERNETES)
def test_its_probes_never_wait_for_the_neighbour(neighbour: Path, version: str) -> None:
    """The neighbour is started when the sidecar's startup probe succeeds: what asked for it would wait for ever."""
    container = gateway(rendered(chart=neighbour, kubernetes=version))
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {
        "startupProbe": {"path": "/startupz", "port": "pushgate-admin"},
        "livenessProbe": {"path": "/livez", "port": "pushgate-admin"},
        "readinessProbe": {"path": "/readyz", "port": "pushgate-admin"},
    }
    assert {"name": "pushgate-admin", "containerPort": 8081, "protocol": "TCP"} in container["ports"]


@pytest.mark.parametrize("version", KUBERNETES)
def test_its_pre_stop_drains_and_ends_nothing(neighbour: Path, version: str) -> None:
    """It runs when the pod begins to end, in which the neighbour still has all of its time."""
    container = gateway(rendered(chart=neighbour, kubernetes=version))
    command = ["pushgate", "drain", "--admin", "127.0.0.1:8081"]
    assert container["lifecycle"] == {"preStop": {"exec": {"command": command}}}


def test_the_pod_has_time_for_both(neighbour: Path) -> None:
    """The neighbour's 15 s, then at worst the whole window and grace of the gateway, and 5 s more."""
    assert pod(rendered(chart=neighbour))["terminationGracePeriodSeconds"] == 15 + 20 + 5 + 5
    drain = 'pushgate.config.server={"drain":{"window":"1m30s","grace":"2500ms"}}'
    assert pod(rendered(settings=[drain], chart=neighbour))["terminationGracePeriodSeconds"] == 15 + 90 + 3 + 5


def test_it_mounts_whole_folders_that_exist(neighbour: Path) -> None:
    """With subPath, neither a changed configuration nor a renewed secret would ever arrive."""
    secrets = 'pushgate.secretFiles=[{"secretName":"keys"}]'
    objects = rendered(settings=[secrets, 'pushgate.adminToken.secretName="admin"'], chart=neighbour)
    mounts = gateway(objects)["volumeMounts"]
    volumes = {volume["name"] for volume in pod(objects)["volumes"]}
    assert {mount["mountPath"] for mount in mounts} == {
        "/etc/pushgate",
        "/run/secrets/keys",
        "/run/secrets/pushgate-admin",
    }
    assert all(mount["readOnly"] and "subPath" not in mount for mount in mounts)
    assert {mount["name"] for mount in mounts} == volumes


def test_it_is_as_locked_up_as_alone(neighbour: Path) -> None:
    """Its own container sees to that, whatever the neighbour's pod allows."""
    assert gateway(rendered(chart=neighbour))["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_its_services_find_the_neighbours_pods(neighbour: Path) -> None:
    """By number, because some releases do not look for names among init containers."""
    objects = rendered(chart=neighbour)
    for name, port in {"push-pushgate": 8080, "push-pushgate-admin": 8081}.items():
        spec = one(objects, "Service", name)["spec"]
        assert spec["selector"] == {"app": "legacy-shop"}
        assert [each["targetPort"] for each in spec["ports"]] == [port]


def test_the_chart_has_no_pods_of_its_own() -> None:
    """Nothing is deployed but what belongs to the neighbour's pods."""
    kinds = {one["kind"] for one in rendered(SIDECAR)}
    assert kinds == {"ConfigMap", "Service", "Ingress", "HTTPRoute", "PodMonitor", "ServiceMonitor", "Pod"}
    assert {one["kind"] for one in rendered(CHART / "ci" / "sidecar-alone.yaml")} == {"ConfigMap"}


def test_a_change_of_its_routes_does_not_restart_the_neighbour(neighbour: Path) -> None:
    """Which would be a high price for another interval; another port has it."""

    def annotations(*settings: str) -> dict[str, str]:
        template = one(rendered(settings=settings, chart=neighbour), "Deployment", "legacy-shop")["spec"]["template"]
        found = template["metadata"]["annotations"]
        assert isinstance(found, dict)
        return found

    assert annotations('pushgate.config.defaults={"poll":{"every":"30s"}}') == annotations()
    assert annotations('pushgate.config.server={"listen":"0.0.0.0:9999"}') != annotations()
