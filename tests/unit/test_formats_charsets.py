"""Bytes become text by the charset that they have, or the poll has failed."""

from __future__ import annotations

import pytest

from pushgate.adapters.upstream.formats.charsets import as_utf8, is_html, media_type, opening_of, text_of
from pushgate.errors import PollError


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("content_type", ["", "text/plain; charset=iso-8859-1"])
def test_a_byte_order_mark_decides_and_is_dropped(charset: str, content_type: str) -> None:
    """No header field knows better than the bytes themselves."""
    body = "Zoë €".encode(charset)
    assert text_of(body, content_type, encoding="cp1252") == "Zoë €"
    assert as_utf8(body, content_type) == "Zoë €".encode()


def test_the_route_stands_above_the_header_and_the_header_above_the_text() -> None:
    """``encoding`` is for upstreams that say something wrong, so it counts more than what they say."""
    header = "text/xml; charset=cp1251"
    assert text_of(b"\xe9", header, encoding="cp1252", declared="cp1253") == "é"
    assert text_of(b"\xe9", header, declared="cp1253") == "й"
    assert text_of(b"\xe9", "text/xml", declared="cp1253") == "ι"
    assert text_of("é".encode(), "text/xml") == "é"


@pytest.mark.parametrize("charset", ["us-ascii", "UTF8", '"utf-8"'])
def test_ascii_is_taken_for_utf8(charset: str) -> None:
    """Frameworks declare US-ASCII without looking, and send UTF-8."""
    assert text_of("é".encode(), f"text/plain; charset={charset}") == "é"
    assert as_utf8("é".encode(), f"text/plain; charset={charset}") == "é".encode()


def test_bytes_of_another_charset_are_a_failed_poll() -> None:
    """The reason names the charset and the place, and nothing is replaced or left out."""
    with pytest.raises(PollError, match="decode: the answer is not utf-8: invalid continuation byte at byte 2"):
        text_of(b"ab\xe9cd", "text/plain")
    with pytest.raises(PollError, match="the answer is not utf-16: truncated data"):
        text_of(b"\x00a\x00", "text/plain; charset=utf-16")


@pytest.mark.parametrize("charset", ["nonsense", "base64", "utf-7", "idna", "unicode_escape", "undefined", "x" * 999])
def test_a_charset_that_is_none_is_a_failed_poll(charset: str) -> None:
    """Python has more codecs than the web has charsets; those that are none of the web's are refused."""
    with pytest.raises(PollError, match=r"charset '.{1,40}' is unknown"):
        text_of(b"abc", f"text/plain; charset={charset}")


def test_the_opening_is_what_a_reader_sees_first() -> None:
    """Marks and white space are skipped, and bytes that are no text do no harm."""
    assert opening_of(b"\xef\xbb\xbf\r\n\t {") == "{"
    assert opening_of("\n<a>".encode("utf-16")) == "<a>"
    assert opening_of(b"\xff\xffabc") == "abc"
    assert len(opening_of(b"x" * 10**6)) < 5000


@pytest.mark.parametrize("text", ["<!doctype  HTML>", "<HTML lang=en>", "<head>", "<body class=x>"])
def test_an_html_page_is_recognised_by_its_beginning(text: str) -> None:
    """Upper or lower case, with or without a doctype."""
    assert is_html(text)


@pytest.mark.parametrize("text", ["", "<htmlx>", "<header>", "<?xml version='1.0'?>", "html", "{}"])
def test_nothing_else_is_taken_for_a_page(text: str) -> None:
    """Elements of other vocabularies may begin with the same letters."""
    assert not is_html(text)


def test_a_media_type_has_no_parameters() -> None:
    """It is compared in lower case."""
    assert media_type("Text/HTML ; charset=x") == "text/html"
    assert media_type("") == ""
