"""How answers become JSON values: one module per format."""

from __future__ import annotations

from ....poller import Decoder
from ....routes import Route
from .json import PlainDecoder
from .recall import RecallingDecoder


def decoder_for(route: Route) -> Decoder:
    """Return a decoder for one topic of a route."""
    return RecallingDecoder() if route.keeps_shape else PlainDecoder()
