"""
Answers that no client should take at their word: each is a failed poll with its own reason and words, nothing of it is
kept, and the next good answer is read as if nothing had been.
"""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.adapters.upstream.bodies import MAX_MEMBERS, Unfolding
from pushgate.adapters.upstream.connections import MAX_FIELD_BYTES, MAX_FIELDS
from pushgate.errors import PollError, PollFailureReason
from upstreams import Asked, fetching, listening, raw_backend, respond

BODY = b'{"rows": [' + b", ".join(b'{"id": %d, "bikes": 3}' % number for number in range(2000)) + b"]}"
LIMIT = 100_000
JSON = "Content-Type: application/json"


def encoded(coding: str, body: bytes, *, length: int | None = None) -> bytes:
    return respond("200 OK", body, JSON, f"Content-Encoding: {coding}", length=length)


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n", fields: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


CRIMES: dict[str, tuple[bytes, PollFailureReason, str]] = {
    "CutsTheGzip": (encoded("gzip", gzip.compress(BODY)[:-20]), "truncated", "gzip body ends in the middle"),
    "CutsTheGzipBeforeItsChecksum": (encoded("gzip", gzip.compress(BODY)[:-8]), "truncated", "ends in the middle"),
    "CutsTheGzipInTheHead": (encoded("gzip", gzip.compress(BODY)[:5]), "truncated", "ends in the middle"),
    "CutsTheSecondMember": (
        encoded("gzip", gzip.compress(BODY) + gzip.compress(BODY)[:50]),
        "truncated",
        "ends in the middle",
    ),
    "CutsTheDeflate": (encoded("deflate", zlib.compress(BODY)[:-9]), "truncated", "deflate body ends in the middle"),
    "CutsTheGzipInChunks": (
        chunked(gzip.compress(BODY)[:100], fields="Content-Encoding: gzip\r\n"),
        "truncated",
        "ends in the middle",
    ),
    "SaysGzipAndIsNot": (encoded("gzip", BODY[:500]), "decode", "says gzip, and is damaged or something else"),
    "DamagesTheGzip": (
        encoded("gzip", gzip.compress(BODY)[:-8] + b"\0\0\0\0" + gzip.compress(BODY)[-4:]),
        "decode",
        "damaged",
    ),
    "SaysDeflateAndIsNot": (encoded("deflate", b"\xff" * 500), "decode", "says deflate, and is damaged"),
    "EncodesAsNobodyAsked": (encoded("br", BODY[:500]), "protocol", "encoded as 'br', which was not asked for"),
    "EncodesTwice": (encoded("gzip, gzip", gzip.compress(gzip.compress(BODY))), "protocol", "not asked for"),
    "PacksABomb": (encoded("gzip", gzip.compress(bytes(50_000_000), 1)), "too_large", "larger than max_body"),
    "PacksTheLastStraw": (encoded("deflate", zlib.compress(bytes(LIMIT + 1))), "too_large", "larger than max_body"),
    "PacksAThousandNothings": (encoded("gzip", gzip.compress(b"") * (MAX_MEMBERS + 1)), "decode", "gzip members"),
    "AnnouncesTooMuch": (respond("200 OK", b"x", JSON, length=LIMIT + 1), "too_large", "larger than max_body"),
    "SendsTooMuchInChunks": (chunked(*[bytes(10_000)] * 11), "too_large", "larger than max_body"),
    "SendsHalfTheBody": (respond("200 OK", BODY[:50], length=5000), "truncated", "before its announced length"),
    "CutsTheChunks": (chunked(BODY[:50], end=b"10\r\nabc"), "truncated", "before its announced length"),
    "GarblesTheChunks": (chunked(BODY[:50], end=b"zz\r\nabc\r\n"), "protocol", "did not speak HTTP"),
    "SendsAHugeField": (
        respond("200 OK", b"{}", f"X: {'x' * (MAX_FIELD_BYTES + 1)}"),
        "protocol",
        "a header field of the answer is too large",
    ),
    "SendsTooManyFields": (
        respond("200 OK", b"{}", *(f"X-{number}: y" for number in range(MAX_FIELDS + 1))),
        "protocol",
        "too many header fields",
    ),
    "HasTwoLengths": (respond("200 OK", b"{}", "Content-Length: 5"), "protocol", "did not speak HTTP"),
    "HasANegativeLength": (respond("200 OK", b"{}", length=-2), "protocol", "did not speak HTTP"),
    "PutsALineIntoAField": (respond("200 OK", b"{}", "X: a\rSet-Cookie: b"), "protocol", "did not speak HTTP"),
    "PutsANulIntoAField": (respond("200 OK", b"{}", "X: a\0b"), "protocol", "did not speak HTTP"),
    "SpeaksAnotherProtocol": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "protocol", "did not speak HTTP"),
    "AnswersInHttp09": (b"<html>hello</html>", "protocol", "did not speak HTTP"),
    "EndsInTheHead": (b"HTTP/1.1 200 OK\r\nContent-Le", "connect", "without an answer"),
    "SaysNothing": (b"", "connect", "without an answer"),
}


@pytest.mark.parametrize("crime", CRIMES)
async def test_a_crime_has_its_own_name_and_leaves_no_trace(crime: str) -> None:
    """The gate is free again, the connection is not used for anything else, and the next answer is what it is."""
    bytes_of_it, reason, words = CRIMES[crime]
    asked_so_far = count()

    def answer(asked: Asked) -> bytes:
        return respond("200 OK", BODY) if next(asked_so_far) else bytes_of_it

    async with (
        raw_backend(answer, keeps_open=False) as backend,
        fetching(backend.url, max_body=f"{LIMIT}B", timeout={"total": "5s"}) as fetch,
    ):
        with pytest.raises(PollError) as caught:
            await fetch()
        assert (caught.value.reason, fetch.gate.under_way, fetch.gate.heard_of) == (reason, 0, [])
        assert words in caught.value.detail
        assert (await fetch()).body == BODY
        assert (len(backend.asked), backend.connections) == (2, 2)


async def test_the_words_of_a_failure_repeat_nothing_of_the_answer() -> None:
    """What an upstream sends may be anything, also somebody's password."""
    for line in (b"s3cret is the password\r\n\r\n", b"HTTP/1.1 200 OK\r\ns3cret\x01: s3cret\r\n\r\n"):
        async with raw_backend(line, keeps_open=False) as backend, fetching(backend.url) as fetch:
            with pytest.raises(PollError) as caught:
                await fetch()
            assert "s3cret" not in str(caught.value)


async def test_bytes_that_are_no_text_in_the_fields() -> None:
    """They are no reason to lose the document, whichever field they are in."""
    names = ("ETag", "Last-Modified", "Content-Type", "Cache-Control", "Age", "Date", "Retry-After", "Link", "Location")
    fields = [f"{name}: \xff\xfe; charset=\xe9" for name in (*names, "RateLimit", "Set-Cookie", "WWW-Authenticate")]
    async with raw_backend(respond("200 OK", BODY, *fields)) as backend, fetching(backend.url) as fetch:
        for _ in range(2):
            said = await fetch()
            assert said.body == BODY
            said.content_type.encode("ascii")
            assert (said.validators.etag, said.retry_after, said.link_next) == (None, None, None)


@pytest.mark.parametrize(
    "begin",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"],
    ids=["SaysContinueForEver", "NeverEndsAField", "DripsTheBody"],
)
async def test_an_answer_that_never_comes_to_an_end(begin: bytes) -> None:
    """The time for the whole exchange is up, or the limit for its fields is reached; either way it is over."""
    import asyncio

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begin)
        for _ in range(10_000):
            writer.write(begin if b"100" in begin else b"x" if b"X: " in begin else b"")
            await writer.drain()
            await asyncio.sleep(0.001)

    async with listening(serve) as url, fetching(url, timeout={"total": "200ms"}) as fetch:
        with pytest.raises(PollError) as caught:
            await fetch()
        assert (caught.value.reason, fetch.gate.under_way) == ("timeout", 0)


async def test_a_bomb_is_not_unfolded_to_find_out() -> None:
    """A gigabyte behind a megabyte costs no more memory than max_body does."""
    bomb = encoded("gzip", gzip.compress(bytes(200_000_000), 6))
    async with raw_backend(bomb) as backend, fetching(backend.url, max_body="1MB") as fetch:
        tracemalloc.start()
        with pytest.raises(PollError, match="too_large"):
            await fetch()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8_000_000


class TestUnfolding:
    @staticmethod
    def unfold(coding: str, data: bytes, size: int, limit: int) -> bytes:
        unfolding = Unfolding(coding, limit)
        pieces = [unfolding.feed(data[at : at + size]) for at in range(0, len(data), size)]
        unfolding.end()
        return b"".join(pieces)

    @given(
        st.lists(st.binary(max_size=200), min_size=1, max_size=4),
        st.integers(min_value=1, max_value=50),
        st.sampled_from(["gzip", "zlib", "raw"]),
    )
    def test_where_the_pieces_are_cut_does_not_matter(self, bodies: list[bytes], size: int, kind: str) -> None:
        """A piece may be a single byte, and end in the middle of anything."""
        pack: dict[str, Callable[[bytes], bytes]] = {
            "gzip": gzip.compress,
            "zlib": zlib.compress,
            "raw": lambda body: zlib.compress(body)[2:-4],
        }
        parts = bodies if kind == "gzip" else bodies[:1]
        whole = b"".join(parts)
        packed = b"".join(pack[kind](part) for part in parts)
        coding = "gzip" if kind == "gzip" else "deflate"
        assert self.unfold(coding, packed, size, len(whole)) == whole
        if whole:
            with pytest.raises(PollError, match="too_large"):
                self.unfold(coding, packed, size, len(whole) - 1)
        with pytest.raises(PollError, match="truncated"):
            self.unfold(coding, packed[:-1], size, 10_000)

    @given(st.binary(min_size=1, max_size=300), st.sampled_from(["gzip", "deflate"]))
    def test_anything_else_is_a_failed_poll(self, data: bytes, coding: str) -> None:
        try:
            assert len(self.unfold(coding, data, 7, 1000)) <= 1000
        except PollError as error:
            assert error.reason in ("decode", "truncated", "too_large")
