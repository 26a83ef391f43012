"""The container as the kubelet would run it, without a kubelet: its command, its probes, its preStop, its test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from charts import CHART, Object, gateway, gateway_text, one, rendered, with_dependency
from commands import parsed
from processes import Process, free_port

PUSHGATE = Path(sys.executable).parent / "pushgate"


@dataclass(frozen=True, slots=True)
class Pod:
    """A running container; ``ports`` by the names that they have in the pod."""

    container: Object
    process: Process
    ports: dict[str, int]

    def ask(self, probe: str) -> int:
        """Return the status that a probe gets."""
        asked = self.container[probe]["httpGet"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[asked['port']]}{asked['path']}") as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def start(objects: list[Object], folder: Path) -> Iterator[Pod]:
    container = gateway(objects)
    config = folder / "gateway.yaml"
    config.write_text(gateway_text([one for one in objects if one["metadata"]["name"] == "push-pushgate"]))
    command = [str(config) if part == "/etc/pushgate/gateway.yaml" else part for part in container["args"]]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    with Process("pushgate", [PUSHGATE, *command]) as process:
        process.wait_for("gateway.listening")
        yield Pod(container, process, ports)


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Pod]:
    """Beside a neighbour who has not been started: nobody listens where it polls."""
    listen = {"listen": f"0.0.0.0:{free_port()}", "admin": {"listen": f"0.0.0.0:{free_port()}"}}
    shop = {"shop": {"url": f"http://127.0.0.1:{free_port()}"}}
    told = [f"pushgate.config.server={json.dumps(listen)}", f"pushgate.config.upstreams={json.dumps(shop)}"]
    yield from start(rendered(settings=told, chart=with_dependency(tmp_path)), tmp_path)


def test_probes_succeed_before_there_is_a_neighbour(sidecar: Pod) -> None:
    """Otherwise the kubelet would never start the neighbour that they wait for."""
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert sidecar.ask(probe) == 200


def test_pre_stop_lets_no_client_in_and_the_process_live(sidecar: Pod) -> None:
    """The pod is unready at once, and neither dead nor gone: only SIGTERM, after the neighbour's end, ends it."""
    _, *arguments = sidecar.container["lifecycle"]["preStop"]["exec"]["command"]
    told = subprocess.run([PUSHGATE, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    assert sidecar.ask("readinessProbe") == 503
    assert sidecar.ask("livenessProbe") == 200
    assert sidecar.process.popen.poll() is None
    assert sidecar.process.end() == 0


def test_what_helm_test_runs_succeeds_or_says_why_not(tmp_path: Path) -> None:
    """It asks the admin listener whether the gateway is ready, and the public one whether it answers."""
    port, admin = free_port(), free_port()
    listen = {"listen": f"0.0.0.0:{port}", "admin": {"listen": f"0.0.0.0:{admin}"}}
    told = [f"config.server={json.dumps(listen)}", f"service.port={port}", 'test.topics=["/none"]']
    objects = rendered(CHART / "ci" / "minimal.yaml", settings=told)
    ready, answers = one(objects, "Pod", "push-pushgate-test")["spec"]["containers"]
    for _ in start(objects, tmp_path):
        asked = [part.replace("push-pushgate-admin", "127.0.0.1") for part in ready["args"]]
        assert run(PUSHGATE, *asked).returncode == 0
        [_, flag, script], args = answers["command"], answers["args"]
        first, second = ([part.replace("push-pushgate", "127.0.0.1") for part in args[at : at + 2]] for at in (0, 2))
        succeeded, failed = run(sys.executable, flag, script, *first), run(sys.executable, flag, script, *second)
        assert succeeded.returncode == 0, succeeded.stderr
        assert failed.returncode == 1
        assert "404" in failed.stderr


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environ: dict[str, Any] = {**os.environ, "PYTHONWARNINGS": "error"}
    parts = [str(part) for part in command]
    return subprocess.run(parts, capture_output=True, text=True, timeout=30, env=environ, check=False)


@pytest.mark.parametrize("case", ["minimal", "existing", "sidecar-alone"])
def test_every_command_in_it_is_pushgates(case: str, tmp_path: Path) -> None:
    """With options that there are."""
    objects = rendered(CHART / "ci" / f"{case}.yaml")
    if case == "sidecar-alone":
        objects = rendered(chart=with_dependency(tmp_path))
    container = gateway(objects)
    assert parsed(container["args"])["file"].startswith("/etc/pushgate/")
    if case == "sidecar-alone":
        assert parsed(container["lifecycle"]["preStop"]["exec"]["command"][1:])["admin"] == "127.0.0.1:8081"
    for pod in (each for each in objects if each["kind"] == "Pod"):
        assert parsed(pod["spec"]["containers"][0]["args"])["admin"].endswith("-admin:8081")
