"""What a backend's owner would notice: how often a real gateway asks, and what it makes of being told not to."""

from __future__ import annotations

import asyncio

from gateways import eventually, http_client, route, running_gateway
from upstreams import Asked, RawBackend, raw_backend, respond


async def is_left_alone(backend: RawBackend, seconds: float) -> bool:
    """Whether no request comes for so long: an absence takes time to be seen."""
    before = len(backend.asked)
    await asyncio.sleep(seconds)
    return len(backend.asked) == before


async def test_a_304_that_does_not_say_renews_what_the_answer_said() -> None:
    """RFC 9111 section 4.3.4: a ``max-age`` that a 304 leaves out is as good as it was."""

    def answer(asked: Asked) -> bytes:
        if "if-none-match" in asked.fields:
            return respond("304 Not Modified", b"", 'ETag: "1"')
        return respond("200 OK", b"{}", 'ETag: "1"', "Cache-Control: max-age=1")

    standing = route(poll={"every": "50ms", "while": "always"})
    async with raw_backend(answer) as backend, running_gateway(backend.url, {"/t": standing}) as gateway:

        async def not_modified() -> float:
            return await gateway.metric("pushgate_polls_total", outcome="not_modified")

        await eventually(not_modified, lambda count: count == 1)
        assert await is_left_alone(backend, 0.5)


async def test_what_is_gone_may_be_vouched_for() -> None:
    """A 404 with a ``max-age`` will still be one: that it is gone is not asked about all the time."""
    gone = respond("404 Not Found", b"", "Cache-Control: max-age=60")
    async with (
        raw_backend(gone) as backend,
        running_gateway(backend.url, {"/t": route()}) as gateway,
        http_client() as client,
    ):
        assert (await client.get(f"{gateway.base}/t")).status_code == 404
        assert await is_left_alone(backend, 0.3)


async def test_being_asked_too_often_is_no_loss_of_rights() -> None:
    """GitHub says 403 when a caller's quota is used up: the document stays, and nobody is sent away."""
    answers = [respond("200 OK", b'{"n":1}')]
    refusal = respond("403 Forbidden", b"", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 600")
    own = route(share="identity", forward={"headers": ["Authorization"]})
    async with (
        raw_backend(lambda asked: answers[-1]) as backend,
        running_gateway(backend.url, {"/t": own}) as gateway,
        http_client(headers={"Authorization": "Bearer t"}) as client,
    ):
        assert (await client.get(f"{gateway.base}/t")).json() == {"n": 1}
        answers.append(refusal)

        async def failures() -> float:
            return await gateway.metric("pushgate_poll_failures_total", reason="rate_limited")

        await eventually(failures, lambda count: count == 1)
        assert (await client.get(f"{gateway.base}/t")).json() == {"n": 1}
        assert await is_left_alone(backend, 0.3)
