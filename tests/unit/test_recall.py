"""A decoder that recalls says what a decoder that does not would say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushgate.adapters.upstream.formats.json import decode
from pushgate.adapters.upstream.formats.recall import RecallingDecoder
from pushgate.documents.diffing import compare
from pushgate.documents.keys import Keys
from pushgate.documents.selecting import Ignore
from pushgate.errors import PollError
from pushgate.values import Json

encode = msgspec.json.encode


def rows(count: int = 100) -> list[Any]:
    return [{"id": n, "name": f"row {n}", "on": n % 2 == 0, "tags": [1, 1.0, "x" * 40]} for n in range(count)]


def publish(decoder: RecallingDecoder, held: Json, body: bytes) -> Json:
    """One poll as a topic sees it."""
    difference = compare(held, decoder.decode(body, "application/json"), keys=Keys.of("id"))
    document = held if difference is None else difference.document
    decoder.learn(document)
    return document


def test_what_has_not_changed_is_the_published_object() -> None:
    """Rows whose bytes were in the last answer are not parsed, wherever they stand now."""
    decoder, first = RecallingDecoder(), rows()
    held = publish(decoder, None, encode(first))
    assert isinstance(held, list)

    second = [{"id": -1, "name": "new", "on": True}, *first[50:], *first[:50]]
    again = decoder.decode(encode(second), "")

    assert again == second
    assert isinstance(again, list)
    assert all(new is old for new, old in zip(again[1:], [*held[50:], *held[:50]], strict=True))


def test_it_looks_into_the_members_of_large_containers() -> None:
    """A list that stands deep in an answer is recalled row by row, and so is an object of rows."""
    decoder, array = RecallingDecoder(), rows()
    answer = {"at": 1, "data": {"stations": array}, "by": {str(n): [n, "x" * 60] for n in range(99)}}
    held = publish(decoder, None, encode(answer))

    new = decoder.decode(encode({**answer, "at": 2}), "")

    assert isinstance(held, dict) and isinstance(new, dict)
    assert new["data"]["stations"][7] is held["data"]["stations"][7]  # type: ignore[call-overload, index]  # it is JSON
    assert new["by"]["7"] is held["by"]["7"]  # type: ignore[call-overload, index]  # it is JSON


def test_equal_is_decided_by_bytes() -> None:
    """True, 1 and 1.0 are different bytes, so one is never recalled for another."""
    decoder = RecallingDecoder()
    base = [{"id": n, "v": 1, "pad": "x" * 60} for n in range(100)]
    held = publish(decoder, None, encode(base))
    for value in (True, 1.0, 1, "1"):
        changed = [{**row, "v": value} for row in base]
        held = publish(decoder, held, encode(changed))
        assert repr(decode(encode(changed), "")[3]["v"]) == repr(value)  # type: ignore[index, call-overload]
        assert encode(held).count(b'"v":%s' % encode(value)) == 100 or value in (1, 1.0)


def test_ignored_members_stay_ignored() -> None:
    """What is recalled was stripped when it was published; stripping it again takes nothing more."""
    decoder, ignore = RecallingDecoder(), Ignore(["/*/name", "/*/tags/*"])
    held: Json = None
    for turn in range(3):
        answer = rows()
        answer[turn]["on"] = "changed"
        difference = compare(held, ignore(decoder.decode(encode(answer), "")), keys=Keys.of("id"))
        assert difference is not None
        held = difference.document
        decoder.learn(held)
        assert held == [{"id": row["id"], "on": row["on"], "tags": []} for row in answer]


@pytest.mark.parametrize("broken", [b"[1,", b'{"a":', b"[{}]]", b"\xff", b"[" * 300 + b"]" * 300])
def test_what_is_not_json_is_told_as_ever(broken: bytes) -> None:
    """A large answer that is no JSON fails as a small one does, and leaves what was known as it was."""
    decoder, answer = RecallingDecoder(), rows()
    held = publish(decoder, None, encode(answer))
    for body in (broken, broken + b" " * 5000, encode(answer)[:-40]):
        with pytest.raises(PollError, match="decode"):
            decoder.decode(body, "")
    assert publish(decoder, held, encode(answer)) == answer


def test_lone_surrogates_are_mended_in_large_answers_too() -> None:
    """The same text gives the same value, however large the answer around it is."""
    body = encode(rows()).replace(b'"row 7"', rb'"\ud800"')
    value = RecallingDecoder().decode(body, "")
    assert isinstance(value, list) and isinstance(value[7], dict)
    assert value[7]["name"] == "�"


def test_a_charset_counts_before_anything_is_recalled() -> None:
    """Latin-1 is recoded first, so that parts are always UTF-8."""
    text = msgspec.json.encode([{"id": n, "name": "Zürich", "pad": "x" * 60} for n in range(90)]).decode()
    value = RecallingDecoder().decode(text.encode("latin-1"), "application/json; charset=iso-8859-1")
    assert value == msgspec.json.decode(text)


leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text(max_size=60)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=9)


@st.composite
def series(draw: st.DrawFn) -> list[list[Json]]:
    """Answers of few values, which come again and again, in one answer and in the next."""
    few = st.sampled_from(draw(st.lists(values, min_size=1, max_size=9)))
    return draw(st.lists(st.lists(few, max_size=9), min_size=2, max_size=4))


@settings(max_examples=300, deadline=None)
@given(series(), st.sampled_from(["array", "object", "deep"]))
def test_any_sequence_of_answers_is_decoded_as_if_each_were_the_first(answers: list[list[Json]], shape: str) -> None:
    """Whatever came before, the value of an answer is that of its bytes."""
    decoder, held = RecallingDecoder(), None
    for turn, part in enumerate(answers):
        array = [*part, *rows(40), *part]
        answer: Json = {"array": array, "object": {str(n): v for n, v in enumerate(array)},
                        "deep": {"turn": turn, "a": {"b": [array, array[::-1]]}}}[shape]  # fmt: skip
        body = encode(answer)
        assert encode(decoder.decode(body, "")) == encode(decode(body, ""))
        held = publish(decoder, held, body)
        assert compare(held, decode(body, "")) is None


def test_it_rests_while_there_is_little_to_recall() -> None:
    """Where nearly everything changes each time, answers are parsed as a whole; what is said stays the same."""
    decoder, held = RecallingDecoder(), None
    for turn in range(40):
        document = [{**row, "name": f"{turn}"} for row in rows()]
        held = publish(decoder, held, encode(document))
        assert held == document
    assert decoder._rest > 0 and not decoder._known


def test_it_begins_again_when_there_is() -> None:
    """After a while it tries again, and recalls what has not changed."""
    decoder, held = RecallingDecoder(), None
    for turn in range(3):
        held = publish(decoder, held, encode([{**row, "name": f"{turn}"} for row in rows()]))
    for turn in range(40):
        last, held = held, publish(decoder, held, encode([{"id": -1, "name": f"{turn}"}, *rows()]))
    assert isinstance(last, list) and isinstance(held, list)
    decoded = decoder.decode(encode([{"id": -1, "name": "other"}, *rows()]), "application/json")
    assert isinstance(decoded, list)
    assert decoded[50] is held[50]
