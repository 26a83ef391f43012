"""What ``--help`` teaches is so, and fits into a terminal of 80 columns."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from pushgate.cli import COMMANDS, app
from pushgate.cli.manual import first_sentence, parts

PROGRAM: Any = typer.main.get_command(app)
NAMES = [*PROGRAM.commands]

runner = CliRunner(env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})


def helped(*arguments: str) -> str:
    result = runner.invoke(app, [*arguments, "--help"], prog_name="pushgate")
    assert result.exit_code == 0
    return result.stdout


def test_all_commands_stand_by_what_they_are_for() -> None:
    """Each with a whole sentence in one line; then options, what the exit status says, and how Tab is had."""
    text = helped()
    assert [*re.findall(r"^([A-Z][^:\n]+):$", text, re.MULTILINE)] == [*COMMANDS, "Options"]
    for name, command in PROGRAM.commands.items():
        assert re.search(rf"^  {name} +{re.escape(first_sentence(command.help))}$", text, re.MULTILINE), name
    assert "0\n  all is well, 1 it is not, 2 the command line is wrong" in text
    assert "PUSHGATE_CONFIG" in text and "NO_COLOR" in text and "--install-completion" in text
    assert "..." not in text.replace("[ARGS]...", "")


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_fits_into_80_columns(name: str) -> None:
    assert max(map(len, helped(*filter(None, [name])).splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_examples_last(name: str) -> None:
    text = helped(name)
    assert re.search(rf"^Examples:\n(.*\n)*?.*\bpushgate {name}\b", text, re.MULTILINE)
    assert text.index("\nOptions:") < text.index("\nExamples:")


def invocations(text: str) -> Iterator[list[str]]:
    """Yield the arguments of every ``pushgate`` in lines for a shell, also inside ``$(…)``."""
    text = re.sub(r"\\\n\s*", "", text)
    for line in text.splitlines():
        for inner in re.findall(r"\$\(([^()]*)\)", line):
            yield from invocations(inner)
        lexer = shlex.shlex(re.sub(r"\$\([^()]*\)", "X", line), posix=True, punctuation_chars="|&;<>")
        lexer.commenters, lexer.whitespace_split = "#", True
        words = [*lexer, "|"]
        while "|" in words:
            end = next(index for index, word in enumerate(words) if set(word) <= set("|&;<>"))
            command, words = words[:end], words[end + 1 :]
            named = [index for index, word in enumerate(command) if word == "pushgate"]
            if named and all("=" in word for word in command[: named[0]]):
                yield command[named[0] + 1 :]


EXAMPLES = [(name, arguments) for name in NAMES for arguments in invocations(parts(PROGRAM.commands[name].help)[1])]


@pytest.mark.parametrize(("name", "arguments"), EXAMPLES, ids=lambda value: " ".join(value) if value else "")
def test_every_example_is_a_command_line(name: str, arguments: list[str]) -> None:
    """With options that there are, and values that they take."""
    command, *rest = arguments
    PROGRAM.commands[command].make_context(command, [*rest])


PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IN_DOCS = [
    (page.name, arguments)
    for page in PAGES
    for block in SHELL.findall(page.read_text())
    for arguments in invocations(block)
    if arguments
]


@pytest.mark.parametrize(
    ("page", "arguments"), IN_DOCS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_every_command_line_of_the_docs_is_one(page: str, arguments: list[str]) -> None:
    """So is what the pages show; there is one of every command."""
    command, *rest = arguments
    PROGRAM.commands[command].make_context(command, [*rest])


def test_the_page_of_the_tools_has_them_all() -> None:
    text = (Path(__file__).parents[2] / "docs" / "tools.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in text and name not in ("run", "version")] == []
    assert {arguments[0] for page, arguments in IN_DOCS if page == "tools.md"} >= {
        *NAMES} - {"run", "version", "check", "config", "schema"}  # fmt: skip


def test_there_are_examples_of_everything() -> None:
    assert {arguments[0] for _, arguments in EXAMPLES} == {*NAMES}
    assert len(EXAMPLES) > 40


def test_every_command_that_reads_the_configuration_is_told_alike_where_it_is() -> None:
    """By -c or --config, by the variable, and - is standard input."""
    readers = set()
    for name, command in PROGRAM.commands.items():
        for param in command.params:
            if "-c" in param.opts:
                readers.add(name)
                assert (param.opts, param.metavar) == (["--config", "-c"], "FILE"), name
                assert param.envvar == "PUSHGATE_CONFIG" or name == "replay", name
    assert {"run", "check", "config", "try", "plan", "reload", "topics", "token", "init"} <= readers


GATEWAY = {
    "version": 1,
    "upstreams": {"u": {"url": "http://127.0.0.1:1", "headers": {"X-Api-Key": "k"}}},
    "auth": {"staff": {"kind": "api_key", "keys": [{"name": "ada", "key": "k-ada"}]}},
    "routes": {"/r": {"upstream": "u", "auth": "staff"}},
}

PRINTERS = [
    ["--help"],
    ["version"],
    ["check"],
    ["config"],
    ["config", "--output", "json"],
    ["schema"],
    ["plan"],
    ["init", "--stdout"],
    ["token", "--verify", "k-ada"],
    ["token", "--verify", "nobody"],
    ["token", "--api-key", "x"],
    ["replay", "recorded"],
    ["try", "/r", "--as", "{}"],
]


@pytest.mark.parametrize("arguments", PRINTERS, ids=" ".join)
@pytest.mark.parametrize("where", ["terminal", "terminal without colours", "dumb terminal", "pipe"])
def test_colours_are_for_terminals(
    arguments: list[str], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not for those who do not want any, or cannot show them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(json.dumps(GATEWAY))
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "0001.json").write_text("[1]")
    monkeypatch.setenv("TERM", "dumb" if where == "dumb terminal" else "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if where == "terminal without colours":
        monkeypatch.setenv("NO_COLOR", "1")
    said = io.StringIO() if where == "pipe" else Terminal()
    with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit):
        app(arguments, prog_name="pushgate")
    text = said.getvalue()
    assert text
    if where == "terminal":
        assert ("\x1b[" in text) is (arguments[0] in ("try", "init") or arguments[1:2] == ["--verify"]), text
    else:
        assert "\x1b" not in text


class Terminal(io.StringIO):
    """What says that it is one."""

    def isatty(self) -> bool:
        return True
