"""
Reverse proxies in front of a gateway, each with the file from examples/proxies that users copy.

The file is taken as it is but for addresses, names of files, and what a test says to change; a line that is to be
changed and is not there fails the test.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, Protocol

import trustme

from backends import PATIENCE
from daemons import Daemon, find, running
from gateways import eventually, http_client
from processes import free_port

EXAMPLES = Path(__file__).parents[1] / "examples" / "proxies"

# What a test wants changed, by the text that stands in the example; `<folder>` and the like are filled in.
Changes = Mapping[str, str]


class Fronted(Protocol):
    """Where the gateway's two listeners are."""

    base: str
    admin: str


class Proxy(Daemon):
    """A reverse proxy in front of one gateway."""

    files: tuple[str, ...] = ()
    changes: ClassVar[Changes] = {}  # where it listens, and whatever keeps it from touching this machine
    shortened: ClassVar[Changes] = {}  # how to make it give up after three seconds of silence
    compressing: ClassVar[Changes] = {}  # how to make it compress whatever it may, and the gateway nothing

    def __init__(self, folder: Path, *, gateway: Fronted, also: Changes) -> None:
        super().__init__(folder)
        self.gateway = gateway
        self.also = also
        self.admin_port = free_port()  # its own

    def configure(self) -> list[str | Path]:
        texts = {name: (EXAMPLES / name).read_text() for name in self.files}
        for old, new in {**self.changes, **self.also, "127.0.0.1:8080": self.gateway.base[len("http://") :]}.items():
            assert any(old in text for text in texts.values()), f"{old!r} is not in {self.files}"
            texts = {name: text.replace(old, self._filled(new)) for name, text in texts.items()}
        for name, text in texts.items():
            self.write(name, text)
        return self.arguments()

    def _filled(self, text: str) -> str:
        words = {"<folder>": self.folder, "<port>": self.port, "<admin>": self.admin_port}
        words["<gateway's admin>"] = self.gateway.admin.rsplit(":", 1)[1]
        for word, value in words.items():
            text = text.replace(word, str(value))
        return text

    def arguments(self) -> list[str | Path]:
        """Return the arguments that make the program run in the foreground with what was written."""
        raise NotImplementedError

    async def reload(self) -> None:
        """Write the files anew, and tell it to read them again as its manual says."""
        self.configure()
        await self.take_over()

    async def take_over(self) -> None:
        raise NotImplementedError

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.popen.send_signal(number)


class NginxProxy(Proxy):
    """nginx: a master and its workers; SIGTERM ends all of them at once."""

    program = "nginx"
    files = ("nginx.conf",)
    changes: ClassVar[Changes] = {
        "listen 80;": "listen 127.0.0.1:<port>;",
        "http {": "http { access_log off;"
        + " ".join(
            f"{name}_temp_path <folder>/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
        "worker_connections 32768": "worker_connections 512",
        "worker_rlimit_nofile 65536;": "worker_rlimit_nofile 1024;",
    }
    shortened: ClassVar[Changes] = {"location / {": "location / { proxy_read_timeout 3s; send_timeout 3s;"}
    compressing: ClassVar[Changes] = {
        "location / {": "location / { gzip on; gzip_proxied any; gzip_min_length 0; gzip_types *;"
        ' proxy_set_header Accept-Encoding "";'
    }

    def arguments(self) -> list[str | Path]:
        user = pwd.getpwuid(os.getuid()).pw_name  # whoever made the folder can read it
        settings = f"daemon off; user {user}; pid {self.folder}/pid; error_log stderr;"
        return ["-e", "stderr", "-p", self.folder, "-c", self.folder / "nginx.conf", "-g", settings]

    async def take_over(self) -> None:
        self.send_signal(signal.SIGHUP)


class HaproxyProxy(Proxy):
    """HAProxy: a master and its workers; SIGTERM ends all of them at once."""

    program = "haproxy"
    files = ("haproxy.cfg",)
    changes: ClassVar[Changes] = {
        "bind :80": "bind 127.0.0.1:<port>",
        "check port 8081": "check port <gateway's admin>",
        "maxconn 32768": "maxconn 200",
    }
    shortened: ClassVar[Changes] = {
        "timeout client 60s": "timeout client 3s",
        "timeout server 60s": "timeout server 3s",
    }
    compressing: ClassVar[Changes] = {
        "backend pushgate\n": "backend pushgate\n  compression algo gzip\n  compression offload\n"
        "  compression type text/event-stream application/json\n"
    }

    def arguments(self) -> list[str | Path]:
        return ["-W", "-db", "-f", self.folder / "haproxy.cfg"]

    async def take_over(self) -> None:
        """Ask until it says that it does: a master loses the signal that comes before it waits for one."""
        assert self._process is not None, "it does not run"
        lines = self._process.lines
        told = len(lines)
        async with asyncio.timeout(PATIENCE):
            while not any("Reloading HAProxy" in line for line in lines[told:]):
                self.send_signal(signal.SIGUSR2)
                await asyncio.sleep(0.5)


class CaddyProxy(Proxy):
    """Caddy, with a certificate that nobody has to be asked for."""

    program = "caddy"
    ends_at = signal.SIGKILL  # otherwise it waits for its clients
    files = ("Caddyfile",)
    changes: ClassVar[Changes] = {
        "app.example {": "{\n  admin 127.0.0.1:<admin>\n  persist_config off\n  auto_https off\n"
        "  servers {\n    protocols h1 h2\n  }\n}\n\n"
        "https://127.0.0.1:<port> {\n  tls <folder>/chain.pem <folder>/key.pem",
    }
    shortened: ClassVar[Changes] = {  # it has no such timeouts unless it is given some
        "protocols h1 h2": "protocols h1 h2\n    timeouts {\n      idle 3s\n    }",
        "reverse_proxy 127.0.0.1:8080 {": "reverse_proxy 127.0.0.1:8080 {\n"
        "    transport http {\n      read_timeout 3s\n      write_timeout 3s\n    }",
    }
    compressing: ClassVar[Changes] = {
        "reverse_proxy 127.0.0.1:8080 {": "encode\nreverse_proxy 127.0.0.1:8080 {\n"
        "    header_up -Accept-Encoding\n    transport http {\n      compression off\n    }",
    }

    def __init__(self, folder: Path, *, gateway: Fronted, also: Changes) -> None:
        super().__init__(folder, gateway=gateway, also=also)
        self.url = f"https://127.0.0.1:{self.port}"
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        for pem in issued.cert_chain_pems:
            pem.write_to_path(folder / "chain.pem", append=True)

    def arguments(self) -> list[str | Path]:
        return ["run", "--config", self.folder / "Caddyfile"]

    async def take_over(self) -> None:
        command = ["reload", "--config", self.folder / "Caddyfile", "--address", f"127.0.0.1:{self.admin_port}"]
        process = await asyncio.create_subprocess_exec(
            find("caddy"), *map(str, command), stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()


class TraefikProxy(Proxy):
    """Traefik, which sees for itself when its file changes."""

    program = "traefik"
    ends_at = signal.SIGKILL  # otherwise it waits for its clients
    files = ("traefik.yaml", "traefik-pushgate.yaml")
    changes: ClassVar[Changes] = {
        '{address: ":80"}': '\n    address: "127.0.0.1:<port>"',
        "/etc/traefik/pushgate.yaml": "<folder>/traefik-pushgate.yaml",
    }
    shortened: ClassVar[Changes] = {
        "providers:": "    transport: {respondingTimeouts: {readTimeout: 3s, idleTimeout: 3s}}\nproviders:",
    }
    compressing: ClassVar[Changes] = {
        "      service: pushgate\n": "      service: pushgate\n      middlewares: [compress, plain]\n"
        "  middlewares:\n    compress: {compress: {}}\n"
        '    plain: {headers: {customRequestHeaders: {Accept-Encoding: ""}}}\n'
    }

    def arguments(self) -> list[str | Path]:
        return [f"--configFile={self.folder / 'traefik.yaml'}"]

    async def start(self) -> None:
        """Wait also until it has read its routes: before that it answers 404 by itself."""
        await super().start()
        async with http_client() as http:

            async def kind_of_404() -> str:
                return (await http.get(f"{self.url}/nothing")).headers["Content-Type"]

            await eventually(kind_of_404, lambda kind: kind == "application/problem+json")

    async def take_over(self) -> None:
        """It has seen it already."""


PROXIES: dict[str, type[Proxy]] = {
    "nginx": NginxProxy,
    "haproxy": HaproxyProxy,
    "caddy": CaddyProxy,
    "traefik": TraefikProxy,
}


@asynccontextmanager
async def behind(name: str, gateway: Fronted, *, also: Changes | None = None) -> AsyncIterator[Proxy]:
    """The proxy in front of a gateway, as long as the context is open."""

    def make(folder: Path) -> Proxy:
        return PROXIES[name](folder, gateway=gateway, also=also or {})

    async with running(make) as proxy:
        yield proxy
