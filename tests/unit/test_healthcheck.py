"""``pushgate health``: how it is told what to ask, and where it finds the admin listener."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pushgate.cli import app
from pushgate.config.server import Server
from pushgate.healthcheck import DEFAULT_ADMIN, Misused, Options, Unhealthy, check, main
from pushgate.healthcheck import _configured as configured
from pushgate.healthcheck import address_of as address

# What a probe that runs every few seconds must not wait for.
HEAVY = {"typer", "asyncio", "aiohttp", "pydantic", "http.client", "structlog", "argparse", "urllib.request", "ssl"}


@pytest.fixture(autouse=True)
def no_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUSHGATE_ADMIN", "PUSHGATE_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_asked_unless_something_is_said() -> None:
    options = Options([])
    assert (options.file, options.admin, options.is_live, options.timeout) == ("gateway.yaml", "", False, 5.0)


def test_everything_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """In both spellings of options; the variable counts for less than the option."""
    monkeypatch.setenv("PUSHGATE_ADMIN", "127.0.0.1:1")
    monkeypatch.setenv("PUSHGATE_CONFIG", "b.yaml")
    options = Options(["--timeout=500ms"])
    assert (options.admin, options.file) == ("127.0.0.1:1", "b.yaml")
    options = Options(["-c", "a.yaml", "--admin=127.0.0.1:2", "--live", "--timeout", "2500ms"])
    assert (options.file, options.admin, options.is_live, options.timeout) == ("a.yaml", "127.0.0.1:2", True, 2.5)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--lively"], "there is no option '--lively'"),
        (["--admin"], "--admin needs a value"),
        (["--timeout", "soon"], "--timeout soon: write a duration, like 2s or 500ms"),
        (["--timeout", "-1"], "--timeout -1: write a duration"),
        (["--timeout", "nan"], "--timeout nan: write a duration"),
        (["--admin", "127.0.0.1"], "127.0.0.1: write the admin listener like 127.0.0.1:8081"),
        (["--admin", "127.0.0.1:99999"], "write the admin listener like"),
    ],
)
def test_a_command_line_that_is_wrong(arguments: list[str], complaint: str) -> None:
    """Whoever knows all commands says so; the status is 2."""
    with pytest.raises(Misused) as caught:
        options = Options(arguments)
        check(options.file, options.admin, is_live=False, timeout=options.timeout)
    assert complaint in str(caught.value)
    assert main(arguments) is None
    assert CliRunner().invoke(app, ["health", *arguments]).exit_code == 2


def test_help_is_that_of_all_commands() -> None:
    """It names every option that is understood here."""
    assert main(["--help"]) is None
    listed = CliRunner().invoke(app, ["health", "--help"]).stdout
    for option in ("--config", "-c", "--admin", "--live", "--timeout", "PUSHGATE_ADMIN"):
        assert option in listed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8081", ("127.0.0.1", 8081)),
        ("0.0.0.0:8081", ("127.0.0.1", 8081)),
        ("[::]:8081", ("::1", 8081)),
        (":9", ("127.0.0.1", 9)),
        ("admin.internal:8081", ("admin.internal", 8081)),
    ],
)
def test_where_a_listener_is_asked(text: str, expected: tuple[str, int]) -> None:
    assert address(text) == expected


@pytest.mark.parametrize(
    ("text", "admin"),
    [
        ("version: 1\n", DEFAULT_ADMIN),
        ("", DEFAULT_ADMIN),
        ("version: 1\nserver: {listen: ':80'}\n", DEFAULT_ADMIN),
        ("server: {admin: {listen: 127.0.0.1:9}}\nroutes: {", "127.0.0.1:9"),  # what comes later is not read
        ("x-a: &a {listen: 127.0.0.1:9}\nserver: {admin: {<<: *a, token: t}}\n", "127.0.0.1:9"),
        ("server:\n  admin:\n    listen: ${HOST:-127.0.0.2}:9\n", "127.0.0.2:9"),
        ("server: {admin: {listen: 'ff:02'}}", "ff:02"),
    ],
)
def test_what_the_configuration_says(tmp_path: Path, text: str, admin: str) -> None:
    """As the gateway reads it: with anchors, ``<<`` and variables."""
    (tmp_path / "gateway.yaml").write_text(text)
    assert configured(str(tmp_path / "gateway.yaml")) == admin


def test_the_default_is_the_gateways() -> None:
    assert str(Server().admin.listen) == DEFAULT_ADMIN


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Unhealthy, match=r"none.yaml cannot be read .No such file.*--admin"):
        configured(str(tmp_path / "none.yaml"))
    (tmp_path / "gateway.yaml").write_text("version: [\nserver: {}")
    with pytest.raises(Unhealthy, match="no valid YAML before `server:`"):
        configured(str(tmp_path / "gateway.yaml"))


def test_an_admin_listener_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("server: {admin: {listen: '${NOT_SET_HERE}'}}")
    with pytest.raises(Misused, match="NOT_SET_HERE"):
        check(str(tmp_path / "gateway.yaml"), "", is_live=False, timeout=1)


@pytest.mark.parametrize("is_read", [False, True])
def test_it_starts_without_what_it_does_not_need(tmp_path: Path, is_read: bool) -> None:
    """An exec probe runs beside the gateway, every few seconds, and for nothing else."""
    (tmp_path / "gateway.yaml").write_text("server: {admin: {listen: 127.0.0.1:1}}")
    place = ["-c", str(tmp_path / "gateway.yaml")] if is_read else ["--admin", "127.0.0.1:1"]
    program = f"""
import sys, runpy
sys.argv = ["pushgate", "health", *{place!r}]
try:
    runpy.run_module("pushgate", run_name="__main__")
except SystemExit as end:
    status = end.code
print(status, *sorted({HEAVY!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"], done
    assert "no gateway answers on 127.0.0.1:1" in done.stderr
