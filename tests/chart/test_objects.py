"""What the objects say: those of which there are no schemas, and those in which a word decides whether streams live."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from charts import CASES, CHART, KUBERNETES, gateway, helm, one, rendered, template

MINIMAL, EVERYTHING, TLS = (CHART / "ci" / f"{name}.yaml" for name in ("minimal", "everything", "tls"))
OWN = {"app.kubernetes.io/name": "pushgate", "app.kubernetes.io/instance": "push"}


def test_by_default_there_is_what_is_needed() -> None:
    found = {(one["kind"], one["metadata"]["name"]) for one in rendered(MINIMAL)}
    assert found == {
        ("ConfigMap", "push-pushgate"),
        ("Deployment", "push-pushgate"),
        ("Service", "push-pushgate"),
        ("Service", "push-pushgate-admin"),
        ("Pod", "push-pushgate-test"),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_labels_and_selectors_belong_together(case: object) -> None:
    """What selects pods finds those of the Deployment, and neither those of a test nor those of another release."""
    objects = rendered(case)  # type: ignore[arg-type]  # pytest's parameters have no type
    deployments = [one for one in objects if one["kind"] == "Deployment"]
    for deployment in deployments:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selectors = [
            one["spec"].get("podSelector", {}).get("matchLabels") or one["spec"]["selector"].get("matchLabels")
            for one in objects
            if one["kind"] in ("Deployment", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor")
        ]
        selectors += [one["spec"]["selector"] for one in objects if one["kind"] == "Service"]
        assert all(selector.items() <= labels.items() for selector in selectors)
        assert all(selector == {**OWN, "app.kubernetes.io/component": "gateway"} for selector in selectors)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)


def test_no_label_is_there_twice() -> None:
    """Whoever says one that is there already changes it, but for those by which objects find each other."""
    taken = {**dict.fromkeys([*OWN, "app.kubernetes.io/component"], "other"), "release": "common"}
    own = json.dumps({**taken, "release": "own"})
    settings = [f"commonLabels={json.dumps(taken)}", f"podLabels={own}"]
    settings += [f"{name}.labels={own}" for name in ("podMonitor", "serviceMonitor", "prometheusRule", "dashboard")]
    told = template(EVERYTHING, settings=settings).stdout
    nodes = yaml.compose_all(told, Loader=yaml.CSafeLoader)
    assert [name for node in nodes for name in doubles(node)] == []
    objects = [document for document in yaml.safe_load_all(told) if document]
    assert {name: one(objects, "PodMonitor")["metadata"]["labels"][name] for name in (*OWN, "release")} == {
        **OWN,
        "release": "own",
    }
    pod = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert pod == {**OWN, "app.kubernetes.io/component": "gateway", "release": "own"}


def doubles(node: yaml.Node | None) -> Iterator[str]:
    """Name the keys that a mapping has twice; a parser takes the last one, `kubectl apply` none of it."""
    match node:
        case yaml.MappingNode():
            names = [key.value for key, _ in node.value]
            yield from (name for name in set(names) if names.count(name) > 1)
            for _, value in node.value:
                yield from doubles(value)
        case yaml.SequenceNode():
            for item in node.value:
                yield from doubles(item)


def test_a_release_may_have_a_dot_in_its_name() -> None:
    """Helm allows it, and Kubernetes does not in the name of a Service."""
    told = helm("template", "push.shop", CHART, "--values", MINIMAL)
    names = [document["metadata"]["name"] for document in yaml.safe_load_all(told.stdout) if document]
    assert set(names) == {"push-shop-pushgate", "push-shop-pushgate-admin", "push-shop-pushgate-test"}


@pytest.mark.parametrize("version", KUBERNETES)
def test_alone_it_goes_on_until_nobody_is_sent_there_any_more(version: str) -> None:
    """Then SIGTERM has clients leave; the pod has time for all of it."""
    pod = one(rendered(MINIMAL, kubernetes=version), "Deployment")["spec"]["template"]["spec"]
    action = (
        {"exec": {"command": ["python", "-c", "import time; time.sleep(5)"]}}
        if version == "1.28.0"
        else {"sleep": {"seconds": 5}}
    )
    assert pod["containers"][0]["lifecycle"] == {"preStop": action}
    assert pod["terminationGracePeriodSeconds"] == 5 + 20 + 5 + 5
    assert "lifecycle" not in gateway(rendered(MINIMAL, settings=["preStopSeconds=0"], kubernetes=version))


def test_a_new_pod_is_there_before_the_old_one_goes() -> None:
    spec = one(rendered(MINIMAL), "Deployment")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["minReadySeconds"] > 0


def test_the_old_pod_may_go_first() -> None:
    """What only counts for rolling updates goes with them: the API server would refuse it."""
    spec = one(rendered(MINIMAL, settings=['strategy.type="Recreate"']), "Deployment")["spec"]
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_pod_asks_the_cluster_for_nothing() -> None:
    """It has no token, and no variables for what happens to be in the namespace."""
    pods = [one(rendered(MINIMAL), "Deployment")["spec"]["template"]["spec"]]
    pods.append(one(rendered(MINIMAL), "Pod", "push-pushgate-test")["spec"])
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_no_ingress_leads_to_the_admin_listener() -> None:
    """Whatever stands before the gateway: its Service has one port."""
    objects = rendered(EVERYTHING)
    assert [port["name"] for port in one(objects, "Service")["spec"]["ports"]] == ["http"]
    assert "-admin" not in str(one(objects, "Ingress")) + str(one(objects, "HTTPRoute"))
    assert one(objects, "Service", "push-pushgate-admin")["spec"]["type"] == "ClusterIP"


def test_nginx_lets_streams_pass() -> None:
    """Nothing is buffered, and silence may last longer than a long poll and than heartbeats that went missing."""
    annotations = one(rendered(EVERYTHING), "Ingress")["metadata"]["annotations"]
    assert annotations == {
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "80",  # four heartbeats of 20 s
        "example.com/note": "seen",
    }
    told = one(rendered(TLS), "Ingress")["metadata"]["annotations"]
    assert told["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
    assert "annotations" not in one(rendered(CHART / "ci" / "sidecar.yaml"), "Ingress")["metadata"]


def test_the_gateway_api_lets_streams_live() -> None:
    """Without timeouts, or without a word about them where the field is refused."""
    route = one(rendered(EVERYTHING), "HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["push.example"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "push-pushgate", "port": 8000}],
                "timeouts": {"request": "0s", "backendRequest": "0s"},
            }
        ],
    }
    assert "timeouts" not in one(rendered(TLS), "HTTPRoute")["spec"]["rules"][0]


def test_prometheus_finds_the_pods_or_the_service() -> None:
    objects = rendered(EVERYTHING)
    monitor, by_service = one(objects, "PodMonitor"), one(objects, "ServiceMonitor")
    for each in (monitor, by_service):
        assert each["apiVersion"] == "monitoring.coreos.com/v1"
        assert each["metadata"]["labels"]["release"] == "prometheus"
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint == {
        "port": "pushgate-admin",
        "path": "/metrics",
        "interval": "30s",
        "scrapeTimeout": "10s",
        "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "python_gc_.*"}],
    }
    assert endpoint["port"] in [port["name"] for port in gateway(objects)["ports"]]
    service = one(objects, "Service", "push-pushgate-admin")
    assert by_service["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert by_service["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def namespace(name: str) -> dict[str, object]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def test_alerts_and_dashboard_arrive_as_they_are() -> None:
    """With the placeholders that Prometheus and Grafana fill in: Helm has taken none of them for its own."""
    objects = rendered(EVERYTHING)
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert "{{ $labels." in str(alerts)
    assert one(objects, "PrometheusRule")["spec"] == alerts
    assert [*alerts] == ["groups"]
    known = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}
    for group in alerts["groups"]:
        assert group.keys() <= {"name", "interval", "rules", "limit", "query_offset", "labels"}
        assert all(rule.keys() <= known for rule in group["rules"])
    board = one(objects, "ConfigMap", "push-pushgate-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    shown = json.loads(board["data"]["pushgate.json"])
    assert shown == json.loads((CHART / "files" / "grafana-dashboard.json").read_text())


def test_the_admin_listener_is_for_prometheus_if_there_is_a_policy() -> None:
    """Clients come to the public port; to the admin port only who is named; the chart's own test to both."""
    policy = one(rendered(EVERYTHING), "NetworkPolicy")["spec"]
    public, admin = policy["ingress"]
    assert [port["port"] for port in public["ports"]] == [8080]
    assert [port["port"] for port in admin["ports"]] == [8081]
    tested = {"podSelector": {"matchLabels": {**OWN, "app.kubernetes.io/component": "test"}}}
    assert public["from"] == [namespace("ingress"), tested]
    assert admin["from"] == [namespace("monitoring"), tested]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for port in policy["egress"][0]["ports"]] == [53, 53]
    bare = one(rendered(MINIMAL, settings=["networkPolicy.enabled=true"]), "NetworkPolicy")["spec"]
    assert bare["policyTypes"] == ["Ingress"]
    assert "from" not in bare["ingress"][0]
    assert bare["ingress"][1]["from"] == [tested]


def test_the_number_of_pods_follows_the_number_of_clients() -> None:
    """Down slowly: each pod that goes makes its clients reconnect."""
    objects = rendered(CHART / "ci" / "shared.yaml")
    scaler = one(objects, "HorizontalPodAutoscaler")["spec"]
    assert scaler["metrics"][0]["pods"] == {
        "metric": {"name": "pushgate_connections"},
        "target": {"type": "AverageValue", "averageValue": "10000"},
    }
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 600
    assert "replicas" not in one(objects, "Deployment")["spec"]


@pytest.mark.parametrize(
    ("when", "on_route", "on_port"),
    [("listeners", False, True), ("change", True, True), ("never", False, False)],
)
def test_pods_restart_when_they_have_to(when: str, on_route: bool, on_port: bool) -> None:
    """Everything else is taken over by the gateway that runs."""

    def annotations(*settings: str) -> object:
        objects = rendered(MINIMAL, settings=[f'restartOn="{when}"', *settings])
        return one(objects, "Deployment")["spec"]["template"]["metadata"].get("annotations")

    assert (annotations('config.defaults={"poll":{"every":"30s"}}') != annotations()) is on_route
    assert (annotations('config.server={"admin":{"listen":"0.0.0.0:9999"}}') != annotations()) is on_port


def test_ports_are_those_of_the_configuration() -> None:
    """Also where a variable has the last word, and the chart can only know what it is otherwise."""
    objects = rendered(TLS)
    assert [port["containerPort"] for port in gateway(objects)["ports"]] == [8443, 9090]
    service = one(objects, "Service")["spec"]["ports"][0]
    assert (service["targetPort"], service["appProtocol"]) == (8443, "https")
    tested = one(objects, "Pod", "push-pushgate-test")["spec"]["containers"]
    assert tested[0]["args"] == ["health", "--admin", "push-pushgate-admin:9090"]
    assert tested[1]["args"] == [
        "OPTIONS",
        "https://push-pushgate:80/live/-/events",
        "GET",
        "https://push-pushgate:80/live/departures",
    ]


def test_a_slash_behind_the_base_path_is_no_other_path() -> None:
    """As for the gateway itself."""
    plain, slashed = (rendered(TLS, settings=[f'config.server.base_path="{path}"']) for path in ("/live", "/live/"))
    assert one(slashed, "Pod", "push-pushgate-test") == one(plain, "Pod", "push-pushgate-test")


def test_the_operators_token_comes_from_a_file() -> None:
    """So that a new one counts without a restart; what the gateway reads is where the Secret is mounted."""
    objects = rendered(MINIMAL, settings=['adminToken={"secretName":"admin","key":"t"}'])
    config = yaml.safe_load(one(objects, "ConfigMap")["data"]["gateway.yaml"])
    assert config["server"]["admin"] == {"listen": "0.0.0.0:8081", "token": "${file:/run/secrets/pushgate-admin/t}"}
    mounts = {mount["mountPath"] for mount in gateway(objects)["volumeMounts"]}
    assert "/run/secrets/pushgate-admin" in mounts


def test_a_file_of_another_name_is_read_under_that_name() -> None:
    """Only where it is somebody else's: the chart's own has one name."""
    there = rendered(settings=['existingConfig={"configMap":"ours","key":"push.yaml"}'])
    assert gateway(there)["args"] == ["run", "-c", "/etc/pushgate/push.yaml"]
    own = rendered(MINIMAL, settings=['existingConfig.key="push.yaml"'])
    assert gateway(own)["args"] == ["run", "-c", "/etc/pushgate/gateway.yaml"]


def test_a_digest_wins_over_a_tag() -> None:
    digest = f"sha256:{64 * 'a'}"
    settings = ['image.tag="9"', 'image.repository="r.example/pushgate"']
    assert gateway(rendered(MINIMAL, settings=settings))["image"] == "r.example/pushgate:9"
    pinned = gateway(rendered(MINIMAL, settings=[*settings, f'image.digest="{digest}"']))
    assert pinned["image"] == f"r.example/pushgate@{digest}"
    assert re.fullmatch(r"pushgate:\d+\.\d+\.\d+", gateway(rendered(MINIMAL))["image"])
