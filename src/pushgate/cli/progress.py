"""
What a command says on standard error while it takes its time: what it is doing, and how far it is.

On a terminal that is one line, rewritten while it lasts and gone when it is over; elsewhere it is a line now and then,
and nothing at all where what is printed is for programs.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from .paint import legible

# What is over sooner is not worth a word, in seconds; whoever waits for two has heard something by then.
PATIENCE = 1.0

# So often a line is rewritten, and so often one is added where none can be, in seconds.
REWRITTEN_EVERY = 0.2
LINE_EVERY = 10.0


class Progress:
    """Tells how far a command is. ``is_for_programs``: its output is not read by people, so no log of theirs is."""

    def __init__(
        self, stream: TextIO | None = None, *, is_for_programs: bool = False, now: Callable[[], float] | None = None
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._is_silent = is_for_programs and not self._is_terminal
        self._now = _clock() if now is None else now
        self._began = self._told = self._now()
        self._has_line = False

    def tell(self, text: str) -> None:
        """Say what is going on, now."""
        if self._is_terminal:
            print(f"\r\x1b[K{_cut(legible(text))}", end="", file=self._stream, flush=True)
            self._has_line = True
        elif not self._is_silent and self._now() - self._told >= LINE_EVERY:
            self._told = self._now()
            print(legible(text), file=self._stream, flush=True)

    def step(self, text: str) -> None:
        """Say it unless it was just said, or nobody can have become impatient: for loops that turn fast."""
        now = self._now()
        if now - self._began < PATIENCE or (self._is_terminal and now - self._told < REWRITTEN_EVERY):
            return
        self.tell(text)
        if self._is_terminal:
            self._told = now

    def clear(self) -> None:
        """Take the line away, before something else is printed or when it is over."""
        if self._has_line:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._has_line = False

    @contextmanager
    def during(self, text: str) -> Iterator[None]:
        """Say it, and for how long it has lasted, while something is done that says nothing itself."""
        is_over = threading.Event()
        began = self._now()

        def tell() -> None:
            while not is_over.wait(PATIENCE):
                self.tell(f"{text} for {self._now() - began:.0f}s")

        teller = threading.Thread(target=tell, name="progress", daemon=True)
        teller.start()
        try:
            yield
        finally:
            is_over.set()
            teller.join()
            self.clear()


def _clock() -> Callable[[], float]:
    from ..clock import Clock

    return Clock().now


def _cut(text: str) -> str:
    """Return what fits into one line: what wraps cannot be rewritten."""
    import shutil

    width = shutil.get_terminal_size().columns - 1
    return text if len(text) <= width else f"{text[: width - 1]}…"
