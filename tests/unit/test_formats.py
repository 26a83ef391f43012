"""What an answer is, is said by the route, or else by its Content-Type and by how it begins."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import TypeAdapter

from pushgate.adapters.upstream.formats import decoder_of, missing_library
from pushgate.config.formats import Format
from pushgate.errors import PollError
from pushgate.refinery import Decoder
from pushgate.values import Json


def decoder(section: Any, *, keeps_shape: bool = False) -> Decoder:
    """Make the decoder of a ``format:`` as the YAML has it."""
    return decoder_of(TypeAdapter(Format).validate_python(section), keeps_shape=keeps_shape)


def failure(section: Any, body: bytes, content_type: str = "") -> str:
    with pytest.raises(PollError) as caught:
        decoder(section).decode(body, content_type)
    assert caught.value.reason == "decode"
    return caught.value.detail


BODIES: list[tuple[Any, bytes, Json]] = [
    ("json", b'{"a": 1}', {"a": 1}),
    ({"kind": "json", "lines": True}, b'{"a": 1}', [{"a": 1}]),
    ("xml", b"<a>1</a>", {"a": "1"}),
    ({"kind": "xml", "force_list": ["b"]}, b"<a><b>1</b></a>", {"a": {"b": ["1"]}}),
    ({"kind": "xml", "namespaces": "keep"}, b"<a xmlns='u'>1</a>", {"{u}a": "1"}),
    ({"kind": "xml", "encoding": "cp1252"}, b"<a>\x80</a>", {"a": "€"}),
    ("csv", b"a,b\n1,2\n", [{"a": "1", "b": "2"}]),
    ({"kind": "csv", "delimiter": "\t"}, b"a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
    ({"kind": "csv", "delimiter": ";", "numbers": "a", "decimal": ","}, b"a;b\n1,5;2\n", [{"a": 1.5, "b": "2"}]),
    ({"kind": "html", "items": "li", "fields": {"text": ""}}, b"<ul><li>x<li>y</ul>", [{"text": "x"}, {"text": "y"}]),
    ("text", b"x\ny\n", "x\ny\n"),
    ({"kind": "text", "lines": True}, b"x\ny\n", ["x", "y"]),
    ({"kind": "text", "regex": "load: (?P<load>.*)"}, b"up\nload: 3\n", {"load": "3"}),
    ({"kind": "text", "encoding": "cp1252"}, b"\x80", "€"),
    ("binary", b"\x00\xff", "AP8="),
]


@pytest.mark.parametrize(("section", "body", "value"), BODIES)
@pytest.mark.parametrize("keeps_shape", [True, False])
def test_a_format_that_is_named_is_the_one_that_reads(
    section: Any, body: bytes, value: Json, keeps_shape: bool
) -> None:
    """A format with its options reads every answer, whatever the upstream says that it is."""
    assert decoder(section, keeps_shape=keeps_shape).decode(body, "text/html") == value


def test_a_feed_that_is_named_is_read_as_one() -> None:
    """Many feeds come as application/xml, which says nothing; ``format: feed`` does."""
    value = decoder("feed").decode(b"<rss version='2.0'><channel><title>T</title></channel></rss>", "application/xml")
    assert value == {"title": "T", "link": None, "updated": None, "ttl": None, "items": []}


RSS = b"<rss version='2.0'><channel><title>T</title></channel></rss>"

TYPES: list[tuple[str, bytes, Json]] = [
    ("application/json", b"1", 1),
    ("Application/JSON; charset=UTF-8", b"[1]", [1]),
    ("text/json", b"[1]", [1]),
    ("application/vnd.geo+json", b"[1]", [1]),
    ("application/problem+json; charset=iso-8859-1", b'["\xe9"]', ["é"]),
    ("application/x-ndjson", b'{"a":1}', [{"a": 1}]),
    ("application/jsonl", b'{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
    ("application/geo+json-seq", b'\x1e{"a":1}\n', [{"a": 1}]),
    ("text/xml", b"<a>1</a>", {"a": "1"}),
    ("application/soap+xml; charset=utf-8", b"<a>1</a>", {"a": "1"}),
    ("application/xml", RSS, {"rss": {"@version": "2.0", "channel": {"title": "T"}}}),
    ("application/rss+xml", RSS, {"title": "T", "link": None, "updated": None, "ttl": None, "items": []}),
    ("text/csv; header=present", b"a,b\n1,2", [{"a": "1", "b": "2"}]),
    ("text/tab-separated-values", b"a\tb\n1\t2", [{"a": "1", "b": "2"}]),
    ("text/plain", b"Active: 1", "Active: 1"),
    ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
    ("text/plain", b'\n {"a": 1}', {"a": 1}),
    ("text/javascript", b"[1]", [1]),
    ("text/plain", b"[error] disk full", "[error] disk full"),
    ("text/plain", b"42", "42"),
    ("text/plain", b"<?xml version='1.0'?><a/>", {"a": ""}),
    ("text/plain", b"<3 you", "<3 you"),
    ("text/plain", b"", ""),
    ("", b'{"a": 1}', {"a": 1}),
    ("", b"1", 1),
    ("application/octet-stream", b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    ("application/octet-stream", "<a>é</a>".encode("utf-16"), {"a": "é"}),
    ("application/javascript", b"<a/>", {"a": ""}),
]


@pytest.mark.parametrize(("content_type", "body", "value"), TYPES)
def test_auto_goes_by_the_type_and_then_by_the_beginning(content_type: str, body: bytes, value: Json) -> None:
    """Types that are known are believed; text and unknown types are looked at."""
    assert decoder("auto").decode(body, content_type) == value


@pytest.mark.parametrize("content_type", ["text/html", "application/xhtml+xml", "text/plain", "", "application/json"])
def test_auto_never_reads_an_html_page(content_type: str) -> None:
    """A page where data was is a login or an apology, whatever type it has; the reason says how to want it anyway."""
    detail = failure("auto", b"\n<!DOCTYPE html><html><body>Please log in</body></html>", content_type)
    assert "HTML page" in detail and "`format` to html or text" in detail


def test_json_that_comes_as_html_is_read() -> None:
    """Old servers send everything as text/html; and what begins like JSON and is none is no page either."""
    assert decoder("auto", keeps_shape=False).decode(b' {"a": 1}', "text/html; charset=utf-8") == {"a": 1}
    assert "JSON" in failure("auto", b'{"a": 1', "text/html")


@pytest.mark.parametrize("body", [b'{"a": 1', b'[{"a": 1}, {"a"', b'["a", "b', b"[[1, 2], [", b"{oops}"])
def test_broken_json_does_not_become_text(body: bytes) -> None:
    """Half a JSON document that comes as text/plain is a failed poll, not a string."""
    assert "`format: text`" in failure("auto", body, "text/plain")


def test_an_unknown_answer_is_a_failed_poll() -> None:
    """What is neither JSON nor XML, and has no type that says more, is nothing that auto reads."""
    assert "is not JSON" in failure("auto", b"\x89PNG\r\n", "image/png")


def test_auto_recalls_json_only() -> None:
    """What was published for JSON is remembered; an answer of another kind in between does not confuse that."""
    auto = decoder("auto", keeps_shape=True)
    rows = "[" + ",".join(f'{{"id":{n},"name":"{"x" * 60}"}}' for n in range(99)) + "]"

    first = auto.decode(rows.encode(), "application/json")
    auto.learn(first)
    auto.decode(b"<a/>", "text/xml")
    auto.learn({"a": ""})
    again = auto.decode(rows.encode(), "application/json")

    assert isinstance(first, list) and isinstance(again, list)
    assert all(new is old for new, old in zip(again, first, strict=True))


@pytest.mark.parametrize(
    ("section", "modules"),
    [
        ("xml", ["lxml"]),
        ("feed", ["lxml", "feedparser"]),
        ({"kind": "html", "items": "li", "fields": {"a": ""}}, ["selectolax"]),
    ],
)
def test_a_library_that_is_missing_is_told_with_its_remedy(
    section: Any, modules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """XML, feeds and HTML need pushgate[formats]; that is said at the start, and by each poll if it was not heeded."""
    parsed = TypeAdapter(Format).validate_python(section)
    assert missing_library(parsed) is None

    for name in [loaded for loaded in sys.modules if loaded.partition(".")[0] in modules] + modules:
        monkeypatch.setitem(sys.modules, name, None)

    assert missing_library(parsed) is not None
    assert all(module in str(missing_library(parsed)) for module in [*modules, "install pushgate[formats]"])
    assert "install pushgate[formats]" in failure(section, b"<a/>")


@pytest.mark.parametrize("section", ["auto", "json", "csv", "text", "binary"])
def test_other_formats_need_no_library(section: str) -> None:
    """JSON, CSV, text and bytes are read by what pushgate always brings along."""
    assert missing_library(TypeAdapter(Format).validate_python(section)) is None
