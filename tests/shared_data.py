"""Test vectors and recordings that are not ours to publish: they lie beside the project, or the test is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


def shared(name: str) -> Path:
    """Return a file or folder below ``../shared``, or skip the test and say what is missing."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not beside the project")
    return path
