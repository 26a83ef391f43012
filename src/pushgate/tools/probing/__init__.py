"""
From the answers of a backend that was polled for a while to a route that suits it.

Samples go in, findings come out, each with its reason; nothing here polls, waits or prints. ``infer`` is the whole of
it, ``write`` makes a gateway.yaml of what it found and of what was asked, without the credentials in it.
"""

from __future__ import annotations

from .asked import Asked
from .inference import infer
from .pace import Pace
from .samples import Decode, Finding, Format, Report, Sample
from .writing import as_json, configuration, write

__all__ = [
    "Asked",
    "Decode",
    "Finding",
    "Format",
    "Pace",
    "Report",
    "Sample",
    "as_json",
    "configuration",
    "infer",
    "write",
]
