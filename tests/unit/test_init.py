"""The gateway.yaml that a user begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pushgate.cli import app
from pushgate.cli.init import TEMPLATE
from pushgate.config import load, parse, warnings

runner = CliRunner()

# A key that is commented out; prose begins with a capital letter or something else.
OFF = re.compile(r"^( *)# ((?:  )*[a-z/][\w/{}]*:( .*)?)$", re.MULTILINE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def started(file: Path, *arguments: str) -> str:
    result = runner.invoke(app, ["init", "-c", str(file), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_can_be_run_as_it_is(file: Path) -> None:
    """Without a warning, and with what an editor needs to help."""
    assert f"{file}: written" in started(file)
    checked = runner.invoke(app, ["check", "-c", str(file)])
    assert (checked.exit_code, checked.stdout) == (0, f"{file}: ok (1 routes, 1 upstreams)\n")
    assert file.read_text().startswith("# yaml-language-server: $schema=./gateway.schema.json\n")
    assert max(map(len, file.read_text().splitlines())) <= 120


def test_what_is_commented_out_is_right_too() -> None:
    """Whoever takes the sign away gets what the comment says, and not an error."""
    text, count = OFF.subn(r"\1\2", TEMPLATE.read_text())
    assert count >= 14
    environ = dict.fromkeys(("BACKEND_TOKEN", "TOKEN_SECRET"), 32 * "x")
    gateway = parse(text, file="starter", environ=environ, base=Path())
    assert [*gateway.routes] == ["/status", "/stations/{city}"] and gateway.auth["staff"].kind == "jwt"
    assert warnings(gateway) == []


def test_a_url_fills_in_the_upstream_and_the_route(file: Path) -> None:
    started(file, "--url", "https://bikes.example:8443/api/stations.json?format=full&q=a%20b")
    gateway = load(file, environ={})
    route = gateway.routes["/api/stations.json"]
    assert gateway.upstreams["backend"].url == "https://bikes.example:8443"
    assert route.request.path == "/api/stations.json"
    assert dict(route.request.query) == {"format": "full", "q": "a b"}
    assert warnings(gateway) == []
    assert "pushgate try /api/stations.json" in file.read_text()


def test_a_parameter_may_be_empty(file: Path) -> None:
    started(file, "--url", "https://bikes.example/x?a=&b=1")
    assert dict(load(file, environ={}).routes["/x"].request.query) == {"a": "", "b": "1"}


def test_what_comes_next_can_be_typed_as_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file, unless it is where all commands look for it."""
    monkeypatch.chdir(file.parent)
    said = started(Path("my gateway.yaml"), "--url", "https://bikes.example/x(y)")
    assert said.endswith(
        "next: pushgate check -c 'my gateway.yaml', pushgate try '/x(y)' -c 'my gateway.yaml', "
        "pushgate run -c 'my gateway.yaml'\n"
    )
    assert started(Path("gateway.yaml")).endswith("next: pushgate check, pushgate try /status, pushgate run\n")


def test_what_is_there_is_not_written_over(file: Path) -> None:
    file.write_text("mine")
    result = runner.invoke(app, ["init", "-c", str(file)])
    assert result.exit_code == 1 and "--force" in result.stderr
    assert file.read_text() == "mine"
    started(file, "--force")
    assert file.read_text() == TEMPLATE.read_text()


@pytest.mark.parametrize("arguments", [["--stdout"], ["-c", "-"]])
def test_it_can_be_printed(file: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert runner.invoke(app, ["init", *arguments]).stdout == TEMPLATE.read_text()
    assert not file.exists()


@pytest.mark.parametrize(
    "url",
    [
        "bikes.example",
        "ftp://bikes.example/x",
        "https://ann:secret@bikes.example/x",
        "https://bikes.example/a/{b",
        "https://bikes.example/x?a=1&a=2",
    ],
)
def test_a_url_that_no_route_can_poll_is_refused(file: Path, url: str) -> None:
    result = runner.invoke(app, ["init", "-c", str(file), "--url", url])
    assert result.exit_code == 2 and "secret" not in result.stderr
    assert not file.exists()


def test_a_folder_that_is_not_there_is_named(file: Path) -> None:
    result = runner.invoke(app, ["init", "-c", str(file.parent / "nowhere" / "gateway.yaml")])
    assert result.exit_code == 1 and "cannot be written: No such file or directory" in result.stderr
