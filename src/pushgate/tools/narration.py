"""
The words for what goes into a step of a poll and what comes out: for people who want to see it.

Values are told by their shape and how they begin; nothing here knows what is secret.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

import msgspec

from ..answers import Answer
from ..documents.equality import canonical
from ..documents.keys import Key, Keys, key_at, keys_of, lacks_keys
from ..documents.patching import escape, unescape
from ..documents.pointers import Place
from ..errors import PollErrorReason
from ..quantities import duration_text
from ..values import ABSENT, Document, Json, Validators

PREVIEW = 200  # characters of a value that are shown
_NAMED = 3  # arrays, or items, that are named; more are only counted


def shape(value: Document) -> str:
    """Say what a value is: ``an array of 667``."""
    match value:
        case dict():
            return f"an object of {counted(len(value), 'member')}"
        case list():
            return f"an array of {counted(len(value), 'item')}"
        case str():
            return f"a text of {counted(len(value), 'character')}"
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case _:
            return "nothing"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# Between the beginning of a text and its length.
CUT = " … ("


def cut(text: str) -> str:
    """Return the beginning of a text in one line, and say how long it is."""
    line = " ".join(text[: 2 * PREVIEW].split())
    return line if len(line) <= PREVIEW and len(text) <= 2 * PREVIEW else f"{line[:PREVIEW]}{CUT}{len(text):,})"


def preview(value: Document) -> str:
    """Return how a value begins, as JSON."""
    return "" if value is ABSENT else cut(msgspec.json.encode(value).decode())


def seconds_text(seconds: float) -> str:
    """Return a duration as one says it: milliseconds below a second, no fractions above ten."""
    digits = 3 if seconds < 1 else 1 if seconds < 10 else 0
    return duration_text(round(seconds, digits))


# The answer.


def answer_lines(answer: Answer, fields: Mapping[str, str], *, seconds: float) -> Iterator[str]:
    """Yield what an upstream said, without its body; ``fields``: the header fields of the answer."""
    kind = answer.content_type or "without a type"
    yield f"{answer.status} {kind}, {counted(len(answer.body), 'byte')}{_coding(fields)}, in {seconds_text(seconds)}"
    if "Location" in fields:
        yield f"it redirects to {fields['Location'].partition('?')[0]}"
    if 200 <= answer.status < 300:
        yield _validators(answer.validators)
    if answer.fresh_for is not None:
        named = [name for name in ("Cache-Control", "Expires", "Age") if name in fields]
        said = ", ".join(f"{name}: {fields[name]}" for name in named)
        yield f"it vouches for that for {seconds_text(answer.fresh_for)} ({said})"
    if answer.modified_at is not None:
        yield f"it last changed {seconds_text(max(0.0, answer.at - answer.modified_at))} before"
    if answer.quota is not None:
        reset = answer.quota.reset_after
        until = "" if reset is None else f" for the next {seconds_text(reset)}"
        yield f"{counted(answer.quota.remaining, 'request')} left of its own limit{until}"
    if answer.retry_after is not None:
        yield f"it asks to be left alone for {seconds_text(answer.retry_after)} (Retry-After)"


def _coding(fields: Mapping[str, str]) -> str:
    coding = fields.get("Content-Encoding", "identity")
    if coding == "identity":
        return ", not compressed"
    length = fields.get("Content-Length", "")
    return f" ({coding}, {int(length):,} over the wire)" if length.isdecimal() else f" ({coding})"


def _validators(validators: Validators) -> str:
    told = []
    if validators.etag is not None:
        told.append(f"ETag {validators.etag}")
    if validators.last_modified is not None:
        told.append(f"Last-Modified {validators.last_modified}")
    return ", ".join(told) or "neither ETag nor Last-Modified: every poll transfers the whole answer"


# Ignored members.


def matches(value: Json, pointer: str) -> int:
    """Count what a pointer of ``ignore`` addresses in an answer."""
    return _matches(value, [*map(unescape, pointer.split("/")[1:])])


def _matches(value: Json, tokens: list[str]) -> int:
    if not tokens:
        return 1
    token, rest = tokens[0], tokens[1:]
    if isinstance(value, dict):
        inner = [*value.values()] if token == "*" else [value[token]] if token in value else []
    elif isinstance(value, list):
        inner = value if token == "*" else [item for at, item in enumerate(value) if str(at) == token]
    else:
        inner = []
    return sum(_matches(one, rest) for one in inner)


# Keys.


@dataclass(slots=True)
class _Arrays:
    """All arrays at one place of a document; ``*`` for any item."""

    key: Key
    count: int = 0
    items: int = 0
    offences: list[str] = field(default_factory=list)


def key_lines(document: Document, keys: Keys) -> Iterator[str]:
    """Yield for each array that has keys, or should have them, whether its items are told apart by them."""
    found: dict[str, _Arrays] = {}
    if document is not ABSENT and keys.root is not None:
        _collect(found, "", "", document, keys.root, keys)
    for pattern, arrays in found.items():
        where, many = pattern or "the document", "" if arrays.count == 1 else f" in {arrays.count:,} arrays"
        name = arrays.key if isinstance(arrays.key, str) else " + ".join(arrays.key)
        if len(arrays.offences) < arrays.count:
            yield f"{where}: {counted(arrays.items, 'item')}{many} by `{name}`"
        if arrays.offences:
            of_all = "" if arrays.count == 1 else f" ({len(arrays.offences):,} of {arrays.count:,} arrays)"
            yield f"{where}: compared by index{of_all}: {'; '.join(arrays.offences[:_NAMED])}"


def _collect(found: dict[str, _Arrays], pattern: str, path: str, value: Json, here: Place[Key], keys: Keys) -> None:
    if isinstance(value, list):
        key = key_at(here)
        if key is not None and (keys_of(value, key) is not None or lacks_keys(value, key, keys)) and value:
            arrays = found.setdefault(pattern, _Arrays(key))
            arrays.count += 1
            arrays.items += len(value)
            if keys_of(value, key) is None:
                arrays.offences.append(f"{path if path != pattern else ''} {_offence(value, key)}".strip())
        members = [("*", str(at), item) for at, item in enumerate(value)]
    elif isinstance(value, dict):
        members = [(escape(name), escape(name), member) for name, member in value.items()]
    else:
        return
    for general, token, member in members:
        inner = here.inner(unescape(token))
        if inner is not None and isinstance(member, dict | list):
            _collect(found, f"{pattern}/{general}", f"{path}/{token}", member, inner, keys)


def _offence(array: list[Any], key: Key) -> str:
    """Say which item is the first that has no key, or one that another has."""
    names = [key] if isinstance(key, str) else key
    seen: defaultdict[bytes, list[int]] = defaultdict(list)
    for at, item in enumerate(array):
        if not isinstance(item, dict):
            return f"item {at} is {shape(item)}, not an object"
        if lacking := [name for name in names if name not in item]:
            return f"item {at} has no `{lacking[0]}`: {preview(item)}"
        if odd := [name for name in names if isinstance(item[name], dict | list)]:
            return f"`{odd[0]}` of item {at} is {shape(item[odd[0]])}"
        seen[canonical([item[name] for name in names])].append(at)
    value, places = next((value, places) for value, places in seen.items() if len(places) > 1)
    told = value.decode()[1:-1] if isinstance(key, str) else value.decode()
    return f"{told} is the key of items {', '.join(map(str, places[:_NAMED]))}{' …' if len(places) > _NAMED else ''}"


# What to do.


def remedy(reason: PollErrorReason, *, upstream: str) -> str:
    """Return what to look at when a poll has failed; ``upstream`` is its name."""
    here = f"upstreams.{upstream}"
    match reason:
        case "timeout":
            return f"raise {here}.timeout, or ask for less"
        case "connect":
            return f"is it running, and can it be reached from here? Look at {here}.url and proxy"
        case "dns":
            return f"look at the host in {here}.url, and at this machine's DNS"
        case "tls":
            return f"look at {here}.tls: ca for an authority of your own, server_name for another name"
        case "http_4xx":
            return "look at the request above; if this status has a meaning, name it in on_status"
        case "http_5xx":
            return "the backend is in trouble; a running gateway keeps the last good document and asks less often"
        case "rate_limited":
            return f"ask less often: poll.every, and {here}.budget for all routes together"
        case "upstream_auth":
            return f"look at {here}.credentials, or at what is forwarded"
        case "protocol":
            return "this is no HTTP answer that can be used; look at the request above, and at the URL"
        case "truncated":
            return "the answer was cut on its way; if that happens always, ask the backend's owner"
        case "too_large":
            return f"raise {here}.max_body (or pages.max), or ask for less"
        case "decode":
            return "say what the answer is: format"
        case "select":
            return "compare the expression with the decoded answer above"
        case "guard":
            return "if such answers are right, say so: guards"
        case "fail_if":
            return "the upstream says itself that it failed: see the decoded answer above"
        case "budget":
            return f"{here}.budget is used up, or the upstream asked for a rest: wait, or raise it"
        case "paused":
            return f"an operator has paused it: pushgate resume {upstream}"
        case _:
            assert_never(reason)
