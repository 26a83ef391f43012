"""Recorded polls: from files to what the upstream said."""

from __future__ import annotations

from pushgate.answers import Answer
from pushgate.errors import PollError
from pushgate.tools.recordings import Recorded, bodies, recorded, timed, times_of
from pushgate.values import Validators


def test_a_body_alone_is_a_200_of_the_type_that_its_name_tells() -> None:
    one = recorded("0001.csv", b"a,b", meta=None, at=5.0)
    assert one == Recorded("0001.csv", Answer(200, "text/csv", b"a,b", Validators(), 5.0), 5.0)


def test_what_was_written_down_beside_it_counts() -> None:
    """Status, type, validators, freshness, and the time."""
    headers = {"content-type": "text/xml", "ETag": '"1"', "Cache-Control": "max-age=9", "Retry-After": "7"}
    one = recorded("1.txt", b"", meta={"status": 503, "t": 8.5, "headers": headers}, at=None)
    assert isinstance(one.outcome, Answer)
    assert (one.at, one.outcome.status, one.outcome.content_type) == (8.5, 503, "text/xml")
    assert (one.outcome.validators.etag, one.outcome.fresh_for, one.outcome.retry_after) == ('"1"', 9.0, 7.0)


def test_a_refused_connection_is_a_status_of_0() -> None:
    one = recorded("9.txt", b"", meta={"status": 0, "t": 1.0, "headers": {"error": "refused"}}, at=None)
    assert isinstance(one.outcome, PollError)
    assert (one.outcome.reason, one.outcome.detail) == ("connect", "refused")


def test_the_date_of_an_answer_is_its_time_if_there_is_no_other() -> None:
    meta = {"status": 200, "headers": {"Date": "Thu, 01 Jan 1970 00:01:00 GMT"}}
    assert recorded("1.txt", b"", meta=meta, at=None).at == 60.0


def test_times_are_read_from_an_index() -> None:
    """In UTC unless it says otherwise; what is no time is left out."""
    index = "n,file,observed_utc\n1,1.json,1970-01-01T00:01:00Z\n2,2.json,1970-01-01 00:02:00\n3,3.json,soon\n"
    assert times_of(index) == {"1.json": 60.0, "2.json": 120.0}


def test_the_bodies_of_a_folder_are_its_numbered_files_in_order() -> None:
    """What describes others is none; without numbers, all are."""
    names = ["10.json", "2.json", "meta.json", "2.meta.json", "index.csv", "README.md", ".x"]
    assert bodies(names) == ["2.json", "10.json"]
    assert bodies(["b.json", "a.json", "index.csv"]) == ["a.json", "b.json"]


def test_polls_without_a_time_follow_each_other_by_the_interval() -> None:
    """And time never runs backwards."""
    polls = [recorded(f"{n}.json", b"", meta=None, at=at) for n, at in enumerate([None, None, 60.0, None, 50.0])]
    assert [at for at, _ in timed(polls, every=5.0)] == [0.0, 5.0, 60.0, 65.0, 65.0]
