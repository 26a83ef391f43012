"""What the HTTP library raises, as a PollError whose reason a metric can count, and which names the remedy."""

from __future__ import annotations

import ssl

import aiohttp
from aiohttp.http_exceptions import BadStatusLine, LineTooLong

from ...errors import PollError

# Everything that the library raises for what others do to us. ValueError: what it cannot put into a request.
FOREIGN = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


def translate(exc: Exception) -> PollError:
    """Return the failed poll that a foreign exception means; its texts never hold a URL's query or user."""
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return PollError("timeout", "no connection stood within timeout.connect")
        case TimeoutError():
            return PollError("timeout", "the upstream did not answer within timeout.total")
        case aiohttp.ClientConnectorDNSError():
            return PollError("dns", f"the upstream's name does not resolve: {exc.os_error}")
        case aiohttp.ClientHttpProxyError(status=407):
            return PollError("connect", "the proxy wants a user and a password; write them into `proxy:`")
        case aiohttp.ClientHttpProxyError():
            return PollError("connect", f"the proxy answered {exc.status} and made no connection")
        case aiohttp.ClientProxyConnectionError():
            return PollError("connect", f"the proxy cannot be reached: {exc.os_error}")
        case aiohttp.ClientPayloadError():
            return PollError("truncated", "the answer ended before its announced length")
        case aiohttp.ClientResponseError():
            return _broken_head(exc)
    trouble = _tls_trouble(exc)
    if trouble is not None:
        return PollError("tls", f"TLS with the upstream failed: {trouble}")
    match exc:
        case aiohttp.ClientConnectorError():
            return PollError("connect", f"the upstream cannot be reached: {exc.os_error}")
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return PollError("connect", "the upstream closed the connection without an answer")
        case OSError():
            return PollError("connect", f"the connection broke: {exc.strerror or type(exc).__name__}")
        case _:
            return PollError("protocol", f"the request cannot be sent: {type(exc).__name__}")


def _tls_trouble(exc: BaseException | None) -> str | None:
    """Find the TLS error behind an exception; an alert may come long after the handshake (TLS 1.3)."""
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return _tls_words(exc.certificate_error)
    if isinstance(exc, aiohttp.ClientSSLError):
        return _tls_words(exc.os_error)
    while exc is not None:
        if isinstance(exc, ssl.SSLError):
            return _tls_words(exc)
        exc = exc.__cause__
    return None


def _tls_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message or error}; see `tls: {{ca, server_name}}`"
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return (reason or str(error)).replace("_", " ").lower()


def _broken_head(exc: aiohttp.ClientResponseError) -> PollError:
    """Tell a head that is too large from what is no HTTP; the words of neither are repeated."""
    cause = exc.__cause__.__cause__ if exc.__cause__ is not None else None
    if isinstance(cause, LineTooLong) or "Got more than" in exc.message:
        return PollError("protocol", "a header field of the answer is too large")
    if "Too many headers" in exc.message:
        return PollError("protocol", "the answer has too many header fields")
    if isinstance(cause, BadStatusLine):
        return PollError("protocol", "the upstream did not speak HTTP: its answer has no status line")
    return PollError("protocol", "the upstream did not speak HTTP")
