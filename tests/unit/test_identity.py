"""Whose a topic is, and what the upstream is asked with on a client's behalf."""

from __future__ import annotations

import pytest

from pushgate.config.access import Forward
from pushgate.errors import Forbidden
from pushgate.identity import Identity, cookies_of, identify
from pushgate.values import Caller, Principal


@pytest.mark.parametrize(
    ("field", "cookies"),
    [
        ("", {}),
        ("SID=abc", {"SID": "abc"}),
        ("SID=abc; theme=dark;lang=de", {"SID": "abc", "theme": "dark", "lang": "de"}),
        ('SID="abc"', {"SID": '"abc"'}),
        ("SID=a=b==", {"SID": "a=b=="}),
        ("SID=; nothing; =x", {"SID": "", "": "x"}),
        ("SID=long-path; SID=short-path", {"SID": "long-path"}),
    ],
)
def test_cookies_are_taken_as_they_stand(field: str, cookies: dict[str, str]) -> None:
    """A value keeps its quotes and everything up to the semicolon; of two with one name the first counts."""
    assert cookies_of(field) == cookies


def test_no_cookie_smuggles_another_one() -> None:
    """What is forwarded is one of the named cookies: a semicolon ends it, in quotes too."""
    caller = Caller(cookies=cookies_of('SID="a; admin=1"; admin=2'))
    identity = identify(caller, share="identity", forward=Forward(cookies=("SID",)), used=frozenset())
    assert identity.headers == (("Cookie", 'SID="a'),)


def test_who_is_nobody_in_particular_has_no_topic_of_its_own() -> None:
    """Otherwise all who have a token without a subject would be the same client."""
    caller = Caller(Principal("staff", "https://id.example", ""))
    with pytest.raises(Forbidden, match="sub"):
        identify(caller, share="identity", forward=Forward(), used=frozenset())


def test_claims_that_are_sent_upstream_are_a_part_of_it() -> None:
    """Somebody with a new token that says another tenant is not shown what was asked for with the old one."""

    def identity(**claims: str) -> Identity:
        caller = Caller(Principal("staff", "https://id.example", "ann", claims))
        return identify(caller, share="identity", forward=Forward(), used=frozenset(["claims.tenant"]))

    assert identity(tenant="acme") != identity(tenant="bolt")
    assert identity(tenant="acme", city="rome") == identity(tenant="acme", city="oslo")
