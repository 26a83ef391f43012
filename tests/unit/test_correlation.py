"""Request ids, and traces as W3C Trace Context (level 1) has them."""

from __future__ import annotations

import pytest

from pushgate.correlation import RequestIds, Trace, Trail, read_trace

ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{ID}-{PARENT}-01"


def test_an_id_that_a_proxy_has_given_is_kept() -> None:
    ids = RequestIds("p")
    for told in ("a", "7f3c", "A1b2-._~:+/=", "x" * 128):
        assert ids(told) == told


@pytest.mark.parametrize("told", [None, "", "a b", "x" * 129, "a\nb", "a\r\nSet-Cookie: x", "ä", '"', "<b>", "a\x00"])
def test_anything_else_gets_a_new_one(told: str | None) -> None:
    """It would stand in a header field and in the log."""
    assert RequestIds("p")(told) == "p-1"


def test_ids_are_never_given_twice() -> None:
    """Not by another process either, if its prefix is another one."""
    ids, others = RequestIds("p"), RequestIds("q")
    given = [ids() for _ in range(1000)] + [others() for _ in range(1000)]
    assert len({*given}) == 2000


def test_a_trace_goes_on_as_it_came() -> None:
    trace = read_trace([GOOD], ["congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"])
    assert trace == Trace(ID, PARENT, True, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    assert trace.fields == (("traceparent", GOOD), ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"))
    assert Trace(ID, PARENT).fields == (("traceparent", f"00-{ID}-{PARENT}-00"),)


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        [GOOD, GOOD],
        [GOOD.upper()],
        [f"ff-{ID}-{PARENT}-01"],
        [f"00-{'0' * 32}-{PARENT}-01"],
        [f"00-{ID}-{'0' * 16}-01"],
        [f"{GOOD}-more"],
        [f"{GOOD}x"],
        [f"cc-{ID}-{PARENT}-01.more"],
        [f"00-{ID}-{PARENT}"],
        [f"00-{ID[:-1]}-{PARENT}-01"],
        [f"00-{ID}-{PARENT}-0g"],
        [f"{GOOD}\r\nX: y"],
        [f"\n{GOOD}"],
        [f"０0-{ID}-{PARENT}-01"],
    ],
)
def test_a_malformed_parent_is_no_trace(parents: list[str]) -> None:
    """Then what is beside it says nothing, either."""
    assert read_trace(parents, ["a=b"]) is None


@pytest.mark.parametrize(
    "parent", [f"cc-{ID}-{PARENT}-01", f"cc-{ID}-{PARENT}-01-what-the-future-brings", f" {GOOD}\t"]
)
def test_a_later_version_goes_on_as_the_one_we_know(parent: str) -> None:
    trace = read_trace([parent], [])
    assert trace is not None and trace.fields == (("traceparent", GOOD),)


def test_flags_that_nobody_knows_yet_are_not_passed_on() -> None:
    trace = read_trace([f"00-{ID}-{PARENT}-ff"], [])
    assert trace is not None and trace.fields == (("traceparent", GOOD),)


def test_the_state_may_come_in_several_fields() -> None:
    trace = read_trace([GOOD], ["a=1, b=2", "", "c@d=3\t,,e=4 5"])
    assert trace is not None and trace.state == "a=1,b=2,c@d=3,e=4 5"


@pytest.mark.parametrize(
    "state",
    ["a", "A=1", "a=", "a=b=c", "a=\x01", "a=1\r\nX: y", "a=ä", f"{'k' * 257}=1", f"a={'v' * 257}", "a@=1", "@a=1",
     ",".join(f"k{number}=1" for number in range(33))],
)  # fmt: skip
def test_a_malformed_state_is_dropped_and_the_trace_goes_on(state: str) -> None:
    assert read_trace([GOOD], [state]) == Trace(ID, PARENT, True)


def test_the_longest_state_there_may_be() -> None:
    state = ",".join(f"k{number}={'v' * 256}" for number in range(32))
    assert read_trace([GOOD], [state]) == Trace(ID, PARENT, True, state)


def test_what_goes_with_a_request_upstream_and_into_the_log() -> None:
    assert Trail("7f3c").fields == (("X-Request-Id", "7f3c"),)
    assert Trail("7f3c").account == {"request_id": "7f3c"}
    trail = Trail("7f3c", Trace(ID, PARENT, True))
    assert trail.fields == (("X-Request-Id", "7f3c"), ("traceparent", GOOD))
    assert trail.account == {"request_id": "7f3c", "trace_id": ID}
