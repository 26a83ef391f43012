"""``pushgate topics``: how each topic of the running gateway is doing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from .arguments import Output
from .completion import complete_polled, complete_states
from .configuration import ConfigFile
from .operator import AdminAddress, AdminToken, demand, find_admin
from .paint import Paint, legible
from .table import table, width_of

# So often a watched table is drawn, in seconds.
_EVERY = 1.0

_HEAD = ("STATE", "TOPIC", "SUBSCRIBERS", "NEXT POLL", "WHY THEN", "LAST FAILURE")

# Which columns give way to the others: the reasons, then the name.
_GIVING_WAY = (4, 5, 1)

Route = Annotated[
    str | None,
    typer.Option("--route", metavar="ROUTE", help="Only topics of this route.", autocompletion=complete_polled),
]
State = Annotated[
    str | None,
    typer.Option("--state", metavar="STATE", help="Only topics in this state.", autocompletion=complete_states),
]


def topics(
    file: ConfigFile = "gateway.yaml",
    route: Route = None,
    state: State = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=999_999_999, help="How many at most.")] = 1000,
    watch: Annotated[bool, typer.Option("--watch", help="Draw it anew every second; Ctrl-C ends.")] = False,
    output: Output = "text",
    admin: AdminAddress = "",
    token: AdminToken = "",
) -> None:
    """
    Show how each topic is doing, and when it is polled next.

    A topic is one thing that is polled: a route with the values of its parameters, and whose it is if it is not the
    same for everybody. WHY THEN says what decides about its next poll: the interval, freshness, a backoff, an operator.

        pushgate topics
        pushgate topics --route '/stations/{city}' --watch

        # what is in trouble, for a script
        pushgate topics --state stale --output json | jq -r '.topics[].topic'

        # of a gateway elsewhere; the token is server.admin.token
        PUSHGATE_ADMIN_TOKEN=s3cr3t pushgate topics --admin gateway.internal:8081
    """
    filters = {"route": route, "state": state, "limit": str(limit)}
    path = f"/-/topics?{urlencode({name: value for name, value in filters.items() if value is not None})}"

    reach = find_admin(file, admin, token)
    if not watch:
        print("\n".join(_shown(demand(reach, "GET", path, "topics"), output, limit, indent=2)))
        return
    from ..clock import Clock

    clock = Clock()
    try:
        while True:
            _draw([*_shown(demand(reach, "GET", path, "topics"), output, limit, indent=None)], output)
            clock.wait(_EVERY)
    except KeyboardInterrupt:
        return


def _draw(lines: list[str], output: Output) -> None:
    """Replace what the terminal shows by as many lines as it has; elsewhere they are added."""
    import shutil

    if output == "text" and sys.stdout.isatty():
        lines = lines[: shutil.get_terminal_size().lines - 1]
        print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", end="", flush=True)
    else:
        print("\n".join(lines), flush=True)


def _shown(told: dict[str, Any], output: str, limit: int, *, indent: int | None) -> Iterator[str]:
    if output == "json":
        yield json.dumps(told, ensure_ascii=False, indent=indent)
        return
    topics = told["topics"]
    if not topics:
        yield "no topics: nobody follows any, or none fits"
        return
    paint = Paint(sys.stdout)
    rows = [_HEAD, *(_row(legible(topic)) for topic in topics)]
    [head, *lines] = table(rows, width=width_of(sys.stdout), giving_way=_GIVING_WAY)
    yield paint.bold(head)
    for topic, line in zip(topics, lines, strict=True):
        yield _painted(paint, topic["state"], line)
    if len(topics) == limit:
        yield f"… and maybe more: --limit {limit} was reached"


def _row(topic: dict[str, Any]) -> tuple[str, ...]:
    identity = f" ({topic['identity']})" if topic["identity"] else ""
    planned = topic["next_poll"]
    failure = topic["last_failure"] or ""
    if topic["held"]:
        failure = f"held by {topic['held']['guard']}: {topic['held']['detail']}"
    elif failure and topic["failures"] > 1:
        failure = f"{failure} ({topic['failures']} in a row)"
    name, count = f"{topic['topic']}{identity}", str(topic["subscribers"])
    return topic["state"], name, count, _when(planned["at"]), planned["why"] or "", failure


def _when(at: str | None) -> str:
    """Return how far away a moment is: what one wants to know of it, and it has no date."""
    from datetime import datetime

    from ..clock import Clock
    from ..quantities import duration_text

    if at is None:
        return "-"
    seconds = datetime.fromisoformat(at).timestamp() - Clock().wall()
    return f"in {duration_text(max(0, round(seconds)))}"


def _painted(paint: Paint, state: str, line: str) -> str:
    colours = {"live": paint.green, "stale": paint.red, "held": paint.yellow, "gone": paint.red}
    colour = colours.get(state, paint.dim)
    return f"{colour(line[: len(state)])}{line[len(state) :]}"
