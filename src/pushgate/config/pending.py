"""
What gateway.yaml can say already and a later release will do.

It is validated like everything else, and refused: nothing that the file says is ever ignored. A feature that is
implemented leaves this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .report import Report
from .tree import Path

# Keys that do nothing yet if they have this value, and what they will do.
PENDING: Final[Mapping[tuple[Path, str], str]] = {
    (("store", "kind"), "redis"): "histories in Redis",
}


def report_pending(report: Report) -> None:
    """Report every value that is not implemented yet, whether or not what belongs to it is valid."""
    for (path, value), words in PENDING.items():
        if report.value(path) == value:
            report.add_pending(path, words)
