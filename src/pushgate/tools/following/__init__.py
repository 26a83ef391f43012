"""
Following topics as a client does: what was said, where one is, what the document is by then, and when to come back.

``blocks`` reads server-sent events, ``follower`` keeps the position and judges how a connection ended, ``replica``
holds a document. Bytes and envelopes go in; the sockets are in ``adapters.following``.
"""

from .blocks import Block, BlockReader
from .endings import Closed, Cut, Ending, Finished, Refused, Silenced
from .follower import Again, Envelope, Follower, Over, Verdict
from .replica import Replica

__all__ = [
    "Again",
    "Block",
    "BlockReader",
    "Closed",
    "Cut",
    "Ending",
    "Envelope",
    "Finished",
    "Follower",
    "Over",
    "Refused",
    "Replica",
    "Silenced",
    "Verdict",
]
