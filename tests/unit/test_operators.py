"""Who is on the gateway's own machine, and what a ``Host`` field calls it."""

from __future__ import annotations

import pytest

from pushgate.adapters.operators import host_name, is_local


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8081", "localhost"),
        ("127.0.0.1:8081", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8081", "::1"),
        ("gateway.internal:80", "gateway.internal"),
        ("", ""),
        (":8081", ":8081"),
        ("[", ""),
        ("127.0.0.1@evil.example", "127.0.0.1@evil.example"),
        ("127.0.0.1:80:evil.example", "127.0.0.1:80:evil.example"),
    ],
)
def test_the_name_in_a_host_field(field: str, name: str) -> None:
    """Without port and brackets; what is no name of a host stays what it is, and is known to nobody."""
    assert host_name(field) == name


@pytest.mark.parametrize(
    ("remote", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost.evil.example", False),
        ("", False),
        (None, False),
    ],
)
def test_loopback_is_this_machine(remote: str | None, local: bool) -> None:
    assert is_local(remote) is local
