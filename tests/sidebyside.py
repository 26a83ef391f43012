"""Scenes that do little but wait, at the same time: each passes, fails or is skipped by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import pytest

Scene = Coroutine[Any, Any, None]


async def side_by_side(subtests: pytest.Subtests, scenes: Mapping[str, Scene]) -> None:
    """Play all scenes to their ends, whatever becomes of the others; then tell of each by its name."""
    outcomes = await asyncio.gather(*scenes.values(), return_exceptions=True)
    for name, outcome in zip(scenes, outcomes, strict=True):
        with subtests.test(name):
            if outcome is not None:
                raise outcome
