"""
``batch``: many topics in one request, and which part of its answer is whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never
from urllib.parse import urlsplit, urlunsplit

import msgspec

from .answers import NO_VALIDATORS, Answer, Cost
from .config.pipeline import Batch
from .documents.selecting import find
from .errors import PollError
from .naming import encode_query
from .values import Json, UpstreamRequest


def joined(batch: Batch, request: UpstreamRequest, names: Sequence[str]) -> UpstreamRequest:
    """Return the request for all these topics; ``names``: what stands for each in the query parameter."""
    parts = urlsplit(request.url)
    listed = encode_query([(batch.param, batch.join.join(names))])
    # Commas between values are what most of these parameters are documented with; they need no escape (RFC 3986).
    listed = listed.replace("%2C", ",")
    query = f"{parts.query}&{listed}" if parts.query else listed
    return replace(request, url=urlunsplit(parts._replace(query=query)))


class Shares:
    """
    The answer to a batch, taken apart. ``value``: of the whole answer, without what is ignored.

    ``sharers``: how many topics were asked for.
    """

    def __init__(self, batch: Batch, answer: Answer, value: Json, *, ttl: float | None, sharers: int = 1) -> None:
        self._batch = batch
        cost = Cost(1, answer.cost.bytes // sharers, sharers)
        # Validators would speak for the whole.
        self._answer = replace(answer, validators=NO_VALIDATORS, ttl=ttl, cost=cost)
        self._parts = _parts(batch, value)

    def of(self, name: str) -> Answer:
        """Return one topic's answer; raises PollError if it is left out and that is a failure."""
        parts = self._parts.get(name, [])
        if len(parts) > 1:
            raise PollError("select", f"batch: the answer has {len(parts)} items for {name}")
        if parts:
            return replace(self._answer, body=msgspec.json.encode(parts[0]), value=parts[0])
        match self._batch.missing:
            case "gone" | "keep" as verdict:
                return replace(self._answer, body=b"", value=None, verdict=verdict)
            case "fail":
                raise PollError("select", f"batch: the answer has nothing for {name}")
            case _:
                assert_never(self._batch.missing)


def _parts(batch: Batch, value: Json) -> dict[str, list[Json]]:
    """Return the parts of an answer by the text of the name that they go by."""
    items = value if batch.items is None else find(value, batch.items)
    if isinstance(items, dict):
        return {name: [item] for name, item in items.items()}
    if not isinstance(items, list) or batch.match is None:
        place = batch.items or "the answer"
        remedy = "list; name the member that tells them apart with `match:`" if isinstance(items, list) else "value"
        raise PollError("select", f"batch: {place} is a {remedy}, and should be an object by name or a list of items")
    parts: dict[str, list[Json]] = {}
    for item in items:
        name = item.get(batch.match) if isinstance(item, dict) else None
        if isinstance(name, str | int) and not isinstance(name, bool):
            parts.setdefault(str(name), []).append(item)
    return parts
