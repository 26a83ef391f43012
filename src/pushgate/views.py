"""
A view made ready to run: a part of another topic's document, under a path of its own.

Rule 1: a view shows the item with a key, what stands at a pointer, or what an expression yields. Where there is
nothing, and where the expression fails, there is nothing to show: the view is ``ABSENT``.
Rule 2: versions of a document share what did not change, so a part that is the same object has not changed, and nobody
has to look into it. ``Parts`` looks items up in an index that is made once a version, for all who ask.
Rule 3: a key is told by its text, as it stands in a path: a string is itself, anything else is written as in JSON. Of
two keys with one text the string comes first, of two items with one key the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, TypeAlias, assert_never

import msgspec

from .config.routes import View
from .documents.diffing import compare
from .documents.equality import canonical
from .documents.history import Limits
from .documents.keys import Key, Keys
from .documents.patching import escape, unescape
from .documents.selecting import compile_value
from .errors import BadRequest
from .happenings import News
from .identity import Identity
from .naming import Template, canonical_name, decode_path, fill_known, fill_path, placeholders
from .routes import NAMES_REMEMBERED, Route, TopicName
from .values import ABSENT, ANYBODY, Caller, Document, Json, Mode, Transport


@dataclass(frozen=True, slots=True)
class Item:
    """The item whose key has this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Spot:
    """What stands at a JSON Pointer (RFC 6901): its tokens, unescaped."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a JMESPath yields; null is nothing."""

    evaluate: Callable[[Json], Json]


Part: TypeAlias = Item | Spot | Selection


@dataclass(frozen=True, slots=True)
class Shelf:
    """The array in which items are looked up: where it is, and their key."""

    tokens: tuple[str, ...]
    key: Key


class Parts:
    """One version of a document, ready to be asked for its parts. ``shelf``: None if items cannot be asked for."""

    def __init__(self, document: Document, shelf: Shelf | None) -> None:
        self._document = document
        self._shelf = shelf

    def find(self, part: Part) -> Document:
        """Return a part; ``ABSENT`` if there is nothing. Raises PollError(``select``) if an expression fails."""
        document = self._document
        if document is ABSENT:
            return ABSENT
        match part:
            case Item():
                return self._items.get(part.text, ABSENT)
            case Spot():
                return _at(document, part.tokens)
            case Selection():
                value = part.evaluate(document)
                return ABSENT if value is None else value
            case _:
                assert_never(part)

    @cached_property
    def _items(self) -> dict[str, Json]:
        if self._shelf is None or self._document is ABSENT:
            return {}
        array = _at(self._document, self._shelf.tokens)
        return items_by_text(array, self._shelf.key) if isinstance(array, list) else {}


def _at(document: Document, tokens: tuple[str, ...]) -> Document:
    for token in tokens:
        if isinstance(document, dict):
            document = document.get(token, ABSENT)
        elif isinstance(document, list) and _is_index(token) and int(token) < len(document):
            document = document[int(token)]
        else:
            return ABSENT
    return document


def _is_index(token: str) -> bool:
    """Whether a token is an array index: digits without leading zeros, and not so many that int() would refuse."""
    return token == "0" or (token.isascii() and token.isdecimal() and token[0] != "0" and len(token) < 20)


def items_by_text(array: list[Any], key: Key) -> dict[str, Json]:
    """Return the items that have a key, by its text (rule 3); those of a compound key are joined by slashes."""
    if isinstance(key, str):
        try:
            names = list(map(itemgetter(key), array))
        except (KeyError, TypeError):  # somebody has no such member
            names = []
        if names and {*map(type, names)} == {str}:  # the usual case, ten times as fast
            return dict(zip(reversed(names), reversed(array), strict=True))
    strings: dict[str, Json] = {}
    others: dict[str, Json] = {}
    for item in array:
        members = _members(item, key)
        if members is not None:
            kind = strings if all(isinstance(member, str) for member in members) else others
            kind.setdefault("/".join(map(_text, members)), item)
    return others | strings


def _members(item: Any, key: Key) -> list[Any] | None:
    """Return the members that are an item's key; None unless it has them, all scalar."""
    names = [key] if isinstance(key, str) else key
    if not isinstance(item, dict) or not all(name in item for name in names):
        return None
    members = [item[name] for name in names]
    return None if any(isinstance(member, dict | list) for member in members) else members


def _text(member: Any) -> str:
    return member if isinstance(member, str) else canonical(member).decode()


def news_of(published: Document, shown: Document, *, keys: Keys) -> News | None:
    """Return what is new if a view shows this after it published that; None if that is the same."""
    if published is ABSENT or shown is ABSENT:
        return None if published is shown else News(shown)
    difference = compare(published, shown, keys=keys)
    if difference is None:
        return None
    return News(difference.document, tuple(difference.patch), difference.keyless, difference.keyless_count)


class ViewRoute:
    """One entry of ``routes:`` that shows a part of another's documents. ``parent``: that other."""

    def __init__(self, path: str, config: View, parent: Route) -> None:
        self.name = path  # also its label in metrics
        self.config = config
        self.parent = parent
        self.template = Template.parse(path, parent.config.params)
        self.modes: tuple[Mode, ...] = config.emit
        self.transports: tuple[Transport, ...] = config.transports
        self.keys = Keys.of(config.key)
        self.limits = Limits(events=config.history.events, bytes=config.history.bytes, age=config.history.age)
        self.shelf = _shelf_of(parent)
        self._inherited = placeholders(parent.name)
        self._needed = placeholders(config.item or config.pointer or config.select or "")
        self._path = lru_cache(maxsize=NAMES_REMEMBERED)(self._fill)

    def __repr__(self) -> str:
        return f"<ViewRoute {self.name} from {self.parent.name}>"

    @property
    def is_public(self) -> bool:
        return self.parent.is_public

    @property
    def is_open(self) -> bool:
        return self.parent.is_open

    @property
    def timeout(self) -> float:
        """How long a poll of the document may take, in seconds."""
        return self.parent.timeout

    @cached_property
    def definition(self) -> str:
        """What documents of this view are made of; another definition makes every old cursor a gap."""
        part = self.config.model_dump(mode="json", include={"from_", "item", "pointer", "select", "key"})
        return msgspec.json.encode([self.parent.definition, part], order="sorted").decode()

    def topic(
        self, values: Mapping[str, str], query: Mapping[str, str], caller: Caller | Identity = ANYBODY
    ) -> TopicName:
        """Name a view of decoded path parameters and query parameters, and its parent; raises what that raises."""
        inherited = {name: value for name, value in values.items() if name in self._inherited}
        parent = self.parent.topic(inherited, query, caller)
        known = {**parent.values, **values}
        if missing := self._needed - known.keys():
            raise BadRequest(f"{self.name} needs the query parameter {min(missing)!r}")
        _, mark, listed = parent.text.partition("?")
        return TopicName(f"{self._path(tuple(values.items()))}{mark}{listed}", known, parent.identity, parent)

    def _fill(self, values: tuple[tuple[str, str], ...]) -> str:
        return canonical_name(decode_path(fill_path(self.name, dict(values))), {})

    def part(self, values: Mapping[str, str]) -> Part:
        """Return what a view of these values shows."""
        config = self.config
        if config.item is not None:
            return Item(fill_known(config.item, values, escape=str))
        if config.pointer is not None:
            pointer = fill_known(config.pointer, values, escape=escape)
            return Spot(tuple(map(unescape, pointer.split("/")[1:])))
        assert config.select is not None, "a view has exactly one of the three"
        return Selection(compile_value(fill_known(config.select, values, escape=literal)))


def _shelf_of(parent: Route) -> Shelf | None:
    found = parent.config.shelf
    return None if found is None else Shelf(tuple(map(unescape, found[0].split("/")[1:])), found[1])


def literal(value: str) -> str:
    """
    Write a value into a JMESPath as a whole string literal.

    As a JSON literal, since a raw string cannot end in a backslash; a backtick would end it, so that is escaped.
    """
    text = json.dumps(value).replace("`", "\\u0060")
    return f"`{text}`"
