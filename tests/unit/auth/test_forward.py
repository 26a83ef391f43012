"""Verdicts of another service: what it is shown, what its answers mean, and whom it makes of a client."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.auth.credential import Credential, Presented
from pushgate.auth.forward import LATEST, MAX_SHOWN, ForwardAuthority, HeaderFields, Reply
from pushgate.config.auth import ForwardAuth
from pushgate.errors import AuthUnavailable, NotAuthenticated, OriginForbidden

SEND = {"headers": ["Authorization", "X-Tenant"], "cookies": ["SID", "T"]}
CLAIMS = {"sub": "X-User", "cities": "X-Cities"}


class Service:
    """Says what it is scripted to, and remembers what it was shown."""

    def __init__(self, status: int = 200, *headers: tuple[str, str], retry_after: float | None = None) -> None:
        self.reply = Reply(status, headers, retry_after)
        self.asked: list[tuple[str, HeaderFields, float]] = []

    async def ask(self, url: str, shown: HeaderFields, *, timeout: float) -> Reply:
        self.asked.append((url, shown, timeout))
        return self.reply


def authority(service: Service | None = None, **more: Any) -> ForwardAuthority:
    config = {"kind": "forward", "url": "http://portal/whoami?k=1", "send": SEND, "claims": CLAIMS, **more}
    return ForwardAuthority("portal", ForwardAuth.model_validate(config), service or Service())


def seen(some: ForwardAuthority, **presented: Any) -> HeaderFields:
    found = some.find(Presented(**presented))
    assert found is not None
    return found.shown


SHOWN = Credential("header", "", shown=(("Authorization", "Bearer t"), ("Cookie", "SID=a")))


class TestFinding:
    """What of a request the service sees: what is listed, and nothing else."""

    def test_listed_headers_and_cookies_are_shown_as_they_are(self) -> None:
        headers = {"authorization": "Digest x", "x-other": "1", "cookie": "SID=a; Z=1; T=b", "x-tenant": "t"}
        assert seen(authority(), headers=headers, cookies={"SID": "a", "Z": "1", "T": 'b="c"'}) == (
            ("Authorization", "Digest x"),
            ("X-Tenant", "t"),
            ("Cookie", 'SID=a; T=b="c"'),
        )

    def test_nobody_is_asked_about_nobody(self) -> None:
        """Without anything that is listed there is no subrequest."""
        some = authority()
        assert some.find(Presented(headers={"x-other": "1", "authorization": ""}, cookies={"Z": "1"})) is None
        assert some.find(Presented(token="t", protocol="t", message="t")) is None

    @pytest.mark.parametrize(("carrier", "where"), [("query", "token"), ("subprotocol", "protocol")])
    def test_a_token_from_elsewhere_goes_into_the_header(self, carrier: str, where: str) -> None:
        some = authority(carriers=["header", "cookie", carrier])
        presented: dict[str, Any] = {where: "tok", "cookies": {"SID": "a"}}
        assert seen(some, **presented) == (("Cookie", "SID=a"), ("authorization", "Bearer tok"))
        own = authority(carriers=["header", carrier], header_name="X-Token")
        assert seen(own, **{where: "tok"}) == (("x-token", "tok"),)

    def test_a_token_does_not_displace_the_header_of_the_request(self) -> None:
        some = authority(carriers=["header", "query"])
        assert seen(some, headers={"authorization": "Bearer h"}, token="q") == (("Authorization", "Bearer h"),)

    def test_a_message_displaces_what_the_handshake_showed(self) -> None:
        """Who says who it is over an open WebSocket means that, and not its cookies."""
        some = authority(carriers=["header", "message"])
        headers = {"authorization": "Bearer old", "x-tenant": "t"}
        assert seen(some, headers=headers, cookies={"SID": "a"}, message="new", origin_allows_cookies=False) == (
            ("X-Tenant", "t"),
            ("authorization", "Bearer new"),
        )

    def test_a_cookie_that_holds_a_token_is_shown_as_one(self) -> None:
        some = authority(cookie_name="session")
        assert seen(some, cookies={"session": "t"}) == (("authorization", "Bearer t"),)
        listed = authority(cookie_name="SID")
        assert seen(listed, cookies={"SID": "a"}) == (("Cookie", "SID=a"),)

    @pytest.mark.parametrize(
        "presented",
        [
            {"cookies": {"SID": "a"}},
            {"cookies": {"SID": "a"}, "headers": {"authorization": "Bearer t"}},
            {"headers": {"authorization": "Basic YTpi"}},
            {"headers": {"authorization": "Negotiate abc"}},
        ],
    )
    def test_a_page_of_another_site_gets_no_use_of_what_the_browser_adds(self, presented: dict[str, Any]) -> None:
        """Cookies, passwords and Kerberos tickets come by themselves; a bearer token is the page's own doing."""
        with pytest.raises(OriginForbidden):
            authority().find(Presented(**presented, origin_allows_cookies=False))
        token = {"authorization": "bearer t"}
        assert seen(authority(), headers=token, origin_allows_cookies=False) == (("Authorization", "bearer t"),)

    def test_no_cookie_brings_another_one(self) -> None:
        with pytest.raises(NotAuthenticated) as caught:
            authority().find(Presented(cookies={"SID": "a; admin=1"}))
        assert caught.value.code == "credentials_malformed"

    def test_what_is_remembered_depends_on_all_that_is_shown(self) -> None:
        some = authority()
        shown = [{"SID": "a"}, {"SID": "b"}, {"T": "a"}, {"SID": "a", "T": "a"}]
        found = [some.find(Presented(cookies=cookies)) for cookies in shown]
        assert len({credential.digest() for credential in found if credential is not None}) == 4


class TestVerdicts:
    async def test_it_is_asked_once_with_what_was_found(self) -> None:
        service = Service(204, ("X-User", "ada"))
        await authority(service, timeout="2s").verify(SHOWN, now=0)
        assert service.asked == [("http://portal/whoami?k=1", SHOWN.shown, 2.0)]

    @pytest.mark.parametrize("status", [301, 302, 304, 400, 401, 403, 404, 418])
    async def test_everything_but_2xx_is_no(self, status: int) -> None:
        """Also the way to a login page. What the service says goes no further."""
        service = Service(status, ("WWW-Authenticate", "Basic"), ("Location", "/login"))
        with pytest.raises(NotAuthenticated) as caught:
            await authority(service).verify(SHOWN, now=0)
        assert (caught.value.code, dict(caught.value.headers)) == ("credentials_refused", {})

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
    async def test_who_cannot_say_has_not_said_yes(self, status: int) -> None:
        with pytest.raises(AuthUnavailable) as caught:
            await authority(Service(status, ("X-User", "ada"))).verify(SHOWN, now=0)
        assert caught.value.retry_after == 5
        with pytest.raises(AuthUnavailable) as caught:
            await authority(Service(status, retry_after=1e9)).verify(SHOWN, now=0)
        assert caught.value.retry_after == LATEST

    @pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "a\x00", "a\x7f", "a\udcff", "a" * MAX_SHOWN])
    async def test_what_would_not_stay_in_its_field_is_not_sent(self, value: str) -> None:
        service = Service()
        with pytest.raises(NotAuthenticated) as caught:
            await authority(service).verify(Credential("query", "", shown=(("authorization", value),)), now=0)
        assert (caught.value.code, service.asked) == ("credentials_malformed", [])


class TestPrincipals:
    """Whom the header fields of a yes make of a client."""

    @staticmethod
    async def claims(*headers: tuple[str, str], **more: Any) -> dict[str, Any]:
        return dict((await authority(Service(200, *headers), **more).verify(SHOWN, now=1000)).claims)

    async def test_subject_and_claims_are_named_in_the_configuration(self) -> None:
        service = Service(200, ("x-user", " ada "), ("X-Cities", "paris"), ("X-Admin", "1"))
        principal = await authority(service).verify(SHOWN, now=0)
        assert (principal.auth, principal.issuer, principal.subject) == ("portal", "", "ada")
        assert principal.claims == {"sub": "ada", "cities": "paris"}
        assert principal.expires_at is None

    @pytest.mark.parametrize(
        ("headers", "cities"),
        [
            ([("X-Cities", "paris")], "paris"),
            ([("X-Cities", "paris lyon")], "paris lyon"),
            ([("X-Cities", "paris, saint malo ,,")], ["paris", "saint malo"]),
            ([("X-Cities", "paris,")], ["paris"]),
            ([("X-Cities", "paris"), ("x-cities", "lyon,metz")], ["paris", "lyon", "metz"]),
        ],
    )
    async def test_commas_and_repetitions_make_a_list(self, headers: list[tuple[str, str]], cities: object) -> None:
        assert await self.claims(*headers) == {"cities": cities}

    @pytest.mark.parametrize("value", ["", "  ", "par\udcffis"])
    async def test_a_claim_that_cannot_be_read_is_none(self, value: str) -> None:
        assert await self.claims(("X-Cities", value)) == {}

    async def test_a_name_with_commas_is_one_name(self) -> None:
        assert await self.claims(("X-User", "CN=Ada, O=Acme")) == {"sub": "CN=Ada, O=Acme"}

    async def test_without_a_subject_two_clients_are_never_one(self) -> None:
        some = authority(Service(200))
        other = Credential("header", "", shown=(("Authorization", "Bearer u"),))
        subjects = [(await some.verify(credential, now=0)).subject for credential in (SHOWN, other, SHOWN)]
        assert subjects[0] == subjects[2] != subjects[1]
        assert "Bearer" not in str(subjects)

    async def test_issuers_tell_equal_subjects_apart(self) -> None:
        claims = {"sub": "X-User", "iss": "X-Issuer"}
        service = Service(200, ("X-User", "ada"), ("X-Issuer", "https://id.example"))
        assert (await authority(service, claims=claims).verify(SHOWN, now=0)).issuer == "https://id.example"

    async def test_the_service_may_say_until_when(self) -> None:
        service = Service(200, ("X-Until", "1500"))
        some = authority(service, claims={"exp": "X-Until"})
        principal = await some.verify(SHOWN, now=1000)
        assert (principal.expires_at, principal.claims) == (1500, {"exp": 1500})
        with pytest.raises(NotAuthenticated) as caught:
            await some.verify(SHOWN, now=1500)
        assert caught.value.code == "credentials_expired"

    @pytest.mark.parametrize("values", [["tomorrow"], ["-1"], ["1500.5"], ["1500", "1600"], ["\udcff"], ["9" * 13]])
    async def test_an_end_that_cannot_be_read_is_no_yes(self, values: list[str]) -> None:
        service = Service(200, *(("X-Until", value) for value in values))
        with pytest.raises(AuthUnavailable):
            await authority(service, claims={"exp": "X-Until"}).verify(SHOWN, now=0)

    @pytest.mark.parametrize(
        ("more", "vouches"),
        [
            ({"cache": "1s", "timeout": "1s"}, True),
            ({"url": "http://other/whoami"}, False),
            ({"send": {"headers": ["Authorization"]}}, False),
            ({"claims": {"sub": "X-User"}}, False),
        ],
    )
    async def test_who_was_let_in_stays_while_the_same_would_be_asked(
        self, more: dict[str, Any], vouches: bool
    ) -> None:
        principal = await authority().verify(SHOWN, now=0)
        assert authority(**more).vouches(principal) is vouches


@pytest.mark.parametrize(
    ("send", "challenge"),
    [
        ({"headers": ["Authorization"], "cookies": ["SID"]}, 'Bearer realm="portal"'),
        ({"cookies": ["SID"]}, 'Cookie realm="portal", cookie-name="SID"'),
    ],
)
def test_the_challenge_says_what_to_show(send: dict[str, Any], challenge: str) -> None:
    assert authority(send=send).challenge == challenge


def test_a_verdict_holds_as_long_as_the_configuration_says() -> None:
    assert authority(cache="7s").remembers_for == 7
