"""What a gateway says, read; and what it means if that is none of what a gateway says."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from ...errors import PushgateError
from ...tools.following import Envelope, Refused

# How often a short poll asks if the answer does not say how long it is good, in seconds.
POLLED_EVERY = 5.0


def words_of(error: Exception) -> str:
    """Say why there is no connection."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"its name does not resolve: {error.os_error.strerror or error.os_error}"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not believed; name who vouches for it with --ca"
        case aiohttp.ClientConnectorError():
            return f"it cannot be reached: {error.os_error.strerror or error.os_error}"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "the connection broke"
        case _:
            return str(error) or type(error).__name__


class Redirected(PushgateError):
    """What is asked for is elsewhere."""

    def __init__(self, status: int, place: str | None) -> None:
        super().__init__(status, place)
        self.status = status
        self.place = place

    def __str__(self) -> str:
        return f"it redirects to {self.place or 'elsewhere'}; follow that"


class Unintelligible(PushgateError):
    """What answers is no gateway."""


def read_event(text: str) -> Envelope:
    """Return an event; raises Unintelligible if it is none."""
    try:
        event: Envelope = msgspec.json.decode(text)
        if isinstance(event["event"], str):
            return event
    except (ValueError, KeyError, TypeError) as error:
        raise Unintelligible from error
    raise Unintelligible


def read_batch(body: bytes) -> dict[str, Any]:
    """Return the answer to a long poll; raises Unintelligible if it is none."""
    try:
        told: dict[str, Any] = msgspec.json.decode(body)
        if all(isinstance(event["event"], str) for event in told["events"]):
            return told
    except (ValueError, KeyError, TypeError) as error:
        raise Unintelligible from error
    raise Unintelligible


async def content_of(response: aiohttp.ClientResponse) -> Any:
    """Return a document; of a raw answer its text."""
    body = await response.read()
    with suppress(ValueError):  # raw, a backend may call anything so
        if response.content_type == "application/json":
            return msgspec.json.decode(body)
    with suppress(LookupError):
        return body.decode(response.charset or "utf-8", "replace")
    return body.decode("utf-8", "replace")


def fresh_for(fields: Mapping[str, str]) -> float:
    """Return how long an answer is good still: what it says minus how old it is (RFC 9111 section 4.2)."""
    names = dict(part.strip().partition("=")[::2] for part in fields.get("Cache-Control", "").lower().split(","))
    age, limit = fields.get("Age", "0"), names.get("max-age", "")
    return float(limit) - float(age) if limit.isdecimal() and age.isdecimal() else POLLED_EVERY


def problem_of(last: Envelope) -> Refused | None:
    """Return why a stream was closed, if that was its last word."""
    if last.get("event") != "problem" or "topic" in last:
        return None
    data = last["data"]
    return Refused(None, str(data.get("code")), str(data.get("message", "")))


def read_problem(body: bytes) -> tuple[str | None, str]:
    """Return the code and the words of a refusal (RFC 9457), as far as it is one."""
    try:
        told = msgspec.json.decode(body)
        return str(told["code"]), str(told.get("detail") or told.get("title") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, ""
