"""What ``make run`` starts is the product's first impression: it works, says what to try, and leaves nothing behind."""

from __future__ import annotations

import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import Process, free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example() -> Iterator[Process]:
    names = ("LEGACY_PORT", "PORT", "ADMIN_PORT")
    ports = {name: str(free_port()) for name in names}
    with Process("make run", [sys.executable, ROOT / "examples" / "run.py"], env=ports) as process:
        process.wait_for("Ctrl-C ends everything")
        yield process


def children(process: Process) -> list[int]:
    path = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
    if not path.exists():
        pytest.skip("this system does not tell a process's children")
    return [int(pid) for pid in path.read_text().split()]


def test_the_welcome_ends_with_the_dashboard(example: Process) -> None:
    """Its URL is the last thing that is said, and the page is there."""
    example.wait_for("dashboard  ")
    (url,) = (line.split()[-1] for line in example.lines if line.lstrip().startswith("dashboard "))
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert b"<title>pushgate</title>" in answer.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything(example: Process, number: signal.Signals) -> None:
    """The backend and the gateway end with the one that started them, and it says 0."""
    started = children(example)
    assert len(started) == 2

    example.popen.send_signal(number)

    assert example.wait() == 0
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_every_topic_it_names_answers(example: Process) -> None:
    """The URLs that are printed lead to documents."""
    text = "".join(example.lines)
    urls = set(re.findall(r"http://127\.0\.0\.1:\d+/(?:departures|boarding|quotes/ACME\?currency=EUR)(?=\s)", text))
    assert len(urls) == 3

    for url in urls:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == 200
            assert answer.headers["Pushgate-State"] == "live"


def test_a_taken_port_is_named_with_its_remedy(example: Process) -> None:
    """Who starts it twice is told which port is taken and how to choose another."""
    taken = re.search(r"http://127\.0\.0\.1:(\d+)/departures\n", "".join(example.lines))
    assert taken is not None
    ports = {"LEGACY_PORT": str(free_port()), "PORT": taken[1], "ADMIN_PORT": str(free_port())}

    with Process("second", [sys.executable, ROOT / "examples" / "run.py"], env=ports) as second:
        second.wait_for(f"port {taken[1]} cannot be used .*PORT=… make run")
        assert second.wait() == 1
