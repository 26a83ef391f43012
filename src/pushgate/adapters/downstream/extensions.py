"""
Extensions of a WebSocket: what a client offers, and the one that pushgate takes, ``permessage-deflate`` (RFC 7692).

Rule 1: neither side refers to an earlier message. So a message is compressed once for all who get it, and a connection
keeps no windows.
Rule 2: an offer that says what we do not know, or wants what we do not do, is passed over and not an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from multidict import CIMultiDictProxy
from websockets.exceptions import InvalidHeaderFormat
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionName, ExtensionParameter

from ...errors import BadRequest

FIELD = "Sec-WebSocket-Extensions"
NAME = ExtensionName("permessage-deflate")

_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOW = [str(bits) for bits in range(8, 16)]  # without leading zeros (section 7.1.2)

# What is shared may refer 32 KB back, which is what 15 bits say, and is the same for all.
_OUR_WINDOW = "15"


def accepted_extension(headers: CIMultiDictProxy[str]) -> str | None:
    """
    Return what is answered to the first offer that can be taken; None: there is none.

    Raises BadRequest for a field that is none (RFC 6455 section 9.1).
    """
    field = ", ".join(headers.getall(FIELD, []))
    if not field:
        return None
    try:
        offers = parse_extension(field)
    except InvalidHeaderFormat as error:
        raise BadRequest(f"{FIELD} cannot be read (RFC 6455 section 9.1)") from error
    for name, parameters in offers:
        if name == NAME and _is_acceptable(parameters):
            return build_extension([(NAME, [(flag, None) for flag in _FLAGS] + _window(parameters))])
    return None


def _is_acceptable(parameters: Sequence[ExtensionParameter]) -> bool:
    names = [name for name, _ in parameters]
    return len(names) == len(set(names)) and all(_is_known(name, value) for name, value in parameters)


def _is_known(name: str, value: str | None) -> bool:
    if name in _FLAGS:
        return value is None
    if name == "client_max_window_bits":  # what it is going to use at most; we can read any
        return value is None or value in _WINDOW
    return name == "server_max_window_bits" and value == _OUR_WINDOW


def _window(parameters: Sequence[ExtensionParameter]) -> list[ExtensionParameter]:
    """Who asks for a limit is told it (section 7.1.2.1)."""
    return [(name, value) for name, value in parameters if name == "server_max_window_bits"]
