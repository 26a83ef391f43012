"""From samples to a gateway.yaml that loads, with a reason for every line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from pushgate.answers import NO_VALIDATORS, Answer
from pushgate.config import parse
from pushgate.errors import PollError
from pushgate.tools.probing import Asked, Format, Report, Sample, as_json, infer, write
from pushgate.tools.probing.writing import flow

START = 1_795_486_381.0


def decode(_form: Format, answer: Answer) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except msgspec.DecodeError as exc:
        raise PollError("decode", str(exc)) from exc


def polled(documents: Iterable[Any], *, every: float = 2.0, **answer: Any) -> list[Sample]:
    """One answer for each document; a whole Answer stands for itself."""
    bodies = enumerate(json.dumps(document).encode() for document in documents)
    return [
        Sample(Answer(200, "application/json", body, NO_VALIDATORS, START + every * number, **answer), 0.05)
        for number, body in bodies
    ]


def stations(number: int) -> dict[str, Any]:
    """A feed as of bicycles: a clock, and a station that changes now and then."""
    rows = [{"station_id": f"s{at}", "bikes": number // 7 if at == 1 else 3} for at in range(4)]
    return {"last_updated": int(START + 2 * number), "data": {"stations": rows}}


def report_of(count: int = 40) -> Report:
    return infer(polled(map(stations, range(count))), decode)


def loaded(asked: Asked, report: Report) -> Any:
    """The route as the loader of gateway.yaml understands what was written."""
    environ = dict.fromkeys(asked.placeholders(), "x")
    gateway = parse(write(asked, report), file="gateway.yaml", environ=environ, base=Path())
    (route,) = gateway.routes.values()
    return gateway, route


def test_a_feed_of_stations_gets_a_whole_route() -> None:
    """Its key, its clock, its interval and its transport."""
    report = report_of()
    assert report.value("key") == "station_id"
    assert report.value("ignore") == ["/last_updated"]
    assert report.value("poll", "adaptive") == {"min": "1s", "max": "10s"}
    assert report.value("transports") == ["sse", "short_poll"]
    assert report.changes == 5
    assert report.pushed_bytes < report.polled_bytes / 10


def test_what_is_written_can_be_run() -> None:
    """The text is a whole gateway.yaml, and means what was found."""
    gateway, route = loaded(Asked("https://api.bikes.example/gbfs/status.json"), report_of())
    assert list(gateway.routes) == ["/gbfs/status.json"]
    assert route.upstream == "bikes-example"
    assert (route.key, route.ignore) == ("station_id", ("/last_updated",))
    assert route.guards.content_type == ("application/json",)


def test_every_line_that_was_found_has_a_reason_above_it() -> None:
    """Whoever reads the file knows why."""
    lines = write(Asked("https://bikes.example/status"), report_of()).splitlines()
    for key in ("adaptive:", "format:", "ignore:", "content_type:", "key:", "transports:"):
        at = next(number for number, line in enumerate(lines) if line.strip().startswith(key))
        assert lines[at - 1].strip().startswith("# "), key


def test_a_report_for_programs_holds_the_same() -> None:
    """As JSON: the configuration, and each finding with its reason."""
    asked = Asked("https://bikes.example/status")
    document = json.loads(json.dumps(as_json(asked, report_of())))
    assert document["config"] == yaml.safe_load(write(asked, report_of()))
    assert document["transport"] == "sse"
    assert {"path": ["key"], "value": "station_id"}.items() <= next(
        each for each in document["findings"] if each["path"] == ["key"]
    ).items()


def test_what_never_changed_is_a_guess() -> None:
    """30 seconds and long poll, and the text says what it is worth."""
    report = infer(polled([{"a": 1}] * 5), decode)
    assert report.value("poll", "every") == "30s"
    assert report.value("transports") == ["long_poll", "short_poll"]
    assert "is a guess" in write(Asked("https://a.example/"), report)


def test_what_is_only_fresh_once_an_hour_needs_no_push() -> None:
    """Transport: none, short polling is right."""
    report = infer(polled([{"a": 1}] * 5, fresh_for=3600.0), decode)
    assert report.value("transports") == "short_poll"
    assert as_json(Asked("https://a.example/"), report)["transport"] is None


def test_arrays_with_different_keys_get_one_for_each() -> None:
    """By pointer, because neither name is right for the other."""
    documents = [
        {"a": [{"id": f"x{n}", "v": v} for n in range(3)], "b": [{"code": f"c{n}", "v": v} for n in range(3)]}
        for v in range(4)
    ]
    report = infer(polled(documents), decode)
    assert report.value("key") == {"/a": "id", "/b": "code"}
    loaded(Asked("https://a.example/x"), report)


def test_a_key_that_is_a_trap_elsewhere_is_limited_to_its_array() -> None:
    """id names the items of one array and counts the rows of another."""
    documents = [
        {
            "good": [{"id": f"x{n}", "v": v} for n in range(3)],
            "bad": [{"id": at, "text": "same", "n": n % 2} for at, n in enumerate(range(v, 6))],
        }
        for v in range(4)
    ]
    report = infer(polled(documents), decode)
    assert report.value("key") == {"/good": "id"}
    assert any("/bad" in note and "where an item stands" in note for note in report.notes)


def test_a_token_is_kept_if_nothing_else_ever_changed() -> None:
    """It may be the news; only of a clock it is certain that it is none."""
    tokens = ["9f86d081884c", "60303ae22b99", "fd61a03af4f7", "a4e624d686e0", "3e23e8160039"]
    report = infer(polled([{"build": token, "name": "x"} for token in tokens]), decode)
    assert report.value("ignore") is None
    assert report.changes == 4


def test_a_counter_of_our_own_polls_does_not_set_the_pace() -> None:
    """It changes because it is looked at: the interval follows from what else changes."""
    moments = [0.0, 1.0, 2.2, 3.6, 5.3, 7.3, 9.7, 12.6, 16.1, 20.3]
    samples = [
        Sample(Answer(200, "", json.dumps({"asked": n, "a": n // 8}).encode(), NO_VALIDATORS, START + at), 0.05)
        for n, at in enumerate(moments)
    ]
    report = infer(samples, decode)
    assert report.changes == 9
    assert report.value("poll", "every") == "10s"


def test_what_may_be_quiet_is_a_comment() -> None:
    """A counter is for the user to decide: the line is there, commented out."""
    report = infer(polled([{"hits": n * n, "state": n // 9} for n in range(20)]), decode)
    text = write(Asked("https://a.example/x"), report)
    assert "# quiet: {/hits: any}" in text
    assert loaded(Asked("https://a.example/x"), report)[1].quiet == {}


@pytest.mark.parametrize(
    ("document", "answer", "words"),
    [
        (
            {"results": [{"id": 1}], "next": "https://a.example/x?page=2"},
            {},
            "{next: {pointer: /next}, items: /results}",
        ),
        ({"value": [], "@odata.nextLink": "/x?$skip=1"}, {}, '{next: {pointer: "/@odata.nextLink"}, items: /value}'),
        ({"items": [], "_links": {"next": {"href": "/x?p=2"}}}, {}, "{pointer: /_links/next/href}"),
        ([1, 2], {"link_next": "https://a.example/x?page=2"}, "{next: link_header}"),
    ],
)
def test_a_first_page_is_recognised(document: Any, answer: dict[str, Any], words: str) -> None:
    """A Link header, or a member called next with an address in it, is proposed as pages."""
    text = write(Asked("https://a.example/x"), infer(polled([document] * 3, **answer), decode))
    assert "# pages:" in text
    assert words in text


def test_answers_that_cannot_be_read_are_told() -> None:
    """One apology among many answers is a note, and no change."""
    samples = polled([stations(n) for n in range(10)])
    page = Answer(200, "text/html", b"<html>sorry</html>", NO_VALIDATORS, START + 30)
    late = Answer(503, "", b"", NO_VALIDATORS, START + 32)
    report = infer([*samples, Sample(page, 0.1), Sample(late, 0.1)], decode)
    assert any("decode" in note for note in report.notes)
    assert any("http_5xx" in note for note in report.notes)
    assert report.value("format") == "json"


def test_a_refused_pace_is_kept_in_mind() -> None:
    """429 while it was probed: the route is slower than that."""
    samples = polled([{"n": n} for n in range(10)])
    refused = Answer(429, "", b"", NO_VALIDATORS, START + 30, retry_after=20.0)
    assert infer([*samples, Sample(refused, 0.1)], decode).value("poll", "every") == "20s"


def test_without_any_document_there_is_no_route() -> None:
    """The error is the poll's own."""
    with pytest.raises(PollError, match="decode"):
        infer([Sample(Answer(200, "", b"{", NO_VALIDATORS, START), 0.1)], decode)
    with pytest.raises(PollError, match="no answer with a body"):
        infer([Sample(Answer(204, "", b"", NO_VALIDATORS, START), 0.1)], decode)


def test_a_304_is_no_change_and_no_body() -> None:
    """It counts as a poll that found the last document again."""
    first, second = polled([{"a": 1}, {"a": 1}])
    spared = Sample(Answer(304, "", b"", NO_VALIDATORS, START + 1), 0.01, first.answer.validators)
    report = infer([first, spared, second], decode)
    assert (report.polls, report.changes) == (3, 0)


@pytest.mark.parametrize(
    "text",
    ["plain", "true", "no", "12", "1e5", "0x1F", "", "a: b", "# c", "it's", '"q"', "- x", "[a]", "{a}", "*a", "&a",
     "!t", "%d", "@id", "`x`", "5s", "1.5", ".inf", "~", "null", "line\nend", "\x7f\x85\u2028",
     "ümlaut", "a\\b", "/a/*/b"],
)  # fmt: skip
def test_texts_come_back_as_they_were(text: str) -> None:
    """Whatever a backend calls its members, YAML reads it as the same text."""
    assert yaml.safe_load(flow({text: [text]})) == {text: [text]}


def test_names_that_a_backend_chose_begin_no_line_of_their_own() -> None:
    """A member with a line break in its name cannot write configuration."""
    documents = [{"now\nversion: 2": int(START + 2 * n), "n": n // 3} for n in range(8)]
    report = infer(polled(documents), decode)
    _gateway, route = loaded(Asked("https://a.example/x"), report)
    assert route.ignore == ("/now\nversion: 2",)
