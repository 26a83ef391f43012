"""
The servers that are compared: pushgate, Nchan, the naive baseline and the floor; each is started, fed and ended here.

What a server costs is the CPU time of all its processes, and their resident memory.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Literal

from .backend import stamped_body
from .machine import NCHAN_MODULE, find_nginx, missing_nchan, pinned
from .processes import cpu_of, family, resident_of, started

Mode = Literal["sse", "ws"]

HERE = Path(__file__).parent
POLL_INTERVAL = 0.25  # seconds

NCHAN_CONF = """
load_module {module};
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_buffer_size 64k;  # a message of 20 KB would otherwise be a file
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  nchan_max_reserved_memory 512M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /events {{
      nchan_subscriber; nchan_channel_id events; nchan_subscriber_first_message -1;
    }}
    location = /publish {{ nchan_publisher; nchan_channel_id events; }}
  }}
}}
"""

PUSHGATE_YAML = """
version: 1
server:
  listen: 127.0.0.1:{port}
  heartbeat: 10m  # nobody else sends any
  admin: {{listen: 127.0.0.1:{admin_port}}}
  limits: {{connections: {connections}, accept_rate: off}}  # all come at once
upstreams:
  backend: {{url: "http://127.0.0.1:{backend_port}"}}
routes:
  /events:
    upstream: backend
    request: {{path: /ticker}}
    emit: snapshot
    poll: {{every: {milliseconds}ms, while: always}}
"""


def get(target: str, *fields: str) -> str:
    """Return a request as a program sends it."""
    lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json", *fields]
    return "\r\n".join(lines) + "\r\n\r\n"


@dataclass(frozen=True, slots=True)
class LongPoll:
    """How a server is polled, as fan.c wants to be told it."""

    first: str  # the path that is answered at once
    next: str  # the request behind it, with a $ for the value of each of the fields of the last answer
    fields: str


@dataclass
class Server:
    """A running server. ``publish`` lets it have an event of so many bytes, and may return before it is out."""

    name: str
    port: int
    path: str
    pid: int
    publish: Callable[[int], None]
    long_poll: LongPoll | None = None
    admin_port: int = 0  # pushgate's; nobody else has one

    def cpu(self) -> float:
        """Return the CPU seconds that its processes have used so far."""
        return sum(cpu_of(pid) for pid in family(self.pid))

    def resident(self) -> int:
        """Return the bytes of memory that its processes occupy."""
        return sum(resident_of(pid) for pid in family(self.pid))


PUSHGATE_POLL = LongPoll("/events?wait=55", get("/events?wait=55&cursor=$"), "Pushgate-Cursor")
NAIVE_POLL = LongPoll("/poll", get("/poll?since=$"), "X-Position")
NCHAN_POLL = LongPoll("/events", get("/events", "If-Modified-Since: $", "If-None-Match: $"), "Last-Modified,Etag")


@contextmanager
def pushgate(*, connections: int, every: float = POLL_INTERVAL) -> Iterator[Server]:
    """The gateway as its command line runs it, and the backend that it polls; the backend is not counted."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushgate-bench-")))
        port, admin_port, backend_port = free_ports(3)
        stack.enter_context(running_backend(backend_port))
        config = PUSHGATE_YAML.format(
            port=port,
            admin_port=admin_port,
            backend_port=backend_port,
            connections=connections,
            milliseconds=round(every * 1000),
        )
        (folder / "gateway.yaml").write_text(config)
        with pinned(to_server_core=True):
            command = [sys.executable, "-m", "pushgate", "run", "-c", str(folder / "gateway.yaml")]
            pid = stack.enter_context(_running(command, port=port, log=folder / "log"))
        sleep(0.5)  # the first poll

        def publish(size: int) -> None:
            post(backend_port, f"/go/1/{size}", b"")

        yield Server("pushgate", port, "/events", pid, publish, PUSHGATE_POLL, admin_port)


@contextmanager
def floor(binary: Path) -> Iterator[Server]:
    """The cheapest fan-out there is (floor.c)."""
    (port,) = free_ports(1)
    with ExitStack() as stack:
        with pinned(to_server_core=True):
            pid = stack.enter_context(_running([str(binary), str(port)], port=port))
        yield Server("floor", port, "/events", pid, lambda size: post(port, "/publish", stamped_body(size)))


@contextmanager
def naive() -> Iterator[Server]:
    """The naive baseline (naive.py); there has been one event from the start."""
    (port,) = free_ports(1)
    with ExitStack() as stack:
        with pinned(to_server_core=True):
            command = [sys.executable, "-m", "bench.naive", str(port)]
            pid = stack.enter_context(_running(command, port=port))
        post(port, "/publish", stamped_body())
        yield Server("naive", port, "/events", pid, lambda size: post(port, "/publish", stamped_body(size)), NAIVE_POLL)


@contextmanager
def nchan(*, connections: int) -> Iterator[Server]:
    """Nchan with one worker; there is one event in its channel from the start."""
    assert missing_nchan() is None, "the caller asks first"
    (port,) = free_ports(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushgate-bench-")))
        config = NCHAN_CONF.format(
            module=NCHAN_MODULE,
            user="user root;" if os.geteuid() == 0 else "",  # the temporary folder is ours alone
            folder=folder,
            port=port,
            connections=connections,
            files=connections + 100,
        )
        (folder / "nginx.conf").write_text(config)
        with pinned(to_server_core=True):
            command = [str(find_nginx()), "-p", str(folder), "-c", str(folder / "nginx.conf")]
            pid = stack.enter_context(_running(command, port=port))
        post(port, "/publish", stamped_body())
        yield Server("nchan", port, "/events", pid, lambda size: post(port, "/publish", stamped_body(size)), NCHAN_POLL)


@contextmanager
def running_backend(port: int, *options: str) -> Iterator[int]:
    with running_beside([sys.executable, "-m", "bench.backend", str(port), *options], port=port) as pid:
        yield pid


@contextmanager
def running_beside(command: list[str], *, port: int) -> Iterator[int]:
    """Run something that is not measured, away from the server's core; only its start is pinned, not who starts it."""
    with ExitStack() as stack:
        with pinned(to_server_core=False):
            pid = stack.enter_context(_running(command, port=port))
        yield pid


@contextmanager
def running_gateway(config: str, *, port: int) -> Iterator[int]:
    """``pushgate run`` with this configuration, on whichever core is free; yields its process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushgate-bench-")))
        (folder / "gateway.yaml").write_text(config)
        command = [sys.executable, "-m", "pushgate", "run", "-c", str(folder / "gateway.yaml")]
        yield stack.enter_context(_running(command, port=port, log=folder / "log"))


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _running(command: list[str], *, port: int, log: Path | None = None) -> Iterator[int]:
    """Run a server until the context ends; it is up when it accepts connections."""
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb")).fileno() if log else subprocess.DEVNULL
        yield stack.enter_context(started(command, is_up=lambda: _accepts(port), output=output))


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


# Feeding.


def post(port: int, path: str, body: bytes) -> None:
    """POST in one piece, because the floor reads no more than one."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head.encode() + body)
        status = connection.recv(4096).split(b" ", 2)[1]
    if not status.startswith(b"2"):
        raise RuntimeError(f"POST {path}: {status.decode()}")


# The C programs.


def build(folder: Path, name: str) -> Path:
    """Compile one of the C programs beside this file."""
    subprocess.run(["gcc", "-O2", "-o", str(folder / name), str(HERE / f"{name}.c")], check=True)
    return folder / name
