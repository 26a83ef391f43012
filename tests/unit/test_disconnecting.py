"""``POST /-/disconnect``: whom it means, and what it refuses to guess."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from multidict import CIMultiDict, MultiDict

from orders import Order
from pushgate.adapters.admin.disconnecting import DisconnectSwitch
from pushgate.adapters.admin.operators import Operators
from pushgate.config.server import Admin
from pushgate.errors import BadRequest, Forbidden


@dataclass
class Hub:
    """Remembers whom it was told to disconnect."""

    told: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def __call__(self, subject: str, *, auth: str | None, issuer: str | None) -> int:
        self.told.append((subject, auth, issuer))
        return 3


async def give(hub: Hub, order: Order) -> Any:
    return await DisconnectSwitch(hub, Operators(Admin)).answer(cast("Any", order))


async def test_a_subject_is_disconnected() -> None:
    """Of all entries of ``auth:`` and all issuers, or only of those that are named."""
    hub = Hub()
    answer = await give(hub, Order(MultiDict(subject="alice")))
    await give(hub, Order(MultiDict(subject="alice", auth="staff", issuer="https://id.example")))
    assert hub.told == [("alice", None, None), ("alice", "staff", "https://id.example")]
    assert (answer.status, json.loads(answer.body)) == (200, {"disconnected": 3})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        [],
        [("auth", "staff")],
        [("subject", "")],
        [("subject", "alice"), ("subject", "bob")],
        [("subject", "alice"), ("isuer", "https://id.example")],
        [("subject", "alice"), ("auth", "")],
    ],
)
async def test_nobody_is_disconnected_by_a_slip(query: list[tuple[str, str]]) -> None:
    """A name that was mistyped would have spared somebody."""
    hub = Hub()
    with pytest.raises(BadRequest):
        await give(hub, Order(MultiDict(query)))
    assert hub.told == []


async def test_only_operators_do_that() -> None:
    hub = Hub()
    with pytest.raises(Forbidden):
        await give(hub, Order(MultiDict(subject="alice"), headers=CIMultiDict(Host="localhost")))
    answer = await give(hub, Order(MultiDict(subject="alice"), method="GET"))
    assert (answer.status, answer.headers["Allow"], hub.told) == (405, "POST", [])
