"""Fixtures that tests of several folders share."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from backends import ScriptedBackend, scripted_backend

# Ten times as many examples for a night or a release.
SOAK = 10 if os.environ.get("PUSHGATE_SOAK") == "1" else 1

for name, examples in {"default": 100, "soak": 1000}.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile("default" if SOAK == 1 else "soak")

# Otherwise pytest-asyncio asks for the current loop before its first test, and nobody closes the one that it is given.
asyncio.set_event_loop(None)

# The default of structlog draws tracebacks with all local variables, which takes longer than what is tested.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


def pytest_configure(config: pytest.Config) -> None:
    """Do without looptime's plugin: it opens a loop for every test without one, and never closes it."""
    config.pluginmanager.unregister(name="looptime_plugin")


def pytest_collection_finish() -> None:
    """Take tests and libraries out of what the collector walks through: they stay, and cost a tenth of the time."""
    gc.freeze()


@pytest.fixture
async def backend() -> AsyncIterator[ScriptedBackend]:
    """A backend that says ``null`` until it is told otherwise."""
    async with scripted_backend() as scripted:
        yield scripted
