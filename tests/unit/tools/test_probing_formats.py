"""Which format an answer has, whatever it says that it is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.config.formats import Format
from pushgate.tools.probing.formats import find_format, with_lists


def answer(body: bytes | str, content_type: str = "") -> Answer:
    return Answer(200, content_type, body.encode() if isinstance(body, str) else body, NO_VALIDATORS, 0.0)


def found(body: bytes | str, content_type: str = "") -> Any:
    """The format, which gateway.yaml must be able to say."""
    value = find_format([answer(body, content_type)]).value
    TypeAdapter(Format).validate_python(value)
    return value


@pytest.mark.parametrize(
    ("body", "content_type", "form"),
    [
        ('{"a": 1}', "application/json", "json"),
        ("[1, 2]", "", "json"),
        ("17", "application/json", "json"),
        ('\ufeff{"a": 1}', "application/json", "json"),
        ('{"a": 1}\n{"a": 2}\n', "application/x-ndjson", {"kind": "json", "lines": True}),
        ("<?xml version='1.0'?><a/>", "text/xml", "xml"),
        ("<rss version='2.0'><channel/></rss>", "application/xml", "feed"),
        ("<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'/>", "", "feed"),
        ("a,b\n1,2\n3,4\n", "text/csv", "csv"),
        ("a;b;c\n1;2;3\n", "text/plain", {"kind": "csv", "delimiter": ";"}),
        ("a\tb\tc\n1\t2\t3\n", "text/tab-separated-values", {"kind": "csv", "delimiter": "\t"}),
        ("# px,sv,qcur,\nweb,a,0,\nweb,b,1,\n", "text/plain", {"kind": "csv", "header_prefix": "# "}),
        ("Caf\xe9,b\n1,2\n".encode("latin-1"), "text/csv", {"kind": "csv", "encoding": "cp1252"}),
        ("1.2.3.4\n5.6.7.8\n", "text/plain", {"kind": "text", "lines": True}),
        ("just a word", "text/plain", "text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "image/png", "binary"),
        (b"\xff\xd8\xff\xe0JFIF", "image/jpeg", "binary"),
        ('{"a": 1}', "image/png", "json"),
    ],
)
def test_the_bytes_decide(body: bytes | str, content_type: str, form: Any) -> None:
    """JSON, XML, feeds, tables and lines are known by their looks; only then is the Content-Type looked at."""
    assert found(body, content_type) == form


def test_lines_of_names_and_values_become_pairs() -> None:
    """`Uptime: 27` is an object with a name and a value, and the name is a key."""
    form = found("Version: 2.4\nUptime: 27\nLoad: 0.5\n", "text/plain")
    assert form["lines"] is True
    assert "(?P<name>" in form["regex"]


def test_prose_is_no_table() -> None:
    """Commas in sentences are not columns."""
    assert found("Hello, you, there.\nThis is, well, a text, of lines.\n", "text/plain") == {
        "kind": "text",
        "lines": True,
    }


def test_a_page_asks_for_selectors() -> None:
    """HTML is never read as a whole: the line says what to replace."""
    finding = find_format([answer("<!DOCTYPE html><html><body>12</body></html>", "text/html")])
    assert finding.value["kind"] == "html"
    assert "replace" in finding.reason


@pytest.mark.parametrize(("content_type", "words"), [("text/html", "is wrong: text/html"), ("", "no Content-Type")])
def test_a_lie_about_the_type_is_told(content_type: str, words: str) -> None:
    """JSON as text/html, or as nothing at all."""
    assert words in find_format([answer('{"a": 1}', content_type)]).reason


def test_one_apology_among_the_answers_is_not_the_format() -> None:
    """What most answers are is the format."""
    page = answer("<html>sorry</html>", "text/html")
    assert find_format([page, answer("[]", "application/json"), answer("[1]", "application/json")]).value == "json"


def test_elements_that_repeat_are_forced_to_be_lists() -> None:
    """A list of one would otherwise be an object, and back again with the second item."""
    assert with_lists("xml", ["Line"]) == {"kind": "xml", "force_list": ["Line"]}
    assert with_lists("xml", []) == "xml"
