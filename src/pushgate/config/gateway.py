"""The whole of gateway.yaml."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import Field, PrivateAttr

from .addresses import Name, RoutePath
from .auth import Auth
from .proxy import Proxy
from .report import Report
from .routes import Route, RouteOrView, View
from .section import EMPTY, Section
from .server import MemoryStore, Server, Store
from .tree import Mapping
from .upstreams import Upstream


class Gateway(Section):
    """The whole file."""

    READ_BEFORE = ("defaults",)

    version: Literal[1]
    """The version of this format."""
    server: Server = Server()
    """How pushgate serves."""
    store: Store = MemoryStore()
    """Where histories are kept."""
    upstreams: dict[Name, Upstream] = EMPTY
    """The backends."""
    auth: dict[Name, Auth] = EMPTY
    """How clients prove who they are."""
    entries: dict[RoutePath, RouteOrView] = Field(default=EMPTY, alias="routes")
    """What clients can follow."""
    proxy: dict[RoutePath, Proxy] = EMPTY
    """What is passed through."""

    _origin: Report | None = PrivateAttr(default=None)

    @cached_property
    def routes(self) -> dict[str, Route]:
        """The entries of ``routes:`` that poll."""
        return {path: entry for path, entry in self.entries.items() if isinstance(entry, Route)}

    @cached_property
    def views(self) -> dict[str, View]:
        """The entries of ``routes:`` that show a part of another one's document."""
        return {path: entry for path, entry in self.entries.items() if isinstance(entry, View)}

    @property
    def origin(self) -> Report:
        """Where everything stands in the file; only a Gateway that was loaded from one has it."""
        assert self._origin is not None, "made without a file"
        return self._origin

    @property
    def tree(self) -> Mapping | None:
        """What the file says; None if there is none."""
        return None if self._origin is None else self._origin.tree

    @property
    def file(self) -> str | None:
        """What messages call the file that it was loaded from; None if there is none."""
        return None if self._origin is None else self._origin.file

    def remember(self, origin: Report) -> None:
        """Keep the places in the file for what is said later; the only thing about a Gateway that is ever set."""
        self._origin = origin
