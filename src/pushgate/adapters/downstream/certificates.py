"""
The public listener's certificate: the one that is in force, and the one that is about to be.

Rule 1: a pair of files that cannot be used never takes the place of one that can.
Rule 2: what has been tried is what is taken over; the files may be others again by then.
Rule 3: a connection keeps the certificate that it began with; only handshakes that begin later see another one.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...config.finding import Finding
from ...config.gateway import Gateway as Config
from ...config.server import ServerTls
from ...errors import ConfigError
from ..pem import expires_at, words

_REMEDY = "give a certificate with its chain and the private key to it, both as PEM, the key without a password"


class Certificates:
    """``context`` is that of the next handshake, None for plain HTTP; ``expiries`` are those of all files in use."""

    def __init__(self) -> None:
        self.context: ssl.SSLContext | None = None
        self.expiries: Mapping[str, float] = {}
        self._next: tuple[ssl.SSLContext | None, Mapping[str, float]] = (None, {})

    def begin(self, config: Config) -> None:
        """Use the files that the first configuration names; raises ConfigError."""
        if findings := list(self.check(config)):
            report = config.origin.blank()
            for finding in findings:
                report.add_finding(finding)
            raise ConfigError(report.problems())
        self.take_over()

    def check(self, config: Config) -> Iterator[Finding]:
        """Try the files that a configuration names, and keep them for ``take_over``; yield what is wrong with them."""
        tls = config.server.tls
        try:
            context = None if tls is None else load(tls)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            yield _finding(exc)
        else:
            self._next = (context, dict(_expiries(config)))

    def take_over(self) -> None:
        """Use from now on what was tried last; this cannot fail."""
        self.context, self.expiries = self._next


def complaints(config: Config) -> Iterator[Finding]:
    """Yield what is wrong with the files, on the machine where this is asked."""
    return Certificates().check(config)


def load(tls: ServerTls) -> ssl.SSLContext:
    """Make the context; raises OSError or ValueError if the files cannot be used."""
    for file in (tls.certificate, tls.key):
        Path(file).open("rb").close()  # OpenSSL does not say which one it cannot read
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # costs the server much more than the client
    context.set_alpn_protocols(["http/1.1"])
    # An encrypted key would make OpenSSL ask at the terminal.
    context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")
    return context


def _finding(exc: Exception) -> Finding:
    return Finding(("server", "tls"), f"the files cannot be used: {words(exc)}; {_REMEDY}", at_key=True)


def _expiries(config: Config) -> Iterator[tuple[str, float]]:
    """Yield when the certificates end that are shown: ours to clients, and ours to upstreams."""
    shown = [None if config.server.tls is None else config.server.tls.certificate]
    shown += [upstream.tls.certificate for upstream in config.upstreams.values()]
    for file in filter(None, shown):
        if (at := expires_at(file)) is not None:
            yield file, at
