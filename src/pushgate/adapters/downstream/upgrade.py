"""
The opening handshake of a WebSocket (RFC 6455 section 4): aiohttp's to parse and ours to answer, or to refuse.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha1

from aiohttp import web

from ...errors import BadRequest, Refusal
from ...wire import http_head
from .conversation import Conversation
from .handover import TakenOver, take_over_upgraded
from .trails import id_field

SUBPROTOCOL = "pushgate.v1"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_head(request: web.BaseRequest, fields: Mapping[str, str], *, extension: str | None = None) -> bytes:
    """Return the answer to a handshake; raises BadRequest if it is none (RFC 6455 section 4.2.1)."""
    headers = request.headers
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if headers.get("Sec-WebSocket-Version") != "13":
        raise BadRequest("this WebSocket version is not spoken here", headers={"Sec-WebSocket-Version": "13"})
    if "upgrade" not in headers.get("Connection", "").lower() or not _is_key(key):
        raise BadRequest("this is no WebSocket handshake (RFC 6455 section 4.2.1)")
    answer = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": b64encode(sha1(key.encode() + _GUID).digest()).decode(),
        **fields,
    }
    if SUBPROTOCOL in [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",")]:
        answer["Sec-WebSocket-Protocol"] = SUBPROTOCOL
    if extension is not None:
        answer["Sec-WebSocket-Extensions"] = extension
    return http_head("101 Switching Protocols", answer)


def _is_key(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == 16
    except binascii.Error:
        return False


def is_browser(request: web.BaseRequest) -> bool:
    """Whether the client would see nothing of a refused handshake, as a browser does."""
    return "Origin" in request.headers or "Sec-WebSocket-Protocol" in request.headers


def reason_of(refusal: Refusal) -> str:
    """Return what a close frame says of a refusal: its code, and when to come back if that is of any use."""
    wait = "" if refusal.retry_after is None else f" retry_after_ms={round(refusal.retry_after * 1000)}"
    return f"{refusal.code}{wait}"


class Refused:
    """A handshake that was accepted only so that a browser can be told why it was not."""

    __slots__ = ("_conversation",)

    def __init__(self) -> None:
        self._conversation = Conversation()

    def begin(self, transport: asyncio.Transport, head: bytes, refusal: Refusal) -> None:
        self._conversation.transport = transport
        transport.write(head)
        self._conversation.close(refusal.close_code, reason_of(refusal))

    def data_received(self, data: bytes) -> None:
        for _ in self._conversation.receive(data):
            pass  # it is over

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._conversation.end()

    def pause_writing(self) -> None:
        """A close frame always fits."""

    resume_writing = pause_writing


def refuse(request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    """Accept the handshake and close at once with the refusal's code and reason; raises BadRequest if it is none."""
    head = accept_head(request, id_field(request))
    refused = Refused()
    transport, _ = take_over_upgraded(request, refused)
    if transport is not None:
        refused.begin(transport, head, refusal)
    return TakenOver(refusal.close_code)
