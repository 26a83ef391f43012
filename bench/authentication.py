"""
What it costs to ask who somebody is: the CPU of a handshake whose token is looked at for the first time, and of one
whose token is known, to that of one that nobody asks for a token.

The first is what follows a change of keys, the second every restart of a network: all clients come back with the tokens
that they have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median
from time import sleep
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .machine import pinned
from .servers import Server, free_ports, running_backend, running_gateway
from .table import Figure, Finding

MAX_FIRST, MAX_KNOWN = 3.0, 1.3

# Connections that are open at the same time, and how long one may take.
WIDTH = 50
PATIENCE = 30.0

SECRET = "a secret that is long enough for HS256"
ALGORITHMS = ("HS256", "RS256", "ES256")

YAML = """
version: 1
server:
  listen: 127.0.0.1:{port}
  heartbeat: 10m
  admin: {{listen: 127.0.0.1:{admin_port}}}
  limits: {{connections: 2000, accept_rate: off}}
upstreams: {{backend: {{url: "http://127.0.0.1:{backend_port}"}}}}
defaults: {{upstream: backend, request: {{path: /ticker}}, emit: snapshot, poll: {{every: 1h, while: always}}}}
auth:
  HS256: {{kind: jwt, secret: "{secret}"}}
  RS256: {{kind: jwt, public_key: "{rsa}"}}
  ES256: {{kind: jwt, public_key: "{ec}"}}
routes:
  /open: {{auth: none}}
  /HS256: {{auth: HS256}}
  /RS256: {{auth: RS256}}
  /ES256: {{auth: ES256}}
"""


class Issuer:
    """Signs tokens, each another one."""

    def __init__(self) -> None:
        pair, curve = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
        self._keys: dict[str, Any] = {"HS256": SECRET, "RS256": pair, "ES256": curve}
        self._numbers = count()
        self.public = {name: _pem(key.public_key()) for name, key in (("rsa", pair), ("ec", curve))}

    def tokens(self, algorithm: str, number: int) -> list[str]:
        end = datetime.now(UTC) + timedelta(hours=1)
        return [
            jwt.encode({"sub": f"client {next(self._numbers)}", "exp": end}, self._keys[algorithm], algorithm)
            for _ in range(number)
        ]


def _pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().replace("\n", "\\n")


def measure(*, connections: int, rounds: int) -> Iterator[Finding]:
    issuer = Issuer()
    with ExitStack() as stack:
        server = _gateway(stack, issuer)
        cpu: dict[str, list[float]] = {}
        for _ in range(rounds):
            cpu.setdefault("open", []).append(_cost(server, "/open", [""] * connections))
            for algorithm in ALGORITHMS:
                tokens = issuer.tokens(algorithm, connections)
                cpu.setdefault(f"{algorithm} first", []).append(_cost(server, f"/{algorithm}", tokens))
                cpu.setdefault(f"{algorithm} known", []).append(_cost(server, f"/{algorithm}", tokens))
    of = {name: median(times) for name, times in cpu.items()}
    for algorithm in ALGORITHMS:
        for kind, target in (("first", MAX_FIRST), ("known", MAX_KNOWN)):
            what = f"{algorithm}: an SSE handshake, the token {'seen for the first time' if kind == 'first' else kind}"
            seconds = of[f"{algorithm} {kind}"]
            note = f"{seconds * 1e6:.0f} us, of an open one {of['open'] * 1e6:.0f} us"
            yield Figure("authentication", what, seconds / of["open"], "x", target, note)


def _gateway(stack: ExitStack, issuer: Issuer) -> Server:
    port, admin_port, backend_port = free_ports(3)
    stack.enter_context(running_backend(backend_port))
    ports = {"port": port, "admin_port": admin_port, "backend_port": backend_port}
    pid = stack.enter_context(running_gateway(YAML.format(**ports, secret=SECRET, **issuer.public), port=port))
    sleep(0.5)  # the first polls
    return Server("pushgate", port, "/open", pid, publish=lambda size: None)


def _cost(server: Server, path: str, tokens: Sequence[str]) -> float:
    """Return the CPU seconds that a connection costs from accept to close; "" is no token."""
    before = server.cpu()
    with pinned(to_server_core=False):
        asyncio.run(_churn(server.port, path, tokens))
    sleep(0.3)  # the last ones are being closed
    return (server.cpu() - before) / len(tokens)


async def _churn(port: int, path: str, tokens: Sequence[str]) -> None:
    left = iter(tokens)

    async def client() -> None:
        for token in left:
            await _visit(port, path, token)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as clients:
        for _ in range(WIDTH):
            clients.create_task(client())


async def _visit(port: int, path: str, token: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    shown = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{shown}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{path}: {head.splitlines()[0].decode()}")
    await reader.readuntil(b"\n\n")
    writer.close()
