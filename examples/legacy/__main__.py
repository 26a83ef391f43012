"""
A small, honest legacy API that only knows short polling: ``python examples/legacy [--port 9000]``.

It pushes nothing, ever. With ``--replay FOLDER`` it serves a recorded series of answers instead of its own resources.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import Counter
from pathlib import Path

import replay
from aiohttp import web
from aiohttp.typedefs import Handler
from api import Api


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="legacy", description="A legacy API that can only be polled.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one and prints it")
    parser.add_argument("--seed", type=int, default=1, help="another number, another world")
    parser.add_argument("--speed", type=float, default=1.0, help="seconds of its world per second")
    series = parser.add_argument_group("a recorded series instead of its own resources")
    series.add_argument("--replay", type=Path, metavar="FOLDER", help="serve 0001.json, 0002.json … step by step")
    series.add_argument("--etag", choices=["strong", "weak", "lying", "none"], default="strong")
    series.add_argument(
        "--step", type=pace, default="every-poll", help="every-poll (default), manual (POST /-/step), or seconds"
    )
    return parser.parse_args()


def pace(text: str) -> float | str:
    """Read ``--step``."""
    if text in {"every-poll", "manual"}:
        return text
    seconds = float(text)
    if seconds <= 0:
        raise ValueError(text)
    return seconds


def application(options: argparse.Namespace) -> web.Application:
    """Put the backend together: its resources or a recorded series, and a count of who asked for what."""
    counts: Counter[str] = Counter()

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/-/"):
            counts[request.path] += 1
        return await handler(request)

    async def tell(request: web.Request) -> web.Response:
        return web.json_response(counts)

    loop = asyncio.get_running_loop()
    started = loop.time()

    def now() -> float:
        return (loop.time() - started) * options.speed

    app = web.Application(middlewares=[count])
    app.add_routes([web.get("/-/requests", tell)])
    if options.replay:
        app.add_routes(replay.Replay(replay.load(options.replay), now, etag=options.etag, every=options.step).routes())
    else:
        app.add_routes(Api(now, seed=options.seed).routes())
    return app


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT, and then end at once."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(options), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
        port = runner.addresses[0][1]
        print(f"legacy backend on http://{options.host}:{port}", flush=True)
        await stop.wait()  # no timeout: it serves until it is told to end
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    chosen = arguments()
    try:
        asyncio.run(serve(chosen))
    except OSError as error:
        raise SystemExit(f"legacy: cannot listen on {chosen.host}:{chosen.port}: {error.strerror}") from error
