"""
How ``--help`` looks: plain text for 80 columns, commands and options by what they are for, examples last.

Of a command's docstring the first sentence is its line in the list of all commands, and what is indented are its
examples. A line of an example that begins with ``#`` says what the next one does. (There has to be some prose beside
them: the library strips what all lines but the first have in common.)
"""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperCommand, TyperGroup

# What the list of commands ends with.
CLOSING = """
`pushgate COMMAND --help` explains a command, with examples. Exit status: 0 all is well, 1 it is not, 2 the command
line is wrong.

-c FILE, or the variable PUSHGATE_CONFIG, names the configuration; - is standard input. Colours are for terminals only,
and not if NO_COLOR is set; `--output json` is for programs. Progress and complaints go to standard error.

Tab completes commands, options, and names of the configuration: `pushgate --install-completion`, or, with zsh or bash
for SHELL, in the file that it reads first:

    eval "$(_PUSHGATE_COMPLETE=source_SHELL pushgate)"
"""

_INDENT = "    "

# An option that is longer has its help below itself.
_COLUMN = 26

# Contexts and formatters are of a part of the library that is its own, and was another library's before.
Context = Any
Formatter = Any


class Page(TyperCommand):
    """The help of one command."""

    def format_help_text(self, ctx: Context, formatter: Formatter) -> None:
        prose, _ = parts(self.help or "")
        _write(formatter, prose)

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if param.param_type_name == "argument" else "Options"
                groups.setdefault(getattr(param, "rich_help_panel", None) or kind, []).append(record)
        usual = {name: groups.pop(name) for name in ("Arguments", "Options") if name in groups}
        _write_groups(formatter, usual | groups)

    def format_epilog(self, ctx: Context, formatter: Formatter) -> None:
        _, examples = parts(self.help or "")
        if examples:
            with formatter.section("Examples"):
                for line in examples.splitlines():
                    formatter.write(f"  {line}\n" if line else "\n")

    def get_short_help_str(self, limit: int = 45) -> str:
        return first_sentence(self.help or "")


class Contents(TyperGroup):
    """The help of the program: all of its commands."""

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        self.format_commands(ctx, formatter)
        _write_groups(formatter, {"Options": [*filter(None, (p.get_help_record(ctx) for p in self.get_params(ctx)))]})

    def format_commands(self, ctx: Context, formatter: Formatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            group = getattr(command, "rich_help_panel", None) or "Commands"
            groups.setdefault(group, []).append((name, command.get_short_help_str()))
        _write_groups(formatter, groups)

    def format_epilog(self, ctx: Context, formatter: Formatter) -> None:
        prose, example = parts(CLOSING)
        _write(formatter, prose)
        formatter.write(f"\n{_INDENT}{example}\n")


def parts(text: str) -> tuple[str, str]:
    """Return the prose of a docstring, and its examples."""
    paragraphs = text.strip("\n").split("\n\n")
    examples = [paragraph for paragraph in paragraphs if paragraph.startswith(_INDENT)]
    prose = [paragraph for paragraph in paragraphs if not paragraph.startswith(_INDENT)]
    return "\n\n".join(prose), inspect.cleandoc("\n\n".join(["", *examples]))


def first_sentence(text: str) -> str:
    """Return what a command is for, in a line."""
    return " ".join(parts(text)[0].partition("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def _write(formatter: Formatter, prose: str) -> None:
    if prose:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(prose)


def _write_groups(formatter: Formatter, groups: dict[str, list[tuple[str, str]]]) -> None:
    """Write lists below each other whose second columns are one."""
    widest = max((len(first) for rows in groups.values() for first, _ in rows), default=0)
    for title, rows in groups.items():
        with formatter.section(title):
            # The list is as wide as its widest entry, so the first one is made as wide as all.
            [(first, second), *rest] = rows
            formatter.write_dl([(first.ljust(min(widest, _COLUMN)), second), *rest], col_max=_COLUMN)
