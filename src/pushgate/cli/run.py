"""``pushgate run``: the gateway itself."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import typer

from ..heap import tidy_heap
from .configuration import ConfigFile, require_config

if TYPE_CHECKING:
    from ..gateway import Gateway


def run(file: ConfigFile = "gateway.yaml") -> None:
    """Poll the backends and push what changes, until SIGTERM or Ctrl-C."""
    config = require_config(file)
    from ..gateway import Gateway
    from ..logs import configure

    configure()
    gateway = Gateway(config)
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_until_told(gateway))
    except OSError as error:
        print(f"pushgate: cannot listen: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


async def _until_told(gateway: Gateway) -> None:
    """Run until the first signal asks to stop; a second one ends the process at once, as it would without us."""
    tidy_heap()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await gateway.run(stop)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop writes 500 sockets in the time in which asyncio's own loop writes a few beside a busy thread."""
    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
