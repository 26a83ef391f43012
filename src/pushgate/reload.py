"""
A reload: the file is read again, checked, and taken over as a whole or not at all.

Rule 1: everything that can fail happens before anything is changed; what is changed, is changed in one step.
Rule 2: there is one reload at a time; who asks meanwhile gets one of its own, which sees what the file says by then.
Rule 3: a reload that fails says so in the log, in a metric, and to whoever asked; nothing else happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import structlog

from .adapters.filewatch import moments_to_look
from .clock import Clock
from .config.gateway import Gateway as Config
from .errors import ConfigError, ConfigProblem
from .generation import Generation, fixed_keys
from .metrics import Metrics
from .succession import Tally

log = structlog.get_logger()


class Source(Protocol):
    """Where the configuration comes from."""

    def read(self) -> Config:
        """Return what it says now; raises ConfigError."""

    def has_changed(self) -> bool:
        """Whether it says something else than when it was last read."""

    def folders(self) -> frozenset[Path]:
        """Return where something happens when it changes."""


class Reloads:
    """
    Lets a gateway take over what its file says. ``source``: None if there is nothing that can be read again.

    ``check`` looks at what only the machine knows, and raises ConfigError; ``take_over`` is the one step, and ``tidy``
    is what may take its time after it.
    """

    def __init__(
        self,
        source: Source | None,
        first: Generation,
        *,
        check: Callable[[Generation], None],
        take_over: Callable[[Generation], Tally],
        tidy: Callable[[], Awaitable[None]],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._source = source
        self._current = first
        self._check = check
        self._take_over = take_over
        self._tidy = tidy
        self._metrics = metrics
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked = asyncio.Event()
        self._has_ended = False
        self._note(is_good=True)

    async def reload(self, *, cause: str) -> Tally:
        """Take over what the file says; raises ConfigError, and then nothing has changed."""
        async with self._lock:  # no timeout: a reload reads a few files and asks nobody
            try:
                generation = await asyncio.to_thread(self._build)
                self._refuse_if_ended()
            except ConfigError as error:
                self._note(is_good=False)
                log.error("reload.failed", cause=cause, problems=[*map(str, error.problems)])
                raise
            tally = self._take_over(generation)
            self._current = generation
            self._note(is_good=True)
            log.info("reload.done", cause=cause, **asdict(tally))
            await self._tidy()
            return tally

    def _note(self, *, is_good: bool) -> None:
        """Remember how it went: ``is_good``, whether the file that was read last is in force, and since when one is."""
        self.is_good = is_good
        if is_good:
            self.taken_over_at = self._clock.wall()
        self._metrics.reloaded(is_ok=is_good, at=self.taken_over_at if is_good else None)

    async def tell(self) -> dict[str, int]:
        """Take over what the file says, and return what became of topics and clients; raises ConfigError."""
        return asdict(await self.reload(cause="asked for"))

    def _build(self) -> Generation:
        try:
            return self._read()
        except ConfigError:
            raise
        except Exception as crash:  # a bug of ours must not end a gateway that works
            log.exception("reload.crashed")
            raise _problem(f"pushgate failed on it: {type(crash).__name__}") from crash

    def _read(self) -> Generation:
        if self._source is None:
            raise _problem("it was read from where it cannot be read again; run pushgate with -c FILE")
        config = self._source.read()
        report = config.origin.blank()
        for finding in fixed_keys(self._current.config, config):
            report.add_finding(finding)
        if problems := report.problems():
            raise ConfigError(problems)
        generation = Generation(config, self._current)
        self._check(generation)
        return generation

    def _refuse_if_ended(self) -> None:
        if self._has_ended:
            raise _problem("the gateway is ending; start it again instead")

    # Without being waited for.

    def ask(self) -> None:
        """Reload soon; once for all who ask before it begins."""
        self._asked.set()

    async def obey(self) -> None:
        """Reload whenever somebody asks."""
        while True:
            await self._asked.wait()  # no timeout: it may never be asked for
            self._asked.clear()
            await self._try("SIGHUP")

    async def watch(self) -> None:
        """Reload whenever the file changes, or something that it brings in."""
        source = self._source
        if source is None:
            return
        async for _ in moments_to_look(source.folders, self._clock):
            if await asyncio.to_thread(source.has_changed):
                await self._try("file changed")

    async def _try(self, cause: str) -> None:
        try:
            await self.reload(cause=cause)
        except ConfigError:
            pass  # the log has it, and the metric

    def end(self) -> None:
        """Take nothing over any more."""
        self._has_ended = True


def _problem(message: str) -> ConfigError:
    return ConfigError([ConfigProblem("gateway.yaml", 1, 1, message)])
