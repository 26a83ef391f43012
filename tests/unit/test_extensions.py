"""Which of a WebSocket client's offers is taken (RFC 7692 section 7)."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pushgate.adapters.downstream.extensions import accepted_extension
from pushgate.errors import BadRequest

TAKEN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def answer(*fields: str) -> str | None:
    return accepted_extension(CIMultiDictProxy(CIMultiDict(("Sec-WebSocket-Extensions", field) for field in fields)))


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",  # browsers, aiohttp, npm's ws
        "permessage-deflate; client_max_window_bits=10",
        'permessage-deflate; client_max_window_bits="10"',
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "x-webkit-deflate-frame, permessage-deflate",
    ],
)
def test_a_client_that_offers_it_gets_it(offer: str) -> None:
    """Without a context that either side would have to keep."""
    assert answer(offer) == TAKEN


def test_who_wants_to_know_the_window_is_told() -> None:
    assert answer("permessage-deflate; server_max_window_bits=15") == f"{TAKEN}; server_max_window_bits=15"


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-bzip2",
        "permessage-deflate; server_max_window_bits=12",  # what is compressed once is the same for all
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=015",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=08",
        "permessage-deflate; client_max_window_bits=many",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; level=9",
    ],
)
def test_an_offer_that_cannot_be_taken_is_passed_over(offer: str) -> None:
    """What is unknown, twice there, or not to be had is no error: the connection is not compressed."""
    assert answer(offer) is None


def test_the_first_that_fits_is_taken() -> None:
    """A client lists what it would like best, then what else it can do, in one field or in several."""
    best, other = "permessage-deflate; server_max_window_bits=10", "permessage-deflate; client_max_window_bits"
    assert answer(f"{best}, {other}") == answer(best, other) == TAKEN


def test_no_offer_is_no_answer() -> None:
    assert answer() is None
    assert answer("") is None


@pytest.mark.parametrize("field", ["permessage-deflate; =", "permessage-deflate; a=b=c", ";"])
def test_what_cannot_be_read_is_refused(field: str) -> None:
    """The connection must not come about (RFC 6455 section 9.1)."""
    with pytest.raises(BadRequest, match="Sec-WebSocket-Extensions"):
        answer(field)
