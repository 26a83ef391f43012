"""
Recorded series of real APIs go through a running gateway to one client on each transport and mode, and none is lost.

The recordings are not part of the project: they are looked for in a folder beside it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from processes import ROOT
from sidebyside import side_by_side

COMMAND = ROOT / "examples" / "replay_series.py"
RECORDED = ROOT.parent / "shared" / "realdata"


def load_command() -> ModuleType:
    spec = spec_from_file_location("replay_series", COMMAND)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


series = load_command()

# What is pushed, and how: the key of its items, what of it is no news, how often it is polled.
SERIES: dict[str, dict[str, Any]] = {
    "usgs_quakes": {"key": "id", "ignore": ["/metadata/generated"], "modes": ["patch", "snapshot"]},
    "hn_submissions": {"key": "id", "modes": ["patch", "items"], "every": "40ms"},
    "ecobici_gbfs": {
        "key": "station_id",
        "ignore": ["/last_updated"],
        "modes": ["patch", "snapshot"],
        "every": "200ms",
    },
    "energex_summary": {"modes": ["patch", "merge"], "every": "30ms"},
    "energex_summary without its timestamp": {
        "ignore": ["/data/requestTimestamp"],
        "modes": ["patch", "merge"],
        "every": "30ms",
    },
    "pge_outages": {"key": "F_OUTAGE_ID", "modes": ["patch", "items"], "every": "30ms"},
}
LARGE = ["usgs_quakes", "ecobici_gbfs"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of our own, so that the command is tested everywhere: empty is true, twice the same, and a move."""
    folder = tmp_path_factory.mktemp("small")
    rows = [{"id": n, "text": f"row {n}", "more": "x" * 40} for n in range(6)]
    answers = [rows, rows[:3], [], [], rows[2:], [rows[5], *rows[:5]], rows[::-1], rows]
    for number, answer in enumerate(answers, start=1):
        (folder / f"{number:04}.json").write_text(json.dumps(answer))
    return folder


def folder_of(name: str) -> Path:
    folder = RECORDED / name.split()[0]
    if not folder.is_dir():
        pytest.skip(
            f"there is no {Path('..') / folder.relative_to(ROOT.parent)}: the recordings are not in the project"
        )
    return folder


@pytest.mark.timeout(180)  # a machine that is busy with something else takes longer for all of them
async def test_nobody_loses_a_document(capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests) -> None:
    """Every stream and long poll holds each distinct document, in order; a short poll some of them; all the last."""

    async def reaches_everybody(name: str) -> None:
        outcome = await series.replay(folder_of(name), **SERIES[name])
        with capsys.disabled():
            print("", *outcome.lines(), sep="\n")
        assert len(outcome.followers) == 1 + 3 * len(SERIES[name]["modes"])
        for one in outcome.followers:
            check(one)

    for name in LARGE:  # one after the other: clients that are late skip states
        await side_by_side(subtests, {name: reaches_everybody(name)})
    await side_by_side(subtests, {name: reaches_everybody(name) for name in SERIES if name not in LARGE})


def check(one: Any) -> None:
    """Fail unless this follower held what its transport promises, and ended with the last document."""
    assert one.strange == [], f"{one} held what was never served"
    distinct = list(range(len(one.series)))
    assert one.numbers == sorted(set(one.numbers)), f"{one}: ids that do not rise"
    if one.transport == "short_poll":
        assert one.held == sorted(set(one.held)), f"{one} went back"
        assert one.held[-1] == distinct[-1], f"{one} did not end with the last"
    else:
        assert one.held == distinct, one.complaint()


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, cwd=ROOT, check=False)


def test_the_command_prints_what_was_polled_and_pushed(small: Path) -> None:
    done = run(small, "--key", "id")
    assert done.returncode == 0, done.stdout + done.stderr
    first, heading, *table = done.stdout.splitlines()
    polls = re.match(rf"{small.name}: (\d+) polls, ", first)
    assert polls and int(polls[1]) >= 8, f"the last answer is repeated until every client has it: {first}"
    assert ", 6 changes, " in first
    assert "bytes pushed" in heading
    assert table.pop() == "  every client held every document and ended with the last one"
    modes = [tuple(line.split()[:2]) for line in table]
    assert modes[0] == ("short_poll", "document")
    transports, told = ("long_poll", "sse", "websocket"), ("patch", "merge", "items", "snapshot")
    assert modes[1:] == [(transport, mode) for mode in told for transport in transports]


def test_the_command_says_what_a_client_lost() -> None:
    """What it would complain about, it does complain about."""
    documents = [{"n": n} for n in range(4)]
    lost = series.Follower("sse", "patch", None, documents)
    lost.hear("snapshot", "e.1.s.h", {"n": 0})
    lost.hear("patch", "e.2.s.h", [{"op": "replace", "path": "/n", "value": 1}])
    assert "did not end with the last document" in lost.complaint()
    lost.hear("snapshot", "e.4.s.h", {"n": 3})
    assert "never held 1 documents: [2]" in lost.complaint()
    lost.hear("snapshot", "e.4.s.h", {"n": 7})
    assert "held what the backend never served" in lost.complaint()


def test_a_folder_without_a_series(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "holds no recorded answers" in done.stderr
