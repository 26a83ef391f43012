"""The event loops that pushgate runs on, and a scene that is played on each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

Scene = Callable[[], Coroutine[Any, Any, None]]


def run_on(loop: str, scene: Scene) -> None:
    """Run a scene on one of them, by its name."""
    try:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(scene())
    except BaseException as error:  # a skipped test is told by one
        error.add_note(f"on {loop}")
        raise


def run_on_both(scene: Scene) -> None:
    """Run a scene on both event loops at the same time, each in a thread: it does little but wait."""
    with ThreadPoolExecutor() as threads:
        for under_way in [threads.submit(run_on, loop, scene) for loop in LOOPS]:
            under_way.result()
