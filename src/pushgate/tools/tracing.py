"""
One poll as steps: what goes into each part of the pipeline, and what comes out.

Rule 1: a step is told by whoever takes it. ``TracedRecipe`` and ``TracedReception`` are those of the gateway, and note
what passes through them; a poll that is traced is the poll that a running gateway makes.
Rule 2: a step is noted before the next one begins, for some remove parts of what they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from ..answers import Answer
from ..config.routes import Route as RouteConfig
from ..errors import PollError
from ..happenings import Answered, Denied, Failed, Missing, Outcome, Unchanged
from ..reception import Reception
from ..refinery import Decoder, Recipe
from ..routes import Route
from ..values import ABSENT, UNREAD, Document, Json, Validators
from .narration import counted, key_lines, matches, preview, seconds_text, shape


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, and what went in and out, in lines for people."""

    name: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class Trace:
    """
    The steps of the latest poll.

    ``at``: the step under way. ``error``: why the poll failed there. ``format``: what the answer is taken for and why,
    as whoever got it says.
    """

    steps: list[Step] = field(default_factory=list)
    at: str = "request"
    error: PollError | None = None
    outcome: Outcome | None = None
    format: str = ""

    def begin(self) -> None:
        """Another poll begins."""
        self.steps = []
        self.at, self.error, self.outcome, self.format = "request", None, None, ""

    def note(self, name: str, *lines: str) -> None:
        """Note what a step came to; one that is taken several times, for every page, stays one step."""
        if self.steps and self.steps[-1].name == name:
            lines = (*self.steps.pop().lines, *lines)
        self.steps.append(Step(name, lines))

    def failed(self, error: PollError) -> None:
        self.error = error


class TracedRecipe(Recipe):
    """A recipe that notes what is made of an answer."""

    def __init__(self, config: RouteConfig, trace: Trace) -> None:
        super().__init__(config)
        self._trace = trace
        self.select = self._noting(self.select)

    def check_type(self, content_type: str) -> None:
        trace, expected = self._trace, self.config.guards.content_type
        trace.at = "content_type"
        super().check_type(content_type)
        if expected:
            trace.note("content_type", f"is one of those expected: {', '.join(expected)}")
        trace.at = "decode"

    def check(self, value: Json) -> float | None:
        trace, config = self._trace, self.config
        trace.note("decode", f"{trace.format}: {shape(value)}", preview(value))
        trace.at = "fail_if"
        ttl = super().check(value)
        if config.guards.fail_if is not None:
            trace.note("fail_if", f"`{config.guards.fail_if}` is not true")
        if config.poll.ttl is not None:
            told = "finds no number" if ttl is None else f"the answer is good for {seconds_text(ttl)}"
            trace.note("ttl", f"`{config.poll.ttl}`: {told}")
        trace.at = "accumulate" if self.accumulate is not None else "ignore"
        return ttl

    def strip(self, value: Json) -> Json:
        trace = self._trace
        if self.accumulate is not None:
            trace.note("accumulate", f"{shape(value)} so far, at most {self.accumulate.keep:,}")
        trace.at = "ignore"
        found = {pointer: matches(value, pointer) for pointer in self.config.ignore}
        stripped = super().strip(value)
        if found:
            trace.note("ignore", *(_ignored(pointer, count) for pointer, count in found.items()))
        trace.at = "select" if self.config.batch is None else "batch"
        return stripped

    def _noting(self, select: Callable[[Json], Json]) -> Callable[[Json], Json]:
        def noting(answer: Json) -> Json:
            trace = self._trace
            trace.at = "select"
            document = select(answer)
            if self.config.select is not None:
                trace.note("select", f"`{self.config.select}`: {shape(document)}", preview(document))
            trace.at = "guards"
            if lines := [*key_lines(document, self.keys)]:
                trace.note("key", *lines)
            return document

        return noting


def _ignored(pointer: str, count: int) -> str:
    return f"{pointer}: " + (f"{counted(count, 'member')} removed" if count else "matches nothing")


class TracedReception(Reception):
    """A reception that notes what an answer means."""

    __slots__ = ("_trace",)

    def __init__(self, route: Route, decoder: Decoder, trace: Trace) -> None:
        super().__init__(route, decoder)
        self._trace = trace

    def understand(self, answer: Answer, asked_with: Validators, *, has_document: bool) -> Outcome:
        trace, config = self._trace, self._route.config
        trace.at = "status"
        if answer.value is not UNREAD:
            trace.at = "batch" if config.batch is not None else "pages"
            trace.note(trace.at, f"this topic's part: {shape(answer.value)}" if config.batch else shape(answer.value))
        try:
            outcome = super().understand(answer, asked_with, has_document=has_document)
        except PollError as error:
            trace.failed(error)
            raise
        for name, line in self._meaning(answer, outcome, has_document=has_document):
            trace.note(name, line)
        trace.outcome = outcome
        return outcome

    def _meaning(self, answer: Answer, outcome: Outcome, *, has_document: bool) -> Iterator[tuple[str, str]]:
        match outcome:
            case Answered():
                if outcome.doubt is not None:
                    yield "guards", f"fails `{outcome.doubt.guard}`: {outcome.doubt.detail}"
                else:
                    yield "guards", "nothing is hard to believe" if has_document else "there is nothing to compare with"
                if (until := self._route.config.poll.until) is not None:
                    yield "until", f"`{until}` is {'true: no poll follows' if outcome.is_last else 'not true'}"
            case Unchanged():
                same = f"{answer.status} means that the document stays" if answer.status != 200 else "the same bytes"
                yield "status", "not modified" if outcome.not_modified else same
            case Missing():
                yield "status", f"{answer.status} means that it is gone" if answer.verdict is None else "left out: gone"
            case Denied():
                yield "status", f"{answer.status}: the upstream does not show it to this caller"
            case Failed():
                raise AssertionError("a failed poll is an exception here")
            case _:
                assert_never(outcome)


def view_step(shown: Document, *, where: str) -> Step:
    """Return what a view makes of its parent's document; ``where``: the item, pointer or expression."""
    if shown is ABSENT:
        return Step("view", (f"{where}: there is nothing, so it is gone",))
    return Step("view", (f"{where}: {shape(shown)}", preview(shown)))
