"""Every event that the log can have is explained to those who run the gateway, and no other."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from pushgate.logs import CROWDS, ENDS, TROUBLES

ROOT = Path(__file__).parents[1]
METHODS = {"debug", "info", "warning", "error", "exception"}
NAME = re.compile(r"[a-z]+\.[a-z_]+")


@cache
def said() -> list[tuple[Path, str]]:
    """Every event name that stands in the code, with the file in which it does."""
    found = []
    for path in sorted((ROOT / "src" / "pushgate").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("log"), attr=method), args=[ast.Constant(str(event)), *_]
                ) if method in METHODS:
                    found.append((path, event))
                case ast.Call(func=ast.Attribute(attr="log"), args=[_, ast.Constant(str(event))]):
                    found.append((path, event))
    return found


def told() -> list[str]:
    """The events of the table in docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.partition("\n## Logs\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_event_is_explained() -> None:
    """A line of the log that nobody has an answer to is noise."""
    events = {event for _, event in said()}
    assert events and sorted(told()) == sorted(events)


def test_events_are_named_by_a_thing_and_what_became_of_it() -> None:
    for path, event in said():
        assert NAME.fullmatch(event), f"{path}: {event}"


def test_what_is_told_seldom_exists() -> None:
    """The tables of what repeats name no event that was renamed since."""
    events = {event for _, event in said()}
    assert {*TROUBLES, *ENDS, *CROWDS, *(begun for begun, _ in ENDS.values())} <= events
