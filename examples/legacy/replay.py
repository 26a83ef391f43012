"""
A recorded series of real answers, served again step by step.

A folder holds ``0001.json``, ``0002.json`` … (any extension), each perhaps with a ``0001.meta.json`` that has the
``status`` and ``headers`` of that answer; status 0 is a refused connection. At the end it stays on the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiohttp import ETag, web
from conditional import answer, strong

EtagMode = Literal["strong", "weak", "lying", "none"]

TYPES = {
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "kml": "application/vnd.google-earth.kml+xml",
    "txt": "text/plain",
    "xml": "application/xml",
}
# Of a recorded header only what is about the content: the rest belongs to the connection it came over, or to --etag.
KEPT = {"cache-control", "content-type", "expires", "last-modified", "retry-after"}


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded answer; status 0 means that there was no server to answer."""

    body: bytes
    content_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def load(folder: Path) -> list[Step]:
    """Read a recorded series in the order of its numbers; ``SystemExit`` with a message if there is none."""
    found = [path for path in folder.glob("*") if re.fullmatch(r"\d+\.\w+", path.name)]
    if not found:
        raise SystemExit(f"--replay {folder}: no recorded answers (0001.json, 0002.json, …) in that folder")
    return [load_step(path) for path in sorted(found, key=lambda path: int(path.stem))]


def load_step(path: Path) -> Step:
    """Read one answer and what its ``.meta.json`` says about it."""
    meta_path = path.with_suffix(".meta.json")
    meta = json.loads(meta_path.read_text()) if meta_path.exists() else {}
    headers = {name.lower(): value for name, value in meta.get("headers", {}).items() if name.lower() in KEPT}
    content_type = headers.pop("content-type", TYPES.get(path.suffix.removeprefix("."), "application/octet-stream"))
    return Step(path.read_bytes(), content_type, meta.get("status", 200), tuple(headers.items()))


class Replay:
    """
    The series as a backend, at ``/`` and under any other path.

    ``every`` says when it moves on: ``every-poll`` (each GET gets the next answer, so that no poller misses one),
    ``manual`` (by ``POST /-/step``), or a number of seconds, told by ``now``.
    """

    def __init__(
        self,
        steps: list[Step],
        now: Callable[[], float],
        *,
        etag: EtagMode,
        every: float | Literal["every-poll", "manual"],
    ) -> None:
        self._steps = steps
        self._now = now
        self._etag = etag
        self._every = every
        self._step = 0 if every == "every-poll" else 1

    def routes(self) -> list[web.RouteDef]:
        """List what it serves, its own control first."""
        return [
            web.get("/-/step", self._tell),
            web.post("/-/step", self._advance),
            web.get("/{path:.*}", self._replay),
        ]

    @property
    def step(self) -> int:
        """The number of the answer that is served now (``every-poll``: was served last, 0 before the first)."""
        by_time = int(self._now() / self._every) if isinstance(self._every, float) else 0
        return min(self._step + by_time, len(self._steps))

    async def _tell(self, request: web.Request) -> web.Response:
        return web.json_response({"step": self.step, "of": len(self._steps)})

    async def _advance(self, request: web.Request) -> web.Response:
        self._step += 1
        return await self._tell(request)

    async def _replay(self, request: web.Request) -> web.Response:
        if self._every == "every-poll" and request.method == "GET":
            self._step += 1
        step = self._steps[max(self.step, 1) - 1]
        if step.status == 0:
            assert request.transport is not None, "nobody else ends the connection while it is being answered"
            request.transport.abort()
            return web.Response()
        if step.status != 200:
            return web.Response(
                status=step.status, body=step.body, headers={**dict(step.headers), "Content-Type": step.content_type}
            )
        etag = self._tag(step.body)
        return answer(request, step.body, content_type=step.content_type, etag=etag, headers=dict(step.headers))

    def _tag(self, body: bytes) -> ETag | None:
        match self._etag:
            case "strong":
                return strong(body)
            case "weak":
                return ETag(strong(body).value, is_weak=True)
            case "lying":
                return ETag("always-the-same")
            case "none":
                return None
