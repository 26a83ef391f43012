"""
docs/performance.md, which nobody writes by hand: the findings of each bench, with the machine and the date.

A run renews the sections of the benches that it has run; the others keep what they say, with their own dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .table import HEADINGS, Finding

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

INTRODUCTION = """# Performance

What pushgate costs, beside real peers. `make bench` writes this page and nobody else does; `python -m bench NAME …`
renews the sections of the benches that it names.

How it is measured:

- **Ratios count, times do not.** The machine has two cores that it shares with others, and the server, the load
  generator and the backend all run on it. So every target is a ratio of two figures of one run, or a size in bytes.
- **A server has a core of its own**, and whatever is not measured runs on the other. What a server costs is the CPU
  time of all its processes as `/proc` tells it, the kernel's share included, after minus before.
- **Rounds are interleaved.** The servers that are compared are up at the same time and take turns (A B C, A B C, …); a
  figure is the median of its rounds, and a ratio is one of two medians.
- **The load generator costs less than any server** and is written in C (`bench/fan.c`, `bench/herd.c`). It never sleeps
  in `epoll_wait`, because whoever sends to a sleeping process pays for waking it up; a delivery may seem to be up to
  0.3 ms late for that.
- **pushgate's polling is on its bill**: it asks a backend, decodes, compares and proves. Its peers are handed each
  event.
- **The peers**: *the floor* (`bench/floor.c`) is one thread that calls `send()` once for each subscriber and does
  nothing else, so nobody who writes to each gets below it. *Nchan* is a module of nginx, in C. *Naive*
  (`bench/naive.py`) is what one writes first with aiohttp: a coroutine and a queue for each client, on the same event
  loop as pushgate.
"""

NOT_YET = "Not measured yet."

_SECTION = re.compile(r"^## (\S+)\n\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_MEASURED = re.compile(r"^Measured on (.+)\.$", re.MULTILINE)
_COLUMNS = len(HEADINGS) - 1  # the name of the bench is the heading


@dataclass(frozen=True, slots=True)
class Section:
    """What one bench has found, as cells of text: what, measured, target, verdict, note."""

    about: str  # what it measures
    measured: str | None  # the machine and the date; None: never
    rows: tuple[tuple[str, ...], ...] = ()

    def missed(self) -> list[str]:
        return [f"{row[0]} ({row[3]})" for row in self.rows if row[3].startswith("missed")]

    def met(self) -> int:
        return sum(row[3] == "met" for row in self.rows)


def parse(page: str) -> dict[str, Section]:
    """Return the sections of a page by the names of their benches."""
    sections = {}
    for name, text in _SECTION.findall(page):
        lines = text.splitlines()
        rows = [_cells(line) for line in lines if line.startswith("| ")]
        measured = _MEASURED.search(text)
        sections[name] = Section(lines[0], measured and measured[1], tuple(rows[1:]))
    return sections


def render(sections: Mapping[str, Section]) -> str:
    """Return the page."""
    parts = [INTRODUCTION, _summary(sections), *(_section(name, of) for name, of in sections.items())]
    return "\n".join(parts)


def renewed(page: str, abouts: Mapping[str, str], findings: Mapping[str, Sequence[Finding]], *, measured: str) -> str:
    """
    Return the page with these findings; ``abouts``: all benches there are, in order, and what each measures.

    ``measured`` tells on what machine, when, and how.
    """
    old = parse(page)
    sections = {}
    for name, about in abouts.items():
        if name in findings:
            rows = tuple(tuple(finding.cells()[1:]) for finding in findings[name])
            sections[name] = Section(about, measured, rows)
        else:
            kept = old.get(name, Section(about, None))
            sections[name] = Section(about, kept.measured, kept.rows)
    return render(sections)


def about(docstring: str | None) -> str:
    """Return the first paragraph of a bench's docstring in one line, without the name before its colon."""
    paragraph = " ".join((docstring or "").strip().partition("\n\n")[0].split())
    return paragraph.replace("``", "`")


def _summary(sections: Mapping[str, Section]) -> str:
    met = sum(section.met() for section in sections.values())
    missed = [f"- {name}: {what}" for name, section in sections.items() for what in section.missed()]
    if not met and not missed:
        return f"{NOT_YET}\n"
    told = f"**{met} of {met + len(missed)} targets are met.**"
    return "\n".join([f"{told} Missed:\n", *missed, ""]) if missed else f"{told}\n"


def _section(name: str, section: Section) -> str:
    lines = [f"## {name}", "", section.about, ""]
    if section.measured is None:
        return "\n".join([*lines, NOT_YET, ""])
    lines += [f"Measured on {section.measured}.", ""]
    table = [_line(HEADINGS[1:]), "|---|--:|---|---|---|", *map(_line, section.rows)]
    return "\n".join([*lines, *table, ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cells(line: str) -> tuple[str, ...]:
    cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
    assert len(cells) == _COLUMNS, f"a line of a table has {_COLUMNS} cells: {line}"
    return tuple(cell.strip().replace("\\|", "|") for cell in cells)
