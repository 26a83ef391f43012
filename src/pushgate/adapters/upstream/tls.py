"""
How an upstream's certificate is checked, and which one is shown to it.

The files are read again when they change, because certificates are renewed in less time than a gateway runs.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

from ...config.upstreams import UpstreamTls
from ...errors import PollError
from ..pem import words

log = structlog.get_logger()

# How often to look whether a file has changed, in seconds.
LOOK_EVERY = 10.0

Stamp = tuple[tuple[int, int, int], ...]


class Trust:
    """The TLS context of one upstream; ``context`` is the one to use now."""

    def __init__(self, config: UpstreamTls) -> None:
        self._config = config
        self._files = [name for name in (config.ca, config.certificate, config.key) if name is not None]
        self._context: ssl.SSLContext | None = None
        self._stamp: Stamp | None = None
        self._look_at = 0.0

    @property
    def is_default(self) -> bool:
        """Whether nothing is special, so that the library's own context does."""
        return not self._files and self._config.verify

    def context(self, now: float) -> ssl.SSLContext:
        """
        Return the context; ``now`` is in monotonic seconds.

        Raises PollError(``tls``) if the files were never good. Files that turn bad are no reason to stop: the renewal
        may be writing them right now.
        """
        if self._context is not None and now < self._look_at:
            return self._context
        self._look_at = now + LOOK_EVERY
        try:
            stamp = tuple(map(_stamp, self._files))
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = own_context(self._config), stamp
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            if self._context is None:
                raise PollError("tls", f"the files under `tls:` cannot be used: {words(exc)}") from exc
            log.warning("tls.files_unusable", files=self._files, error=words(exc))
        return self._context


def complaint(config: UpstreamTls) -> str | None:
    """Say what is wrong with the files; None if they can be used."""
    try:
        own_context(config)
    except (OSError, ValueError) as exc:
        return f"the files cannot be used: {words(exc)}"
    return None


def own_context(config: UpstreamTls) -> ssl.SSLContext:
    """Make the context for the upstream itself: its authorities instead of the system's, and our certificate."""
    context = ssl.create_default_context(cafile=config.ca)
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate is not None:
        # An encrypted key would make OpenSSL ask at the terminal.
        context.load_cert_chain(config.certificate, config.key, password=lambda: b"")
    return context


def foreign_context(config: UpstreamTls) -> ssl.SSLContext:
    """Make the context for other origins: the upstream's authorities too, but always a check, and no certificate."""
    context = ssl.create_default_context()
    try:
        if config.ca is not None:
            context.load_verify_locations(config.ca)
    except OSError as exc:
        raise PollError("tls", f"the files under `tls:` cannot be used: {words(exc)}") from exc
    return context


def _stamp(file: str) -> tuple[int, int, int]:
    found = Path(file).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
