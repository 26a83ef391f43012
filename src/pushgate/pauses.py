"""
What operators have paused: routes, and upstreams with everything that is asked of them.

It is for as long as this process lasts, and for the names that the configuration has.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Kind = Literal["route", "upstream"]


class Pauses:
    """The names of what is paused."""

    __slots__ = ("routes", "upstreams")

    def __init__(self) -> None:
        self.routes: set[str] = set()
        self.upstreams: set[str] = set()

    def of(self, kind: Kind) -> set[str]:
        return self.routes if kind == "route" else self.upstreams

    def cover(self, route: str, upstream: str) -> bool:
        """Whether a topic of this route, which is asked of this upstream, is paused."""
        return route in self.routes or upstream in self.upstreams

    def keep(self, *, routes: Collection[str], upstreams: Collection[str]) -> list[str]:
        """Forget what is no longer there; return its names."""
        gone = sorted([*(self.routes - set(routes)), *(self.upstreams - set(upstreams))])
        self.routes.intersection_update(routes)
        self.upstreams.intersection_update(upstreams)
        return gone

    def account(self) -> dict[str, list[str]]:
        """Return the names, sorted, as operators are told them."""
        return {"routes": sorted(self.routes), "upstreams": sorted(self.upstreams)}
