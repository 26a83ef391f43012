"""What of a request may be shown, and what is hidden in everything that is."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.config.gateway import Gateway
from pushgate.tools.narration import PREVIEW, cut
from pushgate.tools.redaction import Veil, secrets_of, shown_body, shown_fields, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/a?x=1", "http://h/a?x=1"),
        ("http://ann:pw@h/a", "http://••••@h/a"),
        ("http://h/a?city=x&api_key=s3cret&x=%20", "http://h/a?city=x&api_key=••••&x=%20"),
        ("http://h/a?access%5Ftoken=s3cret", "http://h/a?access%5Ftoken=••••"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    """A user, a password, and query parameters that are called like a credential, however they are spelt."""
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("name", "value", "is_shown"),
    [
        ("Accept", "text/csv", True),
        ("Authorization", "Basic eDp5", False),
        ("Cookie", "SID=1", False),
        ("X-Api-Key", "k", False),
        ("X-Auth", "k", False),
        ("X-Thing", "Bearer eyJ", False),
        ("X-Client", "what a client sent", False),
        ("X-Author", "ann", True),
    ],
)
def test_header_fields_that_are_credentials_or_forwarded_are_hidden(name: str, value: str, is_shown: bool) -> None:
    assert [*shown_fields([(name, value)], forwarded={"x-client"})] == [f"{name}: {value if is_shown else '••••'}"]


@pytest.mark.parametrize(
    ("body", "content_type", "shown"),
    [
        (b'{"a":{"password":"s3cret","n":1}}', "application/json", '{"a":{"password":"••••","n":1}}'),
        (b"user=ann&password=s3cret", "application/x-www-form-urlencoded", "user=ann&password=••••"),
        (b'<a><w:Password T="x">s3cret</w:Password><b>1</b></a>', "text/xml",
         '<a><w:Password T="x">••••</w:Password><b>1</b></a>'),
    ],
)  # fmt: skip
def test_a_body_is_shown_without_what_is_called_like_a_credential(body: bytes, content_type: str, shown: str) -> None:
    """In JSON, in a form, and in XML."""
    assert shown_body(body, content_type) == shown


def config(**upstream: Any) -> Gateway:
    return Gateway.model_validate({"version": 1, "upstreams": {"u": {"url": "http://h", **upstream}}})


def test_all_secrets_of_a_configuration_are_known() -> None:
    """Of credentials, of hidden header fields, and of a proxy; and how basic credentials travel."""
    one = config(
        credentials={"kind": "basic", "username": "ann", "password": "hunter22"},
        headers={"X-Api-Key": "key-1234", "User-Agent": "me"},
        proxy="http://bob:pr0xypw@p:3128",
    )
    found = set(secrets_of(one))
    assert {"hunter22", "key-1234", "pr0xypw", "YW5uOmh1bnRlcjIy"} <= found
    assert "me" not in found


def test_the_veil_hides_a_secret_wherever_it_turns_up() -> None:
    """Also as it is written in JSON and in a URL, in names and values, at any depth; short texts are no secrets."""
    veil = Veil(['pass"word', "a b/c d", "x"])
    assert veil('x: pass"word, pass\\"word, a%20b%2Fc%20d, a+b%2Fc+d') == "x: ••••, ••••, ••••, ••••"
    assert veil({"a b/c d": [1, None, 'pass"word']}) == {"••••": [1, None, "••••"]}
    assert Veil(["Bearer eyJhbGci"])("eyJhbGci, Bearer eyJhbGci") == "••••, ••••"
    assert Veil([])("anything") == "anything"
    veil = Veil(["known"])
    veil.learn(["Bearer new-token"])
    assert veil("known, new-token, other") == "••••, ••••, other"


def test_the_veil_hides_a_secret_that_was_cut() -> None:
    """Its beginning stands right before the place at which the text ends."""
    veil, before = Veil(["a-long-token", "another"]), "x" * (PREVIEW - 8)
    assert veil(cut(f"{before} a-long-token")) == f"{before} •••• … ({PREVIEW + 5})"
    assert veil(cut("x" * 200)) == cut("x" * 200)
