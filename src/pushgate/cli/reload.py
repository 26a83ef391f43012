"""``pushgate reload``: have the gateway that runs on this machine take over what its file says now."""

from __future__ import annotations

import sys

import typer

from .arguments import Output
from .configuration import ConfigFile
from .operator import AdminAddress, AdminToken, tell_gateway


def reload(
    file: ConfigFile = "gateway.yaml", output: Output = "text", admin: AdminAddress = "", token: AdminToken = ""
) -> None:
    """
    Have the running gateway read its configuration again.

    If something is wrong with the file, that is printed, the exit status is 1, and nothing has changed. What is printed
    otherwise is what became of the topics.

        pushgate reload
        pushgate check -c gateway.yaml && pushgate reload --admin 127.0.0.1:8081
    """
    told = tell_gateway("POST", "/-/reload", file=file, admin=admin, token=token)
    if not told.is_ok:
        print(told.complaint or f"pushgate: {told.text.strip()}", file=sys.stderr)  # as `pushgate check` would say it
        raise typer.Exit(1)
    topics = told.json("topics")["topics"]
    if output == "json":
        print(told.text.strip())
        return
    print(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in topics.items()))
