"""``pushgate tail``: follow a topic over any transport, and see what changes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .arguments import Ca, Headers, Output, Token, header_fields, seconds_of, trusting, url_of
from .paint import legible

if TYPE_CHECKING:
    from ..tools.following.address import Address
    from ..values import Transport

_FOLLOWING = "How it is followed"

Way = Literal["auto", "sse", "websocket", "long_poll", "short_poll"]

Url = Annotated[str, typer.Argument(help="The topic's URL, or with TOPICS that of the gateway.")]
Topics = Annotated[
    list[str] | None, typer.Argument(help="Topics that are followed together, on one connection: /quotes/ACME?lang=de")
]
WayOption = Annotated[
    Way,
    typer.Option("--transport", help="auto is the first that the route offers.", rich_help_panel=_FOLLOWING),
]
Emit = Annotated[
    Literal["patch", "merge", "items", "snapshot"] | None,
    typer.Option("--emit", help="How changes are told; by default as the route says.", rich_help_panel=_FOLLOWING),
]
CursorOption = Annotated[
    str | None,
    typer.Option(
        "--cursor",
        metavar="CURSOR",
        help="Go on behind this event (an id); now: from what comes next.",
        rich_help_panel=_FOLLOWING,
    ),
]
Throttle = Annotated[
    str | None,
    typer.Option("--throttle", metavar="DURATION", help="At most one change in so long.", rich_help_panel=_FOLLOWING),
]
Every = Annotated[
    str | None,
    typer.Option(
        "--every",
        metavar="DURATION",
        help="Between two short polls; by default as long as an answer is good, or 5s.",
        rich_help_panel=_FOLLOWING,
    ),
]
For = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="End after so long.")]
Count = Annotated[
    int | None, typer.Option("--count", metavar="N", min=1, help="End after so many changes, the first one included.")
]
Shows = Annotated[bool, typer.Option("--document", help="Print the document after each change.")]
KeyOption = Annotated[
    str, typer.Option("--key", metavar="MEMBER", help="What tells items apart, as `key` of the route says.")
]


def tail(
    url: Url,
    topics: Topics = None,
    transport: WayOption = "auto",
    emit: Emit = None,
    cursor: CursorOption = None,
    throttle: Throttle = None,
    every: Every = None,
    headers: Headers = None,
    token: Token = None,
    ca: Ca = None,
    duration: For = None,
    count: Count = None,
    document: Shows = False,
    key: KeyOption = "id",
    output: Output = "text",
) -> None:
    """
    Follow topics over any transport, and print what changes.

    What a client has to do is done: changes are applied to a document, so one sees what they change; a connection that
    ends is opened again where it was, as soon as the gateway wants it; what cannot be mended ends the command with 1.
    It ends with 0 if there will be no more changes, after --for or --count, or by Ctrl-C.

        pushgate tail http://localhost:8080/departures
        pushgate tail 'http://localhost:8080/quotes/ACME?lang=de' --emit merge

        # several topics on one connection, each with its document
        pushgate tail http://localhost:8080 /departures /stations/paris --document

        # as somebody; one envelope a line, for a program
        pushgate tail http://localhost:8080/orders --output json \\
            -H "Authorization: Bearer $(pushgate token --auth staff --sub ada)"

        # one change, or none within ten seconds
        pushgate tail http://localhost:8080/orders --cursor now --count 1 --for 10s
    """
    import asyncio

    from .pursuit import Pursuit, pursue
    from .telling import Teller

    address = _address(url, topics or [], emit=emit, throttle=throttle)
    pursuit = Pursuit(
        address=address,
        transports=_transports(transport, address),
        cursor=cursor or address.cursor,
        headers=header_fields(headers or [], token=token),
        trust=trusting(ca),
        every=None if every is None else seconds_of(every, "--every"),
        seconds=None if duration is None else seconds_of(duration, "--for"),
        count=count,
    )
    teller = Teller(output, key=key, shows_document=document, names_topics=address.is_shared)
    over = asyncio.run(pursue(pursuit, teller))
    if over is not None and not over.is_good:
        print(legible(f"{url}: {over.why}"), file=sys.stderr)
        raise typer.Exit(1)


def _address(url: str, topics: list[str], *, emit: str | None, throttle: str | None) -> Address:
    from ..tools.following.address import Address

    url_of(url, example="http://localhost:8080/departures")
    if wrong := [topic for topic in topics if not topic.startswith("/")]:
        raise typer.BadParameter(f"{wrong[0]}: a topic begins with /", param_hint="TOPICS")
    return Address.read(url, topics).wanting([("emit", emit), ("throttle", throttle)])


def _transports(way: Way, address: Address) -> tuple[Transport, ...]:
    if way == "auto":
        return address.transports
    if way not in address.transports:
        raise typer.BadParameter("several topics are followed by sse, websocket or long_poll", param_hint="--transport")
    return (way,)
