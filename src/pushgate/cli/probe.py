"""
``pushgate probe``: which route suits this backend?

It polls for a while, one request at a time and ever more slowly, and prints a gateway.yaml with the reason for each
line. What it is told with ``-u``, ``-H`` and ``-d`` is sent, and credentials in it are not printed.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .arguments import header_fields, seconds_of, url_of
from .paint import Paint, legible

if TYPE_CHECKING:
    from ..answers import Answer
    from ..errors import PollError
    from ..tools.probing import Asked, Decode, Format, Report

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def probe(
    url: Annotated[str, typer.Argument(help="What to poll.")],
    headers: Annotated[
        list[str] | None, typer.Option("-H", "--header", metavar="NAME: VALUE", help="A header field; repeatable.")
    ] = None,
    user: Annotated[str | None, typer.Option("-u", "--user", metavar="NAME:PASSWORD", help="HTTP Basic.")] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", metavar="BODY", help="A body; POST unless -X.")] = None,
    method: Annotated[Method | None, typer.Option("-X", "--request", help="The method.")] = None,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long to poll at most.")] = "2m",
    max_polls: Annotated[int, typer.Option(min=2, help="How many polls at most.")] = 120,
    output: Annotated[Literal["yaml", "json"], typer.Option("--output", help="yaml or json.")] = "yaml",
) -> None:
    """
    Poll a backend for a while, and print a route for it.

    One request at a time, ever more slowly where nothing happens; Ctrl-C means that what was seen is enough. Each line
    of the route has its reason above it. -H, -u, -d and -X are curl's; what they show to the backend is not printed.

        pushgate probe https://bikes.example/api/stations > gateway.yaml
        pushgate probe https://shop.example/orders -u ann:s3cr3t --for 10m

        # what is asked by POST
        pushgate probe https://api.example/graphql -H 'X-Api-Key: k' \\
            -d '{"query": "{trains{line at}}"}'
    """
    import asyncio

    from ..clock import Clock
    from ..errors import PollError
    from ..tools.probing import infer
    from .progress import Progress
    from .watch import Watch, poll

    asked = _asked(url, headers or [], user, data, method)
    progress = Progress(is_for_programs=output == "json")
    watch = Watch(Clock(), seconds_of(duration, "--for"), max_polls, progress)
    asyncio.run(poll(asked, watch))
    try:
        if not watch.samples:
            raise watch.failure or PollError("protocol", "there was no time for an answer")
        report = infer(watch.samples, decoder())
    except PollError as error:
        print(legible(f"{asked.shown}: {error}{_remedy(error)}"), file=sys.stderr)
        raise typer.Exit(1) from None
    _print(asked, report, output)


def _asked(url: str, headers: list[str], user: str | None, data: str | None, method: Method | None) -> Asked:
    from ..tools.probing import Asked

    url_of(url, example="https://bikes.example/api/stations")
    fields = header_fields(headers, example="Accept: text/csv")
    if data is not None and method in ("GET", "HEAD"):
        raise typer.BadParameter(f"a {method} has no body", param_hint="-d")
    return Asked(url, method or ("GET" if data is None else "POST"), fields, data, user)


def decoder() -> Decode:
    """Return the gateway's own decoders, made once for each format; raises PollError(``decode``) as they do."""
    from pydantic import TypeAdapter

    from ..adapters.upstream.formats import decoder_of, missing_library
    from ..config.formats import Format as Section
    from ..errors import PollError

    adapter: TypeAdapter[Section] = TypeAdapter(Section)

    def decode(form: Format, answer: Answer) -> object:
        section = adapter.validate_python(form if isinstance(form, str) else dict(form))
        if (missing := missing_library(section)) is not None:
            raise PollError("decode", missing)
        return decoder_of(section, keeps_shape=False).decode(answer.body, answer.content_type)

    return decode  # type: ignore[return-value]  # what a decoder returns is Json


def _remedy(error: PollError) -> str:
    match error.reason:
        case "upstream_auth":
            return "; show who you are with -u or -H"
        case "http_4xx":
            return "; look at the path, and at -X and -d"
        case "protocol" if "answered 3" in error.detail:
            return "; probe the address that it redirects to"
        case _:
            return ""


def _print(asked: Asked, report: Report, output: str) -> None:
    from ..tools.probing import as_json, write

    if output == "json":
        print(json.dumps(as_json(asked, report), ensure_ascii=False, indent=2))
        return
    print(Paint(sys.stdout).comments(write(asked, report)), end="")
