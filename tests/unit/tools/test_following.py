"""What a client does who follows topics: where it is, when it comes back, and what its document is."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pushgate.errors import Refusal
from pushgate.tools.following import (
    Again,
    Closed,
    Cut,
    Ending,
    Finished,
    Follower,
    Over,
    Refused,
    Replica,
    Silenced,
)
from pushgate.tools.following.address import Address
from pushgate.tools.following.differences import Difference, differences
from pushgate.values import ABSENT, Transport


def judged(ending: Ending, *, follower: Follower | None = None, chance: float = 1.0) -> Over | Again:
    return (follower or Follower(was_heard=True)).judge(ending, chance=chance)


def refusals(kind: type[Refusal] = Refusal) -> list[type[Refusal]]:
    return [*kind.__subclasses__(), *(below for each in kind.__subclasses__() for below in refusals(each))]


class TestEndings:
    @pytest.mark.parametrize("refusal", refusals(), ids=lambda kind: kind.__name__)
    def test_every_refusal_is_judged_as_the_docs_say(self, refusal: type[Refusal]) -> None:
        """By its status, by its code alone and by its close code alike: room and time pass, all else does not."""
        is_passing = refusal.status in (408, 429) or refusal.status >= 500
        for ending in (Refused(refusal.status, refusal.code, "x"), Refused(None, refusal.code, "x")):
            assert isinstance(judged(ending), Again) is is_passing, ending
        if refusal.close_code not in (1008, 4408) or not is_passing:
            # What is said of a head is said by HTTP; and who has shown nothing in the handshake shows nothing later.
            assert isinstance(judged(Closed(refusal.close_code, "")), Again) is is_passing

    @pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 1012, 1013, 1015])
    def test_what_the_way_does_to_a_websocket_passes(self, code: int) -> None:
        assert isinstance(judged(Closed(code, "")), Again)

    def test_the_end_is_good(self) -> None:
        for ending in (Finished(), Closed(1000, "end")):
            verdict = judged(ending)
            assert isinstance(verdict, Over) and verdict.is_good

    def test_who_was_never_there_is_not_waited_for(self) -> None:
        """A name that is misspelt is told at once; a gateway that restarts is waited for."""
        away = Cut("it cannot be reached", was_there=False)
        assert judged(away, follower=Follower()) == Over("it cannot be reached", is_good=False)
        assert isinstance(judged(away), Again)
        assert isinstance(judged(Cut("the stream was closed"), follower=Follower()), Again)

    @pytest.mark.parametrize("status", [502, 503, 504, 520])
    def test_a_proxy_without_its_gateway_passes(self, status: int) -> None:
        assert isinstance(judged(Refused(status, None, "Bad Gateway")), Again)

    def test_silence_passes(self) -> None:
        assert judged(Silenced(45.0)) == Again(1.0, "nothing was heard for 45s")


class TestWaiting:
    def test_waits_double_up_to_half_a_minute(self) -> None:
        follower = Follower(was_heard=True)
        waits = [judged(Cut("x"), follower=follower) for _ in range(7)]
        assert [wait.after for wait in waits if isinstance(wait, Again)] == [1, 2, 4, 8, 16, 30, 30]

    def test_half_of_a_wait_is_chance(self) -> None:
        for chance, after in ((0.0, 0.5), (0.5, 0.75)):
            verdict = judged(Cut("x"), chance=chance)
            assert isinstance(verdict, Again) and verdict.after == after

    @pytest.mark.parametrize(
        "ending", [Closed(1012, "draining retry_after_ms=7500"), Refused(503, "draining", "x", retry_after=7.5)]
    )
    def test_what_the_gateway_says_is_never_undercut(self, ending: Ending) -> None:
        verdict = judged(ending, chance=0.0)
        assert isinstance(verdict, Again) and verdict.after == 7.5

    def test_a_stream_says_it_in_advance(self) -> None:
        """It is jittered already, and what comes after the first try doubles."""
        follower = Follower(was_heard=True, retry=3.0)
        waits = [judged(Cut("x"), follower=follower, chance=0.0) for _ in range(3)]
        assert [wait.after for wait in waits if isinstance(wait, Again)] == [3.0, 3.0, 6.0]

    def test_what_was_heard_makes_the_next_trouble_the_first(self) -> None:
        follower = Follower(was_heard=True)
        judged(Cut("x"), follower=follower)
        follower.take({"event": "heartbeat", "data": {}}, position=None)
        verdict = judged(Cut("x"), follower=follower)
        assert isinstance(verdict, Again) and verdict.after == 1.0


class TestPosition:
    def test_it_is_the_id_of_what_was_taken_last(self) -> None:
        follower = Follower(cursor="a")
        follower.take({"event": "status", "data": {}}, position=None)
        assert follower.cursor == "a"
        follower.take({"event": "patch", "id": "b", "topic": "/x", "data": []}, position="b")
        assert (follower.cursor, follower.cursors) == ("b", {"/x": "b"})

    @pytest.mark.parametrize("transport", ["sse", "websocket", "long_poll"])
    def test_it_goes_into_the_url(self, transport: Transport) -> None:
        """In the place of what stood there before; what else is asked for stays."""
        address = Address.read("http://h/x?lang=de&cursor=old&emit=patch").wanting(
            [("emit", "merge"), ("throttle", None)]
        )
        assert address.cursor == "old"
        parts = urlsplit(address.url(transport, Follower(cursor="new")))
        assert parts.scheme == ("ws" if transport == "websocket" else "http")
        assert sorted(parse_qsl(parts.query)) == [("cursor", "new"), ("emit", "merge"), ("lang", "de")]

    @pytest.mark.parametrize(
        ("url", "more", "path"),
        [
            ("http://h:80", ["/a", "/b?x=1"], "/-/events"),
            ("https://h/live/", ["/a", "/b?x=1"], "/live/-/events"),
            ("http://h/-/poll?topic=/a&topic=%2Fb%3Fx%3D1", [], "/-/events"),
            ("http://h/live/own/ws?topic=/a&topic=%2Fb%3Fx%3D1", [], "/live/own/events"),
        ],
    )
    def test_several_topics_have_one_url(self, url: str, more: list[str], path: str) -> None:
        parts = urlsplit(Address.read(url, more).url("sse", Follower(cursor="c")))
        assert parts.path == path
        assert parse_qsl(parts.query) == [("topic", "/a"), ("topic", "/b?x=1"), ("cursor", "c")]

    def test_on_a_shared_websocket_each_topic_has_its_own(self) -> None:
        follower = Follower(cursors={"/b": "2"})
        url = Address.read("http://h", ["/a", "/b"]).url("websocket", follower)
        assert url == "ws://h/-/ws?topic=%2Fa&cursor=&topic=%2Fb&cursor=2"

    def test_a_topic_goes_on_by_its_own_name(self) -> None:
        """Which may be longer than the one that it was asked for by: parameters that were left out are in it."""
        follower = Follower(cursors={"/a?lang=de": "1", "/b": "2"})
        url = Address.read("http://h", ["/a", "/b"]).url("websocket", follower)
        assert url == "ws://h/-/ws?topic=%2Fa%3Flang%3Dde&cursor=1&topic=%2Fb&cursor=2"

    def test_what_people_write_is_encoded(self) -> None:
        """Once: what is encoded already stays as it is."""
        url = Address.read("http://h/stations/São Paulo%20?q=ü&n=%C3%BC").url("sse", Follower())
        assert url == "http://h/stations/S%C3%A3o%20Paulo%20?q=%C3%BC&n=%C3%BC"

    def test_what_a_client_decides_by_itself_is_not_asked_for(self) -> None:
        """A heartbeat that comes later than we wait for one would be taken for silence."""
        url = Address.read("http://h/x?heartbeat=5m&wait=1&framing=message&a=1").url("sse", Follower())
        assert url == "http://h/x?a=1"


ROWS: list[Any] = [{"id": 1, "n": 1}, {"id": 2, "n": 1}]


class TestReplica:
    @pytest.mark.parametrize(
        ("kind", "data", "document"),
        [
            ("patch", [{"op": "replace", "path": "/0/n", "value": 5}], [{"id": 1, "n": 5}, {"id": 2, "n": 1}]),
            ("snapshot", [], []),
            ("merge", {"a": 1}, {"a": 1}),
            (
                "items",
                {"created": [{"id": 3, "n": 3}], "updated": [{"id": 2, "n": 2}], "deleted": [1]},
                [{"id": 2, "n": 2}, {"id": 3, "n": 3}],
            ),
        ],
    )
    def test_events_change_the_document(self, kind: str, data: Any, document: Any) -> None:
        replica = Replica()
        assert replica.take({"event": "snapshot", "data": ROWS})
        assert replica.take({"event": kind, "data": data})
        assert replica.document == document

    @pytest.mark.parametrize(
        ("kind", "data"),
        [
            ("patch", [{"op": "remove", "path": "/7"}]),
            ("items", {"created": [], "updated": [], "deleted": [7]}),
            ("items", {"created": [{"key": 3}], "updated": [], "deleted": []}),
        ],
    )
    def test_nobody_is_shown_what_it_never_was(self, kind: str, data: Any) -> None:
        """A change that cannot be applied leaves no document, until the next snapshot."""
        replica = Replica()
        replica.take({"event": "snapshot", "data": ROWS})
        assert not replica.take({"event": kind, "data": data})
        assert not replica.take({"event": "patch", "data": []})
        assert replica.take({"event": "snapshot", "data": ROWS})

    def test_other_events_leave_it_as_it_is_but_gone(self) -> None:
        replica = Replica()
        replica.take({"event": "snapshot", "data": ROWS})
        assert replica.take({"event": "status", "data": {"state": "stale"}})
        assert replica.take({"event": "end", "data": {}})
        assert not replica.take({"event": "gone", "data": {}})


class TestDifferences:
    def test_a_patch_tells_what_was_there_before(self) -> None:
        """At each operation's own time: the second row becomes the first when that has gone."""
        patch = [{"op": "remove", "path": "/0"}, {"op": "replace", "path": "/0/n", "value": 9}]
        assert differences(ROWS, {"event": "patch", "data": patch}, [{"id": 2, "n": 9}], key="id") == [
            Difference("-", "/0", before=ROWS[0]),
            Difference("~", "/0/n", before=1, after=9, item=2),
        ]

    def test_it_tells_at_least_what_it_does_if_nobody_knows_the_document(self) -> None:
        patch = [{"op": "replace", "path": "/a", "value": 9}, {"op": "move", "from": "/b", "path": "/c"}]
        assert differences(ABSENT, {"event": "patch", "data": patch}, ABSENT, key="id") == [
            Difference("~", "/a", after=9),
            Difference(">", "/c", source="/b"),
        ]
        assert differences(ABSENT, {"event": "merge", "data": {}}, ABSENT, key="id") is None

    def test_an_object_is_compared_member_by_member(self) -> None:
        before, after = {"a": 1, "b": {"x": 1, "y": 2}, "c": 3}, {"b": {"x": 1, "y": 5}, "c": 3, "d": 4}
        found = differences(before, {"event": "merge", "data": {}}, after, key="id")
        assert found is not None
        assert {(each.mark, each.pointer) for each in found} == {("-", "/a"), ("~", "/b/y"), ("+", "/d")}

    def test_what_is_the_same_is_no_difference(self) -> None:
        assert differences(ROWS, {"event": "snapshot", "data": ROWS}, ROWS, key="id") == []
