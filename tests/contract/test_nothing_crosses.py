"""
Promise 6: nothing crosses identities. Thousands of requests of every kind, by people who are easily mistaken for one
another, with what they have stolen from each other; and not one of them gets to see what is another's.
"""

from __future__ import annotations

import asyncio
import random

import aiohttp
import pytest

from conftest import SOAK
from doubles.server import serving
from gateways import running_gateway
from lookalikes import AUTH, CARRIERS, PROXY, ROUTES, Mirror
from talkers import Talker
from witnesses import CHANGES, Loot, Witness

# What is done, and how often in a thousand times.
KINDS = {
    "short_poll": 280,
    "head": 60,
    "document_long_poll": 60,
    "long_poll": 150,
    "sse": 90,
    "websocket": 60,
    "shared_poll": 90,
    "shared_sse": 60,
    "shared_websocket": 60,
    "write": 40,
    "proxied": 20,
    "ticket": 15,
    "stranger": 30,
}
THIEVES = [*(set(KINDS) - {"write", "proxied", "ticket"}), "subscribe"]

REQUESTS = 10_000 * SOAK
AT_ONCE = 100


@pytest.mark.timeout(60 * SOAK)
async def test_nobody_gets_what_is_anothers() -> None:
    """
    Not a document, not a part of one, not the confirmation that there is one; over whatever transport.

    Five people, of whom four have the same name, with ten tokens in six carriers and cookies that are the same for all.
    """
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    witness, loot, mirror = Witness(), Loot(), Mirror()
    async with (
        serving(mirror),
        running_gateway(mirror.url, ROUTES, auth=AUTH, proxy=PROXY) as gateway,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        ) as session,
    ):
        number = 0

        async def act() -> None:
            nonlocal number
            while witness.kinds["requests"] < REQUESTS:
                number += 1
                kind = chance.choices([*KINDS], [*KINDS.values()])[0]
                passerby = Talker(gateway.base, session, witness, loot)
                await passerby.act(kind, f"{seed} {number}")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(act())

    check_enough(witness)


def check_enough(witness: Witness) -> None:
    """Everything was really done, and something came of it."""
    kinds = witness.kinds
    print(kinds)
    expected = {
        **{kind: REQUESTS * often // 3000 for kind, often in KINDS.items()},
        **{f"stolen by {kind}": 50 for kind in THIEVES},
        **{f"carried by {carrier}": 50 for carrier in CARRIERS},
        **{f"event {change}": 100 for change in CHANGES},
        "renewals": 300,
        "sends": 100,
        "answers 304": 100,
        "labels": 2 * REQUESTS,
    }
    assert {kind: (kinds[kind], least) for kind, least in expected.items() if kinds[kind] < least} == {}
