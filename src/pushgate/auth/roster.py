"""
The entries of ``auth:`` made ready, and kept as they are for as long as their configuration is the same.

An entry that stays the very object that it was keeps its keys, and what the keeper remembers of its verdicts.

What checks tokens and passwords is imported for the first entry that needs it: it comes with a dozen megabytes of
cryptography, for which a gateway that is open to everybody has no use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, assert_never

from ..clock import Clock
from ..config.auth import ApiKeyAuth, Auth, BasicAuth, ForwardAuth, JwtAuth
from ..metrics import Metrics
from .api_key import ApiKeyAuthority
from .credential import Authority
from .forward import ForwardAuthority, Inquiry

if TYPE_CHECKING:
    from .jwks import FetchKeys, Jwks


class Inquiries(Inquiry, Protocol):
    """Asks issuers and services."""

    @property
    def fetch_keys(self) -> FetchKeys: ...


@dataclass(frozen=True, slots=True)
class _Published:
    """An issuer's keys, and the task that keeps them fresh."""

    keys: Jwks
    upkeep: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _Entry:
    config: Auth
    authority: Authority
    published: _Published | None = None


class Roster:
    """Makes authorities. ``tasks``: for those that have to look after something."""

    def __init__(self, inquiries: Inquiries, clock: Clock, metrics: Metrics, tasks: asyncio.TaskGroup) -> None:
        self._inquiries = inquiries
        self._clock = clock
        self._metrics = metrics
        self._tasks = tasks
        self._entries: dict[str, _Entry] = {}

    def call(self, sections: Mapping[str, Auth]) -> dict[str, Authority]:
        """Return the authorities of a configuration."""
        before = self._entries
        self._entries = {name: self._entry(name, config, before.get(name)) for name, config in sections.items()}
        _stop(set(_published(before)) - set(_published(self._entries)))
        return {name: entry.authority for name, entry in self._entries.items()}

    def stop(self) -> None:
        _stop(_published(self._entries))

    def _entry(self, name: str, config: Auth, was: _Entry | None) -> _Entry:
        if was is not None and was.config == config and not isinstance(config, BasicAuth):
            return was
        match config:
            case JwtAuth():
                return self._jwt(name, config, was)
            case ApiKeyAuth():
                return _Entry(config, ApiKeyAuthority(name, config))
            case BasicAuth():  # whose file may say something else now
                from .basic import BasicAuthority

                now = BasicAuthority(name, config)
                is_same = was is not None and was.config == config and now.knows_the_same(was.authority)
                return was if was is not None and is_same else _Entry(config, now)
            case ForwardAuth():
                return _Entry(config, ForwardAuthority(name, config, self._inquiries))
            case _:
                assert_never(config)

    def _jwt(self, name: str, config: JwtAuth, was: _Entry | None) -> _Entry:
        from .jwt import JwtAuthority
        from .keys import configured_key

        if config.jwks_url is None:
            return _Entry(config, JwtAuthority(name, config, configured_key(config)))
        published = self._published(name, config.jwks_url, was)
        return _Entry(config, JwtAuthority(name, config, published.keys), published)

    def _published(self, name: str, url: str, was: _Entry | None) -> _Published:
        """Return an issuer's keys: those that are known, if they are this issuer's, so that nobody is doubted."""
        if was is not None and was.published is not None and getattr(was.config, "jwks_url", None) == url:
            return was.published
        from .jwks import Jwks

        keys = Jwks(url, self._inquiries.fetch_keys, self._clock, partial(self._metrics.keys_fetched, name))
        return _Published(keys, self._tasks.create_task(keys.keep_fresh(), name=f"keys of {name}"))


def _published(entries: Mapping[str, _Entry]) -> list[_Published]:
    return [entry.published for entry in entries.values() if entry.published is not None]


def _stop(published: Iterable[_Published]) -> None:
    for one in published:
        one.upkeep.cancel()
