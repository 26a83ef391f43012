"""What the streams need of the house, beside the topics that they follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ...auth.keeper import Keeper
from ...correlation import RequestIds
from .door import Door
from .tables import Host
from .writing import Writer


@dataclass(frozen=True, slots=True)
class Desk:
    """
    Where streams go with what their clients want.

    ``tasks``: for what takes time; ``keeper`` finds out who clients are, ``door`` counts them, ``host`` finds topics,
    ``writer`` passes on what they write, and ``ids`` gives requests their ids.
    """

    tasks: asyncio.TaskGroup
    keeper: Keeper
    door: Door
    host: Host
    writer: Writer
    ids: RequestIds
