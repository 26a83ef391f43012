"""RSS and Atom become one shape, and a broken feed becomes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.adapters.upstream.formats.feed import decode
from pushgate.errors import PollError
from shared_data import shared


def failure(body: bytes) -> str:
    with pytest.raises(PollError) as caught:
        decode(body, "application/xml")
    assert caught.value.reason == "decode"
    return caught.value.detail


def read(body: bytes, content_type: str = "application/xml") -> Any:
    return decode(body, content_type)


def items(body: bytes, content_type: str = "application/xml") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(body, content_type)["items"]
    return found


RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
<title>News</title><link>https://n.example/</link><ttl>5</ttl>
<lastBuildDate>Tue, 24 Nov 2026 03:13:01 +0100</lastBuildDate>
<item><guid isPermaLink="false">n-2</guid><title>Two &amp; more</title><link>https://n.example/2</link>
  <pubDate>Tue, 24 Nov 2026 02:00:00 GMT</pubDate><author>zoe@n.example</author><category>a</category>
  <category>b</category><description>&lt;b onclick="x()"&gt;bold&lt;/b&gt; <![CDATA[<script>1</script>]]></description>
  <content:encoded>all of it</content:encoded></item>
<item><link>https://n.example/1</link></item>
</channel></rss>"""


def test_rss() -> None:
    """Every member is there; markup is passed on as it came, and the time to live is in seconds."""
    assert decode(RSS.encode(), "application/rss+xml") == {
        "title": "News",
        "link": "https://n.example/",
        "updated": "2026-11-24T02:13:01Z",
        "ttl": 300,
        "items": [
            {
                "id": "n-2",
                "title": "Two & more",
                "link": "https://n.example/2",
                "updated": "2026-11-24T02:00:00Z",
                "published": "2026-11-24T02:00:00Z",
                "author": "zoe@n.example",
                "categories": ["a", "b"],
                "summary": '<b onclick="x()">bold</b> <script>1</script>',
                "content": "all of it",
            },
            {
                "id": "https://n.example/1",
                "title": None,
                "link": "https://n.example/1",
                "updated": None,
                "published": None,
                "author": None,
                "categories": [],
                "summary": None,
                "content": None,
            },
        ],
    }


ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Dépêches</title><id>urn:f</id>
<updated>2026-11-24T02:13:01Z</updated><link href="https://n.example/"/>
<entry><id>urn:1</id><title type="html">&lt;i&gt;One&lt;/i&gt;</title><link href="https://n.example/1"/>
<published>2026-11-23T00:00:00Z</published><updated>2026-11-24T01:00:00+01:00</updated><summary>S</summary></entry></feed>"""


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "utf-16"])
def test_atom(charset: str) -> None:
    """In the charset of the Content-Type, and with both of its times."""
    feed = read(ATOM.encode(charset), f"application/atom+xml; charset={charset}")
    assert feed["title"] == "Dépêches"
    assert feed["updated"] == "2026-11-24T02:13:01Z"
    [item] = items(ATOM.encode(charset), f"application/atom+xml; charset={charset}")
    assert item["id"] == "urn:1"
    assert item["title"] == "<i>One</i>"
    assert (item["published"], item["updated"]) == ("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z")
    assert (item["summary"], item["content"]) == ("S", None)


def test_a_declared_charset_counts_where_the_header_names_none() -> None:
    """As in any XML."""
    body = '<?xml version="1.0" encoding="ISO-8859-1"?>' + ATOM
    assert read(body.encode("iso-8859-1"))["title"] == "Dépêches"


def rss(inner: str) -> bytes:
    return f"<rss version='2.0'><channel>{inner}</channel></rss>".encode()


def test_every_item_has_an_id() -> None:
    """Its own, or its link, or a hash of what it says: the same at every poll."""
    words = ["<title>a</title>", "<title>b</title>", "<description>c</description>"]
    body = rss("".join(f"<item>{word}</item>" for word in words))
    found = items(body)
    assert [item["title"] for item in found] == ["a", "b", None]
    assert len({item["id"] for item in found}) == 3
    assert found == items(body)


def test_of_items_with_the_same_id_the_first_counts() -> None:
    """Feeds list the newest first, and items are told apart by their id."""
    body = rss("<item><guid>1</guid><title>new</title></item><item><guid>1</guid><title>old</title></item>")
    assert [item["title"] for item in items(body)] == ["new"]


def test_a_time_that_cannot_be_read_is_null() -> None:
    """It is left out rather than passed on in some form."""
    [item] = items(rss("<item><guid>1</guid><pubDate>yesterday</pubDate></item>"))
    assert item["published"] is None and item["updated"] is None
    assert read(rss("<ttl>soon</ttl>"))["ttl"] is None


def test_a_broken_feed_is_a_failed_poll() -> None:
    """Of a feed that was cut, no shorter feed is made, although most of its items are there."""
    assert "not XML" in failure(RSS.encode()[:-40])
    assert "Entity 'nbsp' not defined" in failure(rss("<title>a&nbsp;b</title>"))
    assert "HTML page" in failure(b"<!doctype html><p>Log in")
    assert "not utf-8" in failure(ATOM.encode("iso-8859-1"))


def test_what_is_no_feed_is_a_failed_poll() -> None:
    """XML of another kind has no items, which would look like a feed without news."""
    assert "no feed" in failure(b"<orders><order/></orders>")
    assert "empty" in failure(b"")


def test_a_doctype_may_stand_there_but_declares_nothing() -> None:
    """RSS 0.91 has one, which is not loaded; entities are refused before they can unfold."""
    netscape = b"<!DOCTYPE rss PUBLIC '-//Netscape Communications//DTD RSS 0.91//EN' 'http://127.0.0.1:9/rss-0.91.dtd'>"
    assert read(netscape + rss("<title>T</title>"))["title"] == "T"
    assert "declares entities" in failure(b"<!DOCTYPE rss [<!ENTITY a 'x'>]>" + rss("<title>&a;</title>"))
    assert "declares entities" in failure(
        b"<!-- <rss> --><!DOCTYPE rss [<!ENTITY a SYSTEM 'file:///etc/hostname'>]>" + rss("<title>&a;</title>")
    )


def test_a_file_name_is_no_feed() -> None:
    """The body is what is read, never what it names."""
    assert "not XML" in failure(__file__.encode())
    assert "not XML" in failure(b"http://127.0.0.1:9/feed")


@pytest.mark.parametrize("folder", ["feeds", "georss-fixtures"])
def test_feeds_of_others_are_read(folder: str) -> None:
    """The test feeds of two feed readers: each has the shape, and each of its items an id of its own."""
    paths = sorted(shared(f"vectors/{folder}").rglob("*.xml"))
    assert paths
    for path in paths:
        ids = [item["id"] for item in items(path.read_bytes(), "")]
        assert all(isinstance(each, str) and each for each in ids), path.name
        assert len(set(ids)) == len(ids), path.name
