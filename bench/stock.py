"""
A backend of many resources, each in many sizes: ``python -m bench.stock PORT``.

GET /KIND/N answers one resource: ``event`` and ``still`` are objects of 2 KB, ``large`` one of 20 KB, and ``rows`` an
array of keyed rows, 20 KB of them if N is even and 50 KB if it is odd, of which a fifth is new each time. What is new
begins with ``"t":<nanoseconds since the epoch>``: when it was made. A resource stays the same until ``POST /renew``
makes all new, or until ``POST /go/COUNT``: then each of the next COUNT answers of each resource is new, or of those
whose path begins with PATH if that is asked as ``/go/COUNT/PATH``. GET /stamps tells the stamp of every resource that
was ever asked for, and GET /counts how often each was asked since this was last told.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from itertools import cycle
from typing import cast

import msgspec
import uvloop

from .backend import answer

# A row that changes does so in two of its members.
PARTS = 5
STEPS = 2 * PARTS


# What stands before and after the stamp.
Text = tuple[bytes, bytes]


def padded(size: int) -> list[Text]:
    """Return an object of so many bytes."""
    head, tail = b'{"t":', b',"pad":"%s"}'
    return [(head, tail % (b"x" * (size - len(head) - 19 - len(tail) + 2)))]


def rows(size: int) -> list[Text]:
    """Return arrays of rows, the first of which bears the stamp; from each to the next a fifth of the rows changes."""
    count = size // len(msgspec.json.encode(row(1000, 0)))
    texts = []
    for step in range(STEPS):
        flips = [(step - n % PARTS + STEPS) // PARTS % 2 for n in range(count)]
        text = msgspec.json.encode([row(1000 + n, flip) for n, flip in enumerate(flips)])
        texts.append((b'[{"id":0,"t":', b"}," + text[1:]))
    return texts


def row(n: int, flip: int) -> dict[str, object]:
    name, state = f"Instrument {n % 97}", ("open", "halted")[n % 13 == 0]
    return {"id": n, "name": name, "state": state, "price": 100.25 + n % 50 + flip, "volume": n * 10 + flip}


KINDS: dict[bytes, Callable[[], list[Text]]] = {
    b"event": lambda: padded(2_000),
    b"still": lambda: padded(2_000),
    b"large": lambda: padded(20_000),
    b"rows0": lambda: rows(20_000),
    b"rows1": lambda: rows(50_000),
}


class Resource:
    """One resource as it is now."""

    def __init__(self, texts: list[Text]) -> None:
        self.left = 0  # answers that are to be new
        self.asked = 0
        self._texts = cycle(texts)
        self.renew()

    def renew(self) -> None:
        before, after = next(self._texts)
        self.stamp = time.time_ns()
        self._answer = answer(b"200 OK", b"%s%d%s" % (before, self.stamp, after))

    def count(self) -> int:
        """Return how often it was asked since this was last asked."""
        asked, self.asked = self.asked, 0
        return asked

    def read(self) -> bytes:
        self.asked += 1
        if self.left:
            self.left -= 1
            self.renew()
        return self._answer


class Resources:
    """All of them; each is made when it is first asked for."""

    def __init__(self) -> None:
        self._resources: dict[bytes, Resource] = {}
        self._orders: dict[bytes, int] = {}  # for those that are asked for later
        self._texts = {kind: make() for kind, make in KINDS.items()}

    def reply(self, request: bytes) -> bytes:
        _, path, _ = request.split(b" ", 2)
        if path.startswith(b"/go/"):
            count, _, prefix = path[4:].partition(b"/")
            self._go(b"/" + prefix, int(count))
        elif path == b"/renew":
            for resource in self._resources.values():
                resource.renew()
        elif path == b"/stamps":
            return self._tell({path: resource.stamp for path, resource in self._resources.items()})
        elif path == b"/counts":
            return self._tell({path: resource.count() for path, resource in self._resources.items()})
        else:
            return self._resource(path).read()
        return self._tell({})

    def _go(self, prefix: bytes, count: int) -> None:
        self._orders.pop(prefix, None)
        self._orders[prefix] = count  # the latest is the last
        for path, resource in self._resources.items():
            if path.startswith(prefix):
                resource.left = count

    def _resource(self, path: bytes) -> Resource:
        known = self._resources.get(path)
        if known is None:
            known = self._resources[path] = Resource(self._texts_of(path))
            known.left = next((left for prefix, left in reversed(self._orders.items()) if path.startswith(prefix)), 0)
        return known

    def _texts_of(self, path: bytes) -> list[Text]:
        _, kind, number = path.split(b"/")
        return self._texts[kind if kind in KINDS else b"%s%d" % (kind, int(number) % 2)]

    def _tell(self, numbers: dict[bytes, int]) -> bytes:
        return answer(b"200 OK", msgspec.json.encode({path.decode(): number for path, number in numbers.items()}))


class Connection(asyncio.Protocol):
    """A client that sends one request at a time."""

    def __init__(self, reply: Callable[[bytes], bytes]) -> None:
        self._reply = reply
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None, "connection_made comes first"
        self._transport.write(self._reply(data))


async def main(port: int) -> None:
    resources = Resources()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(resources.reply), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
