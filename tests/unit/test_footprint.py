"""What the process takes of its machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from pushgate.footprint import Footprint, open_files

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system has no /proc")


def values(registry: CollectorRegistry) -> dict[str, float]:
    return {sample.name: sample.value for metric in registry.collect() for sample in metric.samples}


def test_it_tells_what_the_library_would_under_the_same_names() -> None:
    """So that every dashboard for processes works here, too."""
    own, library = CollectorRegistry(), CollectorRegistry()
    own.register(Footprint())
    ProcessCollector(registry=library)
    expected, found = values(library), values(own)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=0.05, abs=5), name


def test_it_knows_how_many_files_are_open() -> None:
    """Each one more."""
    before = open_files()
    descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    try:
        assert open_files() == before + 20
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert open_files() == before
