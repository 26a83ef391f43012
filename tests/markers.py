"""Texts that nobody else has, to be put where secrets are, and found again wherever one of them comes out."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from secrets import token_hex
from urllib.parse import unquote


class Markers:
    """Hands out secrets, and knows them again: also in base64, in hexadecimal digits, or percent-encoded."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # by the form
        self._pattern: re.Pattern[str] | None = None

    def __call__(self, name: str) -> str:
        """Return a new secret, which goes by this name when it is found somewhere."""
        return self.know(name, f"Mk{token_hex(16)}")

    def know(self, name: str, text: str) -> str:
        """Return a secret that was made elsewhere, and know it from now on."""
        self._pattern = None
        self._names.update(dict.fromkeys(_forms(text), name))
        return text

    def know_file(self, name: str, text: str) -> str:
        """Return a text each line of which is a secret."""
        for line in text.splitlines():
            if len(line) > 40:
                self.know(name, line)
        return text

    def found_in(self, text: str) -> set[str]:
        """Return the names of those that stand in a text, in whatever form."""
        if self._pattern is None:
            self._pattern = re.compile("|".join(map(re.escape, self._names)))
        return {self._names[found] for each in (text, unquote(text)) for found in self._pattern.findall(each)}


def _forms(text: str) -> Iterator[str]:
    content = text.encode()
    yield text
    yield text[:16]  # who has the beginning of one knows too much already
    yield content.hex()
    yield content.hex().upper()
    for shift in range(3):  # of what stands before it, one to three bytes are in its first characters
        encoded = b64encode(b"." * shift + content).decode().rstrip("=")
        inner = encoded[4 if shift else 0 : len(encoded) // 4 * 4]
        yield from {inner, inner.replace("+", "-").replace("/", "_")}
