"""A helper process that dies, hangs or talks nonsense costs one poll, and nobody is told anything wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import pushgate.adapters.workshop.process
import pushgate.reception
from backends import PATIENCE, ScriptedBackend, scripted_backend
from gateways import eventually, http_client, route, running_gateway
from processes import GatewayProcess
from replicas import assert_true_at_every_id
from transports import connected, see_through
from workshops import helpers_of, is_alive, own_helpers

PAD = "x" * 500

# What the helper does instead of reading a document that says "crime".
CRIMES = {
    "DiesAtWork": "os._exit(3)",
    "IsKilled": "os.kill(os.getpid(), signal.SIGKILL)",
    "Hangs": "time.sleep(600)",
    "TalksNonsense": "os.write(1, b'nonsense' * 100)",
    "StopsInTheMiddle": "os.write(1, bytes([0, 0, 0, 1] + [0] * 6 + [9, 9]) + b'begin'); time.sleep(600)",
    "HasABug": "raise ZeroDivisionError",
    "RunsOutOfMemory": "bytearray(2**62)",
}

CRIMINAL = """
    import os, signal, time
    from pushgate.workbench import Workbench
    honest = Workbench.refine

    def refine(self, topic, commission):
        if b"crime" in commission.body:
            {crime}
        return honest(self, topic, commission)

    Workbench.refine = refine
    from pushgate.adapters.workshop.__main__ import main
    main()
"""

LIAR = """
    import dataclasses
    import pushgate.refinery
    honest = pushgate.refinery.compare

    def compare(old, new, *, keys):
        lie = [dict(op="replace", path="/n", value=-1)]
        truth = honest(old, new, keys=keys)
        return truth if truth is None or new.get("n") != "lie" else dataclasses.replace(truth, patch=lie)

    pushgate.refinery.compare = compare
    from pushgate.adapters.workshop.__main__ import main
    main()
"""


@pytest.fixture(autouse=True)
def _all_big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushgate.reception, "BIG_BYTES", 0)


def play(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let the helper be this one. The module's name is there for whoever looks for helpers."""
    command = (sys.executable, "-c", textwrap.dedent(script), "pushgate.adapters.workshop")
    monkeypatch.setattr(pushgate.adapters.workshop.process, "COMMAND", command)


@pytest.mark.parametrize("crime", CRIMES)
async def test_a_crime_of_the_helper_costs_one_poll(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, crime: str
) -> None:
    """The last good document stays, the reason is `decode`, and a new process goes on with the next patch."""
    play(monkeypatch, CRIMINAL.format(crime=CRIMES[crime]))
    monkeypatch.setattr(pushgate.adapters.workshop.process, "PATIENCE", 2.0)
    backend.serve({"n": 1, "pad": PAD})
    async with (
        running_gateway(backend, {"/t": route(), "/u": route()}) as gateway,
        connected("sse", gateway.base, "/t", emit="snapshot") as witness,
        connected("sse", gateway.base, "/t", emit="patch") as client,
    ):
        await see_through([witness, client], {"n": 1, "pad": PAD})
        (first,) = own_helpers()

        backend.serve({"n": "crime", "pad": PAD})
        failures = await eventually(
            lambda: gateway.metric("pushgate_poll_failures_total", route="/t", reason="decode"), lambda count: count > 0
        )
        backend.serve({"n": 2, "pad": PAD})
        await see_through([witness, client], {"n": 2, "pad": PAD})

        assert failures >= 1
        assert client.replica.kinds == ["snapshot", "patch"], "it went on from what was published"
        assert not is_alive(first)
        assert own_helpers().isdisjoint({first}) and len(own_helpers()) == 1
        assert_true_at_every_id(client.replica, witness.replica)
        async with http_client() as other:
            assert (await other.get(f"{gateway.base}/u")).json() == {"n": 2, "pad": PAD}
    assert not own_helpers()


async def test_a_helper_that_is_killed_while_it_rests_is_not_missed(backend: ScriptedBackend) -> None:
    """No poll fails: the next one finds that there is no process, and makes one."""
    backend.serve({"n": 1, "pad": PAD})
    async with (
        running_gateway(backend, {"/t": route(poll={"every": "200ms"})}) as gateway,
        connected("sse", gateway.base, "/t", emit="patch") as client,
    ):
        await client.follow({"n": 1, "pad": PAD})
        (first,) = own_helpers()
        before = await gateway.metric("pushgate_polls_total")
        await eventually(lambda: gateway.metric("pushgate_polls_total"), lambda polls: polls > before)
        os.kill(first, signal.SIGKILL)  # a poll has just ended, and the next one is a while off
        backend.serve({"n": 2, "pad": PAD})
        await client.follow({"n": 2, "pad": PAD})
        assert client.replica.kinds == ["snapshot", "patch"]
        assert await gateway.metric("pushgate_poll_failures_total") == 0


async def test_a_helper_that_cannot_be_started(backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Big topics have no document then, and everything else goes on."""
    monkeypatch.setattr(pushgate.adapters.workshop.process, "COMMAND", ("/no/such/python",))
    backend.serve({"n": 1})
    async with running_gateway(backend, {"/t": route()}) as gateway, http_client() as client:
        answer = await client.get(f"{gateway.base}/t")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_failed")
        assert await gateway.metric("pushgate_poll_failures_total", reason="decode") == 1


async def test_a_wrong_patch_of_the_helper_goes_out_as_a_snapshot(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4 holds where the patch is made: it is proven there, and counted here."""
    play(monkeypatch, LIAR)
    backend.serve({"n": 0, "pad": PAD})
    async with (
        running_gateway(backend, {"/t": route()}) as gateway,
        connected("sse", gateway.base, "/t", emit="patch") as client,
    ):
        for n in (0, "lie", 2):
            backend.serve({"n": n, "pad": PAD})
            await client.follow({"n": n, "pad": PAD})
        assert client.replica.kinds == ["snapshot", "snapshot", "patch"]
        await backend.polled()
        assert await gateway.metric("pushgate_patch_rejected_total", route="/t") == 1


async def test_an_answer_that_is_no_good_is_the_upstreams_failure(backend: ScriptedBackend) -> None:
    """The helper says why, as the gateway would have, and lives on."""
    backend.serve({"n": 1, "pad": PAD})
    async with (
        running_gateway(backend, {"/t": route(guards={"fail_if": "error"})}) as gateway,
        connected("sse", gateway.base, "/t", emit="patch") as client,
    ):
        await client.follow({"n": 1, "pad": PAD})
        before = own_helpers()
        for body, reason in ((b'{"n":', "decode"), (b'{"error": "no"}', "fail_if")):
            backend.say(body)

            async def failures(reason: str = reason) -> float:
                return await gateway.metric("pushgate_poll_failures_total", reason=reason)

            await eventually(failures, lambda count: count > 0)
        backend.serve({"n": 2, "pad": PAD})
        await client.follow({"n": 2, "pad": PAD})
        assert client.replica.kinds == ["snapshot", "patch"]
        assert own_helpers() == before


async def test_a_topic_that_is_forgotten_meanwhile(backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that ends does not wait for a helper that hangs."""
    play(monkeypatch, CRIMINAL.format(crime=CRIMES["Hangs"]))
    backend.serve({"n": "crime"})
    async with running_gateway(backend, {"/t": route()}) as gateway, connected("sse", gateway.base, "/t"):
        await backend.polled()
        await eventually(_helpers, bool)
    assert not own_helpers()


async def _helpers() -> set[int]:
    return own_helpers()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_no_helper_outlives_its_gateway(tmp_path: Path, number: signal.Signals) -> None:
    """However the gateway ends, the helper's input ends with it; Ctrl-C, which both hear, is for the gateway."""
    async with scripted_backend({"pad": "x" * 600_000}) as backend:
        config: dict[str, Any] = {
            "upstreams": {"u": {"url": backend.url}},
            "routes": {"/t": {"upstream": "u", "poll": {"every": "50ms", "while": "always"}}},
        }
        gateway = GatewayProcess(tmp_path, config)
        await _started(gateway)
        assert gateway.process is not None
        pid = gateway.process.popen.pid

        async def helpers() -> set[int]:
            return helpers_of(pid)

        (helper,) = await eventually(helpers, bool)
        await backend.polled(2)
        if number is signal.SIGINT:
            os.kill(helper, number)
            await backend.polled(2)
            assert is_alive(helper)
        await _ended(gateway, number)

        async def alive() -> bool:
            return is_alive(helper)

        await eventually(alive, lambda is_there: not is_there)


async def _started(gateway: GatewayProcess) -> None:
    """Start it in a thread, since its backend is in this loop."""
    async with asyncio.timeout(3 * PATIENCE):
        await asyncio.to_thread(gateway.start)


async def _ended(gateway: GatewayProcess, number: signal.Signals) -> None:
    async with asyncio.timeout(3 * PATIENCE):
        await asyncio.to_thread(gateway.end, number)
