"""The systemd unit: sound, locked up, and with commands and times that fit the gateway."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from charts import ROOT
from commands import parsed
from processes import Process, free_port
from pushgate.config.server import Drain
from pushgate.quantities import parse_duration

UNIT = ROOT / "deploy" / "pushgate.service"
PUSHGATE = Path(sys.executable).parent / "pushgate"

# prctl(2): no memory becomes executable from here on, which MemoryDenyWriteExecute= is about.
DENY = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit("this kernel has no PR_SET_MDWE")
os.execv(sys.argv[1], sys.argv[1:])
"""


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for key, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found[key].append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it is where pushgate is installed in the folder that it names."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: install the Debian package systemd")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/pushgate/bin/pushgate", str(PUSHGATE)))
    return unit


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(part) for part in ("systemd-analyze", *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_takes_it(installed: Path) -> None:
    """Without a word; a key of another name would be one."""
    told = analyze("verify", installed)
    assert (told.returncode, told.stderr) == (0, "")
    installed.write_text(installed.read_text().replace("PrivateTmp", "PrivateTemp"))
    assert "PrivateTemp" in analyze("verify", installed).stderr


def test_little_is_left_to_attack(installed: Path) -> None:
    """systemd's own measure, from 0 to 10, calls it OK below 2: it needs the network, and little else."""
    told = analyze("security", "--offline=true", "--threshold=15", "--no-pager", installed)
    if "Unknown" in told.stderr or "unrecognized" in told.stderr:
        pytest.skip("this systemd cannot judge a unit that is not installed: it needs 250")
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize(
    ("key", "command"), [("ExecStartPre", "check"), ("ExecStart", "run"), ("ExecReload", "reload")]
)
def test_its_commands_are_pushgates(key: str, command: str) -> None:
    [line] = settings()[key]
    program, *arguments = shlex.split(line)
    assert program == "/opt/pushgate/bin/pushgate"
    assert arguments[0] == command
    assert parsed(arguments)["file"] == "/etc/pushgate/gateway.yaml"


def test_clients_have_time_to_leave() -> None:
    drain = Drain()
    [limit] = settings()["TimeoutStopSec"]
    assert parse_duration(f"{limit}s") >= drain.window + drain.grace + 5


def test_it_runs_where_no_memory_may_become_executable(tmp_path: Path) -> None:
    """What the unit takes away is what nothing in the gateway needs, its event loop and its libraries included."""
    assert settings()["MemoryDenyWriteExecute"] == ["yes"]
    ports = {"PORT": str(free_port()), "ADMIN_PORT": str(free_port())}
    command = [sys.executable, "-c", DENY, PUSHGATE, "run", "-c", ROOT / "gateway.yaml"]
    with Process("pushgate", command, env=ports) as process:
        if "no PR_SET_MDWE" in process.wait_for("gateway.listening|no PR_SET_MDWE").string:
            pytest.skip("this kernel has no PR_SET_MDWE")
        process.wait_until_ready(f"http://127.0.0.1:{ports['ADMIN_PORT']}/readyz")
