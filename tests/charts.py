"""
The chart as Helm renders it: objects to look at, or why it refuses.

Nothing here needs a cluster. ``scripts/setup.sh chart`` installs what it needs; where that cannot be had, tests are
skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "pushgate"
CASES = sorted((CHART / "ci").glob("*.yaml"))

# The oldest that the chart takes, the one in which native sidecars are stable, and the newest that has schemas here.
KUBERNETES = ("1.28.0", "1.33.0", "1.37.0")

# Of the Prometheus operator and the Gateway API: no part of Kubernetes, so there are no schemas of them.
FOREIGN_APIS = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")

Object = dict[str, Any]


@cache
def tool(name: str) -> Path:
    """Return the program in our environment, or skip the test with the reason."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"there is no {name} in {path.parent}: `scripts/setup.sh chart` says why")
    return path


def helm(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Helm with a home of its own; the caller looks at the result."""
    home = {
        name: str(folder / ".stamps" / "helm") for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
    }
    command = [str(part) for part in (tool("helm"), *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **home}, check=False)


def options(files: Iterable[Path], settings: Iterable[str]) -> list[str]:
    return [
        *(part for file in files for part in ("--values", str(file))),
        *(part for setting in settings for part in ("--set-json", setting)),
    ]


def template(
    *files: Path, settings: Sequence[str] = (), kubernetes: str = KUBERNETES[-1], chart: Path = CHART
) -> subprocess.CompletedProcess[str]:
    """Render with values from files and ``settings`` (``path=JSON``)."""
    return _template(files, tuple(settings), kubernetes, chart)


@cache
def _template(
    files: tuple[Path, ...], settings: tuple[str, ...], kubernetes: str, chart: Path
) -> subprocess.CompletedProcess[str]:
    apis = (part for api in FOREIGN_APIS for part in ("--api-versions", api))
    asked = ("template", "push", chart, "--namespace", "shop", "--kube-version", kubernetes)
    return helm(*asked, *apis, *options(files, settings))


def rendered(
    *files: Path, settings: Sequence[str] = (), kubernetes: str = KUBERNETES[-1], chart: Path = CHART
) -> list[Object]:
    """Return the objects; fails with Helm's words if there are none."""
    told = template(*files, settings=settings, kubernetes=kubernetes, chart=chart)
    assert told.returncode == 0, told.stderr
    return [document for document in yaml.safe_load_all(told.stdout) if document]


def refusal(*files: Path, settings: Sequence[str] = ()) -> str:
    """Return what Helm says instead of objects, without where in the templates it said it."""
    told = template(*files, settings=settings)
    assert told.returncode != 0, told.stdout
    said = re.search(r"execution error at \([^)]*\): (.*)", told.stderr)
    assert said is not None, told.stderr
    return said[1]


def one(objects: Iterable[Object], kind: str, name: str = "push-pushgate") -> Object:
    """Return the only object of that kind and name."""
    [found] = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def gateway_text(objects: Iterable[Object]) -> str:
    """Return the gateway.yaml in the ConfigMap."""
    text = one(objects, "ConfigMap")["data"]["gateway.yaml"]
    assert isinstance(text, str)
    return text


def gateway(objects: Iterable[Object]) -> Object:
    """Return what the gateway's container is in the pod of the only Deployment; init or not."""
    [deployment] = [one for one in objects if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = [one for one in (*pod.get("initContainers", ()), *pod["containers"]) if one["name"] == "pushgate"]
    assert isinstance(container, dict)
    return container


def with_dependency(folder: Path) -> Path:
    """Copy the example of a neighbour's chart, with ours in it as `helm dependency update` would put it there."""
    neighbour = folder / "sidecar"
    shutil.copytree(ROOT / "examples" / "sidecar", neighbour)
    shutil.copytree(CHART, neighbour / "charts" / "pushgate", ignore=shutil.ignore_patterns("ci"))
    return neighbour


def complaints(objects: dict[str, list[Object]]) -> list[str]:
    """
    Return what Kubernetes' own schemas, in their strict form, say against objects by version.

    All in one process: it is the schemas that take long to read. Kinds that are no part of Kubernetes are passed over.
    """
    tool("kubernetes-validate")
    command = [sys.executable, ROOT / "tests" / "chart" / "validate.py"]
    told = subprocess.run(command, input=json.dumps(objects), capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert isinstance(found, list)
    return found
