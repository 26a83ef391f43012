"""
Which parts of an answer become the document: ``ignore`` removes, ``select`` picks.

Rule 1: ``ignore`` pointers (RFC 6901, with ``*`` for any member or item) address the decoded answer and come first.
Rule 2: a pointer that matches nothing is no error: fields come and go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError

from ..errors import PollError
from ..values import Json
from .patching import unescape
from .pointers import Place, place

IDLE_AFTER = 20  # answers without a match after which a pointer is idle


class Ignore:
    """
    Removes what the pointers address from a decoded answer, in place.

    It counts for each pointer the answers without a match, of whichever topic: who addresses nothing is probably wrong.
    """

    __slots__ = ("_has_matched", "_misses", "_root", "keeps_shape")

    def __init__(self, pointers: Sequence[str]) -> None:
        self._root: Place[str] = place((pointer, pointer) for pointer in pointers)
        # Answers since the latest match. What another pointer removes as a whole can match no more.
        self._misses = {pointer: 0 for pointer in pointers if not any(_covers(other, pointer) for other in pointers)}
        self._has_matched: set[str] = set()
        # Whether applying it twice is the same as once, as it is without array indexes.
        self.keeps_shape = not any(token.isdecimal() for pointer in pointers for token in pointer.split("/"))

    def __call__(self, answer: Json, *, is_whole: bool = True) -> Json:
        """
        Remove, and return the answer.

        If it is not whole, parts of it are those of an earlier answer, and were rid of everything then: that a pointer
        matches nothing in it says something only if it never did.
        """
        found: set[tuple[str, ...]] = set()
        _strip(answer, self._root, found)
        matched = set().union(*found)
        self._has_matched |= matched
        for pointer in self._misses:
            if pointer in matched:
                self._misses[pointer] = 0
            elif is_whole or pointer not in self._has_matched:
                self._misses[pointer] += 1
        return answer

    def idle(self) -> list[str]:
        """Return the pointers that matched nothing in the latest 20 answers."""
        return [pointer for pointer, misses in self._misses.items() if misses >= IDLE_AFTER]


def _covers(one: str, other: str) -> bool:
    """Whether what one pointer removes always includes what the other addresses."""
    outer, inner = one.split("/"), other.split("/")
    return len(outer) < len(inner) and all(map(_includes, outer, inner))


def _includes(one: str, other: str) -> bool:
    return one in ("*", other)


def _strip(value: Json, here: Place[str], found: set[tuple[str, ...]]) -> None:
    """Look at all members before any is removed: a pointer addresses the answer as it came."""
    if isinstance(value, dict):
        for name in [name for name in here.tokens(value) if _is_removed(value[name], here.inner(name), found)]:
            del value[name]
    elif isinstance(value, list) and here.leads_on:
        kept = [item for at, item in enumerate(value) if not _is_removed(item, here.inner(str(at)), found)]
        if len(kept) < len(value):
            value[:] = kept


def _is_removed(member: Json, here: Place[str] | None, found: set[tuple[str, ...]]) -> bool:
    if here is None:
        return False
    if here.values:
        found.add(here.values)
        return True
    _strip(member, here, found)
    return False


def find(document: Json, pointer: str) -> Json:
    """Return what stands at a JSON Pointer (RFC 6901), or None; the empty pointer is the document itself."""
    for token in map(unescape, pointer.split("/")[1:]):
        if isinstance(document, dict):
            document = document.get(token)
        elif isinstance(document, list) and token.isdecimal() and int(token) < len(document):
            document = document[int(token)]
        else:
            return None
    return document


def compile_value(expression: str, *, place: str = "select") -> Callable[[Json], Json]:
    """Return the function that evaluates a JMESPath; it raises PollError(reason ``select``) where that fails."""
    compiled = jmespath.compile(expression)

    def evaluate(document: Json) -> Json:
        try:
            value: Json = compiled.search(document)
        except JMESPathTypeError as exc:  # its own words repeat what the upstream said
            wanted = " or ".join(exc.expected_types)
            words = f"{exc.function_name}() takes {wanted}, and was given {exc.actual_type}"
            raise PollError("select", f"{place}: {words}") from exc
        except JMESPathError as exc:
            raise PollError("select", f"{place}: {exc}") from exc
        return value

    return evaluate


def compile_select(expression: str | None, *, may_be_null: bool = False) -> Callable[[Json], Json]:
    """
    Return the function that picks the document out of an answer (JMESPath).

    It raises PollError(reason ``select``) if the expression fails or finds nothing: null is no document that somebody
    meant, unless the route says that it is.
    """
    if expression is None:
        return lambda answer: answer
    evaluate = compile_value(expression)

    def select(answer: Json) -> Json:
        document = evaluate(answer)
        if document is None and not may_be_null:
            raise PollError("select", f"select found nothing: {expression}")
        return document

    return select


def compile_test(expression: str | None) -> Callable[[Json], bool]:
    """Return the function that tells whether a JMESPath is true: anything but false, null and what is empty."""
    if expression is None:
        return lambda document: False
    evaluate = compile_value(expression)

    def test(document: Json) -> bool:
        value = evaluate(document)
        return value is not False and value is not None and value != "" and value != [] and value != {}

    return test


def compile_number(expression: str | None) -> Callable[[Json], float | None]:
    """Return the function that reads a number with a JMESPath, also from text; None if there is none."""
    if expression is None:
        return lambda document: None
    evaluate = compile_value(expression)

    def read(document: Json) -> float | None:
        value = evaluate(document)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None

    return read
