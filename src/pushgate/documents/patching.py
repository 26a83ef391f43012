"""
Applying JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396): what a client does, and so the proof of every patch.

Rules:

- Nothing is changed in place. Containers on the way to a change are copied once; everything else is shared with the
  document and with the values of the patch.
- A patch that RFC 6902 forbids at any step raises ``PatchFailed`` and yields nothing.
- Array indexes are strict: ASCII digits without leading zeros, and ``-`` for the end where something is added.
"""

from __future__ import annotations

import re
from typing import TypeAlias, cast

from ..values import Json
from .equality import same

Operation: TypeAlias = "dict[str, Json]"
_Container: TypeAlias = "dict[str, Json] | list[Json]"

_is_index = re.compile(r"0|[1-9][0-9]{0,17}").fullmatch
_has_bad_escape = re.compile(r"~(?![01])").search


class PatchFailed(ValueError):
    """A patch cannot be applied to this document."""


def escape(name: str) -> str:
    """Write a member's name as a token of a JSON Pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1") if "~" in name or "/" in name else name


def unescape(token: str) -> str:
    """Read a token of a JSON Pointer: the inverse of ``escape``."""
    if "~" not in token:
        return token
    if _has_bad_escape(token):
        raise PatchFailed(f"bad escape in pointer token {token!r}")
    return token.replace("~1", "/").replace("~0", "~")


def apply_patch(document: Json, patch: list[Operation]) -> Json:
    """Apply the operations in their order and return the new document; raise ``PatchFailed`` if one is impossible."""
    draft = _Draft(document)
    for operation in patch:
        draft.apply(operation)
    return draft.document


def apply_merge(document: Json, patch: Json) -> Json:
    """Merge as RFC 7396, section 2 does: members of the patch replace, ``null`` removes, objects merge."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = apply_merge(merged.get(name), value)
    return merged


class _Draft:
    """
    A document being patched.

    The document hangs in ``root`` under the empty name, where a split pointer begins: so the whole document is a
    member like any other. ``ours`` holds the containers that were copied for this draft and may be written to; it
    keeps them alive, so that no id is ever taken for another's.
    """

    __slots__ = ("ours", "root")

    def __init__(self, document: Json) -> None:
        self.root: dict[str, Json] = {"": document}
        self.ours: dict[int, _Container] = {id(self.root): self.root}

    @property
    def document(self) -> Json:
        return self.root[""]

    def apply(self, operation: Operation) -> None:
        path = _pointer(operation, "path")
        match operation.get("op"):
            case "add":
                self.add(path, _value(operation))
            case "remove":
                self.remove(path)
            case "replace":
                self.replace(path, _value(operation))
            case "move":
                self.move(_pointer(operation, "from"), path)
            case "copy":
                self.copy(_pointer(operation, "from"), path)
            case "test":
                self.test(path, _value(operation))
            case unknown:
                raise PatchFailed(f"unknown op {unknown!r}")

    def add(self, path: list[str], value: Json) -> None:
        parent = self.writable(path)
        if isinstance(parent, list):
            parent.insert(_position(parent, path[-1]), value)
        else:
            parent[path[-1]] = value

    def remove(self, path: list[str]) -> Json:
        if len(path) == 1:
            raise PatchFailed("the whole document cannot be removed")
        parent = self.writable(path)
        if isinstance(parent, list):
            return parent.pop(_index(parent, path[-1]))
        return parent.pop(_member(parent, path[-1]))

    def replace(self, path: list[str], value: Json) -> None:
        parent = self.writable(path)
        if isinstance(parent, list):
            parent[_index(parent, path[-1])] = value
        else:
            parent[_member(parent, path[-1])] = value

    def move(self, source: list[str], path: list[str]) -> None:
        if len(source) < len(path) and path[: len(source)] == source:
            raise PatchFailed("a value cannot be moved into itself")
        if source == path:
            self.get(path)
        else:
            self.add(path, self.remove(source))

    def copy(self, source: list[str], path: list[str]) -> None:
        self.add(path, self.get(source))
        self.ours = {id(self.root): self.root}  # what was copied now hangs in two places and is nobody's to write to

    def test(self, path: list[str], value: Json) -> None:
        if not same(self.get(path), value):
            raise PatchFailed(f"test failed at {'/'.join(path)!r}")

    def get(self, path: list[str]) -> Json:
        value: Json = self.root
        for token in path:
            value = _child(value, token)
        return value

    def writable(self, path: list[str]) -> _Container:
        """Return the container that holds the path's last token, copying what is not ours on the way."""
        parent: _Container = self.root
        for token in path[:-1]:
            child = _child(parent, token)
            if id(child) not in self.ours:
                child = self.claim(child)
                if isinstance(parent, list):
                    parent[int(token)] = child
                else:
                    parent[token] = child
            parent = cast("_Container", child)
        return parent

    def claim(self, container: Json) -> _Container:
        """Copy one container, without what is in it, for this draft to write to."""
        if not isinstance(container, dict | list):
            raise PatchFailed("a scalar has no members")
        copied = container.copy()
        self.ours[id(copied)] = copied
        return copied


def _pointer(operation: Operation, name: str) -> list[str]:
    """Split a JSON Pointer; the first token is always the empty one of the root."""
    pointer = operation.get(name)
    if not isinstance(pointer, str) or (pointer and pointer[0] != "/"):
        raise PatchFailed(f"{name} is not a JSON Pointer: {pointer!r}")
    tokens = pointer.split("/")
    return [unescape(token) for token in tokens] if "~" in pointer else tokens


def _value(operation: Operation) -> Json:
    if "value" not in operation:
        raise PatchFailed(f"{operation.get('op')} without value")
    return operation["value"]


def _child(container: Json, token: str) -> Json:
    if isinstance(container, dict):
        return container[_member(container, token)]
    if isinstance(container, list):
        return container[_index(container, token)]
    raise PatchFailed(f"a scalar has no member {token!r}")


def _member(container: dict[str, Json], name: str) -> str:
    if name not in container:
        raise PatchFailed(f"no member {name!r}")
    return name


def _index(array: list[Json], token: str) -> int:
    """The index of an existing item."""
    if not _is_index(token) or int(token) >= len(array):
        raise PatchFailed(f"no item {token!r} in an array of {len(array)}")
    return int(token)


def _position(array: list[Json], token: str) -> int:
    """Where an item may be inserted: before an existing one, or at the end."""
    if token == "-":
        return len(array)
    if not _is_index(token) or int(token) > len(array):
        raise PatchFailed(f"no place {token!r} in an array of {len(array)}")
    return int(token)
