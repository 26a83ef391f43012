"""``pushgate check``: is gateway.yaml usable, and if not, where is it wrong?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .configuration import ConfigFile, load_config

if TYPE_CHECKING:
    from ..config import Gateway
    from ..errors import ConfigProblem

Severity = Literal["error", "warning"]
Format = Literal["text", "json", "github"]


def check(
    file: ConfigFile = "gateway.yaml",
    form: Annotated[
        Format, typer.Option("--format", "--output", help="github: annotations of a pull request.")
    ] = "text",
) -> None:
    """
    Check the configuration, and print what is wrong with it.

    Each problem has its line and column. Warnings alone do not fail: what is unsafe is an error, what is only likely to
    be a mistake is a warning.

        pushgate check
        pushgate config -c staging.yaml | pushgate check -c -

        # in a pull request on GitHub, where problems appear beside the lines
        pushgate check --format github
    """
    from ..config import warnings
    from ..errors import ConfigError

    try:
        gateway = load_config(file)
    except ConfigError as error:
        print_problems(error.problems, "error", form)
        raise typer.Exit(1) from None
    print_problems([*warnings(gateway), *_unusable_files(gateway)], "warning", form)
    if form == "text":
        print(f"{file}: ok ({len(gateway.routes)} routes, {len(gateway.upstreams)} upstreams)")


def _unusable_files(gateway: Gateway) -> list[ConfigProblem]:
    """Return what `pushgate run` would refuse on this machine; it may well be all right where the gateway runs."""
    from ..adapters.downstream.certificates import complaints

    report = gateway.origin.blank()
    for finding in complaints(gateway):
        report.add_finding(finding)
    return report.problems()


def print_problems(problems: list[ConfigProblem], severity: Severity, form: Format) -> None:
    """Print one line for each problem; as JSON, one document for all."""
    match form:
        case "json":
            print(json.dumps({"ok": severity != "error", "problems": [_record(p, severity) for p in problems]}))
        case "github":
            for problem in problems:
                print(_annotation(problem, severity))
        case "text":
            for problem in problems:
                print(problem if severity == "error" else _warning(problem))


def _record(problem: ConfigProblem, severity: Severity) -> dict[str, str | int]:
    place: dict[str, str | int] = {"file": problem.file, "line": problem.line, "column": problem.column}
    return {**place, "severity": severity, "message": problem.message}


def _warning(problem: ConfigProblem) -> str:
    return f"{problem.file}:{problem.line}:{problem.column}: warning: {problem.message}"


def _annotation(problem: ConfigProblem, severity: Severity) -> str:
    """Write a workflow command of GitHub Actions, whose percent signs and line ends are escaped."""
    message = problem.message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    file = problem.file.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{severity} file={file},line={problem.line},col={problem.column}::{message}"
