"""
Short poll: the document as it is now, with what a cache and a later long poll need to know about it.
"""

from __future__ import annotations

import asyncio

from ...channel import Channel
from ...errors import Paused, Refusal, TopicGone, UpstreamFailed, UpstreamTimedOut
from ...ledger import Mention
from ...negotiation import Ask
from ...values import ABSENT
from .replies import JSON, Reply, topic_fields, whole

PAUSED = "an operator has paused this, and there is no document to show"


async def settle(*channels: Channel, timeout: float) -> bool:
    """
    Wait, as one listener among all, for the polls under way of topics with no document, or only one that is overdue.

    All who wait share those polls. While an upstream is being left alone after failures there is none to wait for. When
    a reload makes a topic anew meanwhile, there is one more. Returns whether any was waited for.
    """
    is_awaited = False
    for channel in channels:
        channel.joined()
    try:
        async with asyncio.timeout(timeout):
            while polls := [channel.settlement() for channel in channels if _is_awaited(channel)]:
                is_awaited = True
                await asyncio.wait({*polls})  # views share their parent's
    except TimeoutError:
        pass  # whoever asks looks at what there is
    finally:
        for channel in channels:
            channel.left()
    return is_awaited


def _is_awaited(channel: Channel) -> bool:
    topic = channel.feed.topic
    is_missing = not channel.has_document and (topic.is_polling or topic.is_new)
    return (topic.is_catching_up or is_missing) and channel.denial() is None


def refusal_for(channel: Channel, *, now: float) -> Refusal | None:
    """Return why there is no document to give, if there is none; ``now``: seconds since the epoch."""
    if refusal := channel.denial():
        return refusal
    latest, status = channel.history.latest, channel.status
    state = {"Pushgate-State": status.state}
    if latest is not None and not channel.feed.is_expired():
        if latest.document is ABSENT:
            return TopicGone("the upstream says that this does not exist", headers=state)
        return None
    if channel.feed.topic.is_paused_by_operator:
        return Paused(PAUSED, headers=state)
    wait = max(1.0, (status.next_poll_at or now) - now)
    if status.reason == "timeout" or status.reason is None:
        return UpstreamTimedOut("the upstream did not answer in time", retry_after=wait, headers=state)
    return UpstreamFailed(f"the upstream cannot be polled: {status.reason}", retry_after=wait, headers=state)


def document_reply(channel: Channel, ask: Ask, *, now: float, is_head: bool = False) -> Reply:
    """
    Return the document, or 304 if the client has it; raises a Refusal if there is none.

    ``now``: seconds since the epoch.
    """
    if refusal := refusal_for(channel, now=now):
        raise refusal
    fields = topic_fields(channel) | {"Cache-Control": _cache_control(channel, ask, now=now)}
    original = channel.original
    etag = channel.history.etag if original.body is None else f"{channel.history.etag}.raw"
    fields["ETag"] = f'W/"{etag}"'
    if original.body is None and not is_head:
        fields["Pushgate-Cursor"] = channel.history.head("snapshot")
    if ask.is_document:
        fields["Preference-Applied"] = f"wait={round(ask.wait or 0)}"
    if ask.etags is not None and ask.etags & {etag, "*"}:
        return Reply(304, fields)
    latest = channel.history.latest
    assert latest is not None, "refusal_for has looked"
    if original.body is not None:
        content_type, body = original.content_type or "application/octet-stream", original.body
    else:
        content_type, body = JSON, latest.parcel
    mentions = () if is_head else (Mention(channel.ledger, "snapshot", len(body.data), latest.at),)
    return whole(fields | {"Content-Type": content_type}, [body], takes_gzip=ask.takes_gzip, mentions=mentions)


def _cache_control(channel: Channel, ask: Ask, *, now: float) -> str:
    """A cache may keep a document until the next poll; its own clock already counts the Age."""
    if ask.is_document:
        return "no-store"
    status = channel.status
    if status.confirmed_at is None or not channel.route.is_open:
        return "private, no-cache"
    age = channel.feed.age or 0.0
    return f"public, max-age={round(age + max(0.0, (status.next_poll_at or now) - now))}"
