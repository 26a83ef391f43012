"""
Notices that files may have changed: as soon as the file system says so, and every so often where it says nothing.

Folders are watched, not files: an editor writes another file and renames it, and Kubernetes swaps the link through
which all files of a ConfigMap are reached. Whoever is told compares what the files hold.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import structlog
from watchfiles import awatch

from ..clock import Clock

log = structlog.get_logger()

# So often it is looked anyway: network file systems tell nobody what others did to them.
LOOK_EVERY = 10.0


async def moments_to_look(
    folders: Callable[[], frozenset[Path]], clock: Clock, *, look_every: float = LOOK_EVERY
) -> AsyncIterator[None]:
    """Yield whenever it is worth looking at what ``folders`` hold; these may be others each time."""
    while True:
        try:
            async for _ in _happenings(folders, look_every):
                yield
        except (OSError, RuntimeError) as error:  # a folder is gone already, or there are too many watches
            log.warning("config.unwatched", error=str(error), look_every=look_every)
            await clock.sleep(look_every)
            yield


async def _happenings(folders: Callable[[], frozenset[Path]], look_every: float) -> AsyncIterator[None]:
    """Yield whenever something has happened, or nothing for long, until the folders are others."""
    watched = folders()
    if not watched:
        raise FileNotFoundError("none of the folders is there")
    changes = awatch(
        *watched,
        watch_filter=None,
        recursive=False,
        rust_timeout=round(look_every * 1000),
        yield_on_timeout=True,
    )
    async with aclosing(changes):
        async for _ in changes:
            yield
            if folders() != watched:
                return
