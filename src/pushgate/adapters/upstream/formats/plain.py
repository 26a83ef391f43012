"""A decoder without a memory: what most formats need."""

from __future__ import annotations

from collections.abc import Callable

from ....values import Document, Json


class PlainDecoder:
    """Decodes each answer by itself, with a function of its body and Content-Type."""

    def __init__(self, read: Callable[[bytes, str], Json]) -> None:
        self._read = read

    def decode(self, body: bytes, content_type: str) -> Json:
        return self._read(body, content_type)

    def learn(self, document: Document | None) -> None:
        """Nothing is remembered."""
