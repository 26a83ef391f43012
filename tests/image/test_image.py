"""The image as it was built: what is in it, and what it does where next to nothing is allowed; by ``make image``."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import pushgate
from containers import BASE, COMPILERS, IMAGE, WITHOUT_SHELL, ContainedGateway, described, files_of, podman
from processes import READY_WITHIN, Legacy

if IMAGE is None:
    pytest.skip("the image is built, and these tests are run, by `make image`", allow_module_level=True)

USER = 10001
DRAIN = 2  # seconds


@pytest.fixture(scope="module")
def legacy() -> Iterator[Legacy]:
    with Legacy() as backend:
        yield backend


def polling(legacy: Legacy) -> dict[str, Any]:
    return {
        "server": {"drain": {"window": f"{DRAIN}s", "grace": "1s"}},
        "upstreams": {"legacy": {"url": legacy.url}},
        "routes": {
            "/departures": {
                "upstream": "legacy",
                "request": {"path": "/api/departures"},
                "poll": {"every": "1s"},
            },
        },
    }


@pytest.fixture(scope="module")
def gateway(legacy: Legacy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainedGateway]:
    """One for all tests that leave it as it was; without a shell, so that none of them passes for having one."""
    with ContainedGateway(tmp_path_factory.mktemp("gateway"), polling(legacy), image=WITHOUT_SHELL) as contained:
        yield contained


@pytest.fixture
def mortal(legacy: Legacy, tmp_path: Path) -> Iterator[ContainedGateway]:
    """One to be ended."""
    with ContainedGateway(tmp_path, polling(legacy), image=WITHOUT_SHELL) as contained:
        yield contained


# What is in it.


def test_it_says_how_it_is_run() -> None:
    """A numeric user, so that Kubernetes can see that it is not root; the gateway first, and nothing around it."""
    config = described(IMAGE)["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["pushgate"]
    assert config["Cmd"] == ["run", "-c", "/etc/pushgate/gateway.yaml"]
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8081/tcp"}
    assert config["StopSignal"] == "SIGTERM"


def test_it_says_what_it_is() -> None:
    prefix = "org.opencontainers.image."
    labels = described(IMAGE)["Labels"]
    assert labels[f"{prefix}title"] == "pushgate"
    assert labels[f"{prefix}version"] == pushgate.__version__
    assert {f"{prefix}{name}" for name in ("description", "licenses", "revision", "created")} <= set(labels)


def test_its_health_is_asked_about_without_a_shell() -> None:
    assert described(IMAGE)["Healthcheck"]["Test"] == ["CMD", "pushgate", "health"]


def test_nothing_of_the_machine_that_built_it_is_in_it() -> None:
    """Neither variables nor files; all that it has beyond its base is in /opt."""
    assert {variable.partition("=")[0] for variable in described(IMAGE)["Config"]["Env"]} <= {
        *("PATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
        *(variable.partition("=")[0] for variable in described(BASE)["Config"].get("Env") or []),
    }
    with files_of(IMAGE) as ours, files_of(BASE) as bases:
        assert listing(ours) - listing(bases) <= {"/opt/venv", "/opt/bytecode", "/etc/pushgate"}


def listing(root: Path) -> set[str]:
    """All paths below a root, but those inside the two folders that the image adds."""
    found: set[str] = set()
    for folder, folders, files in os.walk(root):
        inside = Path("/", Path(folder).relative_to(root))
        found |= {str(inside / name) for name in (*folders, *files)}
        folders[:] = [name for name in folders if str(inside / name) not in {"/opt/venv", "/opt/bytecode"}]
    return found


def test_it_has_no_means_to_make_or_to_install_anything() -> None:
    """No compiler, and an environment without pip."""
    with files_of(IMAGE) as root:
        folders = ("bin", "usr/bin", "usr/local/bin", "opt/venv/bin")
        assert [path for folder in folders for name in COMPILERS if (path := root / folder / name).exists()] == []
        assert [*root.glob("opt/venv/lib/python3*/site-packages/pip*"), *root.glob("opt/venv/bin/pip*")] == []


# How it runs.


def get(url: str, **headers: str) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=READY_WITHIN)


def test_it_runs_with_nothing_but_what_it_needs(gateway: ContainedGateway) -> None:
    """Nobody's user, no capability, none to be had, and only the system calls of the runtime's default profile."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{gateway.pid}/status").read_text().splitlines())
    assert set(status["Uid"].split() + status["Gid"].split()) == {str(USER)}
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_nothing_can_be_written(gateway: ContainedGateway) -> None:
    """Not where it lives, and not in /tmp either, which it does not need."""
    written = """
for folder in ("/", "/tmp", "/opt/venv", "/opt/bytecode", "/etc/pushgate", "/var/tmp"):
    try:
        open(f"{folder}/x", "w")
    except OSError:
        continue
    print(folder)
"""
    assert gateway.python(written) == ""


def test_there_is_no_shell_to_be_found(gateway: ContainedGateway) -> None:
    """On a base that has none, on which the image can be finished."""
    assert gateway.python("import shutil; print([shutil.which(name) for name in ('sh', 'bash', 'dash')])") == (
        "[None, None, None]"
    )


def test_it_polls_a_backend_on_loopback_and_publishes_what_changes(gateway: ContainedGateway) -> None:
    """As the sidecar of a pod does."""
    with get(f"{gateway.url}/departures") as answer:
        assert answer.headers["Pushgate-State"] == "live"
        assert json.load(answer)
    with get(f"{gateway.url}/departures", Accept="text/event-stream") as stream:
        assert next(line for line in stream if line.startswith(b"event: ")) == b"event: snapshot\n"
        assert next(line for line in stream if line.startswith(b"event: ")) != b"event: heartbeat\n"


def test_a_big_document_is_read_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Which can be started there, too: from 512 KB on, the workshop reads it (docs/design.md)."""
    rows = [{"id": number, "text": "x" * 100} for number in range(10_000)]
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "0001.json").write_text(json.dumps(rows))
    with (
        Legacy("--replay", tmp_path / "series") as big,
        ContainedGateway(tmp_path, polling(big), image=WITHOUT_SHELL) as it,
    ):
        with get(f"{it.url}/departures") as answer:
            assert json.load(answer) == rows
        assert podman("top", it.name, "comm").split()[1:] == ["pushgate", "python"]


def test_no_module_is_compiled_when_it_starts(gateway: ContainedGateway) -> None:
    """Whatever the gateway imports has bytecode that belongs to its source, although the base came without."""
    program = """
import importlib.util, pathlib, sys
import pushgate.cli.run, pushgate.gateway, pushgate.adapters.workshop.__main__
import lxml.html, selectolax.lexbor, feedparser
for module in list(sys.modules.values()):
    source = getattr(module, "__file__", None) or ""
    if source.endswith(".py"):
        code = pathlib.Path(importlib.util.cache_from_source(source))
        digest = importlib.util.source_hash(pathlib.Path(source).read_bytes())
        if not code.exists() or code.read_bytes()[4:16] != (3).to_bytes(4, "little") + digest:
            print(source)
"""
    assert gateway.python(program) == ""


def test_a_health_check_finds_it_well(gateway: ContainedGateway) -> None:
    """It is what HEALTHCHECK names, run as the engine runs it; it finds the admin listener in the configuration."""
    podman("healthcheck", "run", gateway.name)


def test_a_health_check_finds_out_that_nobody_answers(gateway: ContainedGateway) -> None:
    """A gateway that hangs is not well: one that was stopped in the middle is asked in vain, for a while only."""
    os.kill(gateway.pid, signal.SIGSTOP)
    try:
        with pytest.raises(AssertionError, match="ended with 1"):
            podman("healthcheck", "run", gateway.name)
    finally:
        os.kill(gateway.pid, signal.SIGCONT)


def test_clients_leave_before_it_ends(mortal: ContainedGateway) -> None:
    """SIGTERM, the image's own stop signal, drains; the status is 0, within the window and its grace."""
    with ExitStack() as stack:
        stream = stack.enter_context(get(f"{mortal.url}/departures", Accept="text/event-stream"))
        assert stream.readline().startswith(b"retry: ")
        process = mortal.process
        assert process is not None
        begin = time.monotonic()
        podman("kill", "--signal", "SIGTERM", mortal.name)
        rest = stream.read()
        assert b"retry: " in rest.split(b"\n\n", 1)[1]
        assert process.wait() == 0
        assert time.monotonic() - begin < DRAIN + 5
    mortal.process = None


def test_one_that_nobody_listens_to_ends_at_once(mortal: ContainedGateway) -> None:
    assert mortal.end(signal.SIGTERM) == 0
