"""
Equality as JSON means it.

Rules:

- ``1`` and ``1.0`` are one number, and so are ``0`` and ``-0.0``; ``2**53 + 1`` and ``float(2**53)`` are two.
- A boolean equals no number, although Python says ``True == 1``.
- The order of keys means nothing, the order of items everything; strings are equal code point by code point.
- Equal documents have equal canonical bytes and so equal digests, in every process and on every machine.

Python's ``==`` runs in C but takes a boolean for a number; encodings as MessagePack take nothing for anything else, and
cost a fifth of parsing the same as JSON. So many values are judged by their bytes, a few at a time. Different bytes
prove nothing (keys in another order, ``1`` for ``1.0``): that is what the walk is for. Measured beside it and slower:
``==`` first and bytes then, the bytes of each row by itself, JSON instead of MessagePack, a plain walk.

Whoever decodes a document caps its depth; 200 levels are fine here.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import blake2b
from itertools import compress, count
from operator import is_not

from msgspec import json, msgpack

from ..values import Json

_CHUNK = 16  # values encoded together: less costs calls, more costs seconds looks where one of them changed
_FEW = 4  # values up to which a look at each is cheaper than encoding

_pack = msgpack.Encoder().encode
_encode_sorted = json.Encoder(order="sorted").encode

# How a whole float ends. In a string it may look the same, which costs time and changes nothing.
_has_point_zero = re.compile(rb"\.0(?:[],}]|\Z)").search
_has_exponent = re.compile(rb"e[0-9]+(?:[],}]|\Z)").search
# A member's value for certain: a quote right behind a letter or digit closes a string, and a colon follows it.
_drop_point_zero = re.compile(rb':(?<=[0-9A-Za-z_]":)(-?[1-9][0-9]*|0)\.0(?=[,}])').sub


def same(one: Json, other: Json) -> bool:
    """Tell whether two documents are equal as JSON. What they share by identity costs nothing."""
    return one is other or (one == other and _agree(one, other))


def unlike(ones: list[Json], others: list[Json]) -> list[int]:
    """Return the indexes at which two lists of one length may differ: all where they do, and few others."""
    unshared = list(map(is_not, ones, others))
    places = list(compress(count(), unshared))
    if len(places) <= _FEW:
        return places
    ones, others = list(compress(ones, unshared)), list(compress(others, unshared))
    result: list[int] = []
    for begin in range(0, len(places), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        if not _pack_alike(ones[chunk], others[chunk]):
            pairs = zip(places[chunk], ones[chunk], others[chunk], strict=True)
            result += [at for at, one, other in pairs if not _pack_alike(one, other)]
    return result


def _agree(one: Json, other: Json) -> bool:
    """Finish the verdict on two values that Python calls equal: do booleans stand where booleans stand?"""
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return _all_agree(list(one.values()), [other[name] for name in one])
    if isinstance(one, list) and isinstance(other, list):
        return _all_agree(one, other)
    return isinstance(one, bool) is isinstance(other, bool)


def _all_agree(ones: list[Json], others: list[Json]) -> bool:
    unshared = list(map(is_not, ones, others))
    ones, others = list(compress(ones, unshared)), list(compress(others, unshared))
    return (len(ones) > _FEW and _pack_alike(ones, others)) or all(map(_agree, ones, others))


def _pack_alike(one: Json, other: Json) -> bool:
    """Tell whether both become the same bytes. If so they are the same; if not, they still may be."""
    try:
        return _pack(one) == _pack(other)
    except OverflowError:  # an integer beyond 64 bits
        return False


def canonical(document: Json) -> bytes:
    """Encode so that the same documents become the same bytes: sorted keys, whole numbers without point or exponent."""
    encoded = _encode_sorted(document)
    if _has_point_zero(encoded):
        encoded = _drop_point_zero(rb":\1", encoded)
    if _has_point_zero(encoded) or _has_exponent(encoded):
        encoded = _encode_sorted(_whole(document))
    return encoded


def _whole(value: Json) -> Json:
    """Write every float that is a whole number as an integer."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value


def fingerprint(canonical_bytes: bytes) -> str:
    """Hash to 64 bits: 11 characters of the URL-safe base64 alphabet."""
    return urlsafe_b64encode(blake2b(canonical_bytes, digest_size=8).digest())[:11].decode()


def digest(document: Json) -> str:
    """Hash a document to 11 characters, equal for equal documents."""
    return fingerprint(canonical(document))
