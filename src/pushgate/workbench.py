"""
Where big answers become sealed documents: what the helper process keeps in mind, without I/O.

Rule 1: a commission names the document that is published, by its digest. Whatever the bench made before and is not
that was not believed; whatever it does not know has to come along. So a bench that has just begun, and one that missed
something, go on where they are, and no patch ever leads from anything else than what is published.
Rule 2: what leaves is proven, encoded and compressed, in each mode that the route offers: nobody waits here, and where
it goes, everybody would. Compressing is an eighth of the work, so nobody asks whether there is a client for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pickle import PickleBuffer
from typing import Any, SupportsIndex

import msgspec

from .answers import NO_VALIDATORS, Answer, hash_of
from .config.routes import Route
from .documents.changes import Change, Sealed, Version
from .happenings import Answered, News
from .refinery import Decoder, Recipe, Refinery
from .values import ABSENT


@dataclass(frozen=True, slots=True)
class Base:
    """The document that is published: its digest, and itself as JSON for who does not have it."""

    digest: str
    snapshot: bytes | None = field(repr=False)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return Base, (self.digest, None if self.snapshot is None else PickleBuffer(self.snapshot))


@dataclass(frozen=True, slots=True)
class Commission:
    """
    An answer out of which a document is to be made.

    ``base``: None if nothing is published. ``known``: the hash of a body that need not be read again.
    """

    config: Route
    body: bytes = field(repr=False)
    content_type: str
    at: float
    base: Base | None
    known: bytes | None

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Leave the bytes of the answer out of the pickle, if it is one that can (PEP 574)."""
        return Commission, (
            self.config, PickleBuffer(self.body), self.content_type, self.at, self.base, self.known
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finished:
    """
    What became of a commission.

    ``answered``: what the answer means, its document sealed; None if its bytes were known. ``ttl``: the freshness that
    it tells. ``made``: the digest of its document.
    """

    body_hash: bytes
    answered: Answered | None = None
    ttl: float | None = None
    made: str | None = None


class Workbench:
    """All topics whose documents are made here. ``decoder`` makes the decoder of one topic."""

    def __init__(self, decoder: Callable[[Recipe], Decoder]) -> None:
        self._decoder = decoder
        self._pieces: dict[str, _Piece] = {}

    def refine(self, topic: str, commission: Commission) -> Finished:
        """Do what is commissioned; raises PollError if the answer is no good."""
        piece = self._pieces.get(topic)
        if piece is None:
            recipe = Recipe(commission.config)
            piece = self._pieces[topic] = _Piece(recipe, self._decoder(recipe))
        elif piece.recipe.config != commission.config:
            piece.revise(Recipe(commission.config))
        return piece.refine(commission)

    def forget(self, topic: str) -> None:
        self._pieces.pop(topic, None)


class _Piece:
    """One topic's documents: the published one, and what was made of the latest answer."""

    __slots__ = ("_next", "_published", "_refinery", "recipe")

    def __init__(self, recipe: Recipe, decoder: Decoder) -> None:
        self.recipe = recipe
        self._refinery = Refinery(recipe, decoder)
        self._published: Version | None = None
        self._next: Version | None = None

    def revise(self, recipe: Recipe) -> None:
        """Go on by a recipe that makes the same documents, but may end elsewhere."""
        self.recipe = self._refinery.recipe = recipe

    def refine(self, commission: Commission) -> Finished:
        self._catch_up(commission.base)
        body_hash = hash_of(commission.body)
        if body_hash == commission.known:
            return Finished(body_hash)
        # What else the answer told stayed with whoever got it.
        answer = Answer(200, commission.content_type, commission.body, validators=NO_VALIDATORS, at=commission.at)
        answered = self._refinery.refine(answer)
        if answered.news is None:
            self._next = self._published
        else:
            answered = replace(answered, news=self._seal(answered.news, commission))
        made = None if self._next is None else self._next.digest
        return Finished(body_hash, answered, self._refinery.ttl, made)

    def _catch_up(self, base: Base | None) -> None:
        """Learn what became of the latest document, and be where everybody is."""
        made, self._next = self._next, None
        if base is None:
            if self._published is not None:
                self._refinery.forget()
                self._published = None
        elif made is not None and made.digest == base.digest:
            self._refinery.accept()
            self._published = made
        elif self._published is None or self._published.digest != base.digest:
            assert base.snapshot is not None, "what the bench does not know comes along"
            document = msgspec.json.decode(base.snapshot)
            self._published = Version(0, at=0.0, document=document)
            assert self._published.digest == base.digest, "a snapshot says all of a document"
            self._refinery.resume(document)

    def _seal(self, news: News, commission: Commission) -> News:
        """Return the news as they go out: the document as its bytes, its change as it is told."""
        assert not isinstance(news.document, Sealed) and news.document is not ABSENT, "it was read right here"
        after = self._next = Version(0, at=commission.at, document=news.document)
        change = Change(self._published, after, patch=[*news.patch], keys=self.recipe.keys)
        told = {mode: change.tell(mode) for mode in commission.config.emit}
        apart = {mode: telling for mode, telling in told.items() if telling is None or telling.kind != "snapshot"}
        for telling in apart.values():
            if telling is not None and telling.parcel is not None:
                telling.parcel.press()
        snapshot = after.parcel
        sealed = Sealed(snapshot.data, after.digest, after.size, apart, change.disproved, snapshot.press())
        after.forget_snapshot()  # it is encoded once
        return replace(news, document=sealed, patch=())
