"""``pushgate refresh``: poll topics of the running gateway now."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import quote

import typer

from .arguments import Output
from .completion import complete_live_topics
from .configuration import ConfigFile
from .operator import AdminAddress, AdminToken, demand, find_admin


def refresh(
    topics: Annotated[
        list[str],
        typer.Argument(help="What clients ask for: '/quotes/ACME?lang=de'.", autocompletion=complete_live_topics),
    ],
    file: ConfigFile = "gateway.yaml",
    output: Output = "text",
    admin: AdminAddress = "",
    token: AdminToken = "",
) -> None:
    """
    Have topics polled now, without waiting for their time.

    A topic is polled once for everybody whose it is. One that nobody has asked for lately is not there, which is a
    failure. Budgets hold, and what is paused stays so.

        pushgate refresh /departures
        pushgate refresh '/stations/paris?lang=de' /stations/rome
    """
    reach = find_admin(file, admin, token)
    found = {}
    for topic in topics:
        found[topic] = demand(reach, "POST", f"/-/refresh?topic={quote(topic, safe='')}", "topics")["topics"]
        if output == "text":
            noun = "topic" if found[topic] == 1 else "topics"
            print(f"{topic}: {found[topic]} {noun} polled")
    if output == "json":
        print(json.dumps({"refreshed": found}, ensure_ascii=False, indent=2))
