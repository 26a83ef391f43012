"""What an HTML page repeats becomes a list of objects."""

from __future__ import annotations

import pytest

from pushgate.adapters.upstream.formats.html import decode
from pushgate.config.formats import field_parts
from pushgate.errors import PollError

PAGE = b"""<!doctype html><title>Prices</title>
<table id=prices>
  <tr class=price id=eur><td class=name>Euro <b>zone</b>
      </td><td><a href="/eur?a=1&amp;b=2" data-x>1.09</a></td></tr>
  <tr class=price id=gbp><td class=name>Pound&nbsp;&amp; pence</td><td>1.27</td></tr>
</table>"""

FIELDS = {"id": "@id", "name": "td.name", "link": "a@href", "x": "a@data-x", "y": "a@data-y", "all": ""}


def test_each_item_is_an_object_of_its_fields() -> None:
    """Text with its white space collapsed, attributes, the item itself; what is not found is null."""
    assert decode(PAGE, "text/html", items="#prices tr.price", fields=FIELDS) == [
        {"id": "eur", "name": "Euro zone", "link": "/eur?a=1&b=2", "x": "", "y": None, "all": "Euro zone 1.09"},
        {"id": "gbp", "name": "Pound & pence", "link": None, "x": None, "y": None, "all": "Pound & pence1.27"},
    ]


def test_a_page_where_nothing_is_found_is_an_empty_list() -> None:
    """Whether that can be true is for the guards to say."""
    assert decode(b"<p>Please log in</p>", "text/html", items="tr.price", fields=FIELDS) == []
    assert decode(b"", "text/html", items="tr.price", fields=FIELDS) == []


def test_a_field_is_a_selector_and_an_attribute() -> None:
    """An at sign inside the selector is part of it."""
    assert field_parts("td.name") == ("td.name", None)
    assert field_parts("td a @href") == ("td a", "href")
    assert field_parts("@data-id") == ("", "data-id")
    assert field_parts("") == ("", None)
    assert field_parts('a[title="x@y"]') == ('a[title="x@y"]', None)
    assert field_parts('a[title="x@y"]@xlink:href') == ('a[title="x@y"]', "xlink:href")


@pytest.mark.parametrize(
    ("head", "content_type", "letter"),
    [
        (b"", "text/html", "é".encode()),
        (b"", "text/html; charset=iso-8859-2", "é".encode("iso-8859-2")),
        (b'<meta charset="windows-1252">', "text/html", b"\xe9"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1">', "text/html", b"\xe9"),
        (b"<meta charset=koi8-r>", "text/html; charset=utf-8", "é".encode()),
    ],
)
def test_a_page_may_declare_its_charset(head: bytes, content_type: str, letter: bytes) -> None:
    """In a meta element, which the Content-Type outranks."""
    body = head + b"<p>" + letter
    assert decode(body, content_type, items="p", fields={"t": ""}) == [{"t": "é"}]


def test_latin_1_means_windows_1252() -> None:
    """As in every browser: pages that declare ISO-8859-1 have euro signs and curly quotes in them."""
    assert decode(b"<p>\x80", "text/html; charset=ISO-8859-1", items="p", fields={"t": ""}) == [{"t": "€"}]


def test_bytes_of_another_charset_fail_the_poll() -> None:
    """A page in a charset that nobody declared is not shown with holes in it."""
    with pytest.raises(PollError, match="decode: the answer is not utf-8"):
        decode(b"<p>\xe9", "text/html", items="p", fields={"t": ""})
