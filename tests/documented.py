"""
A terminal for the commands that the documentation shows: they are run as they stand, in an empty folder.

Addresses are those of a gateway that the test runs. What a page has in a terminal of its own (a server, a stream) goes
on in the background until the terminal is closed. Programs that would install, deploy or wait have a stand-in that
looks whether they are asked for what there is.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

# How long a block may take, and how long one listens to what nothing else ends.
PATIENCE, LISTEN = 30, 5

PUSHGATE = """\
if [ "$1" = run ]; then
  PYTHON -m pushgate "$@" >"$TERMINAL/run.log" 2>&1 &
  echo $! >>"$TERMINAL/pids"
  for _ in $(/usr/bin/seq 30); do PYTHON -m pushgate health --timeout 1 >/dev/null 2>&1 && exit; /bin/sleep 0.1; done
  cat "$TERMINAL/run.log"; exit 1
fi
case " $* " in
  *" --count "* | *" --for "*) ;;
  " tail "*) exec PYTHON -m pushgate "$@" --count 1 ;;
  *" --watch "*) /usr/bin/timeout -s INT LISTEN PYTHON -m pushgate "$@" || [ $? = 124 ]; exit ;;
esac
exec PYTHON -m pushgate "$@"
"""

# A stream goes on in the background, and what it says is kept. Anything else must succeed, unless MUST_SUCCEED is "".
CURL = """\
case " $* " in
  *" -N "*)
    REAL_CURL --silent --fail-with-body --max-time LISTEN "$@" >>"$TERMINAL/stream" 2>/dev/null &
    echo $! >>"$TERMINAL/pids"
    for _ in $(/usr/bin/seq 50); do [ -s "$TERMINAL/stream" ] && exit; /bin/sleep 0.1; done
    exit 1 ;;
  *) exec REAL_CURL --silent --show-error ${MUST_SUCCEED---fail-with-body} --max-time 20 "$@" ;;
esac
"""

PYTHON3 = """\
if [ "$1 $2" = "-m http.server" ]; then
  PYTHON "$@" >"$TERMINAL/server.log" 2>&1 &
  echo $! >>"$TERMINAL/pids"
  for _ in $(/usr/bin/seq 100); do REAL_CURL -s "http://127.0.0.1:$3/" >/dev/null && exit; /bin/sleep 0.1; done
  exit 1
fi
exec PYTHON "$@"
"""

MAKE = """\
for target in "$@"; do grep -q "^$target:" "ROOT/Makefile" || { echo "make: no target $target"; exit 2; }; done
"""

PIP = """\
[ "$1" = install ] || exit 2
case "$2" in pushgate|pushgate\\[*\\]) ;; *) echo "pip: no such project $2"; exit 1 ;; esac
"""

NOTHING = "exit 0\n"

# `helm`, where there is one, works on the real chart; nothing is installed anywhere.
HELM = """\
case "$1" in
  lint|template) [ -z "REAL_HELM" ] || (cd "$PWD" && exec REAL_HELM "$@" >/dev/null) ;;
  install|upgrade|test|dependency|package) ;;
  *) echo "helm: no such command $1"; exit 1 ;;
esac
"""

# The arguments behind the image are the gateway's.
DOCKER = """\
case "$1" in build|compose|run|ps|inspect|push) ;; *) echo "docker: no such command $1"; exit 1 ;; esac
"""

STAND_INS = {
    "pushgate": PUSHGATE,
    "curl": CURL,
    "python3": PYTHON3,
    "make": MAKE,
    "pip": PIP,
    "helm": HELM,
    "docker": DOCKER,
    "kubectl": NOTHING,
    "systemctl": NOTHING,
    "sudo": 'exec "$@"\n',
    "sleep": NOTHING,
    "seq": "echo 1 2 3\n",
}


class Terminal:
    """Runs blocks of commands, one after the other, as one person would type them."""

    def __init__(self, folder: Path, places: Mapping[str, str], *, helm: str = "") -> None:
        self.folder = folder / "home"
        self._own = folder / "terminal"
        self._places = places  # what stands for what in the commands
        for made in (self.folder, self._own, self._own / "bin"):
            made.mkdir()
        for name, script in STAND_INS.items():
            self._install(name, script, helm)

    def _install(self, name: str, script: str, helm: str) -> None:
        path = self._own / "bin" / name
        words = {"PYTHON": sys.executable, "REAL_CURL": "/usr/bin/curl", "LISTEN": str(LISTEN), "ROOT": str(ROOT)}
        for word, meaning in (words | {"REAL_HELM": helm}).items():
            script = script.replace(word, meaning)
        path.write_text(f"#!/bin/bash\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, block: str, **variables: str) -> str:
        """Run a block and return what it prints; fails with all of that if any command in it does."""
        for written, meant in self._places.items():
            block = block.replace(written, meant)
        path = f"{self._own / 'bin'}:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(self.folder), "TERMINAL": str(self._own), "LANG": "C.UTF-8", **variables}
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", block],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\nends with {done.returncode}:\n{done.stdout}"
        return done.stdout

    @property
    def streamed(self) -> str:
        """What streams in the background have said so far."""
        path = self._own / "stream"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """End what was left running, each by its id."""
        pids = self._own / "pids"
        for pid in pids.read_text().split() if pids.exists() else ():
            try:
                os.kill(int(pid), signal.SIGTERM)
            except ProcessLookupError:
                pass  # it has ended by itself


@contextmanager
def terminal(folder: Path, places: Mapping[str, str], *, helm: str = "") -> Iterator[Terminal]:
    opened = Terminal(folder, places, helm=helm)
    try:
        yield opened
    finally:
        opened.close()
