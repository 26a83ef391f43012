"""``pushgate init``: a gateway.yaml to begin with, which explains itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl

import typer

from .arguments import url_of
from .configuration import STDIN, ConfigFile
from .paint import Paint

TEMPLATE = Path(__file__).with_name("starter.yaml")

# Where the other commands look for it by themselves.
_USUAL = "gateway.yaml"

# What of the template is replaced by what a URL says.
_ORIGIN, _ROUTE, _REQUEST = "https://backend.example", "/status", 'request: {path: "/api/status"}'

Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="What is to be polled: fills in the upstream and the route.")
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
Stdout = Annotated[bool, typer.Option("--stdout", help="Print it, as -c - does.")]


def init(file: ConfigFile = _USUAL, url: Url = None, force: Force = False, stdout: Stdout = False) -> None:
    """
    Write a commented gateway.yaml to begin with.

    It can be run as it is, and says what else there is. With --url it polls that; which format, key and interval suit a
    backend is found out by `pushgate probe URL`, which looks at it for a while.

        pushgate init --url https://bikes.example/api/stations
        pushgate init -c staging.yaml --force
        pushgate init --stdout | less
    """
    text = TEMPLATE.read_text(encoding="utf-8")
    if url is not None:
        text = _filled(text, url_of(url, example="https://bikes.example/api/stations"))
    if stdout or file == STDIN:
        print(Paint(sys.stdout).comments(text), end="")
        return
    _write(Path(file), text, force=force)
    named = "" if file == _USUAL else f" -c {quote(file)}"
    commands = ("check", f"try {quote(_route(url))}", "run")
    print(f"{file}: written; next: {', '.join(f'pushgate {command}{named}' for command in commands)}")


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(f"{path}: is there already; write over it with --force, or name another with -c", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:
        print(f"{path}: cannot be written: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None


def _route(url: str | None) -> str:
    return _ROUTE if url is None else url_of(url, example="").path or "/"


def _filled(text: str, parts: SplitResult) -> str:
    """Return the template for a URL; raises BadParameter for one that no route can have as it is."""
    if parts.username is not None:
        raise typer.BadParameter("leave user and password out; write them into `credentials:`", param_hint="--url")
    route = parts.path or "/"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if len(pairs) > len(dict(pairs)):
        raise typer.BadParameter("names a parameter twice, which no request of a route can", param_hint="--url")
    query = f", query: {json.dumps(dict(pairs), ensure_ascii=False)}" if pairs else ""
    request = f"request: {{path: {json.dumps(route, ensure_ascii=False)}{query}}}"
    text = text.replace(_REQUEST, request).replace(_ORIGIN, f"{parts.scheme}://{parts.netloc}")
    text = text.replace(f"  {_ROUTE}:\n", f"  {json.dumps(route, ensure_ascii=False)}:\n").replace(
        f"localhost:8080{_ROUTE}", f"localhost:8080{route}"
    )
    text = text.replace(f"pushgate try {_ROUTE}", f"pushgate try {route}")
    _check(text)
    return text


def _check(text: str) -> None:
    from ..config import parse
    from ..errors import ConfigError

    try:
        parse(text, file="--url", environ={}, base=Path.cwd())
    except ConfigError as error:
        raise typer.BadParameter(f"no route can poll this as it is: {error.problems[0].message}") from None
