"""The machine that is measured on: what it is, what is installed, and which core does what."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path

NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
MAX_FILES = 65536

# Connections that a process must be able to open beyond its subscribers.
SPARE_FILES = 200


def describe() -> str:
    """Return one line about the machine and the versions of everything that matters."""
    parts = [
        f"{os.cpu_count()} cores{_processor()}",
        f"Linux {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in ("aiohttp", "uvloop")),
        _nginx_version(),
        date.today().isoformat(),
    ]
    return " · ".join(parts)


def _processor() -> str:
    """Return what the cores are, if the kernel tells."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f" of {line.partition(':')[2].strip()}"
    return ""


def _nginx_version() -> str:
    if (nginx := find_nginx()) is None:
        return "no nginx"
    text = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr
    nchan = "no Nchan" if missing_nchan() else f"Nchan {_debian_version('libnginx-mod-nchan')}"
    return f"nginx {text.strip().rpartition('/')[2]} with {nchan}"


def _debian_version(package: str) -> str:
    if (query := shutil.which("dpkg-query")) is None:
        return "(unknown version)"
    answer = subprocess.run([query, "-Wf", "${Version}", package], capture_output=True, text=True, check=False)
    return answer.stdout.partition(":")[2].partition("+")[0] or answer.stdout or "(unknown version)"


def find_nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def missing_nchan() -> str | None:
    """Say why Nchan cannot be run here; None if it can."""
    if find_nginx() is None:
        return "nginx is not installed (Debian: nginx, libnginx-mod-nchan)"
    if not NCHAN_MODULE.exists():
        return "nginx has no Nchan (Debian: libnginx-mod-nchan)"
    return None


def missing_compiler() -> str | None:
    """Say why the load generator cannot be built here; None if it can."""
    return None if shutil.which("gcc") else "the load generator needs gcc (Debian: gcc, libc6-dev)"


def allow_many_files() -> int:
    """Raise the limit of open files for us and our children as far as we may; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((MAX_FILES, max(MAX_FILES, hard)), (hard, hard)):  # the first needs privileges
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            return limit[0]
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextmanager
def pinned(*, to_server_core: bool) -> Iterator[None]:
    """
    Let the processes that are started meanwhile run on the server's core, or on the others.

    A server and its load generator that now share a core and now do not would be measured by what the scheduler did.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield
        return
    os.sched_setaffinity(0, cores[:1] if to_server_core else cores[1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
