"""One run of ``pushgate tail``: followed until there is nothing more, or somebody has had enough."""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..adapters.following.following import follow, new_session
from ..adapters.following.streams import Streams
from ..clock import Clock
from ..tools.following import Again, Envelope, Follower, Over
from ..tools.following.address import Address
from ..tools.following.follower import CHANGES
from ..values import Transport
from .paint import Paint, legible
from .progress import Progress
from .telling import Teller


@dataclass(frozen=True, slots=True)
class Pursuit:
    """What is followed, how, and until when; None is no limit."""

    address: Address
    transports: tuple[Transport, ...]
    cursor: str | None
    headers: Sequence[tuple[str, str]] = field(repr=False)
    trust: ssl.SSLContext
    every: float | None
    seconds: float | None
    count: int | None


async def pursue(pursuit: Pursuit, teller: Teller) -> Over | None:
    """Follow, and return why there is nothing more to come; None if somebody had enough."""
    clock, progress = Clock(), Progress()
    follower = Follower(cursor=pursuit.cursor)
    left = pursuit.count
    untold: list[Exception] = []

    def take(event: Envelope) -> None:
        nonlocal left
        if left == 0:
            return
        progress.clear()
        try:
            teller.tell(event)
        except (OSError, ValueError) as error:  # of who reads us: it would be taken for one of the connection
            untold.append(error)
            left = 0
        if left and event["event"] in CHANGES:
            left -= 1
        if left == 0:
            following.cancel()

    def note(again: Again) -> None:
        progress.clear()
        print(Paint(sys.stderr).dim(legible(f"{again.why}; again in {again.after:.1f}s")), file=sys.stderr, flush=True)

    async with new_session(pursuit.trust) as session, asyncio.TaskGroup() as tasks:
        streams = Streams(session, pursuit.address, follower, clock, take, headers=pursuit.headers, every=pursuit.every)
        following = tasks.create_task(follow(streams, follower, pursuit.transports, clock, note), name="tail")
        beside = [tasks.create_task(_tell_of_waiting(streams, progress, clock), name="progress")]
        if pursuit.seconds is not None:
            beside.append(tasks.create_task(_end_after(pursuit.seconds, following, clock), name="end"))
        following.add_done_callback(lambda _: [task.cancel() for task in beside])
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    progress.clear()
    if untold:
        raise untold[0]
    return None if following.cancelled() else following.result()


async def _tell_of_waiting(streams: Streams, progress: Progress, clock: Clock) -> None:
    """Say that we wait for a connection, as long as there is none."""
    waited = 0.0
    while True:
        await clock.sleep(1.0)
        waited = 0.0 if streams.is_connected else waited + 1.0
        if waited:
            progress.tell(f"connecting for {waited:.0f}s")


async def _end_after(seconds: float, following: asyncio.Task[Over], clock: Clock) -> None:
    await clock.sleep(seconds)
    following.cancel()
