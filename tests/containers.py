"""
Containers of the image that scripts/image.sh has built, and what podman tells about them.

They are as locked up as the chart has them, and a little more: nothing at all can be written, not even ``/tmp``.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from processes import READY_WITHIN, ROOT, GatewayProcess

# Set by scripts/image.sh: the image, what it was built on, and the same on a base in which there is no shell.
IMAGE = os.environ.get("PUSHGATE_IMAGE")
BASE = f"{IMAGE}-base"
WITHOUT_SHELL = f"{IMAGE}-without-shell"

# What the chart allows a container, and its user.
CHART = yaml.safe_load((ROOT / "helm" / "pushgate" / "values.yaml").read_text())

COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "as", "ld", "make", "rustc", "cargo")


def podman(*arguments: str | Path) -> str:
    """Run podman; returns what it prints, and raises with what it complains about."""
    command = ["podman", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=READY_WITHIN, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stderr}"
    return done.stdout.strip()


def described(image: str) -> dict[str, Any]:
    """Return what an image says of itself: Config of ``podman image inspect``."""
    told: dict[str, Any] = json.loads(podman("image", "inspect", image))[0]
    return told


@contextmanager
def files_of(image: str) -> Iterator[Path]:
    """The root of an image's files, to look at."""
    path = Path(podman("image", "mount", image))
    try:
        yield path
    finally:
        podman("image", "unmount", image)


def restrictions() -> list[str]:
    """Return the chart's security context and limits as options of podman's, with its own default seccomp profile."""
    context, limits = CHART["securityContext"], CHART["resources"]["limits"]
    assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    return [
        "--read-only",
        "--read-only-tmpfs=false",
        "--security-opt=no-new-privileges",
        f"--user={context['runAsUser']}:{context['runAsGroup']}",
        *(f"--cap-drop={capability}" for capability in context["capabilities"]["drop"]),
        f"--memory={limits['memory'].replace('Mi', 'm')}",
    ]


class ContainedGateway(GatewayProcess):
    """A gateway in a container that shares only the network with this machine, so that loopback is the same."""

    def __init__(self, folder: Path, config: dict[str, Any], *, image: str) -> None:
        super().__init__(folder, config)
        self.image = image
        self.name = f"pushgate-{self.port}"

    def command(self) -> list[str | Path]:
        volume = f"--volume={self.config}:/etc/pushgate/gateway.yaml:ro"
        # Nobody asks about its health but the tests: podman's timers are systemd's.
        house = ("--rm", f"--name={self.name}", "--network=host", "--health-interval=disable")
        return ["podman", "run", *house, *restrictions(), volume, self.image]

    @property
    def pid(self) -> int:
        """The gateway's process, as this machine sees it."""
        return int(podman("inspect", "--format={{.State.Pid}}", self.name))

    def python(self, program: str) -> str:
        """Return what a program of Python's prints inside the container."""
        return podman("exec", self.name, "/opt/venv/bin/python", "-c", program)
