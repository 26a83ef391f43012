"""Command lines of pushgate as other files write them: whether they would be understood, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer.main

from pushgate.cli import app


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """Return what the command would be given; fails if there is no such command, or no such option."""
    group = typer.main.get_command(app)
    name, *rest = arguments
    command = group.commands[name]  # type: ignore[attr-defined]  # a group, as there are many
    context = command.make_context(name, [*rest])
    assert isinstance(context.params, dict)
    return context.params
