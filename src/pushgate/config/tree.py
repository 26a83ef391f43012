"""
gateway.yaml as a tree whose every key and value knows its line and column.

The tree stands between YAML, which knows positions but no meaning, and the models, which know meaning but no
positions. A path into it is a tuple of keys and indices, as pydantic's ``loc``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Scalar: TypeAlias = "str | int | float | bool | None"
Plain: TypeAlias = "dict[str, Plain] | list[Plain] | Scalar"
Path: TypeAlias = "tuple[str | int, ...]"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar; what it holds may be a secret, so no repr shows it."""

    mark: Mark
    value: Scalar = field(repr=False)
    size = 1


@dataclass(frozen=True, slots=True)
class Sequence:
    mark: Mark
    items: list[Node]
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping: where it stands, and what it leads to."""

    mark: Mark
    node: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    mark: Mark
    entries: dict[str, Entry]
    size: int


Node: TypeAlias = "Leaf | Sequence | Mapping"


def plain(node: Node) -> Plain:
    """Return the tree as the dicts, lists and scalars that the models read."""
    match node:
        case Leaf(value=value):
            return value
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Mapping(entries=entries):
            return {key: plain(entry.node) for key, entry in entries.items()}


def find(root: Node, path: Path) -> Node | None:
    """Return what stands at the path, or None."""
    node: Node | None = root
    for step in path:
        node = _child(node, step)
    return node


def _child(node: Node | None, step: str | int) -> Node | None:
    match node:
        case Mapping(entries=entries) if str(step) in entries:
            return entries[str(step)].node
        case Sequence(items=items) if isinstance(step, int) and step < len(items):
            return items[step]
        case _:
            return None


def known_path(root: Node, path: Path) -> Path:
    """Return the path without the steps that the file does not have: a missing key, the name of a variant."""
    node: Node = root
    known: list[str | int] = []
    for step in path:
        child = _child(node, step)
        if child is not None:
            node = child
            known.append(step)
    return tuple(known)


def key_mark(root: Node, path: Path) -> Mark:
    """Return where the last key of the path stands; for an item of a list, where the item begins."""
    if not path:
        return root.mark
    parent = find(root, path[:-1])
    if isinstance(parent, Mapping) and str(path[-1]) in parent.entries:
        return parent.entries[str(path[-1])].mark
    node = find(root, path)
    return key_mark(root, path[:-1]) if node is None else node.mark


def value_mark(root: Node, path: Path) -> Mark:
    """Return where the value of the path begins; where the file has none, where the key above it stands."""
    node = find(root, path)
    return key_mark(root, path[:-1]) if node is None else node.mark


def leaves(node: Node) -> Iterator[tuple[Path, Node]]:
    """Yield every scalar and every empty list or mapping, with its path from the node."""
    match node:
        case Sequence(items=items) if items:
            children: Iterator[tuple[str | int, Node]] = iter(enumerate(items))
        case Mapping(entries=entries) if entries:
            children = ((key, entry.node) for key, entry in entries.items())
        case _:
            yield (), node
            return
    for step, child in children:
        yield from (((step, *path), leaf) for path, leaf in leaves(child))
