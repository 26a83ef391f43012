"""How long an exchange may stand still: as long as something moves, it may take as long as it likes."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """A context that ends with TimeoutError when nothing was touched for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)
        self._is_over = False

    async def __aenter__(self) -> Patience:
        await self._limit.__aenter__()
        self.touch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        await self._limit.__aexit__(kind, error, trace)

    def touch(self) -> None:
        """Begin to wait anew: something has moved."""
        if not self._is_over and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._seconds)
