"""
Promise 4: ``apply(old, patch) == new`` before a patch is sent; otherwise a snapshot goes out and a metric counts it.

A differ that lies stands in for a bug that nobody knows of yet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import pushgate.documents.changes
import pushgate.refinery
from backends import ScriptedBackend
from gateways import route, running_gateway
from pushgate.documents.diffing import Difference, compare
from pushgate.documents.keys import NO_KEYS, Keys
from transports import RESUMABLE, connected, see_through


class LyingDiffer:
    """Finds every difference and describes it wrongly: well-formed, applicable, and leading to something else."""

    def __init__(self, patch: list[dict[str, Any]]) -> None:
        self.patch = patch

    def __call__(self, old: Any, new: Any, *, keys: Keys = NO_KEYS) -> Difference | None:
        truth = compare(old, new, keys=keys)
        return None if truth is None else replace(truth, patch=self.patch)


LIES = {
    "another value": [{"op": "replace", "path": "/n", "value": -1}],
    "true for 1": [{"op": "replace", "path": "/n", "value": True}],
    "not applicable": [{"op": "remove", "path": "/nowhere"}],
    "no patch at all": [{"op": "conjure", "path": "/n"}],
}
PAD = "x" * 500


@pytest.mark.parametrize("transport", RESUMABLE)
@pytest.mark.parametrize("lie", LIES)
async def test_a_wrong_patch_goes_out_as_a_snapshot(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, transport: str, lie: str
) -> None:
    """Nobody is ever told something wrong; what should have been a patch is the whole document, and is counted."""
    backend.serve({"n": 0, "pad": PAD})
    async with (
        running_gateway(backend, {"/t": route()}) as gateway,
        connected(transport, gateway.base, "/t", emit="patch") as client,
    ):
        await client.follow({"n": 0, "pad": PAD})
        monkeypatch.setattr(pushgate.refinery, "compare", LyingDiffer(LIES[lie]))
        backend.serve({"n": 1, "pad": PAD})
        await client.follow({"n": 1, "pad": PAD})
        assert client.replica.kinds == ["snapshot", "snapshot"]
        await backend.polled()
        assert await gateway.metric("pushgate_patch_rejected_total", route="/t") == 1
        monkeypatch.undo()
        backend.serve({"n": 2, "pad": PAD})
        await client.follow({"n": 2, "pad": PAD})
        assert client.replica.kinds == ["snapshot", "snapshot", "patch"]
        assert await gateway.metric("pushgate_patch_rejected_total", route="/t") == 1


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_a_wrong_catch_up_goes_out_as_a_snapshot(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """What is made for a client that was away is proven too, and counted when it fails."""
    pad = "x" * 20_000
    async with (
        running_gateway(backend, {"/t": route()}) as gateway,
        connected("websocket", gateway.base, "/t", emit="snapshot") as witness,
    ):
        backend.serve(first := {"n": 0, "a": pad, "b": pad})
        await witness.follow(first)
        async with connected(transport, gateway.base, "/t", emit="patch") as client:
            await client.follow(first)
        # Each change is a patch of 20 KB, and three of them more than the document.
        for n, letter in enumerate("yzx", start=1):
            backend.serve(last := {"n": n, "a": letter * 20_000, "b": pad})
            await witness.follow(last)
        monkeypatch.setattr(pushgate.documents.changes, "compare", LyingDiffer(LIES["another value"]))
        async with client:
            await client.reconnect()
            await client.follow(last)
        assert client.replica.kinds == ["snapshot", "snapshot"]
        assert await gateway.metric("pushgate_patch_rejected_total", route="/t") == 1


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_every_mode_falls_back_by_itself(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """A wrong patch concerns those who asked for patches: merge and snapshot go on as they were."""
    backend.serve({"n": 0, "pad": PAD})
    async with (
        running_gateway(backend, {"/t": route()}) as gateway,
        connected(transport, gateway.base, "/t", emit="merge") as merging,
        connected(transport, gateway.base, "/t", emit="patch") as patching,
    ):
        await see_through([merging, patching], {"n": 0, "pad": PAD})
        monkeypatch.setattr(pushgate.refinery, "compare", LyingDiffer(LIES["another value"]))
        backend.serve({"n": 1, "pad": PAD})
        await see_through([merging, patching], {"n": 1, "pad": PAD})
        assert (merging.replica.kinds[-1], patching.replica.kinds[-1]) == ("merge", "snapshot")
