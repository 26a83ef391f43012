"""From an answer to a document, and to what is new about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pushgate.answers import Answer
from pushgate.config.routes import Route as RouteConfig
from pushgate.errors import PollError
from pushgate.happenings import Answered, News
from pushgate.refinery import Recipe, Refinery
from pushgate.values import UNREAD, Document, Json, Validators


class JsonDecoder:
    """Knows JSON, and remembers what it was taught."""

    def __init__(self) -> None:
        self.learned: list[Document | None] = []

    def decode(self, body: bytes, content_type: str) -> Json:
        value: Json = json.loads(body)
        return value

    def learn(self, document: Document | None) -> None:
        self.learned.append(document)


def refinery(decoder: JsonDecoder | None = None, **config: Any) -> Refinery:
    route = RouteConfig.model_validate({"upstream": "u", **config})
    return Refinery(Recipe(route), decoder or JsonDecoder())


def answer(document: Any, *, content_type: str = "application/json", value: Any = UNREAD) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(200, content_type, body, Validators(), 1000.0, value=value)


def refine(one: Refinery, document: Any, *, accepted: bool = True, **more: Any) -> Answered:
    outcome = one.refine(answer(document, **more))
    if accepted:
        one.accept()
    return outcome


def test_the_first_document_is_news() -> None:
    """What is published at first needs no patch; what is the same afterwards is no news."""
    one = refinery()
    assert refine(one, {"a": 1}) == Answered(News({"a": 1}), 1000.0)
    assert refine(one, {"a": 1.0}) == Answered(None, 1000.0)
    assert refine(one, {"a": 2}).news == News({"a": 2}, ({"op": "replace", "path": "/a", "value": 2},))


def test_ignore_comes_before_select() -> None:
    """The pointers of ``ignore`` address the answer as it came."""
    one = refinery(ignore=["/rows/*/t"], select="rows")
    assert refine(one, {"rows": [{"id": 1, "t": 2}], "t": 3}).news == News([{"id": 1}])


def test_what_is_not_accepted_is_not_published() -> None:
    """The next answer is compared with what clients have."""
    one = refinery()
    refine(one, 1)
    refine(one, 2, accepted=False)
    assert refine(one, 1).news is None


def test_select_that_finds_nothing_fails() -> None:
    """Null is no document that somebody meant, unless the route says so."""
    with pytest.raises(PollError, match="found nothing"):
        refine(refinery(select="rows"), {})
    assert refine(refinery(select="rows", guards={"empty": "accept"}), {}).news == News(None)


@pytest.mark.parametrize(
    ("document", "fails"), [({"error": "x"}, True), ({"error": ""}, False), ({"error": 0}, True), ({}, False)]
)
def test_fail_if(document: Any, fails: bool) -> None:
    """An answer that says it is an error is one, as JMESPath means true: everything but false, null and empty."""
    one = refinery(guards={"fail_if": "error"})
    if not fails:
        assert refine(one, document).news is not None
        return
    with pytest.raises(PollError) as caught:
        refine(one, document)
    assert caught.value.reason == "fail_if"


@pytest.mark.parametrize("content_type", ["text/html", "", "text/html; charset=utf-8"])
def test_a_type_that_is_not_expected(content_type: str) -> None:
    """A login page with status 200 is told by its type, before anything is decoded."""
    one = refinery(guards={"content_type": ["application/json", "text/json"]})
    with pytest.raises(PollError) as caught:
        refine(one, b"<html>", content_type=content_type)
    assert caught.value.reason == "guard"
    assert refine(one, 1, content_type="Text/JSON; charset=utf-8").news == News(1)


def test_guards_look_at_the_document_that_was_accepted_last() -> None:
    """A doubt is told, not decided here; ``reject`` fails the poll."""
    one = refinery()
    refine(one, [1, 2])
    doubted = refine(one, [], accepted=False)
    assert doubted.doubt is not None and doubted.doubt.guard == "empty" and doubted.news is not None
    assert refine(one, [1, 2]).news is None
    strict = refinery(guards={"type": "reject"})
    refine(strict, [1])
    with pytest.raises(PollError) as caught:
        refine(strict, {"a": 1})
    assert caught.value.reason == "guard"


def test_no_body_where_there_was_something_is_empty() -> None:
    """It counts as null; where there was nothing it is no answer."""
    one = refinery()
    with pytest.raises(ValueError, match="Expecting value"):
        refine(one, b"")
    refine(one, 1)
    assert (doubt := refine(one, b"", accepted=False).doubt) is not None and doubt.guard == "empty"


def test_quiet_members_alone_are_no_news() -> None:
    """New values ride with the next change, and the decoder is not taught what the answer did not say."""
    decoder = JsonDecoder()
    one = refinery(decoder, quiet={"/load": 2})
    refine(one, {"load": 1, "up": True})
    assert refine(one, {"load": 3, "up": True}).news is None
    assert refine(one, {"load": 4, "up": True}).news is not None
    assert decoder.learned == [{"load": 1, "up": True}, {"load": 4, "up": True}]


def test_an_order_that_means_nothing() -> None:
    """A reordered array is no news; a newcomer stands at the end."""
    one = refinery(unordered=["/tags"])
    refine(one, {"tags": ["a", "b"]})
    assert refine(one, {"tags": ["b", "a"]}).news is None
    assert refine(one, {"tags": ["c", "b", "a"]}).news == News(
        {"tags": ["a", "b", "c"]}, ({"op": "add", "path": "/tags/2", "value": "c"},)
    )


def test_until() -> None:
    """It is a question about the document."""
    one = refinery(select="order", poll={"until": "status == 'DELIVERED'"})
    assert not refine(one, {"order": {"status": "SENT"}}).is_last
    assert refine(one, {"order": {"status": "DELIVERED"}}).is_last


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(60, 60.0), ("30", 30.0), ("soon", None), (None, None), (True, None), ("nan", None)]
)
def test_ttl_is_a_number_of_seconds(ttl: Any, seconds: float | None) -> None:
    """Anything else says nothing."""
    assert refine(refinery(poll={"ttl": "ttl"}), {"ttl": ttl}).freshness.ttl == seconds


def test_accumulated_items_keep_what_is_ignored() -> None:
    """``ignore`` shapes the document and not what the next question is made of."""
    one = refinery(ignore=["/*/id"], accumulate={"query": "since", "since": "max_by(@, &id).id", "key": "id"})
    assert one.since(0) is None
    assert refine(one, [{"id": 1, "t": "a"}]).news == News([{"t": "a"}])
    assert one.since(0) == ("since", "1")


def test_a_part_of_a_batch_is_not_stripped_again() -> None:
    """``ignore`` was applied to the whole answer, whose pointers mean nothing in a part."""
    one = refinery(ignore=["/name"], batch={"param": "ids", "value": "{id}", "match": "id"})
    assert refine(one, b"-", value={"id": "a", "name": "x"}).news == News({"id": "a", "name": "x"})


def test_what_is_gone_is_forgotten() -> None:
    """A document that comes back is a whole one."""
    one = refinery()
    refine(one, [1])
    one.forget()
    assert refine(one, [1]).news == News([1])
