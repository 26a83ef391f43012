"""
Which parts of an answer become the document: ``ignore`` removes, ``select`` picks.

Rule 1: ``ignore`` pointers (RFC 6901, with ``*`` for any member or item) address the decoded answer and come first.
Rule 2: a pointer that matches nothing is no error: fields come and go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jmespath
from jmespath.exceptions import JMESPathError

from .errors import PollError
from .patching import unescape
from .values import Json


class Ignore:
    """Removes what the pointers address from a freshly decoded answer, in place."""

    __slots__ = ("_pointers",)

    def __init__(self, pointers: Sequence[str]) -> None:
        self._pointers = [[unescape(token) for token in pointer.split("/")[1:]] for pointer in pointers]

    @property
    def keeps_shape(self) -> bool:
        """Whether applying it twice is the same as once, as it is without array indexes."""
        return not any(token.isdecimal() for tokens in self._pointers for token in tokens)

    def __call__(self, answer: Json) -> Json:
        for tokens in self._pointers:
            _remove(answer, tokens)
        return answer


def _remove(value: Json, tokens: Sequence[str]) -> None:
    token, rest = tokens[0], tokens[1:]
    if rest:
        for child in _children(value, token):
            _remove(child, rest)
    elif isinstance(value, dict):
        if token == "*":
            value.clear()
        else:
            value.pop(token, None)
    elif isinstance(value, list):
        if token == "*":
            value.clear()
        elif token.isdecimal() and int(token) < len(value):
            del value[int(token)]


def _children(value: Json, token: str) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values()) if token == "*" else [value[token]] if token in value else []
    if isinstance(value, list):
        if token == "*":
            return value
        return [value[int(token)]] if token.isdecimal() and int(token) < len(value) else []
    return []


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
