"""The command line: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pushgate import __version__
from pushgate.cli import app
from pushgate.cli.configuration import original

GOOD = "version: 1\nupstreams: {bikes: {url: 'https://bikes.example'}}\nroutes: {/stations: {upstream: bikes}}\n"
BAD = GOOD.replace("upstream: bikes", "upstream: bykes, poll: {jitter: 200%}")
WARNED = GOOD.replace("https", "http").replace("example'", "example', headers: {X-Api-Key: k}")

runner = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def test_check_says_ok_and_exits_0(file: Path) -> None:
    file.write_text(GOOD)
    result = runner.invoke(app, ["check", "-c", str(file)])
    assert (result.exit_code, result.stdout) == (0, f"{file}: ok (1 routes, 1 upstreams)\n")


def test_check_prints_every_problem_and_exits_1(file: Path) -> None:
    file.write_text(BAD.replace("/stations", "/s"))
    result = runner.invoke(app, ["check", "-c", str(file)])
    assert result.exit_code == 1
    assert result.stdout == f"{file}:3:47: route /s: jitter: `200%` must be at most 100%\n"


def test_warnings_alone_do_not_fail(file: Path) -> None:
    file.write_text(WARNED)
    result = runner.invoke(app, ["check", "-c", str(file)])
    assert result.exit_code == 0
    assert ":2:60: warning: upstream bikes: headers.X-Api-Key: travels without TLS" in result.stdout


def test_check_reads_standard_input() -> None:
    result = runner.invoke(app, ["check", "-c", "-"], input=BAD)
    assert result.exit_code == 1
    assert result.stdout.startswith("<stdin>:3:")


def test_check_as_json_is_one_document(file: Path) -> None:
    file.write_text(BAD)
    result = runner.invoke(app, ["check", "-c", str(file), "--format", "json"])
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "file": str(file),
                "line": 3,
                "column": 54,
                "severity": "error",
                "message": "route /stations: jitter: `200%` must be at most 100%",
            }
        ],
    }
    file.write_text(GOOD)
    result = runner.invoke(app, ["check", "-c", str(file), "--format", "json"])
    assert json.loads(result.stdout) == {"ok": True, "problems": []}


def test_check_looks_into_an_htpasswd_file(file: Path) -> None:
    """A password in clear is found before anybody tries it, and is not repeated."""
    (file.parent / "users").write_text("ada:s3cr3t\n")
    file.write_text(
        "version: 1\nupstreams: {bikes: {url: 'https://bikes.example'}}\n"
        "auth: {people: {kind: basic, htpasswd: users}}\nroutes: {/stations: {upstream: bikes, auth: people}}\n"
    )
    result = runner.invoke(app, ["check", "-c", str(file)])
    assert result.exit_code == 1
    assert result.stdout == (
        f"{file}:3:40: auth people: htpasswd: {file.parent}/users, line 1: the password of ada stands there in clear, "
        "or by a weak method such as crypt; write it anew with `htpasswd -B`\n"
    )


def test_check_annotates_pull_requests(file: Path) -> None:
    file.write_text(BAD)
    result = runner.invoke(app, ["check", "-c", str(file), "--format", "github"])
    message = "route /stations: jitter: `200%25` must be at most 100%25"
    assert result.stdout == f"::error file={file},line=3,col=54::{message}\n"


@pytest.mark.parametrize("command", ["check", "config"])
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"a: [", b"\ta: b", b"? {a: b}\n: c", b"a: &a [*a]", b"[" * 99999]
)
def test_no_file_ends_in_a_traceback(file: Path, command: str, content: bytes) -> None:
    file.write_bytes(content)
    result = runner.invoke(app, [command, "-c", str(file)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.output.startswith(f"{file}:1:")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    result = runner.invoke(app, ["check", "-c", str(missing)])
    assert result.stdout == f"{missing}:1:1: cannot be read: No such file or directory; name another file with -c\n"
    result = runner.invoke(app, ["check", "-c", str(tmp_path)])
    assert result.stdout == f"{tmp_path}:1:1: cannot be read: Is a directory; name another file with -c\n"


def test_what_can_be_read_only_once_is_not_watched(file: Path, tmp_path: Path) -> None:
    """``-c <(envsubst < gateway.yaml)`` is a pipe: empty when it is read again, and not because somebody changed it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert original(str(pipe)) is None
    assert original("-") is None
    assert original(str(file)) is not None
    assert original(str(tmp_path / "missing")) is not None, "it may come"


def test_an_operator_is_told_of_an_address_that_is_none() -> None:
    told = runner.invoke(app, ["drain", "--admin", "..:8081"])
    assert told.exit_code == 1
    assert "no gateway answers on ..:8081" in told.output + told.stderr


def test_config_prints_what_is_in_force(file: Path) -> None:
    """What it prints is a gateway.yaml itself; problems go to standard error."""
    file.write_text(GOOD)
    printed = runner.invoke(app, ["config", "-c", str(file)]).stdout
    assert "every: 10s" in printed
    assert runner.invoke(app, ["check", "-c", "-"], input=printed).exit_code == 0
    as_json = json.loads(runner.invoke(app, ["config", "-c", str(file), "--output", "json"]).stdout)
    assert as_json["routes"]["/stations"]["poll"]["every"] == "10s"
    file.write_text(BAD)
    result = runner.invoke(app, ["config", "-c", str(file)])
    assert (result.exit_code, result.stdout) == (1, "")


def test_schema_prints_a_json_schema() -> None:
    result = runner.invoke(app, ["schema"])
    assert json.loads(result.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_version_is_the_packages() -> None:
    assert runner.invoke(app, ["version"]).stdout == f"pushgate {__version__}\n"


def test_a_wrong_command_line_exits_2() -> None:
    assert runner.invoke(app, ["check", "--format", "xml"]).exit_code == 2
    assert runner.invoke(app, ["chekc"]).exit_code == 2
