"""The Dockerfile keeps its promises, and what it installs is pinned as pyproject.toml asks for it; nothing is built."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import pushgate

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = {name: needs for name, needs in PROJECT["project"]["optional-dependencies"].items() if name != "dev"}

# Where the image is built and run: every Python from the oldest on, on Linux.
PLACES = [
    {**default_environment(), "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    | {"platform_machine": machine, "python_version": version, "python_full_version": f"{version}.0"}
    for machine in ("x86_64", "aarch64")
    for version in ("3.11", "3.12", "3.13", "3.14")
]


def instructions(text: str) -> list[tuple[str, str]]:
    """Return what a Dockerfile does, line by line: INSTRUCTION and its argument."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


ALL = instructions((ROOT / "Dockerfile").read_text())
STAGES = [place for place, (name, _) in enumerate(ALL) if name == "FROM"]
BUILD, FINAL = ALL[STAGES[0] : STAGES[1]], ALL[STAGES[1] :]


def said(instruction: str, among: list[tuple[str, str]] = FINAL) -> list[str]:
    return [argument for name, argument in among if name == instruction]


# The Dockerfile.


def test_any_base_will_do() -> None:
    """BASE can be named by whoever builds it; BUILDER, too, where the base has no shell."""
    assert said("ARG", ALL[: STAGES[0]]) == ["BASE=python:3.11-slim", "BUILDER=${BASE}"]
    assert (said("FROM", BUILD), said("FROM")) == (["${BUILDER} AS build"], ["${BASE}"])


def test_the_base_has_the_python_that_the_tests_have() -> None:
    """No other version has been tried in every test."""
    assert f"python:{PROJECT['project']['requires-python'].removeprefix('>=')}-slim" in said("ARG", ALL)[0]


def test_the_last_stage_runs_nothing() -> None:
    """So it needs no shell, and nothing of how it was built, compilers or caches, is in it: it copies two folders."""
    assert said("RUN") == []
    assert said("COPY") == ["--from=build /opt/venv /opt/venv", "--from=build /opt/bytecode /opt/bytecode"]
    assert said("SHELL", ALL) + said("ADD", ALL) == []


def test_every_download_is_a_wheel_with_a_hash() -> None:
    """pip installs with hashes and as it is told, or without the network."""
    commands = [
        part for run in said("RUN", BUILD) for part in run.split("&&") if re.search(r"pip .*(install|wheel) ", part)
    ]
    assert len(commands) == 4
    for command in commands:
        assert "--no-deps" in command
        assert "--no-index" in command or {"--require-hashes", "--only-binary"} <= set(command.split())
    assert any(run.endswith("pip --python /opt/venv/bin/python check") for run in said("RUN", BUILD))
    assert "--no-build-isolation" in next(command for command in commands if " wheel " in command)


def test_nobody_is_root() -> None:
    """And the user is a number, because Kubernetes cannot tell of a name whether it is root's."""
    assert said("USER") == ["10001:10001"]
    order = [name for name, _ in FINAL]
    assert order.index("USER") < order.index("ENTRYPOINT")


def test_processes_are_started_without_a_shell() -> None:
    assert json.loads(said("ENTRYPOINT")[0]) == ["pushgate"]
    assert json.loads(said("CMD")[0]) == ["run", "-c", "/etc/pushgate/gateway.yaml"]
    assert json.loads(said("HEALTHCHECK")[0].partition("CMD ")[2]) == ["pushgate", "health"]


def test_health_is_read_from_the_configuration_that_is_run() -> None:
    """``pushgate health`` looks for gateway.yaml where it is started."""
    assert said("WORKDIR") == ["/etc/pushgate"]


def test_ports_and_signal() -> None:
    assert said("EXPOSE") == ["8080 8081"]
    assert said("STOPSIGNAL") == ["SIGTERM"]


def test_nothing_is_written_and_nothing_kept_back() -> None:
    """Bytecode is there from the beginning, and a log line is out when it is written."""
    variables = dict(part.split("=", 1) for part in said("ENV")[0].split())
    assert variables["PYTHONDONTWRITEBYTECODE"] == variables["PYTHONUNBUFFERED"] == "1"
    assert variables["PYTHONPYCACHEPREFIX"] == "/opt/bytecode"
    assert said("ENV", BUILD)[-1] == "PYTHONPYCACHEPREFIX=/opt/bytecode", "otherwise it would be compiled elsewhere"


def test_labels_say_what_it_is() -> None:
    """In the words of the package, and of its version unless a release names another."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', said("LABEL")[0]))
    project = PROJECT["project"]
    assert labels["title"] == project["name"]
    assert labels["description"] == project["description"]
    assert labels["licenses"] == project["license"]
    assert {name: labels[name] for name in ("version", "revision", "created")} == {
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "created": "${CREATED}",
    }
    assert f"VERSION={pushgate.__version__}" in said("ARG")


def test_only_what_it_is_made_of_is_sent_to_the_builder() -> None:
    """No history, no tests, no .env: everything is left out but these."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        *("!pyproject.toml", "!README.md", "!LICENSE", "!requirements", "!src"),
    }
    for needed in (PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]):
        assert any(fnmatch(f"!{needed}", line) for line in lines)


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip(f"there is no hadolint for {platform.machine()}")
    command = [hadolint, "--no-color", ROOT / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


# The lock.


def pinned(name: str) -> dict[str, list[tuple[Version, Marker | None]]]:
    """Return what a file of requirements/ pins; a package may be pinned otherwise for other Pythons."""
    found: dict[str, list[tuple[Version, Marker | None]]] = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip(" \\"))
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            found.setdefault(canonicalize_name(requirement.name), []).append((Version(pin.version), requirement.marker))
    return found


def missing(requirements: list[str], pins: dict[str, list[tuple[Version, Marker | None]]]) -> list[str]:
    """Return the requirements that the pins do not fulfil, each with where that is."""
    return [
        f"{requirement} on {place['platform_machine']}, Python {place['python_version']}"
        for requirement in map(Requirement, requirements)
        for place in PLACES
        if requirement.marker is None or requirement.marker.evaluate(place)
        if not any(
            requirement.specifier.contains(version) and (marker is None or marker.evaluate(place))
            for version, marker in pins.get(canonicalize_name(requirement.name), [])
        )
    ]


def test_the_lock_fulfils_pyproject() -> None:
    """Every extra is in the image, since nothing can be installed into it later."""
    needs = [*PROJECT["project"]["dependencies"], *(need for extra in EXTRAS.values() for need in extra)]
    assert missing(needs, pinned("image.txt")) == [], "`make lock` pins them"


def test_the_lock_of_the_builder_fulfils_pyproject() -> None:
    assert missing(PROJECT["build-system"]["requires"], pinned("build.txt")) == [], "`make lock` pins them"


def test_a_stale_lock_is_noticed() -> None:
    pins = {"aiohttp": [(Version("3.13.0"), None)], "tomli": [(Version("2.0"), Marker("python_version < '3.12'"))]}
    assert len(missing(["aiohttp>=3.14"], pins)) == len(PLACES)
    assert len(missing(["tomli"], pins)) == 6, "all but the two with Python 3.11"
    assert missing(["colorama; sys_platform == 'win32'", "aiohttp"], pins) == []


@pytest.mark.parametrize("name", ["image.txt", "build.txt"])
def test_everything_has_its_hash(name: str) -> None:
    """And comes from nowhere but the index that pip is told of: no URL, no path, no other index."""
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(entries) == sum(map(len, pinned(name).values()))
    for entry in entries:
        assert re.fullmatch(
            r"[\w.-]+==[\w.]+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n(?:    # [^\n]*\n)*", entry
        ), entry
