"""Who may ask and tell the gateway what is not for everybody: by address, ``Host``, token, and whose page it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from multidict import CIMultiDict

from pushgate.adapters.admin.operators import Operators, host_name, is_local
from pushgate.config.server import Admin
from pushgate.errors import Forbidden, NotAuthenticated, Refusal

TOKEN = "0123456789abcdef"
LOOPBACK, ELSEWHERE = "127.0.0.1", "192.0.2.7"
HOME = {"Host": "localhost:8081"}
BEARING = {"Authorization": f"Bearer {TOKEN}", "Host": "ops.example"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked at of a request."""

    remote: str | None
    headers: CIMultiDict[str]


def settings(*, token: str | None = None, listen: str = "127.0.0.1:8081") -> Admin:
    return Admin.model_validate({"listen": listen, "token": token})


def fault(admin: Admin, headers: dict[str, str], *, remote: str | None = LOOPBACK, reads: bool = True) -> str | None:
    """Return what becomes of a request: None, "forbidden", or what is wrong with its credentials."""
    operators = Operators(lambda: admin)
    check: Callable[[Any], None] = operators.check_reader if reads else operators.check_operator
    try:
        check(cast("Any", Asked(remote, CIMultiDict(headers))))
    except NotAuthenticated as refusal:
        assert refusal.headers["WWW-Authenticate"] == 'Bearer realm="pushgate admin"'
        return refusal.fault
    except Forbidden:
        return "forbidden"
    return None


@pytest.mark.parametrize(
    ("token", "remote", "headers", "expected"),
    [
        (None, LOOPBACK, HOME, None),
        (None, ELSEWHERE, HOME, "forbidden"),
        (None, None, HOME, "forbidden"),
        (None, ELSEWHERE, BEARING, "credentials_unknown"),
        (None, LOOPBACK, BEARING, "credentials_unknown"),
        (TOKEN, LOOPBACK, HOME, None),
        (TOKEN, ELSEWHERE, HOME, "credentials_missing"),
        (TOKEN, ELSEWHERE, BEARING, None),
        (TOKEN, LOOPBACK, BEARING, None),
        (TOKEN, LOOPBACK, {**HOME, "X-Forwarded-For": LOOPBACK}, "credentials_missing"),
        (TOKEN, LOOPBACK, {**BEARING, "X-Forwarded-For": ELSEWHERE}, None),
        (None, LOOPBACK, {**HOME, "Forwarded": "for=[::1]"}, "forbidden"),
        (TOKEN, LOOPBACK, {**HOME, "Authorization": "Bearer 0123456789abcdeF"}, "credentials_unknown"),
        (TOKEN, LOOPBACK, {**HOME, "Authorization": ""}, "credentials_malformed"),
        (TOKEN, ELSEWHERE, {**HOME, "Authorization": "Basic dTpw"}, "credentials_malformed"),
        (TOKEN, ELSEWHERE, {**HOME, "Authorization": f"BEARER  {TOKEN} "}, None),
    ],
)
def test_this_machine_may_and_who_knows_the_token(
    token: str | None, remote: str | None, headers: dict[str, str], expected: str | None
) -> None:
    """Without a token, nobody else may; and a wrong one is no better at home."""
    admin = settings(token=token)
    assert fault(admin, headers, remote=remote) == expected
    assert fault(admin, {**headers, "Pushgate-Admin": "1"}, remote=remote, reads=False) == expected


@pytest.mark.parametrize(
    ("listen", "host", "known"),
    [
        ("127.0.0.1:8081", "127.0.0.1:8081", True),
        ("127.0.0.1:8081", "gateway.internal:8081", False),
        ("gateway.internal:8081", "Gateway.Internal:8081", True),
        ("10.0.0.5:8081", "10.0.0.5:8081", True),
        ("10.0.0.5:8081", "10.0.0.6:8081", False),
        ("[fd00::5]:8081", "[FD00::5]:8081", True),
        (":8081", "localhost:8081", True),
        (":8081", "", False),
        (":8081", ":8081", False),
        (":8081", "evil.example:8081", False),
        ("0.0.0.0:8081", "[::1].evil.example", False),
    ],
)
def test_the_host_is_a_loopback_name_or_what_the_listener_is_bound_to(listen: str, host: str, known: bool) -> None:
    """A listener for every address has no name of its own."""
    assert fault(settings(listen=listen), {"Host": host}) == (None if known else "forbidden")


@pytest.mark.parametrize(
    ("said", "reads", "changes"),
    [
        ({}, True, True),
        ({"Origin": "http://localhost:8081"}, True, True),
        ({"Origin": "http://localhost:8081", "Sec-Fetch-Site": "same-origin"}, True, True),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, True, True),
        ({"Origin": "http://localhost:8080"}, False, False),
        ({"Origin": "http://evil.example"}, False, False),
        ({"Origin": "null"}, False, False),
        ({"Origin": ""}, False, False),
        ({"Origin": "http://["}, False, False),
        ({"Sec-Fetch-Site": "cross-site"}, False, False),
        ({"Sec-Fetch-Site": "same-site"}, False, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, True, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, False, False),
    ],
)
def test_pages_of_other_sites_may_nothing(said: dict[str, str], reads: bool, changes: bool) -> None:
    """Who follows a link from one may read where it leads; whose machine it is, and a token, make it no better."""
    for bearing in ({}, {"Authorization": f"Bearer {TOKEN}"}):
        headers = {**HOME, **said, **bearing}
        assert fault(settings(token=TOKEN), headers) == (None if reads else "forbidden")
        told = fault(settings(token=TOKEN), {**headers, "Pushgate-Admin": "1"}, reads=False)
        assert told == (None if changes else "forbidden")


@pytest.mark.parametrize("said", [{}, {"Pushgate-Admin": ""}, {"Pushgate-Admin": "0"}, {"Pushgate-Admin": "true"}])
def test_who_changes_something_says_so(said: dict[str, str]) -> None:
    """A token does not stand for it."""
    for headers in (HOME, BEARING):
        assert fault(settings(token=TOKEN), {**headers, **said}, reads=False) == "forbidden"
        assert fault(settings(token=TOKEN), {**headers, **said}) is None


def test_the_settings_are_those_in_force() -> None:
    """A token that a reload has changed counts at once."""
    in_force = [settings(token=TOKEN)]
    operators = Operators(lambda: in_force[-1])
    asked = cast("Any", Asked(ELSEWHERE, CIMultiDict(BEARING)))
    operators.check_reader(asked)
    in_force.append(settings(token="another of it".replace(" ", "-") * 2))
    with pytest.raises(Refusal):
        operators.check_reader(asked)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8081", "localhost"),
        ("localhost:", "localhost"),
        ("127.0.0.1:8081", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8081", "::1"),
        ("gateway.internal:80", "gateway.internal"),
        ("", ""),
        (":8081", ""),
        ("[", ""),
        ("::1", ""),
        ("[::1]x", ""),
        ("[::1].evil.example", ""),
        ("127.0.0.1@evil.example", ""),
        ("127.0.0.1:80:evil.example", ""),
        ("127.0.0.1:²", ""),
    ],
)
def test_the_name_in_a_host_field(field: str, name: str) -> None:
    """Without port and brackets; what is no name of a host is known to nobody."""
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
