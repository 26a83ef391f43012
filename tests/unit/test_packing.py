"""Compression, once: what stands in a gzip stream, read back by zlib itself."""

from __future__ import annotations

import gzip
import pickle
import zlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.packing import (
    GZIP_HEADER,
    MAX_BYTES,
    MIN_BYTES,
    SMALL_BYTES,
    TINY_BYTES,
    Parcel,
    deflate,
    gzip_member,
    joined,
    packed,
    stored,
)

TEXT = b'{"id":"r1","value":12},' * 40
NOISE = Random(1).randbytes(2000)

# Texts that repeat themselves and one another, texts that do not, and short ones.
texts = st.one_of(
    st.binary(max_size=3 * MIN_BYTES),
    st.builds(lambda word, times: word * times, st.binary(min_size=1, max_size=40), st.integers(1, 200)),
    st.just(TEXT),
    st.just(NOISE),
)
events = st.tuples(st.binary(max_size=60), texts, st.binary(max_size=5))


def inflate(blocks: bytes) -> bytes:
    """Read raw deflate that has no end yet."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(blocks)


@given(st.lists(events, max_size=8))
def test_every_event_can_be_read_at_once(told: list[tuple[bytes, bytes, bytes]]) -> None:
    """Whoever has got an event's last byte can read all of it, and needs nothing of the next one."""
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert stream.decompress(GZIP_HEADER) == b""
    for head, data, tail in told:
        blocks = packed(head, Parcel(data), tail)
        text = head + data + tail
        assert stream.decompress(stored(text) if blocks is None else blocks) == text


@given(st.lists(texts, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_what_was_compressed_once_can_stand_anywhere(datas: list[bytes], chance: Random) -> None:
    """It refers to nothing in front of it, so each client may have it behind something else."""
    deflated = [(data, deflate(data)) for data in datas]
    for _ in range(3):
        chance.shuffle(deflated)
        assert inflate(b"".join(blocks for _, blocks in deflated)) == b"".join(data for data, _ in deflated)


@given(st.lists(st.tuples(texts, st.booleans()), max_size=6))
def test_a_whole_body_is_one_gzip_file(parts: list[tuple[bytes, bool]]) -> None:
    """With its length and its checksum, whatever its pieces are and however often they are used."""
    pieces = [Parcel(data) if is_shared else data for data, is_shared in parts]
    for _ in range(2):
        member = gzip_member(pieces)
        assert member is None or gzip.decompress(member) == joined(pieces) == b"".join(data for data, _ in parts)
    is_worth_it = any(isinstance(piece, Parcel) and piece.deflated for piece in pieces)
    assert (member is not None) == is_worth_it


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 200_000])
def test_stored_bytes_are_as_they_are(size: int) -> None:
    """Five bytes are put in front of each 64 KB, and nothing in front of nothing."""
    data = Random(size).randbytes(size)
    assert inflate(stored(data)) == data
    assert len(stored(data)) == size + 5 * -(-size // 65535)


@pytest.mark.parametrize("size", [MIN_BYTES, TINY_BYTES, TINY_BYTES + 1, SMALL_BYTES, SMALL_BYTES + 1, 3 * SMALL_BYTES])
def test_every_size_is_compressed(size: int) -> None:
    """With whatever settings its size has."""
    data = (TEXT * (1 + size // len(TEXT)))[:size]
    deflated = Parcel(data).deflated
    assert deflated is not None and inflate(deflated) == data
    assert len(deflated) < size / 2


@pytest.mark.parametrize("data", [b"", TEXT[: MIN_BYTES - 1], NOISE], ids=["nothing", "little", "noise"])
def test_what_is_not_worth_it_stays_as_it_is(data: bytes) -> None:
    """Too little, or hardly smaller than before: every client would have to inflate it."""
    assert Parcel(data).deflated is None
    assert packed(b"a", Parcel(data), b"b") is None
    assert gzip_member([b"[", Parcel(data), b"]"]) is None


def test_it_is_compressed_once() -> None:
    """And not before somebody asks."""
    parcel = Parcel(TEXT)
    assert parcel.size == len(TEXT)
    first = parcel.deflated
    assert first is not None and parcel.deflated is first
    assert parcel.size == len(TEXT) + len(first)


def test_nothing_large_is_compressed_in_passing() -> None:
    """Whoever has the time presses it; until then it goes out as it is, and from then on compressed."""
    data = TEXT * (1 + MAX_BYTES // len(TEXT))
    parcel = Parcel(data)
    assert parcel.deflated is None
    pressed = parcel.press()
    assert pressed is not None and inflate(pressed) == data
    assert parcel.deflated is pressed
    assert Parcel(data, pressed).deflated is pressed


def test_it_travels_with_what_is_compressed() -> None:
    """From the helper process to the gateway, which need not compress it again."""
    parcel = Parcel(TEXT)
    parcel.press()
    other = pickle.loads(pickle.dumps(parcel))
    assert (other.data, other.deflated, other.size) == (TEXT, parcel.deflated, parcel.size)
