"""Following to the end: one connection after the other, with a pause between them, until there is nothing more."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import aiohttp

from ... import __version__
from ...clock import Clock
from ...tools.following import Again, Closed, Ending, Follower, Over, Refused
from ...values import Transport
from .readings import Redirected
from .streams import Streams

# Told of every pause.
Note = Callable[[Again], None]


def new_session(trust: ssl.SSLContext) -> aiohttp.ClientSession:
    """
    Return what connections are opened with; ``trust``: whose certificates are believed.

    Cookies are kept, also of an address without a name: one of them goes with a ticket. The environment has no say.
    Nobody is followed elsewhere, where what is shown to a gateway would be shown, too.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_refuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        headers={"User-Agent": f"pushgate/{__version__}"},
        trust_env=False,
        trace_configs=[tracing],
    )


async def _refuse(_session: object, _context: object, told: aiohttp.TraceRequestRedirectParams) -> None:
    """Stop at a redirected handshake, which the library has no other way to ask for."""
    raise Redirected(told.response.status, told.response.headers.get("Location"))


async def follow(
    streams: Streams, follower: Follower, transports: tuple[Transport, ...], clock: Clock, note: Note
) -> Over:
    """Follow over the first of these transports that is offered; returns why there is nothing more to come."""
    [transport, *others] = transports
    while True:
        ending = await streams.open(transport)
        if others and not follower.was_heard and _is_not_offered(ending):
            [transport, *others] = others
            continue
        verdict = follower.judge(ending, chance=clock.chance())
        if isinstance(verdict, Over):
            return verdict
        note(verdict)
        await clock.sleep(verdict.after)


def _is_not_offered(ending: Ending) -> bool:
    if isinstance(ending, Closed):
        return ending.code == 4406
    return isinstance(ending, Refused) and (ending.status == 406 or ending.code == "transport_not_offered")
