"""How events are written, read back by other means."""

from __future__ import annotations

import json
import re
import zlib

import pytest

from pushgate.errors import NoSuchTopic, Overloaded
from pushgate.packing import FLUSH, GZIP_HEADER, Parcel, joined
from pushgate.values import Event, Status
from pushgate.wire import (
    BLOCKS,
    FRAMES,
    MESSAGES,
    Forms,
    ack_message,
    envelope,
    heartbeat_event,
    http_date,
    http_head,
    long_poll_body,
    problem_body,
    problem_event,
    problem_message,
    sse_block,
    sse_message,
    sse_retry,
    status_event,
    text_frame,
    websocket_frame,
)
from slowclients import read_frames, read_sse

EVENT = Event("patch", "E.1.S.H", 0.0, '[{"op":"add","path":"/ü","value":"\u2028"}]'.encode())
BARE = Event("heartbeat", None, 0.0, b"{}")
STATUS = Status("stale", 0.0, "timeout", 1.0, None)
ENVELOPE = {
    "event": "patch",
    "id": "E.1.S.H",
    "at": "1970-01-01T00:00:00.000Z",
    "data": [{"op": "add", "path": "/ü", "value": "\u2028"}],
}


def test_an_envelope_carries_what_framing_does_not() -> None:
    """Event, id and time in front of the data; no id where there is none."""
    assert json.loads(envelope(EVENT)) == ENVELOPE
    assert list(json.loads(envelope(EVENT))) == ["event", "id", "at", "data"]
    assert "id" not in json.loads(envelope(BARE))


def test_an_envelope_says_that_its_data_is_bytes() -> None:
    """In front of the data; a bare SSE event has nothing around it, so there its route is all that tells."""
    event = Event("snapshot", "E.1.S.H", 0.0, b'"AP8="', encoding="base64")
    told = {"event": "snapshot", "id": "E.1.S.H", "at": ENVELOPE["at"], "encoding": "base64", "data": "AP8="}
    assert [*json.loads(envelope(event)).items()] == [*told.items()]
    assert sse_block(event, "/t") == b'id: E.1.S.H\nevent: snapshot\ndata: "AP8="\n\n'


def test_an_sse_block_is_one_event() -> None:
    """The block has an id, a name and one data line with nothing around the data."""
    (event,) = read_sse(sse_block(EVENT, "/t"))
    assert (event["event"], event["id"], event["data"]) == ("patch", "E.1.S.H", ENVELOPE["data"])
    assert event["fields"] == {"id", "event", "data"}
    assert sse_block(EVENT, "/t").count(b"\n") == 4


def test_a_block_without_id_leaves_the_last_one() -> None:
    """An event that is no position has no id line, so a client keeps the id it has."""
    first, second = read_sse(sse_block(EVENT, "/t") + sse_block(BARE, "/t"))
    assert second["event"] == "heartbeat"
    assert second["id"] == first["id"] == "E.1.S.H"
    assert b"id:" not in sse_block(BARE, "/t")


def test_a_message_is_for_onmessage() -> None:
    """Unnamed, its data is the envelope, and the id stands on its line too."""
    (event,) = read_sse(sse_message(EVENT, "/t"))
    assert (event["event"], event["id"], event["data"]) == ("message", "E.1.S.H", ENVELOPE)


def test_retry_is_a_line_in_front_of_a_block() -> None:
    """``retry`` is in whole milliseconds and part of the block that follows."""
    assert sse_retry(1.2345) == b"retry: 1234\n"
    (event,) = read_sse(sse_retry(2) + sse_block(EVENT, "/t"))
    assert event["fields"] == {"retry", "id", "event", "data"}


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_frames_of_every_length(size: int) -> None:
    """A text frame is final and unmasked, and its length takes one, three or nine bytes."""
    frame = text_frame(b"x" * size)
    assert read_frames(frame + frame) == [(1, b"x" * size)] * 2
    assert frame[0] == 0x81 and not frame[1] & 0x80
    assert len(frame) - size == (2 if size < 126 else 4 if size < 65_536 else 10)


def test_a_websocket_event_is_an_envelope_in_a_frame() -> None:
    """One envelope in each text message."""
    ((opcode, payload),) = read_frames(websocket_frame(EVENT, "/t"))
    assert (opcode, json.loads(payload)) == (1, ENVELOPE)


LARGE = [{"id": f"r{n}", "value": n} for n in range(50)]
LARGE_DATA = json.dumps(LARGE).encode()
LARGE_EVENT = Event("snapshot", "E.1.S.H", 0.0, LARGE_DATA, parcel=Parcel(LARGE_DATA))


@pytest.mark.parametrize("forms", [BLOCKS, MESSAGES], ids=["named", "unnamed"])
def test_a_compressed_stream_says_the_same(forms: Forms) -> None:
    """Behind a gzip header every block is what it would be without; what is small is not compressed, but readable."""
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    stream.decompress(GZIP_HEADER)
    for event in (LARGE_EVENT, BARE, EVENT, LARGE_EVENT):
        assert stream.decompress(forms.deflated(event, "/t")) == forms.plain(event, "/t")
    assert len(forms.deflated(LARGE_EVENT, "/t")) < len(forms.plain(LARGE_EVENT, "/t")) / 2


@pytest.mark.parametrize("forms", [BLOCKS, MESSAGES], ids=["named", "unnamed"])
@pytest.mark.parametrize("event", [LARGE_EVENT, BARE, EVENT])
def test_a_compressed_event_is_complete_for_every_reader(event: Event, forms: Forms) -> None:
    """What programs in Go inflate with hands nothing on before an empty stored block, so each event ends with one."""
    assert forms.deflated(event, "/t").endswith(FLUSH)


def test_a_compressed_message_says_the_same() -> None:
    """With RSV1, and without the last four bytes of what it is compressed to (RFC 7692 section 7.2.1)."""
    ((opcode, plain),) = read_frames(FRAMES.plain(LARGE_EVENT, "/t"))
    frame = FRAMES.deflated(LARGE_EVENT, "/t")
    ((same_opcode, deflated),) = read_frames(frame)
    assert (opcode, same_opcode, frame[0]) == (1, 1, 0b1100_0001)
    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated + b"\x00\x00\xff\xff") == plain
    assert len(deflated) < len(plain) / 2


def test_a_small_message_is_the_same_for_all() -> None:
    """Each message says for itself whether it is compressed."""
    assert FRAMES.deflated(BARE, "/t") == FRAMES.plain(BARE, "/t")


def test_compressed_forms_share_what_is_compressed() -> None:
    """The data in the middle, whatever stands around it."""
    assert LARGE_EVENT.parcel is not None and LARGE_EVENT.parcel.deflated is not None
    for forms in (BLOCKS, MESSAGES, FRAMES):
        assert LARGE_EVENT.parcel.deflated in forms.deflated(LARGE_EVENT, "/t")


def test_a_long_poll_is_a_cursor_and_events() -> None:
    """The body holds the cursor to come back with and the envelopes, none or many."""
    told = [(EVENT, "/t"), (EVENT, "/t")]
    assert json.loads(joined(long_poll_body("E.1.S.H", told))) == {"cursor": "E.1.S.H", "events": [ENVELOPE] * 2}
    assert json.loads(joined(long_poll_body("E.1.S.H", []))) == {"cursor": "E.1.S.H", "events": []}
    assert json.loads(joined(long_poll_body(None, []))) == {"cursor": None, "events": []}


def test_a_status_is_news_but_no_position() -> None:
    """All times are RFC 3339 or null; there is no id."""
    event = status_event(STATUS, at=2.0)
    assert (event.kind, event.id) == ("status", None)
    assert json.loads(event.data) == {
        "state": "stale",
        "since": "1970-01-01T00:00:00.000Z",
        "reason": "timeout",
        "confirmed_at": "1970-01-01T00:00:01.000Z",
        "next_poll_at": None,
    }


def test_a_heartbeat_repeats_a_position() -> None:
    """Its id is whatever the subscriber has, or none."""
    assert heartbeat_event(STATUS, id="E.1.S.H", at=2.0).id == "E.1.S.H"
    assert heartbeat_event(STATUS, id=None, at=2.0).id is None
    data = json.loads(heartbeat_event(STATUS, id=None, at=2.0).data)
    assert data == {"at": "1970-01-01T00:00:02.000Z", "state": "stale", "confirmed_at": "1970-01-01T00:00:01.000Z"}


def test_answers_to_messages_have_their_ref() -> None:
    """Whatever JSON the client called its message comes back with the answer."""
    for ref in (None, 7, "x", {"a": [1]}):
        ack = json.loads(ack_message(ref=ref, at=0))
        problem = json.loads(problem_message(NoSuchTopic("none"), ref=ref, at=0))
        assert (ack["event"], ack["ref"]) == ("ack", ref)
        assert (problem["event"], problem["ref"], problem["code"]) == ("problem", ref, "no_such_topic")


def test_a_refusal_is_a_problem() -> None:
    """RFC 9457 with a stable code; on a stream an event without an id."""
    body = json.loads(problem_body(NoSuchTopic("nothing here")))
    assert (body["status"], body["code"], body["detail"]) == (404, "no_such_topic", "nothing here")
    event = problem_event(Overloaded("full", retry_after=5), at=0)
    assert (event.kind, event.id, json.loads(event.data)) == (
        "problem",
        None,
        {"code": "overloaded", "message": "full"},
    )


def test_a_date_is_in_whole_seconds() -> None:
    """A second that has not passed does not count, and after each the text is another."""
    assert http_date(784111777.0) == http_date(784111777.999) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(784111778.0) == "Sun, 06 Nov 1994 08:49:38 GMT"
    assert http_date(784111777.5) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_head_is_lines() -> None:
    """Status line, fields, an empty line."""
    head = http_head("200 OK", {"A": "b", "C": "d"})
    assert re.fullmatch(rb"HTTP/1\.1 200 OK\r\nA: b\r\nC: d\r\n\r\n", head)
