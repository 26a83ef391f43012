"""
The helper process as the gateway sees it: made for the first big answer, asked one thing at a time, ended with us.

Rule 1: nothing here holds the loop up for longer than it takes to copy a slice.
Rule 2: whatever goes wrong with the process is the failure of the one poll that was being served, and the next one has
a new process. It gets along whatever that does not know, so nothing is lost but time.
Rule 3: the process ends when we do, however that happens: it reads from a pipe that only we hold open.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from ...errors import PollError
from ...workbench import Commission, Finished
from .frames import COUNT, MAX_PARTS, Forget, Refine, Reply, lengths_of, pack, unpack

log = structlog.get_logger()

# Without the current directory on the path: what lies there is not ours.
COMMAND = (sys.executable, "-P", "-m", "pushgate.adapters.workshop")

# What takes longer hangs. The largest answers that ``max_body`` lets through by default take a second or two.
PATIENCE = 30.0

# How long a killed process may take to be gone.
BURIAL = 5.0

# What is copied in one go.
SLICE_BYTES = 64 * 1024

_Waiting = tuple[Refine, "asyncio.Future[Finished]"]


class Workshop:
    """The port over a process of our own."""

    def __init__(
        self, tasks: asyncio.TaskGroup, *, command: Sequence[str] | None = None, patience: float | None = None
    ) -> None:
        self._tasks = tasks
        self._command = command or COMMAND
        self._patience = patience or PATIENCE
        self._task: asyncio.Task[None] | None = None
        # No bound: of each topic there is at most one order in it, and one farewell.
        self._queue: asyncio.Queue[_Waiting | Forget] = asyncio.Queue()
        self._process: Process | None = None
        self._held: dict[str, frozenset[str]] = {}  # what the process has of each topic, by the digests

    @property
    def pid(self) -> int | None:
        """The process there is; None: none was needed yet, or it failed and no other was."""
        return None if self._process is None else self._process.pid

    async def refine(self, topic: str, commission: Commission) -> Finished:
        """Return what an answer means; raises PollError if it is no good, or if the process fails on it."""
        if self._task is None:
            self._task = self._tasks.create_task(self._work(), name="workshop")
        future: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((Refine(topic, commission), future))
        return await future  # no timeout: whatever is served before it has one of its own

    def forget(self, topic: str) -> None:
        """Let go of a topic's documents."""
        if topic in self._held:
            self._queue.put_nowait(Forget(topic))

    def stop(self) -> None:
        """End the process, and whatever it does."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        try:
            while True:
                match await self._queue.get():  # no timeout: there may be nothing to do for ever
                    case Forget() as order:
                        await self._dismiss(order)
                    case (order, future) if not future.done():  # otherwise the topic was stopped meanwhile
                        await self._serve(order, future)
        finally:
            await self._end()

    async def _serve(self, order: Refine, future: asyncio.Future[Finished]) -> None:
        reply: Reply | Exception
        try:
            async with asyncio.timeout(self._patience):
                reply = await self._exchange(order)
        except Exception as error:  # a bug of ours too: it must not take the other topics down with it
            reply = _failure(error, self._patience)
            log.warning("workshop.failed", topic=order.topic, pid=self.pid, detail=str(reply))
            await self._end()
        if future.done():
            return
        if isinstance(reply, Finished):
            future.set_result(reply)
        else:
            future.set_exception(reply)

    async def _dismiss(self, order: Forget) -> None:
        if self._held.pop(order.topic, None) is None or self._process is None:
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._send(self._process, order)
        except OSError:  # a timeout is one, too
            await self._end()

    async def _exchange(self, order: Refine) -> Reply:
        process = await self._living()
        base = order.commission.base
        if base is not None and base.digest in self._held.get(order.topic, ()):
            order = replace(order, commission=replace(order.commission, base=replace(base, snapshot=None)))
        published = frozenset() if base is None else frozenset([base.digest])
        self._held[order.topic] = published
        await self._send(process, order)
        reply = await self._receive(process)
        if isinstance(reply, Finished) and reply.made is not None:
            self._held[order.topic] = published | {reply.made}
        return reply

    async def _living(self) -> Process:
        """Return the process; a new one if there is none, or if it ended while nobody wanted anything of it."""
        if self._process is not None and self._process.returncode is not None:
            await self._end()
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, limit=4 * SLICE_BYTES
            )
        return self._process

    async def _send(self, process: Process, order: Refine | Forget) -> None:
        assert process.stdin is not None, "it is a pipe"
        for piece in pack(order):
            view = memoryview(piece)
            for begin in range(0, len(view), SLICE_BYTES):
                process.stdin.write(view[begin : begin + SLICE_BYTES])
                await process.stdin.drain()

    async def _receive(self, process: Process) -> Reply:
        assert process.stdout is not None, "it is a pipe"
        (count,) = COUNT.unpack(await process.stdout.readexactly(COUNT.size))
        if count > MAX_PARTS:
            raise ConnectionError("this is no reply")
        lengths = lengths_of(count)
        sizes = lengths.unpack(await process.stdout.readexactly(lengths.size))
        reply: Reply = unpack([await process.stdout.readexactly(size) for size in sizes])
        return reply

    async def _end(self) -> None:
        self._held.clear()
        if self._process is None:
            return
        _kill(self._process)
        with suppress(TimeoutError):
            async with asyncio.timeout(BURIAL):
                await self._process.communicate()
        self._process = None  # not before: whoever is cancelled meanwhile comes back here


def _kill(process: Process) -> None:
    """End a process for good, also one that hangs."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        if hasattr(signal, "SIGKILL"):
            os.kill(process.pid, signal.SIGKILL)  # process.kill() may reap it, and then asyncio misses its child
        else:
            process.kill()


def _failure(error: Exception, patience: float) -> Exception:
    if isinstance(error, TimeoutError):
        return PollError("decode", f"the helper process for big answers did not finish within {patience:g}s")
    if isinstance(error, EOFError | ConnectionError):
        return PollError("decode", "the helper process for big answers ended; was it killed for its memory?")
    if isinstance(error, OSError):
        return PollError("decode", f"the helper process for big answers cannot be started: {error}")
    return error
