"""
A recorded poll: from a file's bytes, and what was written down beside it, to what the upstream said.

Rule 1: ``NNNN.meta.json`` beside ``NNNN.ext`` says how it went: ``status`` (0: there was no answer), ``headers``, and
``t``, when it was read, since the epoch. Without it the status is 200 and the type follows from the file's name.
Rule 2: ``index.csv`` beside the files says in its column ``observed_utc`` when each ``file`` was read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..answers import Answer
from ..errors import PollError
from ..freshness import date_of, fresh_for, modified_at, quota, retry_after, telling_fields
from ..values import Validators

INDEX, META = "index.csv", ".meta.json"

_TYPES = {
    "json": "application/json",
    "geojson": "application/geo+json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "xml": "text/xml",
    "kml": "application/vnd.google-earth.kml+xml",
    "rss": "application/rss+xml",
    "atom": "application/atom+xml",
    "html": "text/html",
    "htm": "text/html",
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One poll of a series: its file, and what was answered or why nothing was. ``at``: when, if that is known."""

    name: str
    outcome: Answer | PollError
    at: float | None


def recorded(name: str, body: bytes, *, meta: Mapping[str, Any] | None, at: float | None) -> Recorded:
    """Return a poll from its file and the value of its ``.meta.json``, if there is one."""
    if meta is None:
        answer = Answer(200, _TYPES.get(name.rpartition(".")[2].lower(), ""), body, Validators(), at or 0.0)
        return Recorded(name, answer, at)
    fields = {str(field).lower(): str(value) for field, value in (meta.get("headers") or {}).items()}
    told = meta.get("t")
    at = float(told) if isinstance(told, int | float) else at if at is not None else date_of(fields.get("date", ""))
    status = int(meta.get("status", 200))
    if status == 0:
        return Recorded(name, PollError("connect", fields.get("error", "there was no answer")), at)
    return Recorded(name, _answer(status, fields, body, at or 0.0), at)


def _answer(status: int, fields: dict[str, str], body: bytes, at: float) -> Answer:
    telling = telling_fields(fields)
    return Answer(
        status,
        fields.get("content-type", ""),
        body,
        Validators(fields.get("etag"), fields.get("last-modified")),
        at,
        retry_after=retry_after(telling, at),
        fresh_for=fresh_for(telling, at),
        modified_at=modified_at(telling, at),
        quota=quota(telling, at),
    )


def times_of(index: str) -> dict[str, float]:
    """Read the text of an ``index.csv``: when each file was read, since the epoch; what cannot be read is left out."""
    times: dict[str, float] = {}
    for row in csv.DictReader(index.splitlines()):
        try:
            moment = datetime.fromisoformat(row.get("observed_utc") or "")
        except ValueError:
            continue
        times[row.get("file") or ""] = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return times


def bodies(names: Iterable[str]) -> list[str]:
    """Return which files of a folder are recorded bodies, in order: those with numbers for names, or else all."""
    candidates = [name for name in names if is_body(name)]
    numbered = [name for name in candidates if name.partition(".")[0].isdigit()]
    return sorted(numbered or candidates, key=_by_number)


def is_body(name: str) -> bool:
    """Whether a file is no description of others."""
    return not (name in (INDEX, "meta.json") or name.endswith(META) or name.startswith("."))


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sort 2.json before 10.json."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def timed(series: Sequence[Recorded], *, every: float) -> list[tuple[float, Recorded]]:
    """Return when each poll was, since the epoch; where that is not known, ``every`` seconds after the one before."""
    found: list[tuple[float, Recorded]] = []
    for poll in series:
        last = found[-1][0] if found else -every
        found.append((last + every if poll.at is None else max(poll.at, last), poll))
    return found
