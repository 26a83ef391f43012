"""
Which parts of an answer become the document: ``ignore`` removes, ``select`` picks.

Rule 1: ``ignore`` pointers (RFC 6901, with ``*`` for any member or item) address the decoded answer and come first.
Rule 2: a pointer that matches nothing is no error: fields come and go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jmespath
from jmespath.exceptions import JMESPathError

from .errors import PollError
from .patching import unescape
from .values import Json

Rule: TypeAlias = "dict[str, Rule] | None"  # what to do with a value: go on inside it, or (None) remove it


class Ignore:
    """Removes what the pointers address from a freshly decoded answer, in place."""

    __slots__ = ("_rule", "keeps_shape")

    def __init__(self, pointers: Sequence[str]) -> None:
        paths = [[unescape(token) for token in pointer.split("/")[1:]] for pointer in pointers]
        self._rule: dict[str, Rule] = {}
        for path in paths:
            _add(self._rule, path)
        # Whether applying it twice is the same as once, as it is without array indexes.
        self.keeps_shape = not any(token.isdecimal() for path in paths for token in path)

    def __call__(self, answer: Json) -> Json:
        _strip(answer, self._rule)
        return answer


def _add(rule: dict[str, Rule], path: Sequence[str]) -> None:
    for token in path[:-1]:
        inner = rule.setdefault(token, {})
        if inner is None:
            return  # removed as a whole already
        rule = inner
    rule[path[-1]] = None


def _strip(value: Json, rule: dict[str, Rule]) -> None:
    """Look at all members before any is removed: a pointer addresses the answer as it came."""
    if isinstance(value, dict):
        for name in [name for name in value if _is_removed(value[name], rule, name)]:
            del value[name]
    elif isinstance(value, list):
        kept = [item for index, item in enumerate(value) if not _is_removed(item, rule, str(index))]
        if len(kept) < len(value):
            value[:] = kept


def _is_removed(member: Json, rule: dict[str, Rule], name: str) -> bool:
    for token in ("*", name):
        if token in rule:
            inner = rule[token]
            if inner is None:
                return True
            _strip(member, inner)
    return False


def compile_select(expression: str | None) -> Callable[[Json], Json]:
    """
    Return the function that picks the document out of an answer (JMESPath).

    It raises PollError(reason ``select``) if the expression fails or finds nothing: null is never a document that
    somebody meant.
    """
    if expression is None:
        return lambda answer: answer
    compiled = jmespath.compile(expression)

    def select(answer: Json) -> Json:
        try:
            document: Json = compiled.search(answer)
        except JMESPathError as exc:
            raise PollError("select", f"select: {exc}") from exc
        if document is None:
            raise PollError("select", f"select found nothing: {expression}")
        return document

    return select
