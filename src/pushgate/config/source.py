"""
From text to a tree: YAML 1.2 core scalars, duplicate keys refused, anchors and ``<<`` followed, ``${…}`` replaced.

PyYAML composes the nodes and their marks; what they mean is decided here, because its own constructors follow YAML
1.1: ``on`` would be true, ``1:30`` would be 90, ``010`` would be 8, and of two equal keys the last would win.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import yaml

from .tree import Entry, Leaf, Mapping, Mark, Node, Scalar, Sequence

# An alias costs nothing to write; what all of them expand to has a limit ("billion laughs").
MAX_VALUES = 100_000

_TEXT, _PLAIN, _MERGE = "tag:yaml.org,2002:str", "plain", "merge"
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,100}|0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

# What PyYAML says of a value that begins like an alias or a tag. It may be a password, so it is not repeated.
_UNDEFINED = re.compile(r"(undefined (?:alias|tag handle)) .*", re.DOTALL)


class Malformed(Exception):
    """The text is no usable YAML at all; nothing else can be said about it."""

    def __init__(self, mark: Mark, message: str) -> None:
        self.mark = mark
        self.message = message


class _Loader(yaml.SafeLoader):
    """Leaves plain scalars undecided; ``<<`` is the only one that YAML itself gives a meaning."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:
        if kind is yaml.ScalarNode and isinstance(implicit, tuple) and implicit[0]:
            return _MERGE if value == "<<" else _PLAIN
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]  # PyYAML's stubs


def read(text: str, *, interpolate: Callable[[str], str], problems: list[tuple[Mark, str]]) -> Mapping:
    """
    Return the file's top mapping, without its ``x-…`` keys.

    What is wrong with single keys and values is appended to ``problems``; raises Malformed if there is no mapping.
    """
    root = _compose(text)
    if not isinstance(root, yaml.MappingNode):
        mark = Mark(1, 1) if root is None else _mark(root)
        raise Malformed(mark, "expected a mapping; start with `version: 1`, `upstreams:` and `routes:`")
    root.value = [(key, value) for key, value in root.value if not _is_free(key)]
    tree = _Builder(interpolate, problems).build(root)
    assert isinstance(tree, Mapping)
    return tree


def read_section(text: str, name: str, *, interpolate: Callable[[str], str]) -> Node | None:
    """
    Return one section of the file, or None if it has none, and read no further; what is wrong with it nobody is told.

    Raises Malformed for what stands before it and is no YAML.
    """
    loader = _Loader(text)
    try:
        for event in (yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent):
            if not loader.check_event(event):
                return None
            loader.get_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs
        while not loader.check_event(yaml.MappingEndEvent):
            key, value = loader.compose_node(None, 0), loader.compose_node(None, 0)
            if isinstance(key, yaml.ScalarNode) and key.value == name and value is not None:
                return _Builder(interpolate, []).build(value)
    except yaml.YAMLError as error:
        raise Malformed(Mark(1, 1), f"no valid YAML before `{name}:`") from error
    finally:
        loader.dispose()
    return None


def _is_free(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value.startswith("x-")


def _compose(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Mark(1, 1) if mark is None else Mark(mark.line + 1, mark.column + 1)
        words = (error.problem or error.context or "cannot be read").replace("character '\\t'", "a tab")
        words = _UNDEFINED.sub(r"\1", words)
        raise Malformed(where, f"no valid YAML: {words.removeprefix('but ')}{_remedy(words)}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
        character = error.character if isinstance(error.character, int) else ord(str(error.character))
        raise Malformed(where, f"no valid YAML: character U+{character:04X} is not allowed") from None
    except RecursionError:
        raise Malformed(Mark(1, 1), "no valid YAML: nested too deep") from None
    return node


def _remedy(words: str) -> str:
    if "a tab" in words:
        return "; indent with spaces"
    if "mapping values are not allowed" in words:
        return "; quote a value that holds `: `"
    if "undefined" in words:
        return f"; quote a value that begins with `{'*' if 'alias' in words else '!'}`"
    if "another document" in words:
        return "; remove the line `---` or what follows it"
    return ""


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def scalar_of(text: str) -> Scalar:
    """Resolve a plain scalar by the core schema of YAML 1.2 (section 10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Builder:
    """Turns composed nodes into our tree; shared nodes (aliases) are built once."""

    def __init__(self, interpolate: Callable[[str], str], problems: list[tuple[Mark, str]]) -> None:
        self._interpolate = interpolate
        self._problems = problems
        self._built: dict[int, Node] = {}
        self._building: set[int] = set()

    def build(self, node: yaml.Node) -> Node:
        if id(node) in self._building:
            raise Malformed(_mark(node), "an alias leads back into itself; write the value out")
        if id(node) not in self._built:
            self._building.add(id(node))
            self._built[id(node)] = self._build(node)
            self._building.discard(id(node))
        return self._built[id(node)]

    def _build(self, node: yaml.Node) -> Node:
        match node:
            case yaml.MappingNode():
                entries = self._entries(node)
                size = 1 + sum(entry.node.size for entry in entries.values())
                built: Node = Mapping(_mark(node), entries, size)
            case yaml.SequenceNode():
                items = [self.build(item) for item in node.value]
                built = Sequence(_mark(node), items, 1 + sum(item.size for item in items))
            case _:
                built = Leaf(_mark(node), self._value(node))
        if built.size > MAX_VALUES:
            raise Malformed(built.mark, f"expands to more than {MAX_VALUES} values; use fewer aliases")
        return built

    def _value(self, node: yaml.Node) -> Scalar:
        if node.tag not in {_TEXT, _PLAIN, _MERGE}:
            message = "a tag means nothing here; remove it, or quote a value that begins with `!`"
            self._problems.append((_mark(node), message))
        text = self._interpolated(node)
        return scalar_of(text) if node.tag == _PLAIN and text == node.value else text

    def _interpolated(self, node: yaml.Node) -> str:
        text: str = node.value
        if "${" not in text:
            return text
        try:
            return self._interpolate(text)
        except ValueError as error:
            self._problems.append((_mark(node), str(error)))
            return text

    def _entries(self, node: yaml.MappingNode) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problems.append((_mark(key), "a key must be text; quote it if it begins with a bracket or brace"))
            elif key.tag == _MERGE:
                merged = {**self._merged(value), **merged}
            else:
                self._add(own, key, value)
        return {**merged, **own}

    def _add(self, entries: dict[str, Entry], key: yaml.ScalarNode, value: yaml.Node) -> None:
        name, mark = self._interpolated(key), _mark(key)
        if name in entries:
            self._problems.append((mark, f"duplicate key `{name}`; it is already in line {entries[name].mark.line}"))
            return
        entries[name] = Entry(mark, self.build(value))

    def _merged(self, node: yaml.Node) -> dict[str, Entry]:
        """Return what ``<<`` brings; of several mappings the first that has a key wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Entry] = {}
        for source in reversed(sources):
            built = self.build(source)
            if isinstance(built, Mapping):
                merged.update(built.entries)
            else:
                self._problems.append((built.mark, "`<<` takes a mapping or a list of mappings"))
        return merged
