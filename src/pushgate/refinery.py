"""
From an answer to a document, and to what is new about it: the pipeline, without I/O.

In this order: decode; ``content_type``, ``fail_if`` and ``ttl`` look at the answer; ``accumulate`` adds it to what came
before; ``ignore`` removes, ``select`` picks; ``quiet``, ``key`` and ``unordered`` say what is a difference; guards say
what is hard to believe; ``until`` says whether there will be more. What comes out is kept when the topic accepts it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Protocol

from .answers import Answer
from .config.pipeline import Accumulate
from .config.routes import Route
from .documents.diffing import compare
from .documents.guarding import doubt
from .documents.keys import Keys
from .documents.ordering import Unordered
from .documents.quieting import Quiet
from .documents.selecting import Ignore, compile_number, compile_select, compile_test
from .errors import PollError
from .gathering import Gathering
from .happenings import Answered, Freshness, News
from .values import ABSENT, UNREAD, Document, Json


class Decoder(Protocol):
    """Makes JSON values of the successive answers of one topic."""

    def decode(self, body: bytes, content_type: str) -> Json:
        """Return the value of a body; raises PollError(``decode``)."""

    def learn(self, document: Document | None) -> None:
        """Hear what was published for the latest body, because the next one may be much the same."""


class Recipe:
    """What a route says about its documents, compiled once for all its topics."""

    def __init__(self, config: Route) -> None:
        self.config = config
        self.keys = Keys.of(config.document_key)
        self.ignore = Ignore(config.ignore)
        self.select = compile_select(config.select, may_be_null=config.guards.empty == "accept")
        self.quiet = Quiet(config.quiet)
        self.unordered = Unordered(config.unordered, keys=self.keys, quiet=self.quiet)
        self.accumulate: Accumulate | None = config.accumulate
        self._fail_if = compile_test(config.guards.fail_if)
        self._ttl = compile_number(config.poll.ttl)
        self._until = compile_test(config.poll.until)
        self._idle: set[str] = set()  # told already
        self._types = frozenset(name.lower() for name in config.guards.content_type)

    @property
    def keeps_shape(self) -> bool:
        """Whether a document has the answer's shape: nothing but members of objects is ever taken out of it."""
        config = self.config
        shapers = (config.select, config.unordered, config.quiet, config.accumulate, config.pages, config.batch)
        return not any(shapers) and self.ignore.keeps_shape

    def check_type(self, content_type: str) -> None:
        """Raise PollError(``guard``) if the answer has a media type that the route does not expect."""
        media_type = content_type.partition(";")[0].strip().lower()
        if self._types and media_type not in self._types:
            raise PollError("guard", f"the answer is {media_type or 'without a type'}, not {' or '.join(self._types)}")

    def check(self, value: Json) -> float | None:
        """Return the freshness that a decoded answer tells, in seconds; raises PollError(``fail_if``)."""
        if self._fail_if(value):
            raise PollError("fail_if", f"the answer makes `{self.config.guards.fail_if}` true")
        return self._ttl(value)

    def strip(self, value: Json) -> Json:
        """Return a whole answer without what is ignored."""
        return self.ignore(value, is_whole=not self.keeps_shape)

    def newly_idle(self) -> list[str]:
        """Return the ``ignore`` pointers that have stopped to match anything since this was last asked."""
        if not self.config.ignore:
            return []
        idle = set(self.ignore.idle())
        new, self._idle = idle - self._idle, idle
        return sorted(new)

    def is_last(self, document: Document) -> bool:
        return document is not ABSENT and self._until(document)


class Refinery:
    """Makes documents of the successive answers of one topic, and knows the one that is published."""

    def __init__(self, recipe: Recipe, decoder: Decoder) -> None:
        self.recipe = recipe
        self._decoder = decoder
        self._published: Document = ABSENT
        self._next: Document = ABSENT  # what is published once the topic accepts it
        self._teaches = False  # whether the decoder may take the published document for the latest answer
        self.ttl: float | None = None  # the freshness that the latest answer told, in seconds
        self._gathering = Gathering(recipe.accumulate) if recipe.accumulate is not None else None

    def since(self, now: float) -> tuple[str, str] | None:
        """Return the query parameter that asks for what is new only; None asks for everything."""
        return None if self._gathering is None else self._gathering.since(now)

    def read(self, answer: Answer) -> Json:
        """Return the value of a whole answer, checked; raises PollError."""
        self.recipe.check_type(answer.content_type)
        if not answer.body and self._has_room_for_nothing():
            return None
        value = self._decoder.decode(answer.body, answer.content_type)
        self.ttl = self.recipe.check(value)
        return value

    def refine(self, answer: Answer) -> Answered:
        """Return what an answer means to the topic; raises PollError if it is no good."""
        if answer.value is UNREAD:
            value = self.read(answer)
        else:
            value, self.ttl = answer.value, answer.ttl
        document = self._document(value)
        keys, guards = self.recipe.keys, self.recipe.config.guards
        suspicion = doubt(self._published, document, guards=guards, keys=keys)
        if suspicion is not None and suspicion.verdict == "reject":
            raise PollError("guard", f"{suspicion.guard}: {suspicion.detail}")
        news = self._news(document)
        freshness = Freshness(answer.fresh_for, answer.modified_at, self.ttl)
        return Answered(news, answer.at, suspicion, self.recipe.is_last(document), freshness)

    def accept(self) -> None:
        """The topic believes the latest answer: its document is the one that is published from now on."""
        self._published = self._next
        if self._gathering is not None:
            self._gathering.accept()
        if self._teaches:
            self._decoder.learn(self._published)

    def resume(self, document: Json) -> None:
        """Begin with a document that is published already."""
        self._published = document

    def forget(self) -> None:
        """There is no document any more."""
        self._published = ABSENT
        self._decoder.learn(None)
        if self._gathering is not None:
            self._gathering.forget()

    def _has_room_for_nothing(self) -> bool:
        """Whether an empty body may stand for null: where there was something, the guards look at it."""
        kind, guards = self.recipe.config.format.kind, self.recipe.config.guards
        return kind not in ("text", "binary") and (self._published is not ABSENT or guards.empty == "accept")

    def _document(self, value: Json) -> Json:
        recipe = self.recipe
        if recipe.config.batch is None:
            if self._gathering is not None:
                value = self._gathering.add(value)
                value = deepcopy(value) if recipe.config.ignore else value  # what was gathered stays whole
            value = recipe.strip(value)
        return recipe.select(value)

    def _news(self, document: Json) -> News | None:
        """Compare with what is published; the new document takes over whatever is the same."""
        if self._published is ABSENT:
            self._next, self._teaches = document, True
            return News(document)
        recipe = self.recipe
        document = recipe.unordered.arrange(self._published, document)
        difference = compare(self._published, document, keys=recipe.keys)
        if difference is None:
            self._next, self._teaches = self._published, True
            return None
        if recipe.quiet.hides(self._published, difference.document):
            self._next, self._teaches = self._published, False  # its bytes say something else
            return None
        self._next, self._teaches = difference.document, True
        return News(difference.document, tuple(difference.patch), difference.keyless, difference.keyless_count)
