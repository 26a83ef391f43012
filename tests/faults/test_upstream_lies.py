"""Upstreams that are not to be taken at their word, neither about their documents nor about what has changed."""

from __future__ import annotations

import json
from email.utils import formatdate
from math import inf
from typing import Any, ClassVar

import pytest

from troubles import Trouble, staged
from upstreams import Asked, respond

# What is hard to believe: held, and asked for again.


class Suspicious(Trouble):
    """``lie`` is the document that it has when it lies."""

    route: ClassVar = {"guards": {"confirm_after": "200ms"}}
    lie: ClassVar[Any]

    def crime(self, asked: Asked) -> bytes:
        return self.say(json.dumps(self.lie))


class EmptiesItself(Suspicious):
    lie: ClassVar = []


class LosesMostOfItsItems(Suspicious):
    lie: ClassVar = [{"id": 3, "version": 1}]


class TurnsIntoAnObject(Suspicious):
    lie: ClassVar = {"message": "back soon"}


class SendsAnEmptyBody(Suspicious):
    lie: ClassVar = None

    def crime(self, asked: Asked) -> bytes:
        return self.say(b"")


class ChangesItsPage(Suspicious):
    """Nothing of what is looked for is found on the page."""

    lie: ClassVar = []
    type: ClassVar = "text/html"
    route: ClassVar = Suspicious.route | {
        "format": {"kind": "html", "items": "li", "fields": {"id": "b", "version": "i"}}
    }

    def body(self, version: int) -> str:
        return "".join(f"<li><b>{number}</b><i>{version}</i></li>" for number in range(12))

    def crime(self, asked: Asked) -> bytes:
        return self.say("<p>Our site has a new look!</p>")


SUSPICIONS = [EmptiesItself, LosesMostOfItsItems, TurnsIntoAnObject, SendsAnEmptyBody, ChangesItsPage]


@pytest.mark.parametrize("crime", SUSPICIONS, ids=lambda crime: crime.__name__)
class TestWhatIsHardToBelieve:
    async def test_a_lie_in_passing_is_never_published(self, crime: type[Suspicious]) -> None:
        """The topic is held, the document stays, and nothing of the answer remains."""
        trouble = crime()
        async with staged(trouble) as scene:
            good = await scene.until("live")
            trouble.bad_answers = 1
            assert await scene.until("held") == good
            assert await scene.until("live") == good
            await scene.until_polled(3)
            assert (await scene.count("held"), await scene.changes(), await scene.failures()) == (1, 1, 0)

    async def test_what_is_said_twice_is_believed(self, crime: type[Suspicious]) -> None:
        trouble = crime()
        async with staged(trouble) as scene:
            good = await scene.until("live")
            trouble.bad_answers = inf
            assert await scene.until_not(good) == crime.lie
            assert (await scene.count("held"), await scene.changes()) == (1, 2)
            trouble.bad_answers = 0
            assert await scene.until_not(crime.lie) == good


# What they say about changes.


class CacheLiar(Trouble):
    """Its crime is how it answers conditional requests; what it serves is right."""

    def __init__(self) -> None:
        super().__init__()
        self.bad_answers = inf
        self.answers = 0

    def crime(self, asked: Asked) -> bytes:
        self.answers += 1
        return self.say(self.body(self.version), *self.fields())

    def fields(self) -> list[str]:
        return []


class SaysThatItHasJustChanged(CacheLiar):
    def fields(self) -> list[str]:
        return [f"Last-Modified: {formatdate(1_700_000_000 + self.answers, usegmt=True)}"]


class ChangesItsETagWithEveryAnswer(CacheLiar):
    def fields(self) -> list[str]:
        return [f'ETag: "{self.answers}"']


class SendsNoValidators(CacheLiar):
    pass


class DoesNotQuoteItsETag(CacheLiar):
    """It knows its own ETag again, if that comes back as it was sent."""

    def crime(self, asked: Asked) -> bytes:
        etag = f"v{self.version}"
        if asked.fields.get("if-none-match") == etag:
            return respond("304 Not Modified", b"", f"ETag: {etag}")
        return self.say(self.body(self.version), f"ETag: {etag}")


class KeepsItsDateWhateverChanges(CacheLiar):
    """304 for ever, to whoever shows that date."""

    def crime(self, asked: Asked) -> bytes:
        date = formatdate(1_700_000_000, usegmt=True)
        if asked.fields.get("if-modified-since") == date:
            return respond("304 Not Modified", b"")
        return self.say(self.body(self.version), f"Last-Modified: {date}")


CACHE_LIARS = [
    SaysThatItHasJustChanged,
    ChangesItsETagWithEveryAnswer,
    SendsNoValidators,
    DoesNotQuoteItsETag,
    KeepsItsDateWhateverChanges,
]


@pytest.mark.parametrize("crime", CACHE_LIARS, ids=lambda crime: crime.__name__)
async def test_only_a_changed_document_is_a_change(crime: type[CacheLiar]) -> None:
    """Whatever the validators say: no change is made up, and none is missed."""
    trouble = crime()
    async with staged(trouble) as scene:
        good = await scene.until("live")
        await scene.until_polled(15)
        assert (await scene.changes(), await scene.failures()) == (1, 0)
        trouble.version = 2
        assert await scene.until_not(good) == json.loads(trouble.body(2))
        assert (await scene.changes(), await scene.failures()) == (2, 0)
        asked = [one.fields for one in scene.backend.asked]
        if crime is SendsNoValidators:
            assert not any("if-none-match" in fields or "if-modified-since" in fields for fields in asked)
        if crime is DoesNotQuoteItsETag:
            assert {fields.get("if-none-match") for fields in asked} >= {"v1"}
            assert await scene.count("not_modified") > 0
