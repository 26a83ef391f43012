"""
A backend with as many documents as anybody asks for: ``python tests/doubles/counters.py``, which says where it listens.

GET /counter/N answers ``{"n", "t"}``: how often it has been asked for N, and when that was, in seconds since the epoch;
so every answer is a new state. After ``POST /stop`` each repeats its last one. GET /counts tells the last of all, by N.
It takes requests apart with no more than that in mind, because thousands a second shall leave something for others.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import cast


class Counters:
    """How often each document was asked for, and the last answers; those stay when it is stopped."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.is_stopped = False
        self._last: dict[str, bytes] = {}

    def answer(self, path: str) -> bytes:
        number = path.rpartition("/")[2]
        if path == "/stop":
            self.is_stopped = True
            return b"{}"
        if path == "/counts":
            return json.dumps(self.counts).encode()
        if not self.is_stopped or number not in self._last:
            self.counts[number] += 1
            self._last[number] = b'{"n":%d,"t":%.3f}' % (self.counts[number], time.time())
        return self._last[number]


class Connection(asyncio.Protocol):
    """A client that sends one request at a time, in one piece."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        body = self._counters.answer(data.split(b" ", 2)[1].decode())
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def main() -> None:
    counters = Counters()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counters), "127.0.0.1", 0)
    sys.stdout.write("counters on http://{}:{}\n".format(*server.sockets[0].getsockname()))
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
