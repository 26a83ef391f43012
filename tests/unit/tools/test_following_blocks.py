"""Server-sent events, read as WHATWG HTML section 9.2.6 says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.tools.following import Block, BlockReader


def read(data: bytes) -> list[Block]:
    return BlockReader().feed(data)


def test_a_block_has_a_kind_data_and_a_position() -> None:
    assert read(b"id: 7\nevent: patch\ndata: []\n\n") == [Block("patch", "[]", "7")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_with_any_line_end(end: bytes) -> None:
    assert read(b"id: 7" + end + b"data: a" + end + end) == [Block("message", "a", "7")]


def test_a_byte_order_mark_is_passed_over_once() -> None:
    assert read(b"\xef\xbb\xbfdata: a\n\n") == [Block("message", "a", None)]
    assert read(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == []


def test_several_lines_of_data_are_joined() -> None:
    assert read(b"data: a\ndata:b\ndata:  c\ndata\n\n") == [Block("message", "a\nb\n c\n", None)]


def test_an_id_with_a_nul_is_none() -> None:
    reader = BlockReader()
    assert reader.feed(b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n")[-1] == Block("message", "b", None)
    assert reader.last_id == "1"


def test_an_empty_id_takes_the_position_back() -> None:
    reader = BlockReader()
    assert reader.feed(b"id: 1\ndata: a\n\nid\ndata: b\n\n")[-1].id == ""
    assert reader.last_id == ""


def test_a_block_without_data_is_no_event_but_a_position() -> None:
    reader = BlockReader()
    assert reader.feed(b"event: patch\nid: 9\n\ndata: a\n\n") == [Block("message", "a", None)]
    assert reader.last_id == "9"


def test_comments_and_unknown_fields_say_nothing() -> None:
    assert read(b": heartbeat\nwhat: ever\nDATA: x\n data: x\ndata: a\n\n") == [Block("message", "a", None)]


def test_what_did_not_end_is_no_event() -> None:
    assert read(b"data: a\n\ndata: b\n") == [Block("message", "a", None)]


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"1500", 1.5), (b"0", 0.0), (b"1.5", None), (b"", None), (b"-1", None)]
)
def test_the_stream_says_when_to_come_back(value: bytes, seconds: float | None) -> None:
    reader = BlockReader()
    reader.feed(b"retry: " + value + b"\n\n")
    assert reader.retry == seconds


STREAM = (
    "\ufeff: hello\r\nretry: 10\r\n\r\nid: ä1\rdata: 😀\rdata: ü\r\rdata: x\n\nevent: end\r\ndata\r\n\r\n" * 2
).encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_does_not_matter_how_bytes_come(cuts: list[int]) -> None:
    """Cut anywhere, also between CR and LF and inside a character, a stream holds the same events."""
    reader, blocks = BlockReader(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for begin, end in pairwise(edges):
        blocks += reader.feed(STREAM[begin:end])
    assert blocks == read(STREAM)
    assert [block.data for block in blocks] == ["😀\nü", "x", ""] * 2
