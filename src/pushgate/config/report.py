"""
Where problems are gathered: what is wrong, said in the user's words, at its line and column.

A problem names the route or section, the key, and the remedy: ``route /prices: every: 0s must be above 0s``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ConfigProblem
from .finding import Finding
from .tree import Entry, Mapping, Mark, Path, Plain, Sequence, find, key_mark, plain, value_mark

_ENTRIES = {"routes": "route", "upstreams": "upstream", "auth": "auth", "proxy": "proxy"}


class Report:
    """Problems of one file; each is told once, however many routes share it through ``defaults:``."""

    def __init__(self, file: str, tree: Mapping, *, defaults: frozenset[Mark], hide: Callable[[str], str]) -> None:
        self.tree = tree
        self.file = file
        self._defaults = defaults
        self._hide = hide
        self._problems: dict[tuple[Mark, str], ConfigProblem] = {}
        self._broken: set[Mark] = set()

    def blank(self) -> Report:
        """Return a report on the same file that has no problems yet."""
        return Report(self.file, self.tree, defaults=self._defaults, hide=self._hide)

    def add_finding(self, finding: Finding) -> None:
        if finding.at_key:
            self.add_key(finding.path, finding.message)
        else:
            self.add_value(finding.path, finding.message)

    def add_raw(self, mark: Mark, message: str) -> None:
        """Add what is wrong with a scalar or a key as such; nothing more is said about its value."""
        self._broken.add(mark)
        self._add(mark, message)

    def add_value(self, path: Path, message: str) -> None:
        """Add what is wrong with the value at the path."""
        mark = value_mark(self.tree, path)
        if mark not in self._broken:
            self._add(mark, f"{self._name(path)}: {message}")

    def add_key(self, path: Path, message: str) -> None:
        """Add what is wrong with a key's being there, or with what is missing below it."""
        self._add(key_mark(self.tree, path), f"{self._name(path)}: {message}")

    def add_missing(self, path: Path) -> None:
        self._add(key_mark(self.tree, path[:-1]), f"{self._name(path)}: is missing")

    def add_pending(self, path: Path, words: str) -> None:
        """Add that a key is understood but does nothing yet."""
        mark = key_mark(self.tree, path)
        self._add(mark, f"not yet: {'.'.join(map(str, self._origin(path, mark)))} ({words})")

    def problems(self) -> list[ConfigProblem]:
        """Return all problems in the order of the file."""
        return sorted(self._problems.values(), key=lambda problem: (problem.line, problem.column, problem.message))

    def value(self, path: Path) -> Plain:
        """Return what the file says at the path, or None."""
        node = find(self.tree, path)
        return None if node is None else plain(node)

    def _add(self, mark: Mark, message: str) -> None:
        message = " ".join(self._hide(message).split())
        self._problems.setdefault((mark, message), ConfigProblem(self.file, mark.line, mark.column, message))

    def _name(self, path: Path) -> str:
        return name(self._origin(path, key_mark(self.tree, path)))

    def _origin(self, path: Path, mark: Mark) -> Path:
        """Return the path as the file has it: what a route has from ``defaults:`` stands there."""
        return ("defaults", *path[2:]) if path[:1] == ("routes",) and mark in self._defaults else path


def name(path: Path) -> str:
    """Say a path in words: the route or section, then its key; everybody knows that ``every`` is of ``poll``."""
    if not path:
        return "gateway"
    subject, rest = str(path[0]), path[1:]
    if subject in _ENTRIES and rest:
        subject, rest = f"{_ENTRIES[subject]} {rest[0]}", rest[1:]
    if len(rest) > 1 and rest[0] == "poll":
        rest = rest[1:]
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)
    return f"{subject}: {key.removeprefix('.')}" if key else subject


def marks(node: object) -> frozenset[Mark]:
    """Return the places of all keys, items and values below a node."""
    match node:
        case Mapping(entries=entries):
            inner = [marks(entry) for entry in entries.values()]
        case Sequence(items=items):
            inner = [marks(item) | {item.mark} for item in items]
        case Entry(mark=mark, node=below):
            inner = [frozenset({mark, below.mark}), marks(below)]
        case _:
            inner = []
    return frozenset().union(*inner)
