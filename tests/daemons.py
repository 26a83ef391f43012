"""
Real daemons: HAProxy, nginx, supervisord, monit and netdata to be polled, and Prometheus, which polls; each as long as
its context is open.

Each listens on free ports of loopback, is configured in a folder of its own that goes with it, can be stopped and
started again in the same place, and is ended by its own process id. A program that is not installed skips the test.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import signal
import sys
import xmlrpc.client
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest

from backends import PATIENCE
from processes import ROOT, Process, free_port

KIT = ROOT / "observability"

# Where programs are: beside this Python, on the path, and where Debian keeps those that are not for everybody.
PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class Daemon:
    """One daemon that can be stopped, configured anew, and started again on the same port."""

    program = ""
    ends_at = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ports = [self.port]
        self._process: Process | None = None

    def configure(self) -> list[str | Path]:
        """Write the configuration, and return the arguments that make the program run with it in the foreground."""
        raise NotImplementedError

    def write(self, name: str, text: str, *, encoding: str = "utf-8") -> Path:
        """Write a file for the daemon that nobody else may read, because monit insists on that."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o700)
        path.write_text(text, encoding=encoding)
        return path

    async def start(self) -> None:
        """Start, and wait until somebody listens on all of its ports."""
        assert self._process is None, "it runs already"
        env = {"HOME": str(self.folder), "TMPDIR": str(self.folder), "DO_NOT_TRACK": "1"}
        self._process = process = Process(self.program, [find(self.program), *self.configure()], env=env)
        async with asyncio.timeout(PATIENCE):
            for port in self.ports:
                while not await _listens(port):
                    assert process.popen.poll() is None, "it ended"
                    await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End this one process, and wait until it is no more."""
        if self._process is not None:
            process, self._process = self._process, None
            await asyncio.to_thread(process.end, self.ends_at)

    def output(self) -> str:
        return self._process.output() if self._process else f"{self.program} does not run"


Kind = TypeVar("Kind", bound=Daemon)


def find(program: str) -> str:
    """Return where the program is, or skip the test."""
    found = shutil.which(program, path=PLACES)
    if found is None:
        pytest.skip(f"{program} is not installed: as root, `scripts/setup.sh dev backends` installs it")
    return found


@asynccontextmanager
async def running(kind: type[Kind]) -> AsyncIterator[Kind]:
    """A daemon of this kind; what it printed is told with whatever goes wrong."""
    # Not pytest's own folder: the name of a socket may have no more than 107 bytes.
    with TemporaryDirectory(prefix="pushgate-") as folder:
        daemon = kind(Path(folder))
        try:
            await daemon.start()
            yield daemon
        except Exception as error:
            error.add_note(daemon.output())
            raise
        finally:
            await daemon.stop()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


class Haproxy(Daemon):
    """HAProxy with the servers shop/one, shop/two and mail/one; it does not check whether they are there."""

    program = "haproxy"
    CONFIG = """
global
  stats socket {folder}/socket level admin
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend stats
  bind 127.0.0.1:{port}
  stats enable
  stats uri /
backend shop
  server one 127.0.0.1:9
  server two 127.0.0.1:9
backend mail
  server one 127.0.0.1:9
"""

    def configure(self) -> list[str | Path]:
        return ["-db", "-f", self.write("haproxy.cfg", self.CONFIG.format(folder=self.folder, port=self.port))]

    async def tell(self, command: str) -> None:
        """Give a command on the runtime socket; a good one is answered with nothing."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "socket"))
        writer.write(f"{command}\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert not answer.strip(), answer.decode()


class Nginx(Daemon):
    """nginx with nothing but its status."""

    program = "nginx"
    CONFIG = """
daemon off;
master_process off;
error_log stderr;
pid {folder}/pid;
events {{}}
http {{
  access_log off;
  keepalive_timeout 60s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /status {{ stub_status; }}
    location / {{ return 204; }}
  }}
}}
"""

    def configure(self) -> list[str | Path]:
        config = self.write("nginx.conf", self.CONFIG.format(folder=self.folder, port=self.port))
        return ["-e", "stderr", "-p", self.folder, "-c", config]


class Supervisord(Daemon):
    """supervisord with the processes mailer and ticker, which do nothing."""

    program = "supervisord"
    CONFIG = """
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={folder}/pid
childlogdir={folder}
[inet_http_server]
port=127.0.0.1:{port}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:mailer]
command=sleep 1000
startsecs=0
[program:ticker]
command=sleep 1000
startsecs=0
"""

    def configure(self) -> list[str | Path]:
        return ["-n", "-c", self.write("supervisord.conf", self.CONFIG.format(folder=self.folder, port=self.port))]

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of its XML-RPC interface, and return what that returns."""

        def call() -> Any:
            with xmlrpc.client.ServerProxy(f"{self.url}/RPC2") as server:
                return getattr(server, method)(*arguments)

        return await asyncio.to_thread(call)


class Monit(Daemon):
    """monit in cycles of a second: it watches a file and runs a script, and writes in ISO-8859-1 whatever it says."""

    program = "monit"
    CONFIG = """
set daemon 1
set idfile {folder}/id
set statefile {folder}/state
set pidfile {folder}/pid
set log {folder}/log
set httpd port {port} and use address 127.0.0.1 allow admin:"{password}"
check file stock with path {watched}
  if does not exist then alert
check program kitchen with path "{script}"
  if status != 0 then alert
"""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.password = "secret"  # from the next start on
        self.watched = folder / "stock"
        self.watched.touch()

    def configure(self) -> list[str | Path]:
        script = self.write("kitchen", "#!/bin/sh\necho 'Käse für 5 £'\n", encoding="iso-8859-1")
        words = {"folder": self.folder, "port": self.port, "watched": self.watched, "script": script}
        text = self.CONFIG.format(password=self.password, **words)
        return ["-I", "-c", self.write("monitrc", text, encoding="iso-8859-1")]


class Netdata(Daemon):
    """netdata that measures nothing by itself, and raises an alarm when more than 100 orders wait."""

    program = "netdata"
    ends_at = signal.SIGKILL  # told to end while it is still starting its threads, it waits for them for ever
    ALARM = """
   alarm: orders_waiting
      on: statsd_shop.orders_gauge
  lookup: max -2s unaligned
   every: 1s
    warn: $this > 100
      to: silent
"""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.statsd_port = free_port()
        self.ports.append(self.statsd_port)

    def configure(self) -> list[str | Path]:
        """Without any collector, registry, cloud or statistics: nothing leaves this machine."""
        self.write(".opt-out-from-anonymous-statistics", "")
        self.write("health.d/orders.conf", self.ALARM)
        folders = dict.fromkeys(["config", "cache", "lib", "log", "home"], self.folder)
        alarms = dict.fromkeys(["health config", "stock health config"], self.folder / "health.d")
        collectors = ["apps", "cgroups", "diskspace", "idlejitter", "netdata monitoring", "proc", "tc", "timex"]
        sections: dict[str, Mapping[str, object]] = {
            "global": {"run as user": getpass.getuser()},  # as who can read the folder
            "directories": {**folders, **alarms},
            "db": {"mode": "ram"},
            "logs": dict.fromkeys(["debug", "error", "access", "health"], "none"),
            "cloud": {"enabled": "no"},
            "ml": {"enabled": "no"},
            "registry": {"enabled": "no"},
            "web": {"bind to": f"127.0.0.1:{self.port}", "web server threads": 1},
            "statsd": {"bind to": f"tcp:127.0.0.1:{self.statsd_port}", "update every (flushInterval)": 1},
            "health": {"run at least every seconds": 1},
            "plugins": {"statsd": "yes", "enable running new plugins": "no", **dict.fromkeys(collectors, "no")},
        }
        return ["-D", "-c", self.write("netdata.conf", _ini(sections))]

    async def count_orders(self, count: int) -> None:
        """Say by statsd how many orders wait."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.statsd_port)
        writer.write(f"shop.orders:{count}|g\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


class Prometheus(Daemon):
    """Prometheus with the rules of observability/; it scrapes whoever it is told to, twice a second."""

    program = "prometheus"

    def configure(self) -> list[str | Path]:
        self.write("targets.json", "[]")
        found = {"files": [str(self.folder / "targets.json")], "refresh_interval": "1s"}
        job = {"job_name": "pushgate", "file_sd_configs": [found]}
        often = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        config = {"global": often, "rule_files": [str(KIT / "alerts.yaml")], "scrape_configs": [job]}
        file = self.write("prometheus.yml", json.dumps(config))  # YAML, too
        where = [f"--storage.tsdb.path={self.folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}"]
        return [f"--config.file={file}", *where, "--log.level=warn"]

    def scrape(self, target: str) -> None:
        """Scrape this address from now on."""
        self.write("targets.new", json.dumps([{"targets": [target]}])).replace(self.folder / "targets.json")


def _ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    texts = (
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in sections[name].items()) for name in sections
    )
    return "".join(texts)
