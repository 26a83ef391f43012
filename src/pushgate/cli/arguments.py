"""What several commands take on their command line, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

import typer

Headers = Annotated[
    list[str] | None,
    typer.Option("-H", "--header", metavar="NAME: VALUE", help="A header field of the client's; repeatable."),
]
Output = Annotated[Literal["text", "json"], typer.Option("--output", help="For people, or for programs.")]


def header_fields(texts: Sequence[str], *, example: str = "Accept-Language: de") -> tuple[tuple[str, str], ...]:
    """Return what ``-H`` says, as curl has it; raises BadParameter."""
    fields = [(name.strip(), value.strip()) for name, _, value in (text.partition(":") for text in texts)]
    if any(not name or not value for name, value in fields):
        raise typer.BadParameter(f"write it like '{example}'", param_hint="-H")
    return (*fields,)


def seconds_of(text: str, option: str) -> float:
    """Return a duration that is more than nothing; raises BadParameter."""
    from ..quantities import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if seconds <= 0:
        raise typer.BadParameter("must be above 0s", param_hint=option)
    return seconds


def url_of(text: str, *, example: str) -> SplitResult:
    """Return the parts of an absolute URL; raises BadParameter."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise typer.BadParameter(f"write it like {example}", param_hint="URL")
    return parts
