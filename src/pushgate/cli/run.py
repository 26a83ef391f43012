"""``pushgate run``: the gateway itself."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ConfigError
from ..heap import tidy_heap
from .configuration import ConfigFile, original, require_config

if TYPE_CHECKING:
    import asyncio

    from ..gateway import Gateway


LogFormatOption = Annotated[
    Literal["json", "console"] | None,
    typer.Option(
        "--log-format",
        envvar="PUSHGATE_LOG_FORMAT",
        help="How log lines are written; console on a terminal, JSON otherwise.",
    ),
]
LogLevelOption = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option("--log-level", envvar="PUSHGATE_LOG_LEVEL", help="What is worth a line."),
]


def run(
    file: ConfigFile = "gateway.yaml", log_format: LogFormatOption = None, log_level: LogLevelOption = "info"
) -> None:
    """
    Poll the backends and push what changes.

    Until SIGTERM or Ctrl-C, upon which clients leave over server.drain; a second one does not wait for anybody. SIGHUP
    reads the configuration again, and so does the file itself when it changes.

        pushgate run
        pushgate run -c /etc/pushgate/gateway.yaml

        # what only one run shall use comes from elsewhere
        envsubst < gateway.yaml.in | pushgate run -c -

        # what happens, for people to read
        pushgate run --log-format console --log-level debug
    """
    import asyncio

    _listen_to_signals()
    source = original(file)
    config = require_config(file, source)
    from ..adapters.opentelemetry import TracesUnavailable, tracing
    from ..clock import Clock
    from ..gateway import Gateway
    from ..logs import configure

    configure(Clock().now, form=log_format, level=log_level)
    try:
        with tracing(os.environ) as tracer, asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_until_told(Gateway(config, source=source, tracer=tracer)))
    except OSError as error:
        print(f"pushgate: cannot listen: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except TracesUnavailable as error:
        print(f"pushgate: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


def _listen_to_signals() -> None:
    """
    Obey signals before there is anything to drain or to reload.

    Nobody else does: to the first process of a container an unhandled SIGTERM says nothing, and to all others SIGHUP
    means to end.
    """
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the file is about to be read


async def _until_told(gateway: Gateway) -> None:
    """Run until a signal asks to stop and clients have left, or until a second one ends the process at once."""
    import asyncio

    tidy_heap()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            # Not by the signal itself: to the first process of a container it would do nothing.
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    if hasattr(signal, "SIGHUP"):  # not on Windows
        loop.add_signal_handler(signal.SIGHUP, gateway.ask_reload)
    await gateway.run(stop)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop writes 500 sockets in the time in which asyncio's own loop writes a few beside a busy thread."""
    import asyncio

    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
