"""JSON keeps its numbers and its text, and what is no JSON says what it looks like."""

from __future__ import annotations

import msgspec
import pytest

from pushgate.adapters.upstream.formats.json import MAX_DEPTH, decode
from pushgate.adapters.upstream.formats.recall import RecallingDecoder
from pushgate.errors import PollError


def failure(body: bytes, content_type: str = "application/json", *, lines: bool = False) -> str:
    with pytest.raises(PollError) as caught:
        decode(body, content_type, lines=lines)
    assert caught.value.reason == "decode"
    return caught.value.detail


def test_numbers_stay_what_they_are() -> None:
    """Integers are exact, others are doubles, and 1.0 does not become 1."""
    value = decode(b"[123456789012345678901234567890, 1.0, 1, 0.1]", "")
    assert msgspec.json.encode(value) == b"[123456789012345678901234567890,1.0,1,0.1]"


def test_of_members_with_the_same_name_the_last_counts() -> None:
    """That is what browsers do, and RFC 8259 leaves it open."""
    assert decode(b'{"a": 1, "b": 2, "a": 3}', "") == {"a": 3, "b": 2}


def test_charsets_are_honoured() -> None:
    """RFC 8259 knows only UTF-8; backends know more."""
    assert decode(b'"\xe9"', "application/json; charset=iso-8859-1") == "é"
    assert decode(b'\xef\xbb\xbf"x"', "") == "x"
    assert "the answer is not JSON" in failure(b'"\xe9"')


@pytest.mark.parametrize("body", [b"[NaN]", b'{"a": -Infinity}', b"Infinity", b"[1, nan]"])
def test_what_is_no_number_is_said_by_name(body: bytes) -> None:
    """Python and JavaScript libraries write NaN into what they call JSON; the reason says so."""
    assert "which has no NaN and no Infinity (byte " in failure(body)


def test_what_is_often_met_instead_of_json_is_recognised() -> None:
    """A login page, XML, nothing at all, and half an answer each have words of their own."""
    assert "HTML page" in failure(b"\n<!DOCTYPE html><p>Log in")
    assert "looks like XML" in failure(b"<?xml version='1.0'?><a/>")
    assert failure(b" \n") == "the answer is empty"
    assert "truncated" in failure(b'{"a": [1, 2')
    assert "byte 4" in failure(b"[1, oops]")


def test_nesting_has_a_limit() -> None:
    """A document must be walked by everybody who compares or writes it."""
    assert decode(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "")
    assert "nested" in failure(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    assert "nested" in failure(b"[" * 100_000 + b"]" * 100_000)
    assert "nested" in failure(b"1\n" + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, lines=True)


LINES = b'{"a": 1}\r\n\n{"a": "\\ud800"}\n'
VALUES = [{"a": 1}, {"a": "\ufffd"}]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/jsonl; charset=utf-8", "text/x-ndjson"])
def test_json_lines_are_a_list(content_type: str) -> None:
    """One value is a list too, and so is none: the type promised any number."""
    assert decode(LINES, content_type) == VALUES
    assert decode(b'{"a": 1}', content_type) == [{"a": 1}]
    assert decode(b"", content_type) == []


def test_json_lines_are_recognised_by_their_looks() -> None:
    """Where nothing announces them, more than one line with a value each is a list; one value stays itself."""
    assert decode(LINES, "application/json") == VALUES
    assert decode(b'{"a": 1}\n', "application/json") == {"a": 1}
    assert decode(b'{"a":\n1}\n', "application/json") == {"a": 1}
    assert decode(b'{"a": 1}\n', "application/json", lines=True) == [{"a": 1}]


def test_not_everything_with_several_lines_is_json_lines() -> None:
    """Values side by side, a cut line, or rubbish behind a value are what they are: no JSON."""
    assert "trailing characters" in failure(b"{} {}")
    assert "trailing characters" in failure(b'{"a": 1}\n{"a": ')
    assert "trailing characters" in failure(b'{"a": 1}\n<!-- generated in 3 ms -->')


def test_the_line_that_is_broken_is_named() -> None:
    """A list that was cut is a failed poll, not a shorter list."""
    assert "line 3 of the answer is not JSON" in failure(b'{"a": 1}\n\n{"a": ', "application/x-ndjson")
    assert "line 2 of the answer is an HTML page" in failure(b"1\n<html>", lines=True)


def test_text_sequences_are_a_list() -> None:
    """RFC 7464: a record separator before every value, a line end behind it; the type may be missing."""
    assert decode(b'\x1e{"a":\n1}\n\x1e\x1e[2]\n', "application/json-seq") == [{"a": 1}, [2]]
    assert decode(b"\x1e1\n", "") == [1]
    assert "record 2 of the answer is not JSON" in failure(b'\x1e{"a": 1}\n\x1e{"a"', "application/json-seq")


def test_a_number_at_the_end_of_a_sequence_must_be_whole() -> None:
    """12 without its line end may be the beginning of 1234 (RFC 7464 section 2.4)."""
    assert "record 2 of the answer was cut off" in failure(b"\x1e1\n\x1e12", "application/json-seq")
    assert decode(b"\x1e1\n\x1e[12]", "application/json-seq") == [1, [12]]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json"])
def test_a_decoder_that_recalls_knows_json_lines_too(content_type: str) -> None:
    """It says what a decoder says that does not recall, for small answers and for large ones."""
    for count in (2, 500):
        body = b"\n".join(b'{"id": %d, "name": "some more words here"}' % number for number in range(count))
        assert RecallingDecoder().decode(body, content_type) == decode(body, content_type)
    assert RecallingDecoder().decode(b"[1]", "application/x-ndjson") == [[1]]


def test_a_decoder_that_recalls_has_the_same_limit() -> None:
    """Depth is counted from the document's root, also inside parts that are decoded on their own."""
    for levels in (MAX_DEPTH - 1, MAX_DEPTH):
        row = b"[" * levels + b"]" * levels
        body = b"[" + b",".join([row, b'"%s"' % (b"x" * 5000)]) + b"]"
        if levels < MAX_DEPTH:
            assert RecallingDecoder().decode(body, "") == decode(body, "")
        else:
            with pytest.raises(PollError, match="nested"):
                RecallingDecoder().decode(body, "")


@pytest.mark.parametrize("inner", [b"1", b'"]"', b'"["', b'"\\\\"', b'"\\"]"', b'{"a]":[]}', b'"\xc3\xbc[["'])
def test_brackets_in_strings_neither_hide_nor_feign_depth(inner: bytes) -> None:
    """The depth is that of the containers, whatever the strings hold."""
    room = 200 - 2 * inner.count(b"{")
    assert decode(b"[" * room + inner + b"]" * room, "application/json")
    with pytest.raises(PollError, match="nested more than 200 deep"):
        decode(b'["]",' * (room + 1) + inner + b',"["]' * (room + 1), "application/json")
