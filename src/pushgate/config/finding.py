"""Something that a check has found, before it has a place in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from .tree import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """A message about the value at a path; ``at_key`` if it is about the key's being there, or not being there."""

    path: Path
    message: str
    at_key: bool = False

    def below(self, *steps: str) -> Finding:
        """Return the same finding as seen from further up."""
        return Finding((*steps, *self.path), self.message, self.at_key)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return what to add to a message about an unknown name; nothing if no known one is close."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
