"""Text is a string, its lines, or what an expression finds; bytes are passed on."""

from __future__ import annotations

import base64

import pytest

from pushgate.adapters.upstream.formats import binary
from pushgate.adapters.upstream.formats.text import decode, pattern
from pushgate.errors import PollError


def test_text_is_passed_on_as_it_is() -> None:
    """White space and line ends too."""
    assert decode(b" a\r\n b\n", "text/plain") == " a\r\n b\n"
    assert decode(b"", "") == ""


def test_lines_have_no_ends() -> None:
    """The end of the last line begins no further one; only line ends end lines."""
    assert decode(b"a\r\nb\rc\n\nd\x0b\xc2\x85\n", "", lines=True) == ["a", "b", "c", "", "d\x0b\x85"]
    assert decode(b"a", "", lines=True) == ["a"]
    assert decode(b"\n", "", lines=True) == [""]
    assert decode(b"", "", lines=True) == []


def test_an_expression_finds_an_object() -> None:
    """It is searched for once, over all lines; groups that took no part are null, and numbers stay text."""
    regex = pattern(r"^Reading: (?P<reading>\d+) Writing: (?P<writing>\d+)(?: Waiting: (?P<waiting>\d+))?$")
    body = b"Active connections: 1\r\nReading: 0 Writing: 01\r\nReading: 5 Writing: 5 Waiting: 5\r\n"
    assert decode(body, "", regex=regex) == {"reading": "0", "writing": "01", "waiting": None}


def test_an_expression_that_finds_nothing_fails_the_poll() -> None:
    """An apology in place of the text is no empty object."""
    with pytest.raises(PollError, match="decode: `regex` matches nothing"):
        decode(b"Service unavailable", "", regex=pattern("(?P<x>[0-9]+)"))


def test_with_lines_an_expression_finds_a_list() -> None:
    """Each line that matches is an object; one line, or none, is a list as well, which the guards judge."""
    regex = pattern(r"^(?P<name>[^:]+): (?P<value>.*)$")
    assert decode(b"127.0.0.1\r\nUptime: 3\r\nLoad: a: b\r\n", "", lines=True, regex=regex) == [
        {"name": "Uptime", "value": "3"},
        {"name": "Load", "value": "a: b"},
    ]
    assert decode(b"Uptime: 3", "", lines=True, regex=regex) == [{"name": "Uptime", "value": "3"}]
    assert decode(b"nothing here", "", lines=True, regex=regex) == []


def test_the_charset_is_honoured() -> None:
    """And what is not of it is a failed poll."""
    assert decode(b"\xe9", "text/plain; charset=iso-8859-1") == "é"
    with pytest.raises(PollError, match="not utf-8"):
        decode(b"\xe9", "text/plain")


def test_bytes_become_base64() -> None:
    """Every byte comes back; the type does not matter."""
    body = bytes(range(256))
    assert base64.b64decode(binary.decode(body, "image/png")) == body
    assert binary.decode(b"", "") == ""
