"""
What runs in the helper process: it reads orders from its standard input and writes replies to its standard output.

It ends when its input does. A bug ends it as well, with a traceback on the standard error: the gateway makes another.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import BinaryIO, assert_never

from ...errors import PollError
from ...heap import tidy_heap
from ...refinery import Decoder, Recipe
from ...workbench import Workbench
from ..upstream.formats import decoder_of
from .frames import COUNT, Forget, Order, Refine, Reply, lengths_of, pack, unpack

# Whoever delivers goes first where there is one core for both.
NICENESS = 10


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the gateway
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    orders, replies = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no reply
    bench = Workbench(_decoder)
    tidy_heap()
    while (order := _read(orders)) is not None:
        match order:
            case Refine():
                _write(replies, _refine(bench, order))
            case Forget():
                bench.forget(order.topic)
            case _:
                assert_never(order)


def _decoder(recipe: Recipe) -> Decoder:
    return decoder_of(recipe.config.format, keeps_shape=recipe.keeps_shape)


def _refine(bench: Workbench, order: Refine) -> Reply:
    try:
        return bench.refine(order.topic, order.commission)
    except PollError as error:
        return error


def _read(pipe: BinaryIO) -> Order | None:
    """Return the next order; None if nobody is left who could give one."""
    head = pipe.read(COUNT.size)
    if len(head) < COUNT.size:
        return None
    lengths = lengths_of(*COUNT.unpack(head))
    sizes = lengths.unpack(pipe.read(lengths.size))
    order: Order = unpack([pipe.read(size) for size in sizes])
    return order


def _write(pipe: BinaryIO, reply: Reply) -> None:
    try:
        for piece in pack(reply):
            pipe.write(piece)
        pipe.flush()
    except BrokenPipeError:  # nobody is left to tell, and nothing to be tidied up
        os._exit(0)


if __name__ == "__main__":
    main()
