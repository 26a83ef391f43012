"""
The dashboard: its pages, what they follow, the console, and somebody who counts what happens on each route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from ...tides import EVERY, Figures, Tides
from . import console, live, pages
from .closeup import Closeup
from .history import PastSwitch
from .house import House
from .listener import Switch
from .operators import Operators
from .overview import Overview


class Lookout:
    """Looks at the house. ``front`` answers clients of the public listener."""

    def __init__(self, house: House, front: console.Handler, tasks: asyncio.TaskGroup) -> None:
        self._house = house
        operators = Operators(lambda: house.generation().config.server.admin)
        self._tides, self._demand = Tides(), Tides()
        overview = Overview(house, self._tides, self._demand, began_at=house.clock.wall())
        closeup = Closeup(house)
        self._admin = house.generation().config.server.admin
        tellers: Mapping[str, live.Teller] = {
            "overview": lambda asked: self._told(overview.tell()),
            "route": lambda asked: self._told(closeup.tell(asked.get("route", ""), asked.get("look"))),
        }
        self._live = live.Live(tellers, operators, house.clock, tasks)
        shown = pages.Pages()
        self.switches: dict[str, Switch] = {
            "/": shown,
            pages.BELOW: shown,
            f"{live.BELOW}history": PastSwitch(self._tides, operators),
            live.BELOW: self._live,
            f"{console.BELOW}/": console.Console(front, operators, house.generation),
        }
        self._tasks = [
            tasks.create_task(self._live.beat(), name="heartbeats of the dashboard"),
            tasks.create_task(self._watch(), name="samples for the dashboard"),
        ]

    async def _watch(self) -> None:
        """Take samples for as long as the gateway runs."""
        clock = self._house.clock
        due = clock.now()
        while True:
            now = clock.now()
            due = max(due + EVERY, now)
            await clock.sleep(due - now)
            self._tides.take(dict(self._routes()))
            self._demand.take({name: Figures(polls=gate.requests) for name, gate in self._house.gates.items()})

    def _routes(self) -> Iterator[tuple[str, Figures]]:
        for name in self._house.generation().config.entries:
            yield name, self._house.figures(name)

    def _told(self, document: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what was told. If others may look by now than before, all who do have to ask again."""
        admin = self._house.generation().config.server.admin
        if admin != self._admin:
            self._admin = admin
            self._live.send_away()
        return document

    async def close(self) -> None:
        """Let everybody go who looks, and look no more."""
        for task in self._tasks:
            task.cancel()
        await self._live.close()
