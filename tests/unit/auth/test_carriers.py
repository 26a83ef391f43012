"""Where credentials are looked for, and what of a request is one."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.auth.carriers import find, token_of_protocols
from pushgate.auth.credential import Presented
from pushgate.config.auth import JwtAuth
from pushgate.errors import OriginForbidden

SECRET = "s" * 32


def entry(*carriers: str, **more: Any) -> JwtAuth:
    named = {"cookie_name": "SID"} if "cookie" in carriers else {}
    return JwtAuth.model_validate({"kind": "jwt", "secret": SECRET, "carriers": [*carriers], **named, **more})


def found(config: JwtAuth, **presented: Any) -> tuple[str, str] | None:
    credential = find(config, Presented(**presented))
    return None if credential is None else (credential.carrier, credential.text)


@pytest.mark.parametrize(
    ("field", "text"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("abc", None), ("Bearer", "")],
)
def test_authorization_has_a_scheme(field: str, text: str | None) -> None:
    """What has another one is meant for somebody else."""
    assert found(entry("header"), headers={"authorization": field}) == (None if text is None else ("header", text))


def test_a_header_field_of_its_own_has_none() -> None:
    config = entry("header", header_name="X-Token")
    assert found(config, headers={"x-token": "Bearer abc", "authorization": "Bearer other"}) == ("header", "Bearer abc")


def test_the_first_carrier_that_holds_something_counts() -> None:
    """What is wrong there is not made good by what stands elsewhere."""
    config = entry("cookie", "header", "query")
    everything = {"headers": {"authorization": "Bearer h"}, "cookies": {"SID": "c"}, "token": "q"}
    assert found(config, **everything) == ("cookie", "c")
    assert found(config, **{**everything, "cookies": {"other": "x"}}) == ("header", "h")
    assert found(config, token="q") == ("query", "q")
    assert found(config) is None


def test_what_is_not_named_is_not_looked_at() -> None:
    elsewhere = {"cookies": {"SID": "c"}, "token": "q", "protocol": "p", "message": "m"}
    assert found(entry("header"), **elsewhere) is None


def test_a_cookie_is_the_pages_that_may_use_it() -> None:
    with pytest.raises(OriginForbidden):
        found(entry("cookie"), cookies={"SID": "c"}, origin_allows_cookies=False)
    assert found(entry("header"), headers={"authorization": "Bearer h"}, origin_allows_cookies=False) == ("header", "h")


def test_a_message_is_what_was_said_last() -> None:
    """Who is known already may say anything; a stranger only where the configuration waits for that."""
    config = entry("header", "message")
    assert found(config, headers={"authorization": "Bearer h"}, message="m") == ("message", "m")
    assert found(entry("header"), message="m", is_renewal=True) == ("message", "m")


def test_what_came_otherwise_stands_for_a_header_field() -> None:
    """For who is asked as this client."""
    credential = find(entry("query"), Presented(token="abc"))
    assert credential is not None and credential.field == ("authorization", "Bearer abc")


@pytest.mark.parametrize(
    ("field", "token"),
    [
        (None, None),
        ("", None),
        ("pushgate.v1", None),
        ("pushgate.v1, pushgate.token.YS5iLmM", "a.b.c"),
        ("pushgate.token.YS5iLmM,pushgate.v1", "a.b.c"),
        ("pushgate.v1, pushgate.token.", ""),
        ("pushgate.token.a+b=", ""),
        ("pushgate.token._w", ""),
    ],
)
def test_a_subprotocol_carries_base64url(field: str | None, token: str | None) -> None:
    """Without padding, since ``=`` cannot stand in one; what is none is a credential that is malformed."""
    assert token_of_protocols(field) == token


def test_nothing_that_could_be_used_is_shown_or_kept() -> None:
    """Not when a credential is written into a log by mistake, and not by what verdicts are remembered by."""
    presented = Presented(headers={"authorization": "Bearer s3cr3t"}, cookies={"SID": "s3cr3t"}, token="s3cr3t")
    credential = find(entry("header"), presented)
    assert credential is not None
    assert "s3cr3t" not in f"{presented!r} {credential!r} {credential.digest()!r}"
