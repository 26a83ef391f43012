"""What all doubles are: a server on a free port of loopback that can be switched off and on, and remembers requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from backends import PATIENCE


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came; names of ``headers`` are lower case."""

    method: str
    path: str  # with its query
    headers: Mapping[str, str]
    body: bytes
    at: float  # seconds by the loop's clock


class Double:
    """Answers whatever ``answer`` says."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Asked] = []
        self._port = 0
        self._news = asyncio.Condition()
        self._runner: web.ServerRunner | None = None

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        raise NotImplementedError

    async def switch_on(self) -> None:
        self._runner = web.ServerRunner(web.Server(self, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        host, self._port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{self._port}"

    async def switch_off(self) -> None:
        """Close every connection and refuse new ones."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def asked(self, times: int = 1) -> None:
        """Wait until so many more requests have come."""
        enough = len(self.requests) + times
        await self.until(lambda: len(self.requests) >= enough)

    async def until(self, is_it: Callable[[], bool]) -> None:
        """Wait until the requests have made it so."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(is_it)

    async def is_left_alone(self, seconds: float) -> bool:
        """Whether no request comes for so long: an absence takes time to be seen."""
        before = len(self.requests)
        await asyncio.sleep(seconds)
        return len(self.requests) == before

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        moment = asyncio.get_running_loop().time()
        asked = Asked(request.method, request.path_qs, headers, await request.read(), moment)
        self.requests.append(asked)
        answer = await self.answer(request, asked)
        async with self._news:
            self._news.notify_all()
        return answer


@asynccontextmanager
async def serving(*doubles: Double) -> AsyncIterator[None]:
    """Switch doubles on as long as the context is open."""
    async with AsyncExitStack() as stack:
        for double in doubles:
            await double.switch_on()
            stack.push_async_callback(double.switch_off)
        yield
