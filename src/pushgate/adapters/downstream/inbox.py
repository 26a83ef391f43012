"""
What a WebSocket client has said and what is still to be obeyed: in order, although some of it takes time.

Rule 1: one message at a time; the next is obeyed when the one before is done.
Rule 2: who says more than is obeyed is not listened to for a while: what it says waits where it comes from.
Rule 3: when the client has gone, nothing more of what it said is begun, and what is under way is given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

import structlog

from ...errors import Refusal
from .conversation import Conversation
from .messages import Message

log = structlog.get_logger()

# So many messages of one client wait behind one that takes time; each may be as long as a message may be.
MAX_WAITING = 8

# What of a message may go on while the next is obeyed: so many at once for one client, each within its own timeout.
MAX_ASIDE = 64

Work: TypeAlias = Coroutine[Any, Any, None]
Step: TypeAlias = Callable[[Message, Work], Coroutine[Any, Any, None]]


class Correspondent(Protocol):
    """Who obeys the messages: the connection that they came on."""

    def obey(self, message: Message) -> Work | None:
        """Obey, or return what there is to wait for first; raises the Refusal of what is not done, and so does that."""

    def decline(self, message: Message, refusal: Refusal) -> None:
        """Tell the client that a message was not obeyed."""

    def inherit(self, inbox: Inbox) -> None:
        """Have what the client says put here, where what it has said before is."""

    def hear_on(self) -> None:
        """Take in what was read and not listened to yet."""

    def crash(self) -> None:
        """Close: obeying has failed, and that is no fault of the client."""


class Inbox:
    """The messages of one client; made when it first says something, and most never do."""

    __slots__ = ("_aside", "_correspondent", "_tasks", "_waiting", "_work", "conversation")

    def __init__(self, correspondent: Correspondent, conversation: Conversation, tasks: asyncio.TaskGroup) -> None:
        self._correspondent = correspondent
        self.conversation = conversation
        self._tasks = tasks
        self._waiting: deque[Message] | None = None  # while one before takes time
        self._work: asyncio.Task[None] | None = None
        self._aside: set[asyncio.Task[None]] = set()

    def take(self, message: Message) -> None:
        """Obey a message now, or when it is its turn."""
        if self._waiting is not None:
            self._waiting.append(message)
            if len(self._waiting) >= MAX_WAITING:
                self.conversation.pause_reading("inbox")
            return
        work = self._begin(message)
        if work is not None:
            self._waiting = deque()
            self._work = self._start(self._catch_up, message, work)

    def pass_on(self, correspondent: Correspondent) -> None:
        """Have somebody else obey from now on, who got the conversation."""
        self._correspondent = correspondent
        correspondent.inherit(self)

    async def wait_for_room(self) -> None:
        """Wait until one more may be put aside."""
        while len(self._aside) >= MAX_ASIDE:
            await asyncio.wait(self._aside, return_when=asyncio.FIRST_COMPLETED)  # each of them ends within its timeout

    def put_aside(self, message: Message, work: Work) -> None:
        """Let the rest of a message's work go on beside the messages that follow; who calls has waited for room."""
        task = self._start(self._finish, message, work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    def stop(self) -> None:
        """Begin nothing more, and give up what is under way."""
        if self._waiting is not None:
            self._waiting.clear()
        for task in (self._work, *self._aside):
            if task is not None:
                task.cancel()

    def _begin(self, message: Message) -> Work | None:
        try:
            return self._correspondent.obey(message)
        except Refusal as refusal:
            self._correspondent.decline(message, refusal)
            return None

    def _start(self, step: Step, message: Message, work: Work) -> asyncio.Task[None]:
        task = self._tasks.create_task(self._guarded(step, message, work), name=f"websocket {message.op}")
        task.add_done_callback(lambda _: work.close())  # it may have been given up before it began
        return task

    async def _guarded(self, step: Step, message: Message, work: Work) -> None:
        """A bug of ours costs the client its connection, and nobody else anything."""
        try:
            await step(message, work)
        except Exception:
            log.exception("websocket.crashed", op=message.op)
            self._correspondent.crash()

    async def _catch_up(self, message: Message, work: Work | None) -> None:
        """Finish a message, and obey all that have come meanwhile."""
        waiting = self._waiting
        assert waiting is not None, "it has begun"
        try:
            while True:
                if work is not None:
                    await self._finish(message, work)
                if not waiting or not self.conversation.is_open:
                    break
                message = waiting.popleft()
                work = self._begin(message)
        finally:
            self._waiting = self._work = None
            self.conversation.resume_reading("inbox")
        self._correspondent.hear_on()

    async def _finish(self, message: Message, work: Work) -> None:
        try:
            await work
        except Refusal as refusal:
            self._correspondent.decline(message, refusal)
