"""
A backend that serves recorded series: ``python -m bench.recorded PORT FOLDER``.

GET /NAME gives the first answer of FOLDER/NAME (``0001.json``, ``0002.json`` …, any extension) until ``POST /go`` was
asked, and then with each poll the next one, up to the last. GET /left tells for each series how many are to come.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import uvloop

from .backend import answer
from .stock import Connection

TYPES = {
    "csv": b"text/csv; charset=utf-8",
    "html": b"text/html; charset=utf-8",
    "json": b"application/json",
    "kml": b"application/vnd.google-earth.kml+xml",
    "txt": b"text/plain; charset=utf-8",
    "xml": b"application/xml",
}


def bodies(folder: Path) -> list[bytes]:
    """Return the answers of a series; polls that got none are left out."""
    paths = [path for path in folder.iterdir() if path.stem.isdigit() and path.suffix[1:] in TYPES]
    return [body for path in sorted(paths, key=lambda path: int(path.stem)) if (body := path.read_bytes())]


def content_type(folder: Path) -> bytes:
    """Return the Content-Type of a series, by its names."""
    return next(TYPES[path.suffix[1:]] for path in folder.iterdir() if path.stem.isdigit() and path.suffix[1:] in TYPES)


class Series:
    """One series as it is now."""

    def __init__(self, folder: Path) -> None:
        self._bodies = bodies(folder)
        self._type = content_type(folder)
        self._next = 0

    @property
    def left(self) -> int:
        return len(self._bodies) - 1 - self._next

    def read(self, *, goes_on: bool) -> bytes:
        if goes_on and self.left:
            self._next += 1
        body = self._bodies[self._next]
        return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (self._type, len(body)) + body


class AllSeries:
    """All that lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._series = {one.name: Series(one) for one in folder.iterdir() if one.is_dir()}
        self._goes_on = False

    def reply(self, request: bytes) -> bytes:
        _, path, _ = request.split(b" ", 2)
        if path == b"/go":
            self._goes_on = True
            return answer(b"200 OK", b"{}")
        if path == b"/left":
            return answer(b"200 OK", msgspec.json.encode({name: one.left for name, one in self._series.items()}))
        return self._series[path[1:].decode()].read(goes_on=self._goes_on)


async def main(port: int, folder: Path) -> None:
    series = AllSeries(folder)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(series.reply), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2])))
