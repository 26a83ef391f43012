"""
``pushgate health``: asks a gateway on this machine how it is, and starts as fast as such a thing can.

It is run every few seconds, beside a gateway that needs the processor itself. So nothing is imported here that is not
needed: no HTTP library, no command line library, and of the configuration only what finds the admin listener.
"""

from __future__ import annotations

import os
import socket
import sys

# Where the admin listener is unless the configuration says otherwise.
DEFAULT_ADMIN = "127.0.0.1:8081"

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}

TIMEOUT = 5.0

# A probe's answer is a few lines.
_MAX_BYTES = 64 * 1024


class Unhealthy(Exception):
    """What is wrong."""


class Misused(Exception):
    """What is wrong with the command line."""


class Options:
    """What is asked for."""

    __slots__ = ("admin", "file", "is_live", "timeout")

    def __init__(self, arguments: list[str]) -> None:
        """Read a command line; raises Misused."""
        self.file = os.environ.get("PUSHGATE_CONFIG") or "gateway.yaml"
        self.admin = os.environ.get("PUSHGATE_ADMIN", "")
        self.timeout = TIMEOUT
        self.is_live = False
        rest = [part for argument in arguments for part in _split(argument)]
        while rest:
            self._take(rest.pop(0), rest)

    def _take(self, option: str, rest: list[str]) -> None:
        if option == "--live":
            self.is_live = True
        elif option not in ("-c", "--config", "--admin", "--timeout"):
            raise Misused(f"there is no option {option!r}")
        elif not rest:
            raise Misused(f"{option} needs a value")
        elif option == "--timeout":
            self.timeout = seconds(rest.pop(0))
        elif option == "--admin":
            self.admin = rest.pop(0)
        else:
            self.file = rest.pop(0)


def _split(argument: str) -> list[str]:
    return argument.split("=", 1) if argument.startswith("--") and "=" in argument else [argument]


def seconds(text: str) -> float:
    """Read a time: a duration, or a bare number of seconds; raises Misused."""
    from .quantities import parse_duration

    try:
        return float(text) if text[-1:].isdigit() else parse_duration(text)
    except ValueError:
        raise Misused(f"--timeout {text}: write a duration, like 2s or 500ms") from None


def main(arguments: list[str]) -> int | None:
    """
    Obey a command line, of which this is what stands behind ``health``, and return the exit status.

    None: it is wrong, or asks for help, and who can tell more about that shall.
    """
    try:
        options = Options(arguments)
        print(check(options.file, options.admin, is_live=options.is_live, timeout=options.timeout))
    except Misused:
        return None
    except Unhealthy as error:
        print(f"pushgate: {error}", file=sys.stderr)
        return 1
    return 0


def check(file: str, admin: str, *, is_live: bool, timeout: float) -> str:
    """Return what a gateway says that is well; raises Unhealthy with what is wrong, and Misused."""
    if not 0 < timeout < 3600:
        raise Misused(f"--timeout {timeout:g}: write a duration, like 2s or 500ms, of less than an hour")
    host, port = admin_address(file, admin)
    path = "/livez" if is_live else "/readyz"
    try:
        status, text = _ask(host, port, path, timeout)
    except (OSError, ValueError) as error:
        raise Unhealthy(f"no gateway answers on {host}:{port}: {error or type(error).__name__}") from None
    if status == 200:
        return text.strip()
    failed = [line.removeprefix("[-]") for line in text.splitlines() if line.startswith("[-]")]
    raise Unhealthy("; ".join(failed) or f"{path} answered {status}")


def asked_at(host: str) -> str:
    """Return where a listener of this machine is asked, which may be bound to all of its addresses."""
    return _LOOPBACK.get(host, host)


def address_of(text: str) -> tuple[str, int]:
    """Read where a listener is; raises Misused."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise Misused(f"{text}: write the admin listener like {DEFAULT_ADMIN}")
    return asked_at(host.strip("[]")), int(port)


def _configured(file: str) -> str:
    """Return where the configuration says that the admin listener is; reads no further than ``server:``."""
    from pathlib import Path

    from .config.interpolation import Interpolation
    from .config.source import Malformed, read_section
    from .config.tree import Leaf, Mapping, Node

    path = Path(file)
    try:
        text = sys.stdin.read() if file == "-" else path.read_text(encoding="utf-8-sig")
        node: Node | None = read_section(text, "server", interpolate=Interpolation(os.environ, path.parent))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Unhealthy(f"{file} cannot be read ({reason}); name another file with -c, or use --admin") from None
    except Malformed as error:
        raise Unhealthy(f"{file}:{error.mark.line}: {error.message}") from None
    for key in ("admin", "listen"):
        if not isinstance(node, Mapping) or key not in node.entries:
            return DEFAULT_ADMIN
        node = node.entries[key].node
    return str(node.value) if isinstance(node, Leaf) else DEFAULT_ADMIN


def admin_address(file: str, admin: str) -> tuple[str, int]:
    """Return where the admin listener is, by ``--admin`` or the configuration; raises Unhealthy and Misused."""
    return address_of(admin or _configured(file))


def _ask(host: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    """Return the status and the body; raises OSError, or ValueError for what is no HTTP."""
    said = b""
    with socket.create_connection((host, port), timeout) as connection:
        name = f"[{host}]" if ":" in host else host
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {name}:{port}\r\n\r\n".encode())
        while len(said) < _MAX_BYTES and (piece := connection.recv(4096)):
            said += piece
    head, _, body = said.partition(b"\r\n\r\n")
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/") or not rest[:3].isdigit():
        raise ValueError("this is no HTTP")
    return int(rest[:3]), body.decode("utf-8", "replace")
