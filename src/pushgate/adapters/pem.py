"""PEM files with certificates and keys: until when a certificate holds, and what is wrong, in a user's words."""

from __future__ import annotations

import ssl
from pathlib import Path


def expires_at(file: str) -> float | None:
    """Return when the first certificate of a file ends, in seconds since the epoch; None if none can be read."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        first, *_ = load_pem_x509_certificates(Path(file).read_bytes())
    except (OSError, ValueError):
        return None
    return first.not_valid_after_utc.timestamp()


def words(exc: Exception) -> str:
    """Say why files could not be loaded."""
    if isinstance(exc, ssl.SSLError):
        return exc.reason.replace("_", " ").lower() if exc.reason else "no PEM file with a certificate and its key"
    return f"{exc.filename or 'a file'}: {exc.strerror}" if isinstance(exc, OSError) else str(exc)
