"""
What goes over the pipes between the gateway and its helper process.

A frame is a count, that many lengths, and that many parts. The first part is a pickle, and the others are the large
bytes that belong into it (PEP 574), so that nobody copies megabytes only to pack them. Both ends are the same program
and nobody else can write into the pipes, so a pickle can do no harm that its writer could not do anyway.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...errors import PollError
from ...workbench import Commission, Finished

COUNT = struct.Struct(">I")

# A reply has up to three, an order three; more is no frame.
MAX_PARTS = 3


@dataclass(frozen=True, slots=True)
class Refine:
    """Do what is commissioned for a topic. Answered with what is finished, or with why the answer is no good."""

    topic: str
    commission: Commission


@dataclass(frozen=True, slots=True)
class Forget:
    """Forget a topic. Not answered."""

    topic: str


Order: TypeAlias = Refine | Forget
Reply: TypeAlias = Finished | PollError


def pack(value: Order | Reply) -> list[bytes | memoryview]:
    """Return the pieces of a frame, to be sent one after the other."""
    large: list[pickle.PickleBuffer] = []
    first = pickle.dumps(value, protocol=5, buffer_callback=large.append)
    parts: list[bytes | memoryview] = [first, *(buffer.raw() for buffer in large)]
    head = COUNT.pack(len(parts)) + lengths_of(len(parts)).pack(*map(len, parts))
    return [head, *parts]


def lengths_of(count: int) -> struct.Struct:
    """Return how the lengths of so many parts are written."""
    return struct.Struct(f">{count}Q")


def unpack(parts: Sequence[bytes]) -> Any:
    """Return what the parts of a frame say; the large ones become part of it as they are."""
    return pickle.loads(parts[0], buffers=parts[1:])
