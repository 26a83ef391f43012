"""``pushgate replay``: what a route would have made of a recorded series, and what that would have cost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Output
from .completion import complete_polled
from .configuration import VARIABLE, require_config
from .paint import legible

if TYPE_CHECKING:
    from ..config import Gateway
    from ..routes import Route
    from ..tools.recordings import Recorded
    from ..tools.replaying import Replay

DEFAULT = "gateway.yaml"
_AD_HOC = "/replay"
_ALONE = "A route without a file"

FileWithRoute = Annotated[
    str | None,
    typer.Option("--config", "-c", metavar="FILE", help="A gateway.yaml with the route; - reads standard input."),
]
ReplayedRoute = Annotated[
    str | None,
    typer.Option(
        "--route",
        metavar="PATH",
        help="Which of its routes; by default the only one.",
        autocompletion=complete_polled,
    ),
]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="`key` of a route.", rich_help_panel=_ALONE)]
Ignored = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="POINTER", help="`ignore`; repeatable.", rich_help_panel=_ALONE),
]
Selected = Annotated[str | None, typer.Option("--select", metavar="JMESPATH", help="`select`.", rich_help_panel=_ALONE)]
Format = Annotated[str | None, typer.Option("--format", metavar="FORMAT", help="`format`.", rich_help_panel=_ALONE)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=YAML", help="Any other key; repeatable.", rich_help_panel=_ALONE),
]


def replay(
    files: Annotated[list[Path], typer.Argument(help="Recorded bodies in order, or folders of them.")],
    file: FileWithRoute = None,
    route: ReplayedRoute = None,
    key: Key = None,
    ignore: Ignored = None,
    select: Selected = None,
    form: Format = None,
    more: Settings = None,
    output: Output = "text",
) -> None:
    """
    Run recorded answers through a route, and report what comes out.

        pushgate replay recorded/ --key id --ignore /metadata/generated
        pushgate replay recorded/*.csv --format '{kind: csv, delimiter: ";"}' \\
            --set 'quiet={/*/load: 2}'

        # through a route that is there
        pushgate replay recorded/ -c gateway.yaml --route '/stations/{city}'

    A folder stands for its numbered files. NNNN.meta.json beside a body may say its status, headers and time (t; a
    status of 0 is a refused connection), and index.csv when each file was observed_utc; otherwise every answer is a
    200, of the type that its file name tells, one interval of the route after the other.

    A false change is one that told clients nothing: all that differed was noise (the time of the answer, a random
    token), or the next poll undid it. What to ignore against that is printed with its reason.

    Bytes are those of bodies and events, for one client, without header fields. The exit status is 1 if no answer
    became a document.
    """
    from ..tools.recordings import timed

    adhoc = {"key": key, "ignore": ignore or None, "select": select, "format": form}
    options = {name: _yaml(value) for name, value in adhoc.items() if value is not None} | _settings(more or [])
    chosen = _route(file, route, options)
    series = [*_series(files)]
    if not series:
        raise typer.BadParameter("holds no recorded answers (0001.json, 0002.json, …)", param_hint="FILES")
    played = _play(chosen, timed(series, every=chosen.pace), is_for_programs=output == "json")
    from .findings import as_json, as_text

    title = f"{len(series)} answers through {_title(chosen, options)}"
    if output == "json":
        print(json.dumps(as_json(played, chosen), ensure_ascii=False, indent=2))
    else:
        print("\n".join(map(legible, as_text(played, chosen, title))))
    if not played.has_document:
        raise typer.Exit(1)


def _play(route: Route, series: Sequence[tuple[float, Recorded]], *, is_for_programs: bool) -> Replay:
    """Let the series run."""
    from ..adapters.upstream.formats import decoder_for
    from ..tools.replaying import Replay
    from .progress import Progress

    played = Replay(route, decoder_for(route))
    progress = Progress(is_for_programs=is_for_programs)
    for number, (at, poll) in enumerate(series):
        played.take(poll, at=at)
        progress.step(f"{number + 1:,} of {len(series):,} answers")
    progress.clear()
    return played


# The route.


def _route(file: str | None, path: str | None, options: dict[str, Any]) -> Route:
    """Return the route that is asked for: one of a file, or one that is made of the options alone."""
    from ..routes import Route

    if options and (file is not None or path is not None):
        raise typer.BadParameter(f"`{next(iter(options))}` is for a route without a file; change the file instead")
    named = file or os.environ.get(VARIABLE)
    if file is None and path is None and (options or not (named or Path(DEFAULT).exists())):
        config, path = _adhoc(options), _AD_HOC
    else:
        config = require_config(named or DEFAULT)
    return _sound(Route(*_chosen(config, path), config.upstreams))


def _adhoc(options: dict[str, Any]) -> Gateway:
    """Return a gateway with one route of these keys, checked as any other."""
    from ..config import parse
    from ..errors import ConfigError

    route = {"upstream": "recorded", **options}
    text = json.dumps({"version": 1, "upstreams": {"recorded": {"url": "http://recorded.invalid"}},
                       "routes": {_AD_HOC: route}})  # fmt: skip
    try:
        return parse(text, file="options", environ={}, base=Path())
    except ConfigError as error:
        messages = "; ".join(problem.message.removeprefix(f"route {_AD_HOC}: ") for problem in error.problems)
        raise typer.BadParameter(messages) from None


def _chosen(config: Gateway, path: str | None) -> tuple[str, Any]:
    from ..config.finding import did_you_mean

    if path is None and len(config.routes) == 1:
        return next(iter(config.routes.items()))
    names = ", ".join(config.routes)
    if path is None:
        raise typer.BadParameter(f"say which: {names or 'there is none'}", param_hint="--route")
    if path in config.views:
        parent = config.views[path].from_
        raise typer.BadParameter(f"{path} is a view; replay {parent}, which polls", param_hint="--route")
    if path not in config.routes:
        hint = did_you_mean(path, config.routes) or f"; there are {names}"
        raise typer.BadParameter(f"there is no route `{path}`{hint}", param_hint="--route")
    return path, config.routes[path]


def _sound(route: Route) -> Route:
    """Refuse a route whose document is not made of one answer: what was recorded are answers."""
    for name in ("pages", "batch"):
        if getattr(route.config, name) is not None:
            raise typer.BadParameter(f"{route.name} has `{name}`: a document of it is not what one file holds")
    return route


def _title(route: Route, options: dict[str, Any]) -> str:
    if route.name != _AD_HOC:
        return route.name
    told = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in options.items())
    return f"a route of its own ({told})" if told else "a route without any settings"


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    found = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise typer.BadParameter("write it like 'quiet={/load: 2}'", param_hint="--set")
        found[name.strip()] = _yaml(value)
    return found


def _yaml(value: str | list[str]) -> Any:
    """Return the value of an option: a text, unless it is a list or a mapping in YAML."""
    import yaml

    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value  # a JMESPath may begin like that


# The files.


def _series(files: Sequence[Path]) -> Iterator[Recorded]:
    from ..tools.recordings import INDEX, bodies, is_body, times_of

    for place in files:
        if not place.exists():
            raise typer.BadParameter(f"there is no {place}", param_hint="FILES")
    found: list[Path] = []
    for place in files:
        if place.is_dir():
            names = [entry.name for entry in place.iterdir() if entry.is_file()]
            found += [place / name for name in bodies(names)]
        elif is_body(place.name):
            found.append(place)
    times = {folder: times_of(_text(folder / INDEX)) for folder in {body.parent for body in found}}
    for body in found:
        yield _recorded(body, times[body.parent].get(body.name))


def _recorded(body: Path, at: float | None) -> Recorded:
    from ..tools.recordings import META, recorded

    beside = body.with_name(body.name.partition(".")[0] + META)
    text = _text(beside)
    try:
        meta = json.loads(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"{beside.name} is no JSON: {error}", param_hint="FILES") from None
    try:
        return recorded(body.name, _bytes(body), meta=meta, at=at)
    except (AttributeError, TypeError, ValueError):
        told = f'{beside.name}: write it like {{"status": 200, "headers": {{}}, "t": 1760000000}}'
        raise typer.BadParameter(told, param_hint="FILES") from None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILES") from None


def _text(file: Path) -> str:
    return _bytes(file).decode("utf-8-sig", "replace") if file.exists() else ""
