"""
Measure pushgate: ``python -m bench [BENCH …]``; all of them if none is named.

Ratios of one run count; times depend on the machine and on what else it does. A full run takes about ten minutes, and
``--subscribers 500 --seconds 2 --rounds 1`` is a quick look.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from . import accept, fanout, machine, memory, poll, staleness, stall, topics, views
from .table import Figure, Finding, NotMeasured, table

BENCHES = ["fanout", "memory", "accept", "poll", "topics", "stall", "views", "staleness", "diff"]


def main() -> None:
    options = read_options()
    print(f"{machine.describe()}\n", flush=True)
    files = machine.allow_many_files() - machine.SPARE_FILES
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        benches = {
            "fanout": lambda: fanout.measure(
                Path(folder),
                subscribers=min(options.subscribers, files),
                seconds=options.seconds,
                rounds=options.rounds,
            ),
            "memory": lambda: memory.measure(Path(folder), connections=min(2 * options.subscribers, files)),
            "accept": lambda: accept.measure(Path(folder), connections=options.subscribers, rounds=options.rounds),
            "poll": lambda: poll.measure(seconds=min(2.0, options.seconds), rounds=options.rounds),
            "topics": lambda: topics.measure(rounds=options.rounds),
            "stall": lambda: stall.measure(seconds=max(6.0, options.seconds), rounds=options.rounds),
            "views": views.measure,
            "staleness": staleness.measure,
            "diff": measure_diff,
        }
        for name in options.benches or benches:
            for finding in attempt(name, benches[name]):
                print(".", end="", flush=True)
                findings.append(finding)
    print(f"\n\n{table(findings)}")
    targets = [finding for finding in findings if isinstance(finding, Figure) and finding.target is not None]
    print(f"\n{sum(bool(one.is_met) for one in targets)} of {len(targets)} targets met")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure pushgate beside its peers.")
    parser.add_argument("benches", nargs="*", choices=[*BENCHES, []])
    parser.add_argument("--subscribers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=4.0, help="of events, per round and server")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians are compared")
    return parser.parse_args()


def attempt(name: str, bench: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Run a bench, or say why it cannot be run here."""
    reason = machine.missing_compiler() if name in ("fanout", "memory", "accept") else None
    if reason is not None:
        yield NotMeasured(name, "everything", reason)
        return
    try:
        yield from bench()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # the other benches are still worth running
        yield NotMeasured(name, "the rest", str(error))


def measure_diff() -> Iterator[Finding]:
    """The comparison of documents, which has a table of its own (diff.py)."""
    from . import diff

    print("\n")
    for row in diff.main():
        target = diff.TARGET if row.has_target else None
        what = "decode, diff and prove, to parsing (and selecting) alone"
        yield Figure("diff", what, row.ratio("in all") or 0.0, "x", target, f"{row.case}; {row.size // 1000:,} KB")


if __name__ == "__main__":
    main()
