"""What a command says while it takes its time."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from pushgate.cli.progress import Progress


class Watch:
    """A clock that stands still unless it is told the time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def terminal() -> Iterator[tuple[io.TextIOWrapper, int]]:
    """Yield what a program writes to, and where it is read."""
    ours, theirs = os.openpty()
    try:
        with closing(os.fdopen(theirs, "w")) as stream:
            yield stream, ours
    finally:
        os.close(ours)


def heard(ours: int, last: str) -> str:
    """Return all that was written, up to what comes last; a terminal hands it out in pieces."""
    said = ""
    while not said.endswith(last):
        said += os.read(ours, 4096).decode()
    return said


def test_elsewhere_progress_is_a_line_now_and_then() -> None:
    """In the log of a CI job one line in ten seconds is enough."""
    stream, watch = io.StringIO(), Watch()
    progress = Progress(stream, now=watch)
    for watch.now in (1.0, 5.0, 10.0, 11.0, 19.0, 21.0):
        progress.tell(f"at {watch.now:g}")
    progress.clear()
    assert stream.getvalue() == "at 10\nat 21\n"


def test_programs_are_told_nothing() -> None:
    """With ``--output json`` in a pipe, nothing but data comes out, however long it takes."""
    stream, watch = io.StringIO(), Watch()
    progress = Progress(stream, is_for_programs=True, now=watch)
    watch.now = 100.0
    progress.tell("still there")
    assert stream.getvalue() == ""


def test_on_a_terminal_one_line_is_rewritten_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as (stream, ours):
        progress = Progress(stream, now=Watch())
        progress.tell("1 of 2")
        progress.tell("2 of 2\n\x1b[2J")
        progress.clear()
        progress.clear()
        progress.tell("end")
        said = heard(ours, "end").removesuffix("\r\x1b[Kend")
    assert said == "\r\x1b[K1 of 2\r\x1b[K2 of 2\\n\\x1b[2J\r\x1b[K"


def test_what_is_over_soon_is_not_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are told from the first second on, and not more often than somebody can read."""
    monkeypatch.setenv("TERM", "xterm")
    watch = Watch()
    with terminal() as (stream, ours):
        progress = Progress(stream, now=watch)
        for watch.now in (0.1, 0.9, 1.0, 1.1, 1.19, 1.25):
            progress.step(f"at {watch.now:g}")
        said = heard(ours, "at 1.25")
    assert said == "\r\x1b[Kat 1\r\x1b[Kat 1.25"


def test_a_line_that_does_not_fit_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wraps cannot be rewritten."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    with terminal() as (stream, ours):
        Progress(stream, now=Watch()).tell("x" * 30)
        assert heard(ours, "…") == f"\r\x1b[K{'x' * 18}…"


def test_what_says_nothing_itself_is_spoken_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for two seconds has been told for what, and the line is gone before anything else is printed."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("pushgate.cli.progress.PATIENCE", 0.01)
    with terminal() as (stream, ours):
        with Progress(stream).during("waiting for the gateway"):
            heard(ours, "waiting for the gateway for 0s")
        print("next", end="", file=stream, flush=True)
        assert heard(ours, "next").endswith("\r\x1b[Knext")
        assert "progress" not in {thread.name for thread in threading.enumerate()}
