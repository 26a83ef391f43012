"""
A report as a gateway.yaml that can be run as it is: every line that was found has its reason above it.

What is for the user to decide is there too, as a comment. Texts are written plainly where YAML reads them as what they
are, and in double quotes otherwise, with the escapes that YAML shares with JSON.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec

from ...quantities import duration_text
from .asked import Asked
from .samples import Finding, Report

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_/.\-]*(?:/\*/[A-Za-z0-9_/.\-]+)*")
_NOT_TEXT = re.compile(r"(?i)(?:true|false|null|yes|no|on|off|y|n|[.+\-]?(?:inf|nan))")
_DURATION = re.compile(r"(?:[0-9]+(?:d|h|m|s|ms))+")
_WIDTH = 116


def configuration(asked: Asked, report: Report) -> dict[str, Any]:
    """Return the whole gateway.yaml as a mapping, without what is optional."""
    route: dict[str, Any] = {"upstream": asked.name}
    if request := asked.request():
        route["request"] = request
    for finding in report.findings:
        if not finding.is_optional:
            _put(route, finding)
    return {"version": 1, "upstreams": {asked.name: asked.upstream()}, "routes": {asked.route_path(): route}}


def write(asked: Asked, report: Report) -> str:
    """Return the text of a gateway.yaml, with all reasons as comments."""
    return "\n".join([*_head(asked, report), *_upstream(asked), "", *_route(asked, report)]) + "\n"


def as_json(asked: Asked, report: Report) -> dict[str, Any]:
    """Return all that was found for programs: ``config`` is a whole gateway.yaml, ``findings`` says why."""
    transports = report.value("transports")
    return {
        "url": asked.shown,
        "polls": report.polls,
        "seconds": round(report.seconds, 1),
        "changes": report.changes,
        "polled_bytes": report.polled_bytes,
        "pushed_bytes": report.pushed_bytes,
        "transport": None if transports == "short_poll" else transports[0],
        "config": configuration(asked, report),
        "findings": [
            {"path": list(each.path), "value": each.value, "reason": each.reason, "optional": each.is_optional}
            for each in report.findings
        ],
        "notes": list(report.notes),
        "environment": asked.placeholders(),
    }


def _put(route: dict[str, Any], finding: Finding) -> None:
    section = route
    for key in finding.path[:-1]:
        section = section.setdefault(key, {})
    section[finding.path[-1]] = finding.value


def _head(asked: Asked, report: Report) -> Iterator[str]:
    yield from _comment(f"{asked.method} {asked.shown}, {_summary(report)}", "")
    for note in report.notes:
        yield from _comment(note[0].upper() + note[1:] + ".", "")
    if repeated := asked.repeated():
        yield from _comment(f"A route cannot repeat a query parameter: {', '.join(repeated)} has its last value.", "")
    if templates := asked.templates():
        words = (
            f"{', '.join(templates)} would stand for a parameter, it cannot be sent as it is: name it under `query:`."
        )
        yield from _comment(words, "")
    if names := asked.placeholders():
        yield from _comment(f"Set {', '.join(names)} in the environment: credentials are not repeated here.", "")
    yield "version: 1"
    yield ""


def _summary(report: Report) -> str:
    polls = f"{report.polls} polls in {duration_text(round(report.seconds))}"
    changes = {0: "no change", 1: "1 change"}.get(report.changes, f"{report.changes} changes")
    if report.polls < 2:
        return f"{polls}, {changes}."
    return f"{polls}, {changes}: {report.polled_bytes:,} bytes polled, {report.pushed_bytes:,} would be pushed."


def _upstream(asked: Asked) -> Iterator[str]:
    yield "upstreams:"
    yield f"  {flow(asked.name)}:"
    for key, value in asked.upstream().items():
        yield f"    {key}: {flow(value)}"


def _route(asked: Asked, report: Report) -> Iterator[str]:
    yield "routes:"
    yield f"  {flow(asked.route_path())}:"
    yield f"    upstream: {flow(asked.name)}"
    if request := asked.request():
        yield f"    request: {flow(request)}"
    for section, group in groupby(report.findings, key=lambda finding: finding.path[:-1]):
        indent = "    " + "  " * len(section)
        yield from (f"    {key}:" for key in section)
        for finding in group:
            yield from _lines(finding, indent)


def _lines(finding: Finding, indent: str) -> Iterator[str]:
    yield from _comment(finding.reason, indent)
    yield f"{indent}{'# ' if finding.is_optional else ''}{finding.path[-1]}: {flow(finding.value)}"


def _comment(text: str, indent: str) -> list[str]:
    """Break a text over comment lines; what a backend wrote into it can begin no line of its own."""
    clean = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
    return textwrap.wrap(
        clean, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
    )


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{flow(str(key))}: {flow(inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
        case str() if (_PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value)) or _DURATION.fullmatch(value):
            return value
        case _:
            # JSON's escapes are YAML's; line separators that YAML would fold are not left to it.
            text = msgspec.json.encode(value).decode()
            return text.replace("\x7f", "\\u007f").replace("\x85", "\\u0085").replace("\u2028", "\\u2028")
