"""
What a probe has seen, and what it found in it: the values that go in and come out.

A format is written as in gateway.yaml: its name, or a mapping with ``kind`` and options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...answers import NO_VALIDATORS, Answer
from ...values import Json, Validators

Format: TypeAlias = "str | Mapping[str, Any]"

# Decodes an answer's body in a format; raises PollError(``decode``).
Decode: TypeAlias = Callable[[Format, Answer], Json]


@dataclass(frozen=True, slots=True)
class Sample:
    """One poll: what was answered, how many seconds it took, and which validators it was asked with."""

    answer: Answer
    seconds: float
    asked_with: Validators = NO_VALIDATORS


@dataclass(frozen=True, slots=True)
class Version:
    """
    A body that differs from the one before.

    ``at``: when it was read, since the epoch; ``before``: when the poll before it was; ``number``: which poll it was.
    """

    at: float
    before: float
    number: int
    document: Json


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One line for the route, with its reason.

    ``path``: the keys below the route, as ``("poll", "every")``; an optional one is for the user to decide, and is
    printed as a comment.
    """

    path: tuple[str, ...]
    value: Any
    reason: str
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """
    All that a probe found.

    ``changes`` leaves out what is ignored. ``polled_bytes`` are the bodies as they came, ``pushed_bytes`` what a
    subscriber would have got instead.
    """

    polls: int
    seconds: float
    changes: int
    polled_bytes: int
    pushed_bytes: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def value(self, *path: str) -> Any:
        """Return what was found for a key of the route, or None; what is optional is not meant."""
        return next((each.value for each in self.findings if each.path == path and not each.is_optional), None)
