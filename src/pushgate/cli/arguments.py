"""What several commands take on their command line, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import SplitResult, urlsplit

import typer

if TYPE_CHECKING:
    import ssl

Headers = Annotated[
    list[str] | None,
    typer.Option("-H", "--header", metavar="NAME: VALUE", help="A header field of the client's; repeatable."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="PUSHGATE_TOKEN",
        help="Sent as Authorization: Bearer; better by the variable, which others do not see.",
    ),
]
Ca = Annotated[str | None, typer.Option("--ca", metavar="FILE", help="Who is believed beside the usual authorities.")]
Output = Annotated[Literal["text", "json"], typer.Option("--output", help="For people, or for programs.")]


def header_fields(
    texts: Sequence[str], *, token: str | None = None, example: str = "Accept-Language: de"
) -> tuple[tuple[str, str], ...]:
    """
    Return what ``-H`` says, as curl has it, and ``--token``, unless that is said there; raises BadParameter.

    Values are not repeated, for they may be credentials.
    """
    fields = [(name.strip(), value.strip()) for name, _, value in (text.partition(":") for text in texts)]
    if any(not name or not value for name, value in fields):
        raise typer.BadParameter(f"write it like '{example}'", param_hint="-H")
    checked = [_checked(name, value, "-H") for name, value in fields]
    if token and not any(name.lower() == "authorization" for name, _ in checked):
        checked.append(_checked("Authorization", f"Bearer {token}", "--token"))
    return (*checked,)


def _checked(name: str, value: str, option: str) -> tuple[str, str]:
    from ..config.addresses import field_name_of, field_value_of

    try:
        return field_name_of(name), field_value_of(value)
    except ValueError as error:
        raise typer.BadParameter(f"{name}: {error}", param_hint=option) from None


def trusting(ca: str | None) -> ssl.SSLContext:
    """Return whose certificates are believed: those of ``--ca``, too; raises BadParameter."""
    import ssl

    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:  # an SSLError is one
            raise typer.BadParameter(f"{ca}: {error.strerror or error}", param_hint="--ca") from None
    return context


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
