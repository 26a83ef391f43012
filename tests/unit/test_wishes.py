"""What a request for many topics asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pushgate.errors import BadRequest
from pushgate.negotiation import UNKNOWN_CURSOR
from pushgate.wishes import MAX_TOPICS, Wish, Wishes, read_wishes


def read(query: str, body: Any = None, *, transport: Any = "sse", **headers: str) -> Wishes:
    encoded = None if body is None else json.dumps(body).encode()
    return read_wishes(transport, {name.replace("_", "-"): value for name, value in headers.items()}, query, encoded)


def test_topics_are_decoded_once() -> None:
    """What is encoded for the query is the path and query that a topic has on its own URL, which may be encoded too."""
    wishes = read("topic=%2Fa%2520b%3Flang%3Dde%26page%3D2&topic=/c")
    assert [wish.topic for wish in wishes.topics] == ["/a%20b?lang=de&page=2", "/c"]


def test_one_cursor_is_for_the_set() -> None:
    """However many topics there are; of one topic it may also be the topic's own."""
    wishes = read("topic=/a&topic=/b&cursor=c")
    assert (wishes.ask.cursor, [wish.cursor for wish in wishes.topics]) == ("c", [None, None])
    wishes = read("topic=/a&cursor=c")
    assert (wishes.ask.cursor, [wish.cursor for wish in wishes.topics]) == ("c", ["c"])


def test_as_many_cursors_as_topics_are_theirs() -> None:
    """In their order, wherever they stand; an empty one is none, and what is no cursor is one that nobody knows."""
    wishes = read("topic=/a&cursor=x&topic=/b&topic=/c&cursor=&cursor=%00")
    assert wishes.topics == (Wish("/a", "x"), Wish("/b"), Wish("/c", UNKNOWN_CURSOR))
    assert wishes.ask.cursor is None


@pytest.mark.parametrize("query", ["topic=/a&cursor=x&cursor=y", "topic=/a&topic=/b&topic=/c&cursor=x&cursor=y"])
def test_any_other_number_of_cursors_is_refused(query: str) -> None:
    """Nobody can say whose they are."""
    with pytest.raises(BadRequest, match="2 cursors"):
        read(query)


def test_a_websocket_has_no_cursor_of_the_set() -> None:
    """One for two topics is refused, one for one is the topic's."""
    with pytest.raises(BadRequest, match="its topics' own"):
        read("topic=/a&topic=/b&cursor=x", transport="websocket")
    wishes = read("topic=/a&cursor=x", transport="websocket")
    assert (wishes.topics, wishes.ask.cursor) == ((Wish("/a", "x"),), None)
    assert read("", transport="websocket").topics == ()


def test_what_moves_with_the_stream_counts_before_what_stands_in_the_url() -> None:
    """A browser repeats the URL with every reconnect, and its topics' cursors of long ago."""
    for wishes in (
        read("topic=/a&topic=/b&cursor=x&cursor=y", Last_Event_ID="new"),
        read("topic=/a&topic=/b&cursor=x&cursor=y&lastEventId=new"),
        read("topic=/a&topic=/b&cursor=old", Last_Event_ID="new"),
    ):
        assert wishes.ask.cursor == "new" and [wish.cursor for wish in wishes.topics] == [None, None]
    assert read("topic=/a", transport="long_poll", Last_Event_ID="new").ask.cursor is None


def test_a_body_says_the_same() -> None:
    """Each entry for itself; what counts for all may stand in the query."""
    body = {"topics": [{"topic": "/a", "cursor": "x"}, {"topic": "/b", "emit": "merge"}], "cursor": "set"}
    wishes = read("emit=patch&wait=3", body, transport="long_poll")
    assert wishes.topics == (Wish("/a", "x", "patch"), Wish("/b", None, "merge"))
    assert (wishes.ask.cursor, wishes.ask.wait, wishes.ask.transport) == ("set", 3.0, "long_poll")


def test_what_counts_for_all_is_read_as_on_a_topics_own_url() -> None:
    """The mode is each topic's to offer."""
    wishes = read("topic=/a&emit=items&framing=message")
    assert wishes.topics == (Wish("/a", None, "items"),) and wishes.ask.framing == "message"
    assert read("topic=/a", transport="long_poll").ask.wait == 25.0
    assert not read("topic=/a", transport="long_poll").ask.is_document


@pytest.mark.parametrize(
    ("query", "body", "complaint"),
    [
        ("", None, "name the topics"),
        ("", {"topics": []}, "name the topics"),
        ("topic=/a", {"topics": [{"topic": "/b"}]}, "not in both"),
        ("cursor=c&cursor=d", {"topics": [{"topic": "/b"}]}, "have their own cursors there"),
        ("topic=/a&lang=de", None, "'lang'"),
        ("topic=/a&emit=patch&emit=merge", None, "given twice"),
        ("topic=%FF", None, "not UTF-8"),
        ("", {"topics": "all"}, "topics: "),
        ("", {"topics": [{"topic": "/a", "cursor": 1}]}, "topics.0.cursor: "),
        ("", {"topics": [{"topic": "/a"}], "then": 1}, "then: "),
        ("&".join(["topic=/a"] * (MAX_TOPICS + 1)), None, f"at most {MAX_TOPICS}"),
        ("&".join(["topic=/a"] * (4 * MAX_TOPICS)), None, "more than"),
    ],
)
def test_what_cannot_be_understood_is_refused(query: str, body: Any, complaint: str) -> None:
    """With the place of what is wrong with it."""
    with pytest.raises(BadRequest, match=complaint):
        read(query, body)
