"""What a bench yields: figures with their targets, and how far each is met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``target`` is its ceiling; None: told for comparison only."""

    bench: str
    what: str
    value: float
    unit: str  # "x" for a ratio
    target: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        return None if self.target is None else self.value <= self.target

    def cells(self) -> list[str]:
        target = "" if self.target is None else f"<= {_number(self.target)} {self.unit}"
        verdict = {None: "", True: "met", False: f"missed by {self.value / (self.target or 1) - 1:.0%}"}[self.is_met]
        return [self.bench, self.what, f"{_number(self.value)} {self.unit}", target, verdict, self.note]


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """Something that could not be measured here, and why."""

    bench: str
    what: str
    reason: str

    def cells(self) -> list[str]:
        return [self.bench, self.what, "-", "", "", f"not measured: {self.reason}"]


Finding = Figure | NotMeasured

HEADINGS = ["bench", "what", "measured", "target", "", "note"]


def table(findings: Iterable[Finding]) -> str:
    rows = [HEADINGS, *(finding.cells() for finding in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column == 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
