"""Where the next page is, and how pages become one answer."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.answers import Answer
from pushgate.config.pipeline import Pages
from pushgate.errors import PollError
from pushgate.paging import first_page, is_beyond, next_page, together
from pushgate.values import UpstreamRequest, Validators


def pages(next_: Any, **more: Any) -> Pages:
    return Pages.model_validate({"next": next_, **more})


def request(url: str = "http://u/items?per=2") -> UpstreamRequest:
    return UpstreamRequest("GET", url, (), upstream="u")


def answer(body: bytes = b"", **more: Any) -> Answer:
    return Answer(more.pop("status", 200), "application/json", body, Validators('"e"'), more.pop("at", 1.0), **more)


def following(
    settings: Pages, value: Any, *, count: int = 1, url: str = "http://u/items?per=2", **more: Any
) -> str | None:
    found = next_page(settings, request(url), answer(**more), value, count=count)
    return None if found is None else found.url


@pytest.mark.parametrize(
    ("link", "url"),
    [
        (None, None),
        ("http://u/items?page=2", "http://u/items?page=2"),
        ("?page=2", "http://u/items?page=2"),
        ("/other?x=%2F#part", "http://u/other?x=%2F"),
    ],
)
def test_a_link_header_names_the_next_page(link: str | None, url: str | None) -> None:
    """RFC 8288; it may be relative to the page that it is on."""
    assert following(pages("link_header"), [], link_next=link) == url


@pytest.mark.parametrize("value", [None, False, "", {}])
def test_a_pointer_to_nothing_ends_the_pages(value: Any) -> None:
    """APIs say so with null, with an empty text, or by leaving it out."""
    document = value if value == {} else {"links": {"next": value}}
    assert following(pages({"pointer": "/links/next"}), document) is None


def test_a_pointer_to_the_next_page() -> None:
    """What stands there is a URL."""
    assert following(pages({"pointer": "/next"}), {"next": "http://u/items?page=2"}) == "http://u/items?page=2"


@pytest.mark.parametrize(
    "url", ["http://evil/items", "https://u/items", "//evil/x", "http://u:81/", "file:///etc/passwd", "http://[x/"]
)
def test_a_page_elsewhere_is_never_asked_for(url: str) -> None:
    """A page is on the upstream's own origin, whatever the upstream says."""
    with pytest.raises(PollError) as caught:
        following(pages({"pointer": "/next"}), {"next": url})
    assert caught.value.reason == "protocol"


def test_a_token_asks_for_the_next_page() -> None:
    """It goes into a query parameter, in place of the one before, escaped."""
    settings = pages({"token": "/cursor", "param": "after"})
    assert following(settings, {"cursor": "a&b"}) == "http://u/items?per=2&after=a%26b"
    assert following(settings, {"cursor": 7}, url="http://u/items?after=x&per=2") == "http://u/items?per=2&after=7"
    assert following(settings, {"cursor": None}) is None
    with pytest.raises(PollError, match="neither text nor a number"):
        following(settings, {"cursor": ["x"]})


def test_numbered_pages_end_with_an_empty_one() -> None:
    """Or with a status that says that there are no more."""
    settings = pages({"param": "page", "start": 0}, items="/rows")
    assert first_page(settings, request()).url == "http://u/items?per=2&page=0"
    assert following(settings, {"rows": [1]}, count=3) == "http://u/items?per=2&page=3"
    assert following(settings, {"rows": []}) is None
    assert is_beyond(settings, answer(status=404)) and not is_beyond(pages("link_header"), answer(status=404))


def test_pages_become_one_answer() -> None:
    """The first page with the items of all; its freshness is that of the page that is stale first."""
    settings = pages("link_header", items="/data/rows")
    values: list[Any] = [{"data": {"rows": [1, 2]}, "total": 3}, {"data": {"rows": [3]}, "total": 3}]
    whole = together(settings, [answer(b"a", fresh_for=9.0), answer(b"b", fresh_for=5.0, at=2.0)], values, ttl=60.0)
    assert whole.value == {"data": {"rows": [1, 2, 3]}, "total": 3}
    assert (whole.body, whole.fresh_for, whole.at, whole.ttl, whole.validators) == (b"ab", 5.0, 2.0, 60.0, Validators())
    plain: list[Any] = [[1], [2]]
    assert together(pages("link_header"), [answer(), answer()], plain, ttl=None).value == [1, 2]


def test_pages_without_a_list_fail() -> None:
    """Which list the pages share out must be said, if the answer is none itself."""
    with pytest.raises(PollError, match="items:"):
        together(pages("link_header"), [answer()], [{"rows": []}], ttl=None)
