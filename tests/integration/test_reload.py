"""``pushgate run`` as an operator has it: a file that is edited, swapped, broken and mended while clients listen."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends import PATIENCE
from processes import GatewayProcess, Legacy, Process, free_port

PUSHGATE = Path(sys.executable).parent / "pushgate"


@pytest.fixture(scope="module")
def legacy() -> Iterator[str]:
    with Legacy() as backend:
        yield backend.url


def says(backend: str, *routes: str) -> dict[str, Any]:
    polled = {"upstream": "u", "request": {"path": "/quotes"}, "poll": {"every": "1s"}}
    return {"upstreams": {"u": {"url": backend}}, "routes": dict.fromkeys(routes, polled)}


def rewritten(gateway: GatewayProcess, content: dict[str, Any]) -> str:
    """What the gateway's file says with other sections."""
    return json.dumps({**json.loads(gateway.config.read_text()), **content}, indent=1)


def wait_until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 3 * PATIENCE
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def has_route(gateway: GatewayProcess, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"{gateway.url}{path}", timeout=3 * PATIENCE):
            return True
    except urllib.error.HTTPError as refusal:
        with refusal:
            return "no_such_topic" not in refusal.read().decode()


def is_loaded(gateway: GatewayProcess) -> bool:
    return "pushgate_config_last_reload_successful 1.0" in gateway.metrics()


def test_a_saved_file_is_taken_over(legacy: str, tmp_path: Path) -> None:
    """However an editor saves: over the file, or beside it and renamed."""
    with GatewayProcess(tmp_path, says(legacy, "/one")) as gateway:
        assert has_route(gateway, "/one") and not has_route(gateway, "/two")
        gateway.config.write_text(rewritten(gateway, says(legacy, "/one", "/two")))
        wait_until(lambda: has_route(gateway, "/two"), "a file that was written over")
        beside = tmp_path / "gateway.yaml~"
        beside.write_text(rewritten(gateway, says(legacy, "/one", "/three")))
        beside.replace(gateway.config)
        wait_until(lambda: has_route(gateway, "/three") and not has_route(gateway, "/two"), "a renamed file")


def test_a_broken_file_changes_nothing_and_says_so(legacy: str, tmp_path: Path) -> None:
    """In the log, in the metric, and in the exit status of who asks."""
    with GatewayProcess(tmp_path, says(legacy, "/one")) as gateway:
        assert gateway.process is not None and is_loaded(gateway)
        good = gateway.config.read_text()
        gateway.config.write_text(good.replace('"upstream": "u"', '"upstream": "v"'))
        gateway.process.wait_for(r"reload\.failed.*there is no upstream `v`|there is no upstream `v`.*reload\.failed")
        wait_until(lambda: not is_loaded(gateway), "the metric")
        asked = reload(gateway)
        assert asked.returncode == 1 and "there is no upstream `v`" in asked.stderr, asked
        assert has_route(gateway, "/one")
        gateway.config.write_text(good)
        wait_until(lambda: is_loaded(gateway), "a mended file")
        asked = reload(gateway)
        assert asked.returncode == 0 and asked.stdout.startswith("kept: "), asked


def reload(gateway: GatewayProcess) -> subprocess.CompletedProcess[str]:
    command = [PUSHGATE, "reload", "--admin", f"127.0.0.1:{gateway.admin_port}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_nobody_to_reload_is_a_failure() -> None:
    command = [PUSHGATE, "reload", "--admin", f"127.0.0.1:{free_port()}"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert asked.returncode == 1 and "no gateway answers" in asked.stderr


def test_sighup_reloads_also_what_did_not_change(legacy: str, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, says(legacy, "/one")) as gateway:
        assert gateway.process is not None
        gateway.process.popen.send_signal(signal.SIGHUP)
        gateway.process.wait_for(r"SIGHUP.*reload\.done|reload\.done.*SIGHUP")
        assert has_route(gateway, "/one")


def test_the_link_of_a_configmap_is_followed(legacy: str, tmp_path: Path) -> None:
    """Kubernetes writes a new folder and swaps one link; the file itself is never touched."""
    with GatewayProcess(tmp_path, says(legacy, "/one")) as gateway:
        first, second = rewritten(gateway, {}), rewritten(gateway, says(legacy, "/two"))
        gateway.end()
        volume = tmp_path / "volume"
        for name, content in (("..v1", first), ("..v2", second)):
            (volume / name).mkdir(parents=True)
            (volume / name / "gateway.yaml").write_text(content)
        (volume / "..data").symlink_to("..v1")
        (volume / "gateway.yaml").symlink_to("..data/gateway.yaml")
        gateway.config = volume / "gateway.yaml"
        gateway.start()
        assert has_route(gateway, "/one") and not has_route(gateway, "/two")
        (volume / "..data_tmp").symlink_to("..v2")
        (volume / "..data_tmp").replace(volume / "..data")
        wait_until(lambda: has_route(gateway, "/two"), "a swapped link")
        (volume / "..v1" / "gateway.yaml").unlink()
        (volume / "..v1").rmdir()
        (volume / "..v3").mkdir()
        (volume / "..v3" / "gateway.yaml").write_text(first)
        (volume / "..data_tmp").symlink_to("..v3")
        (volume / "..data_tmp").replace(volume / "..data")
        wait_until(lambda: has_route(gateway, "/one"), "a link that was swapped again")


def test_a_secret_that_changes_is_read_again(legacy: str, tmp_path: Path) -> None:
    """Although gateway.yaml says what it said."""
    secret = tmp_path / "secrets" / "parameter"
    secret.parent.mkdir()
    secret.write_text("[a-z]+\n")
    content = says(legacy, "/q/{name}")
    content["routes"]["/q/{name}"] = {
        **content["routes"]["/q/{name}"],
        "params": {"name": "${file:secrets/parameter}"},
    }
    with GatewayProcess(tmp_path, content) as gateway:
        assert has_route(gateway, "/q/abc") and not has_route(gateway, "/q/123")
        secret.write_text("[0-9]+\n")
        wait_until(lambda: has_route(gateway, "/q/123") and not has_route(gateway, "/q/abc"), "another secret")


def test_standard_input_cannot_be_read_again(legacy: str, tmp_path: Path) -> None:
    """Whoever asks for it is told so, and the gateway goes on."""
    gateway = GatewayProcess(tmp_path, says(legacy, "/one"))
    shell = ["sh", "-c", 'exec "$0" run -c - < "$1"', str(PUSHGATE), str(gateway.config)]
    with Process("pushgate", shell) as process:
        process.wait_until_ready(f"{gateway.admin_url}/readyz")
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for(r"cannot be read again")
        assert reload(gateway).returncode == 1
        assert has_route(gateway, "/one")
