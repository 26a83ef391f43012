"""
A recorded series through the pipeline of a route: what would have been published, and what that would have cost.

Rule 1: it is the gateway's own pipeline, topic and history. Only time is not: polls are when the recording says, and
what the topic would have liked better is not asked.
Rule 2: bytes are those of bodies, documents and events, without header fields and framing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..answers import NO_VALIDATORS, Answer
from ..documents.changes import Change, Sealed
from ..documents.guarding import Doubt
from ..documents.history import History, Limits
from ..documents.keys import keyless_arrays
from ..errors import PollError, PollErrorReason
from ..happenings import Answered, Append, Command, Denied, End, Failed, Joined, News, Outcome, Unchanged
from ..reception import Reception
from ..refinery import Decoder
from ..routes import Route
from ..timetable import Moment
from ..topic import Topic
from ..values import ABSENT, Mode, Validators
from .falsity import Falsity, Published, judge
from .recordings import Recorded

MODES: tuple[Mode, ...] = ("patch", "merge", "items", "snapshot")

Fate = Literal["confirmed", "dropped", "open"]

# What a 304 in a recording was asked with: something, or it would not be one.
_ASKED = Validators(etag="recorded")


@dataclass(slots=True)
class Holding:
    """An answer that a guard held: since which poll, how many polls said the same, and what became of it."""

    poll: int
    name: str
    doubt: Doubt
    size: int  # bytes of the answer
    polls: int = 1
    fate: Fate = "open"
    why: str = "the series ends there"


@dataclass(slots=True)
class Failures:
    """The polls that failed for one reason, and what was wrong with the first of them."""

    detail: str
    polls: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Cost:
    """What one client would have got in one mode."""

    bytes: int = 0
    events: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """What came of a series."""

    polls: int = 0
    unchanged: Counter[str] = field(default_factory=Counter)  # by how that was seen
    changes: int = 0
    gone: int = 0  # of them, those that said that the document does not exist
    holdings: list[Holding] = field(default_factory=list)
    failures: dict[PollErrorReason, Failures] = field(default_factory=dict)
    polled: int = 0  # bytes of all bodies
    distinct: int = 0  # bytes of those bodies that differ from the one before
    documents: int = 0  # bytes of the documents that a client would have got that polls with an ETag
    costs: dict[Mode, Cost] = field(default_factory=lambda: {mode: Cost() for mode in MODES})
    keyless: Counter[str] = field(default_factory=Counter)
    disproved: int = 0  # patches that did not prove themselves: a bug of ours
    ended: int | None = None  # the poll at which ``until`` came true


class Replay:
    """A series on its way through a route; ``take`` its polls in order."""

    def __init__(self, route: Route, decoder: Decoder) -> None:
        self.tally = Tally()
        self._route = route
        self._topic = Topic(route.terms, route.timetable(0.0), now=0.0)
        self._topic.handle(Joined(), Moment(0.0, 0.0, 0.5))
        self._reception = Reception(route, decoder)
        limits = Limits(events=1, bytes=1 << 62, age=math.inf)
        self._history = History(epoch="replay", scope=route.name, limits=limits, keys=route.keys)
        self._published: list[Published] = []
        self._last_body: bytes | None = None

    def take(self, recorded: Recorded, *, at: float) -> None:
        """Poll: this is what came of it. ``at``: when, since the epoch; what follows ``until`` is not taken."""
        tally = self.tally
        if tally.ended is not None:
            return
        tally.polls += 1
        self._reception.since(at)
        outcome, answer = self._outcome(recorded, at)
        commands = self._topic.handle(outcome, Moment(at, at, 0.5))
        if answer is not None and not isinstance(outcome, Failed):
            self._reception.remember(answer, outcome, self._topic.state)
        self._note_held(recorded.name, outcome)
        for command in commands:
            self._obey(command)
        if isinstance(outcome, Unchanged):
            tally.unchanged["not modified" if outcome.not_modified else "the same bytes"] += 1
        elif isinstance(outcome, Answered) and outcome.news is None and self._topic.state != "held":
            tally.unchanged["the same document"] += 1

    @property
    def has_document(self) -> bool:
        """Whether any answer became a document."""
        return any(each.document is not ABSENT for each in self._published)

    def falsity(self) -> Falsity:
        """Judge the changes; to be asked at the end."""
        failed = sum(len(each.polls) for each in self.tally.failures.values())
        return judge(self._published, polls=self.tally.polls - failed)

    @property
    def idle(self) -> list[str]:
        """The pointers of ``ignore`` that matched nothing in the latest 20 answers."""
        return self._route.recipe.ignore.idle()

    def _outcome(self, recorded: Recorded, at: float) -> tuple[Outcome, Answer | None]:
        tally = self.tally
        if isinstance(recorded.outcome, PollError):
            return self._failed(recorded.outcome), None
        answer = replace(recorded.outcome, at=at)
        tally.polled += len(answer.body)
        tally.distinct += len(answer.body) if answer.body != self._last_body else 0
        self._last_body = answer.body
        asked_with = _ASKED if answer.status == 304 else NO_VALIDATORS
        try:
            outcome = self._reception.understand(answer, asked_with, has_document=self._topic.has_document)
        except PollError as error:
            return self._failed(error), answer
        if isinstance(outcome, Denied):
            self._failed(PollError("upstream_auth", f"the upstream answered {outcome.status} to the caller"))
        return outcome, answer

    def _failed(self, error: PollError) -> Failed:
        failures = self.tally.failures.setdefault(error.reason, Failures(error.detail))
        failures.polls.append(self.tally.polls)
        return Failed(error.reason, error.retry_after)

    def _note_held(self, name: str, outcome: Outcome) -> None:
        """Follow what is held until it is confirmed or dropped."""
        holdings = self.tally.holdings
        current = holdings[-1] if holdings and holdings[-1].fate == "open" else None
        doubt = outcome.doubt if isinstance(outcome, Answered) else None
        if current is not None and doubt is not None and doubt.guard == current.doubt.guard:
            current.polls += 1
            if self._topic.state != "held":
                current.fate, current.why = "confirmed", f"{current.polls} polls in a row said so"
            return
        if current is not None:
            current.fate, current.why = "dropped", _why_dropped(outcome)
        held = self._reception.held if doubt is not None else None  # a failed poll leaves what was there
        if held is not None:
            holdings.append(Holding(self.tally.polls, name, held.doubt, held.size))

    def _obey(self, command: Command) -> None:
        match command:
            case Append():
                self._publish(command.news, command.at)
            case End():
                self.tally.ended = self.tally.polls
            case _:
                pass  # when to poll next, and whom to tell, is no question here

    def _publish(self, news: News, at: float) -> None:
        tally, document = self.tally, news.document
        assert not isinstance(document, Sealed), "every answer is read right here"
        change = self._history.append(len(self._published) + 1, at=at, document=document, patch=list(news.patch))
        self._published.append(Published(tally.polls, at, document, news.patch))
        if change.before is not None:
            tally.changes += 1
            tally.gone += document is ABSENT
            tally.keyless.update(news.keyless)
        elif document is not ABSENT:
            tally.keyless.update(keyless_arrays(document, self._route.keys))
        self._count(change)
        tally.disproved += change.disproved

    def _count(self, change: Change) -> None:
        self.tally.documents += change.after.size
        for mode, cost in self.tally.costs.items():
            telling = change.tell(mode)
            if telling is not None:
                cost.bytes += len(telling.data)
                cost.events[telling.kind] += 1


def _why_dropped(outcome: Outcome) -> str:
    match outcome:
        case Failed():
            return f"the next poll failed: {outcome.reason}"
        case Answered(doubt=Doubt() as doubt):
            return f"the next one fails `{doubt.guard}`"
        case Answered() | Unchanged():
            return "the next one is plausible"
        case _:
            return "the next one says that it is gone"


def runs(numbers: Sequence[int]) -> str:
    """Return rising numbers as ``1, 9-16``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number])
    return ", ".join("-".join(map(str, run)) for run in found)
