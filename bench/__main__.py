"""
Measure pushgate: ``python -m bench [BENCH …]``; all of them if none is named. Prints the table and writes the figures
into docs/performance.md.

Ratios of one run count; times depend on the machine and on what else it does. ``--quick`` is a look that takes a few
minutes and writes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from . import (
    accept,
    authentication,
    diff,
    fairness,
    fanout,
    idle,
    longpoll,
    machine,
    memory,
    poll,
    report,
    scrape,
    slow,
    staleness,
    stall,
    storm,
    topics,
    twin,
    views,
    worth,
)
from .table import Figure, Finding, NotMeasured, table

QUICK_SUBSCRIBERS = 1000


@dataclass(frozen=True, slots=True)
class Setting:
    """How much is measured; ``folder`` is for what is compiled."""

    folder: Path
    subscribers: list[int]  # as many as these in turn, for what depends on their number
    connections: int  # for what does not
    seconds: float
    rounds: int


def measure_diff(setting: Setting) -> Iterator[Finding]:
    """The comparison of documents, which has a table of its own (diff.py)."""
    print("\n")
    for row in diff.main():
        target = diff.TARGET if row.has_target else None
        what = f"{row.case}: decode, diff and prove, to parsing (and selecting) alone"
        yield Figure("diff", what, row.ratio("in all") or 0.0, "x", target, f"{row.size // 1000:,} KB")


# Every bench by its name: the module whose docstring tells what it measures, and how it is run.
BENCHES: dict[str, tuple[object, Callable[[Setting], Iterable[Finding]]]] = {
    "fanout": (fanout, lambda s: fanout.measure(s.folder, subscribers=s.subscribers, rounds=s.rounds)),
    "longpoll": (longpoll, lambda s: longpoll.measure(s.folder, subscribers=s.subscribers, rounds=s.rounds)),
    "memory": (memory, lambda s: memory.measure(s.folder, connections=2 * s.connections, rounds=s.rounds)),
    "idle": (idle, lambda s: idle.measure(rounds=s.rounds)),
    "accept": (accept, lambda s: accept.measure(s.folder, connections=s.connections, rounds=s.rounds)),
    "authentication": (
        authentication,
        lambda s: authentication.measure(connections=min(2000, s.connections), rounds=s.rounds),
    ),
    "storm": (storm, lambda s: storm.measure(s.folder, clients=s.connections, rounds=s.rounds)),
    "slow": (
        slow,
        lambda s: slow.measure(s.folder, clients=min(1000, s.connections), seconds=s.seconds, rounds=s.rounds),
    ),
    "fairness": (
        fairness,
        lambda s: fairness.measure(s.folder, subscribers=2 * s.connections, seconds=s.seconds, rounds=s.rounds),
    ),
    "twin": (
        twin,
        lambda s: twin.measure(s.folder, clients=min(3000, s.connections), seconds=s.seconds, rounds=s.rounds),
    ),
    "scrape": (scrape, lambda s: scrape.measure(s.folder, clients=s.connections // 2, rounds=s.rounds)),
    "worth": (worth, lambda s: worth.measure()),
    "poll": (poll, lambda s: poll.measure(seconds=min(2.0, s.seconds), rounds=s.rounds)),
    "topics": (topics, lambda s: topics.measure(rounds=s.rounds)),
    "stall": (stall, lambda s: stall.measure(seconds=max(6.0, s.seconds), rounds=s.rounds)),
    "views": (views, lambda s: views.measure()),
    "staleness": (staleness, lambda s: staleness.measure()),
    "diff": (diff, measure_diff),
}

# Those that need the load generator.
COMPILED = ("fanout", "longpoll", "memory", "accept", "storm", "slow", "fairness", "twin", "scrape")


def main() -> None:
    options = read_options()
    about_machine = machine.describe()
    print(f"{about_machine}\n", flush=True)
    files = machine.allow_many_files() - machine.SPARE_FILES
    found: dict[str, list[Finding]] = {}
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        setting = Setting(
            Path(folder),
            subscribers=[min(number, files) for number in options.subscribers],
            connections=min(sorted(options.subscribers)[len(options.subscribers) // 2], files // 2),
            seconds=options.seconds,
            rounds=options.rounds,
        )
        for name in options.benches or BENCHES:
            begin = perf_counter()
            found[name] = list(attempt(name, setting))
            print(f"{table(found[name])}\n\n{name}: {perf_counter() - begin:.0f} s\n", flush=True)
            if not options.dry:
                write_page(found, f"{about_machine} · {options.rounds} rounds")
    targets = [one for of in found.values() for one in of if isinstance(one, Figure) and one.target is not None]
    print(f"{sum(bool(one.is_met) for one in targets)} of {len(targets)} targets met")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure pushgate beside its peers.")
    parser.add_argument("benches", nargs="*", choices=[*BENCHES, []])
    parser.add_argument("--subscribers", type=int, nargs="+", default=[1000, 5000, 15_000])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round, where time is what is chosen")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians are compared")
    parser.add_argument("--dry", action="store_true", help="leave docs/performance.md as it is")
    parser.add_argument("--quick", action="store_true", help="one round, 1,000 subscribers, 2 seconds, --dry")
    options = parser.parse_args()
    if options.quick:
        options.subscribers, options.seconds, options.rounds, options.dry = [QUICK_SUBSCRIBERS], 2.0, 1, True
    return options


def attempt(name: str, setting: Setting) -> Iterator[Finding]:
    """Run a bench, or say why it cannot be run here."""
    reason = machine.missing_compiler() if name in COMPILED else None
    if reason is not None:
        yield NotMeasured(name, "everything", reason)
        return
    try:
        for finding in BENCHES[name][1](setting):
            print(".", end="", file=sys.stderr, flush=True)
            yield finding
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # the other benches are still worth running
        yield NotMeasured(name, "the rest", str(error))
    finally:
        print(file=sys.stderr)


def abouts() -> dict[str, str]:
    """Return what each bench measures, in its own words."""
    return {name: report.about(module.__doc__) for name, (module, _) in BENCHES.items()}


def write_page(found: dict[str, list[Finding]], measured: str) -> None:
    """Renew the sections of what was measured; after each bench, so that nothing of a run that is cut is lost."""
    page = report.PAGE.read_text() if report.PAGE.exists() else ""
    report.PAGE.write_text(report.renewed(page, abouts(), found, measured=measured))


if __name__ == "__main__":
    main()
