"""
A position as a text that a client hands back: ``E.N.S.H``.

The store's epoch, the number of a change, what the cursor is for, and the hash of the document at that change. A set
of topics has such a position too (``sets.py``): numbers come from one counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..values import Mode
from .equality import fingerprint

# A client may hand back any text as a cursor; longer ones are not ours.
MAX_CURSOR_LENGTH = 128

Family = Literal["document", "items"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position, taken apart; ``parse`` returns None for a text that was never one of ours."""

    epoch: str
    number: int
    scope: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        parts = text.split(".")
        if len(text) > MAX_CURSOR_LENGTH or len(parts) != 4 or not (parts[1].isascii() and parts[1].isdigit()):
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3])

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}.{self.scope}.{self.digest}"


def family_of(mode: Mode) -> Family:
    """Return whose cursors somebody gets who follows a topic in this mode; ``items`` keep no order."""
    return "items" if mode == "items" else "document"


def scope_of(family: Family, text: str) -> str:
    """Return what cursors are for; ``text`` is what only what they are for has: a topic's name and its definition."""
    return fingerprint(f"{family}\n{text}".encode())
