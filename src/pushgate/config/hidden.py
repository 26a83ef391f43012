"""Credentials inside mappings and URLs: used as text, shown by no repr and by no output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

REDACTED = "••••"

_NAMES = r"authorization|cookie|key|token|secret|passw|passphrase|pwd|credential|session|signature"
_CREDENTIAL = re.compile(rf"{_NAMES}|(?:^|[-_])(?:auth|pass)(?:$|[-_])", re.IGNORECASE)

# In a text: such a name that is given a value, as JSON, XML and forms write it.
_GIVEN = re.compile(rf"(?:{_NAMES})[\w.-]*[\"']?\s*(?:[=:]\s*|(?:\s[^<>]*)?>)[^\s,;<>}}]", re.IGNORECASE)


class Hidden(str):
    """Text that goes on the wire and nowhere else."""

    __slots__ = ()

    def __repr__(self) -> str:
        return REDACTED


class Brought(Hidden):
    """Text of gateway.yaml that files have a part in (``${file:…}``); ``parts``: what they brought."""

    __slots__ = ("parts",)

    parts: tuple[str, ...]

    @classmethod
    def by(cls, text: str, parts: Iterable[str]) -> Brought:
        brought = cls(text)
        brought.parts = (*parts,)
        return brought

    @property
    def shown(self) -> str:
        """Itself without them."""
        text = str(self)
        for part in filter(None, self.parts):
            text = text.replace(part, REDACTED)
        return text


def is_credential(name: str) -> bool:
    """Whether a header, query parameter or form field of this name probably carries a credential."""
    return _CREDENTIAL.search(name) is not None


def hide_all(values: Any) -> Any:
    """Hide every text, at any depth."""
    match values:
        case str():
            return Hidden(values)
        case Mapping():
            return {name: hide_all(value) for name, value in values.items()}
        case list() | tuple():
            return [hide_all(value) for value in values]
        case _:
            return values


def hide_text(text: Any) -> Any:
    """Hide a text as a whole if something in it that is called like a credential has a value."""
    return Hidden(text) if isinstance(text, str) and _GIVEN.search(text) else text


def hide_credentials(values: Any) -> Any:
    """Hide the texts whose name looks like a credential's, at any depth."""
    if isinstance(values, dict):
        return {name: _hide(name, value) for name, value in values.items()}
    if isinstance(values, list):
        return [hide_credentials(value) for value in values]
    return values


def _hide(name: str, value: Any) -> Any:
    if isinstance(value, str) and value and is_credential(name):
        return Hidden(value)
    return hide_credentials(value)


def redact(value: Any) -> Any:
    """Return the value with everything hidden replaced, for output."""
    match value:
        case Hidden():
            return REDACTED
        case Mapping():
            return {name: redact(inner) for name, inner in value.items()}
        case list() | tuple():
            return [redact(inner) for inner in value]
        case _:
            return value


def hide_url(url: str) -> str:
    """Hide a URL that has a user, a password or a query: these are where keys travel."""
    parts = urlsplit(url)
    return Hidden(url) if "@" in parts.netloc or parts.query else url


def redact_url(url: str) -> str:
    """Return the URL with what may be a credential replaced."""
    if not isinstance(url, Hidden):
        return url
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")
    netloc = f"{REDACTED}@{place[2]}" if place[1] else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, query=REDACTED if parts.query else ""))
