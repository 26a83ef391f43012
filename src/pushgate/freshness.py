"""
What an answer's header fields say about time: how long it is good for, when it changed, when to come back.

Rule 1: nothing here fails; what cannot be read was not said.
Rule 2: the upstream's times are measured by the upstream's own clock, which its ``Date`` tells. How far that is from
ours does not matter then.
Rule 3: most answers say nothing about time, and finding that out is cheap.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_tz
from functools import lru_cache

from .answers import Quota

# Two clocks that are so close, in seconds, agree: the dates in HTTP are whole seconds, and an answer takes its time.
CLOCKS_AGREE = 2.0

# What RFC 9111 section 1.2.2 has for a number of seconds that is too large to be one.
MAX_SECONDS = 2.0**31

# A number of seconds above this is a date: as a duration it would be thirty years.
_LEAST_EPOCH, _LEAST_EPOCH_MS = 1e9, 1e12

_QUOTAS = ("ratelimit", "x-ratelimit", "x-rate-limit")
_TELLING = frozenset(
    [
        "cache-control",
        "expires",
        "last-modified",
        "retry-after",
        "ratelimit",
        *(f"{name}-remaining" for name in _QUOTAS),
    ]
)
_READ = _TELLING | {"date", "age", *(f"{name}-reset" for name in _QUOTAS)}

_DIRECTIVE = re.compile(r"([A-Za-z0-9_-]+)(?:\s*=\s*(?:\"([^\"]*)\"|([^\s,;\"]*)))?")
_NUMBER = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*(?:[,;]|\Z)")
_POLICY = re.compile(r"(?:\"(?:[^\"\\]|\\.)*+\"|[^,\"])++")
_LEFT = re.compile(r";\s*r\s*=\s*([0-9]{1,18})\b")
_RESET = re.compile(r";\s*t\s*=\s*([0-9]{1,18})\b")
_OLD_LEFT = re.compile(r"\bremaining\s*=\s*([0-9]{1,18})\b")
_OLD_RESET = re.compile(r"\breset\s*=\s*([0-9]{1,18})\b")

Fields = Mapping[str, str]


def telling_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Return the fields that this module reads, under their names in lower case; empty if none says anything.

    ``headers`` may hold a name several times, as a multidict does; the values are then one list (RFC 9110 section 5.3).
    """
    if _TELLING.isdisjoint(map(str.lower, headers)):
        return {}
    found: dict[str, str] = {}
    for name, value in headers.items():
        known = name.lower()
        if known in _READ:
            found[known] = f"{found[known]}, {value}" if known in found else value
    return found


def fresh_for(fields: Fields, at: float) -> float | None:
    """
    Return for how many seconds more the upstream vouches for its answer; None if it does not say.

    RFC 9111 section 4.2 as a shared cache reads it, without heuristics: ``s-maxage``, ``max-age``, ``Expires`` less
    ``Date``, in this order, each less ``Age``. What must not be stored or used unasked is good for 0 seconds.
    """
    lifetime = renewable_for(fields)
    if lifetime is None:
        if "expires" not in fields:
            return None
        expires = date_of(fields["expires"])  # what is no date, above all "0", is in the past (section 5.3)
        lifetime = 0.0 if expires is None else expires - _dated(fields, at)
    return min(MAX_SECONDS, max(0.0, lifetime - _age(fields)))


def renewable_for(fields: Fields) -> float | None:
    """
    Return for how many seconds the answer is good whenever it is made, or confirmed by a 304 that does not say.

    What such a 304 leaves out is what it was (RFC 9111 section 4.3.4); an ``Expires`` would be over by then.
    """
    directives = _directives(fields.get("cache-control", ""))
    if "no-store" in directives or directives.get("no-cache") == "":
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _seconds(directives[name]) or 0.0  # what is no number is stale (section 4.2.1)
    return None


def modified_at(fields: Fields, at: float) -> float | None:
    """Return when the document last changed, since the epoch by our clock; None if the upstream says nothing of use."""
    said, now = date_of(fields.get("last-modified", "")), _upstream_now(fields, at)
    if said is None or said > now:
        return None
    ahead = at - now
    return min(at, said if abs(ahead) <= CLOCKS_AGREE else said + ahead)


def retry_after(fields: Fields, at: float) -> float | None:
    """Return for how many seconds to leave the upstream alone, from both forms of Retry-After (RFC 9110 10.2.3)."""
    return _until(fields.get("retry-after"), fields, at)


def quota(fields: Fields, at: float) -> Quota | None:
    """
    Return what is left of the upstream's own limit; of several limits, the one that is nearest.

    Reads ``RateLimit`` as the structured field of draft-ietf-httpapi-ratelimit-headers and as the earlier dictionary,
    and the pairs ``RateLimit-``, ``X-RateLimit-`` and ``X-Rate-Limit-`` ``Remaining`` and ``Reset``. A reset may be
    seconds, seconds or milliseconds since the epoch, or a date.
    """
    quotas = _policies(fields.get("ratelimit", ""))
    for name in _QUOTAS:
        left = _number(fields.get(f"{name}-remaining"))
        if left is not None:
            quotas.append(Quota(int(left), _until(fields.get(f"{name}-reset"), fields, at)))
    return min(quotas, key=lambda quota: (quota.remaining, -(quota.reset_after or 0.0)), default=None)


def _policies(text: str) -> list[Quota]:
    if old := _OLD_LEFT.search(text):
        reset = _OLD_RESET.search(text)
        return [Quota(int(old[1]), float(reset[1]) if reset else None)]
    items = [(_LEFT.search(item), _RESET.search(item)) for item in _POLICY.findall(text)]
    return [Quota(int(left[1]), float(reset[1]) if reset else None) for left, reset in items if left]


@lru_cache(maxsize=128)
def date_of(text: str) -> float | None:
    """Read an HTTP-date in any of its three forms (RFC 9110 section 5.6.7): seconds since the epoch."""
    try:
        parts = parsedate_tz(text)
        if parts is None:
            return None
        year, month, day, hour, minute, second = parts[:6]
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp() - (parts[9] or 0)
    except (ValueError, OverflowError, TypeError, IndexError):  # the library trips over some texts
        return None


@lru_cache(maxsize=128)
def _directives(text: str) -> Mapping[str, str]:
    """Return the directives of Cache-Control; of one that is given twice the first counts."""
    found: dict[str, str] = {}
    for name, quoted, plain in _DIRECTIVE.findall(text):
        found.setdefault(name.lower(), quoted or plain)
    return found


def _seconds(text: str) -> float | None:
    """Read delta-seconds (RFC 9111 section 1.2.2)."""
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        return None
    return min(MAX_SECONDS, float(text))


def _number(text: str | None) -> float | None:
    match = _NUMBER.match(text) if text is not None else None
    return float(match[1]) if match else None


def _age(fields: Fields) -> float:
    """Return the seconds that the answer has spent in caches; of several values the first counts (RFC 9111 5.1)."""
    return _seconds(fields.get("age", "").split(",")[0]) or 0.0


def _dated(fields: Fields, at: float) -> float:
    """Return when the origin made the answer, by its own clock."""
    date = date_of(fields.get("date", ""))
    return at - _age(fields) if date is None else date


def _upstream_now(fields: Fields, at: float) -> float:
    """Return the time that it is for the upstream."""
    return _dated(fields, at) + _age(fields)


def _until(text: str | None, fields: Fields, at: float) -> float | None:
    """Return the seconds until what a field names by a duration, a date, or a number since the epoch."""
    if text is None:
        return None
    number = _number(text)
    if number is not None and number < _LEAST_EPOCH:
        return number
    if number is not None:
        moment: float | None = number / 1000 if number >= _LEAST_EPOCH_MS else number
    else:
        moment = date_of(text)
    return None if moment is None else max(0.0, moment - _upstream_now(fields, at))
