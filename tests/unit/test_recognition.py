"""Requests that are known by heart: which bytes are the same question, and which must be read."""

from __future__ import annotations

import pytest

from pushgate.adapters.downstream.recognition import MAX_KNOWN, MAX_WORDS, Recognition, without_cursor, words_of

FIELDS = [(b"Host", b"gateway"), (b"Accept", b"*/*")]
REQUEST = b"GET /t?wait=55&cursor=%s HTTP/1.1\r\nHost: gateway\r\nAccept: */*\r\n\r\n"


def test_the_words_of_a_request_are_what_a_client_usually_writes() -> None:
    """So what aiohttp has read of the first request can be compared with the bytes of the next."""
    assert words_of("/t?wait=55&cursor=e.1.s.h", FIELDS) == REQUEST % b"e.1.s.h"


def test_two_requests_that_differ_in_their_cursor_have_the_same_words() -> None:
    first, second = without_cursor(REQUEST % b"e.1.s.h"), without_cursor(REQUEST % b"e.22.s.hh")
    assert first == (REQUEST % b"", "e.1.s.h")
    assert second == (REQUEST % b"", "e.22.s.hh")


@pytest.mark.parametrize(
    "target",
    [b"/t?cursor=%s", b"/t?cursor=%s&wait=55", b"/a/b.c?lang=fr&cursor=%s&wait=5", b"/t?x=/&cursor=%s&y=?"],
)
def test_a_cursor_may_stand_anywhere_in_the_query(target: bytes) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert without_cursor(request % b"e.1.s.h") == (request % b"", "e.1.s.h")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /t?cursor=e HTTP/1.1\r\nHost: x\r\n",
        b"GET /t?cursor=e HTTP/1.1\r\nHost: x\r\n\r\nGET /t",
        b"GET /t?cursor=e HTTP/1.1\r\nHost: x\r\n\r\n" * 2,
        b"GET /t?wait=5 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /t HTTP/1.1\r\nHost: x\r\nReferer: /t?cursor=e \r\n\r\n",
        b"GET /t?xcursor=e HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /t?cursor= HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /t?cursor=%65 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /t?cursor=e+e HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /t?cursor=" + b"e" * 129 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x/t?cursor=e HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /t?cursor=e HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /t?cursor=e HTTP/1.1\r\nX: " + b"x" * MAX_WORDS + b"\r\n\r\n",
        b"",
    ],
    ids=["half", "more", "two", "none", "elsewhere", "other", "empty", "escaped", "plus", "long", "absolute", "post",
         "big", "nothing"],
)  # fmt: skip
def test_what_is_not_one_whole_request_with_a_cursor_must_be_read(request_: bytes) -> None:
    assert without_cursor(request_) is None


@pytest.mark.parametrize(
    "field",
    [
        (b"Content-Length", b"2"),
        (b"transfer-encoding", b"chunked"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive, Upgrade"),
        (b"Expect", b"100-continue"),
        (b"X-Folded", b"a\r\n b"),
    ],
    ids=lambda field: field[0].decode(),
)
def test_a_request_that_is_more_than_its_words_is_never_known(field: tuple[bytes, bytes]) -> None:
    assert words_of("/t?cursor=e", [*FIELDS, field]) is None


def test_a_connection_that_is_kept_alive_in_so_many_words_is_a_usual_one() -> None:
    words = words_of("/t?cursor=e", [(b"Connection", b"keep-alive")])
    assert words == b"GET /t?cursor=e HTTP/1.1\r\nConnection: keep-alive\r\n\r\n"


def test_what_was_learned_first_leaves_first() -> None:
    known: Recognition[int] = Recognition()
    for n in range(MAX_KNOWN + 1):
        known.learn(b"%d" % n, n)
    assert known.recall(b"0") is None
    assert known.recall(b"1") == 1
    assert known.recall(b"%d" % MAX_KNOWN) == MAX_KNOWN


def test_what_is_forgotten_must_be_read_again() -> None:
    known: Recognition[int] = Recognition()
    known.learn(b"words", 1)
    known.forget()
    assert known.recall(b"words") is None
