"""What a shell offers when somebody presses Tab."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pushgate.cli import app

FILE = """
version: 1
upstreams: {bikes: {url: "https://bikes.example"}, trains: {url: "https://trains.example"}}
auth: {staff: {kind: api_key, keys: [{name: a, key: "${UNDEFINED}"}]}}
routes:
  /departures: {upstream: trains, auth: staff}
  /stations/{city}: {upstream: bikes, auth: none, params: {city: [paris, rome]}}
  /stations/{city}/{id}: {from: "/stations/{city}", item: "{id}"}
  /quotes/{symbol}: {upstream: bikes, auth: none}
  /world/{city}: {from: "/stations/{city}", pointer: ""}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(FILE)
    return tmp_path


def offered(line: str, *, shell: str = "bash", env: Mapping[str, str] | None = None) -> list[str]:
    """Return what is offered behind a line, as the scripts of the shells ask for it."""
    words = line.split(" ")
    asked = {
        "_PUSHGATE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        **(env or {}),
    }
    return CliRunner().invoke(app, [], prog_name="pushgate", env=asked).stdout.split()


def test_commands_and_options_are_offered(folder: Path) -> None:
    assert {"reload", "replay"} <= {*offered("pushgate re")} and "try" not in offered("pushgate re")
    assert "--watch" in offered("pushgate try --")
    assert offered("pushgate plan --output ") == ["text", "json"]


def test_topics_are_those_that_can_be_known_beforehand(folder: Path) -> None:
    """Parameters that list their values make topics, those of a view are its parent's; any other could be anything."""
    topics = ["/departures", "/stations/paris", "/stations/rome", "/world/paris", "/world/rome"]
    assert offered("pushgate try ") == topics
    assert offered("pushgate try /st") == ["/stations/paris", "/stations/rome"]


def test_routes_are_those_of_the_configuration(folder: Path) -> None:
    """An undefined variable in it does not matter: names are what is wanted. Only what polls can be replayed."""
    assert offered("pushgate replay x --route /") == ["/departures", "/stations/{city}", "/quotes/{symbol}"]
    assert offered("pushgate plan --topics /q") == ["/quotes/{symbol}="]


def test_the_configuration_is_the_one_that_is_named(folder: Path) -> None:
    """On the command line, by the variable, or where it is by default."""
    (folder / "gateway.yaml").rename(folder / "other.yaml")
    assert offered("pushgate try ") == []
    assert "/departures" in offered("pushgate try -c other.yaml ")
    assert "/departures" in offered("pushgate try ", env={"PUSHGATE_CONFIG": "other.yaml"})


@pytest.mark.parametrize("text", ["", "a: [", "[]", "routes: 1", "routes: {1: 2, /a: [b]}", "[" * 99999, "\xff\xfe"])
def test_what_is_wrong_with_a_file_is_no_concern_here(folder: Path, text: str) -> None:
    (folder / "gateway.yaml").write_text(text, encoding="latin-1")
    assert all(line.startswith(("/", "1")) for line in offered("pushgate try "))


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_ask_likewise(folder: Path, shell: str) -> None:
    told = "\n".join(offered("pushgate try /w", shell=shell))
    assert "/world/paris" in told and "/departures" not in told


@pytest.mark.parametrize(("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --c")])
def test_every_shell_has_its_script(shell: str, words: str) -> None:
    asked = {"_PUSHGATE_COMPLETE": f"source_{shell}"}
    script = CliRunner().invoke(app, [], prog_name="pushgate", env=asked).stdout
    assert words in script and f"complete_{shell}" in script


def test_bash_completes(folder: Path) -> None:
    """The script in a real bash, which asks the real program."""
    pushgate = Path(sys.executable).with_name("pushgate")
    line = f"{shlex.quote(str(pushgate))} try /wor"
    script = f"""
        eval "$(_PUSHGATE_COMPLETE=source_bash {shlex.quote(str(pushgate))})"
        COMP_WORDS=({line}); COMP_CWORD=2
        _pushgate_completion {shlex.quote(str(pushgate))} && printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=folder)
    assert (told.stdout.split(), told.stderr) == (["/world/paris", "/world/rome"], "")


def test_bash_installs_it(folder: Path) -> None:
    """In the home directory of whoever asks for it, so that the next shell has it."""
    pushgate = Path(sys.executable).with_name("pushgate")
    script = f"{shlex.quote(str(pushgate))} --install-completion; true"  # its parent shall be a bash, to be recognised
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env={"HOME": str(folder)})
    assert "bash completion installed" in told.stdout, told.stderr
    assert "_pushgate_completion" in (folder / ".bash_completions" / "pushgate.sh").read_text()
    assert "pushgate.sh" in (folder / ".bashrc").read_text()
