"""``pushgate run`` as a process: what signals do to it, and how operators reach it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from processes import READY_WITHIN, GatewayProcess, Legacy, free_port

PUSHGATE = Path(sys.executable).parent / "pushgate"


@pytest.fixture(scope="module")
def legacy() -> Iterator[Legacy]:
    with Legacy() as backend:
        yield backend


@pytest.fixture
def gateway(legacy: Legacy, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway whose drain takes an hour, unless there is nobody to wait for."""
    config: dict[str, Any] = {
        "server": {"drain": {"window": "1h"}},
        "upstreams": {"legacy": {"url": legacy.url}},
        "routes": {"/departures": {"upstream": "legacy", "request": {"path": "/api/departures"}}},
    }
    with GatewayProcess(tmp_path, config) as process:
        yield process


def is_ready(gateway: GatewayProcess) -> bool:
    try:
        with urllib.request.urlopen(f"{gateway.admin_url}/readyz", timeout=READY_WITHIN):
            return True
    except urllib.error.HTTPError as error:
        with error:
            assert error.code == 503
        return False


def open_streams(gateway: GatewayProcess, stack: ExitStack, number: int) -> list[Any]:
    """Open SSE streams and read the first event of each."""
    request = urllib.request.Request(f"{gateway.url}/departures", headers={"Accept": "text/event-stream"})
    streams = [stack.enter_context(urllib.request.urlopen(request, timeout=READY_WITHIN)) for _ in range(number)]
    for stream in streams:
        assert stream.readline().startswith(b"retry: ")
    return streams


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PUSHGATE, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=READY_WITHIN,
        check=False,
    )


def process_of(gateway: GatewayProcess) -> Any:
    assert gateway.process is not None
    return gateway.process


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell what a process handles")
def test_signals_are_obeyed_while_it_starts() -> None:
    """SIGHUP is no reason to end before the file was read, and SIGTERM is one, also for a container's first process."""
    with subprocess.Popen([PUSHGATE, "run", "-c", "-"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        status = Path(f"/proc/{process.pid}/status")
        deadline = time.monotonic() + READY_WITHIN
        while not is_handled(signal.SIGTERM, status.read_text()):
            assert time.monotonic() < deadline, "it handles no SIGTERM while it reads its configuration"
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(READY_WITHIN) == 128 + signal.SIGTERM


def is_handled(number: signal.Signals, status: str) -> bool:
    """Whether a process has said what to do when this signal comes (proc(5), SigCgt)."""
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_if_nobody_is_there(gateway: GatewayProcess, number: signal.Signals) -> None:
    """Nobody waits out the window for nobody; the exit status says that all is well."""
    assert gateway.end(number) == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)],
)
def test_a_second_signal_ends_it_now(gateway: GatewayProcess, first: signal.Signals, second: signal.Signals) -> None:
    """Until then it waits for its clients, and says that it is not ready. The status is that of a signal in a shell."""
    with ExitStack() as stack:
        open_streams(gateway, stack, 3)
        process = process_of(gateway)
        process.popen.send_signal(first)
        process.wait_for("drain.began")
        assert not is_ready(gateway)
        assert process.popen.poll() is None
        process.popen.send_signal(second)
        assert process.wait() == 128 + second
    gateway.process = None


def test_clients_that_leave_end_it(gateway: GatewayProcess) -> None:
    """The last one to go is the last that it waits for."""
    with ExitStack() as stack:
        open_streams(gateway, stack, 2)
        process = process_of(gateway)
        process.popen.send_signal(signal.SIGTERM)
        process.wait_for("drain.began")
    assert process.wait() == 0
    gateway.process = None


def test_a_drain_on_demand_never_ends_it(gateway: GatewayProcess) -> None:
    """``pushgate drain`` finds the admin listener in the configuration; ``--undo`` lets clients in again."""
    told = command("drain", "-c", gateway.config)
    assert (told.returncode, told.stdout) == (0, "leaving: 0 connections\n")
    assert not is_ready(gateway)
    told = command("drain", "--undo", "--admin", f"127.0.0.1:{gateway.admin_port}")
    assert (told.returncode, told.stdout) == (0, "let in again: 0 connections\n")
    assert is_ready(gateway)


def test_a_drain_that_was_begun_by_hand_is_ended_by_a_signal(gateway: GatewayProcess) -> None:
    """First the clients, then the process: nothing is waited for twice."""
    assert command("drain", "-c", gateway.config).returncode == 0
    assert gateway.end(signal.SIGTERM) == 0


def test_a_gateway_that_is_not_there_cannot_be_drained() -> None:
    """It says where it looked, and exits with 1; an address that is none is a mistake on the command line."""
    port = free_port()
    told = command("drain", "--admin", f"127.0.0.1:{port}")
    assert (told.returncode, told.stdout) == (1, "")
    assert f"no gateway answers on 127.0.0.1:{port}: " in told.stderr
    assert command("drain", "--admin", "here").returncode == 2


def test_health_is_asked_by_a_command(gateway: GatewayProcess) -> None:
    """For probes that cannot ask by HTTP: 0 if it is ready, or alive; 1 and the reason if it is not."""
    admin = f"127.0.0.1:{gateway.admin_port}"
    told = [command("health", "-c", gateway.config), command("health", "--live", "--admin", admin)]
    assert [(one.returncode, one.stdout, one.stderr) for one in told] == [(0, "ok\n", "")] * 2
    assert command("drain", "-c", gateway.config).returncode == 0
    told = [command("health", "-c", gateway.config), command("health", "--live", "-c", gateway.config)]
    assert [one.returncode for one in told] == [1, 0]
    assert told[0].stderr == "pushgate: draining failed: clients are asked to leave\n"
    gateway.end()
    told = [command("health", "-c", gateway.config)]
    assert told[0].returncode == 1 and f"no gateway answers on {admin}" in told[0].stderr
