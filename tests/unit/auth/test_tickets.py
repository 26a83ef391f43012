"""Tickets: what stands in a URL instead of credentials is good once, and afterwards only beside its cookie."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http.cookies import SimpleCookie
from itertools import count
from typing import Any

import pytest

from pushgate.auth import tickets as module
from pushgate.auth.tickets import LIFETIME, MAX_BYTES, MAX_OPEN, RESUMABLE, Holder, Redeemed, ResumeCookie, Tickets
from pushgate.clock import Clock
from pushgate.errors import NotAuthenticated, TooMany
from pushgate.values import Principal

EUR, USD = "/prices/EUR", "/prices/USD"
TOPICS = [EUR, USD]


class StillClock(Clock):
    """A clock that stands until it is moved, and whose chance is real."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.tokens: list[str] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0 + self.time

    def token(self) -> str:
        self.tokens.append(secrets.token_urlsafe(8))
        return self.tokens[-1]


def principal(subject: str = "ada", *, auth: str = "staff", issuer: str = "id", **more: Any) -> Principal:
    return Principal(auth, issuer, subject, **more)


def holder(*principals: Principal, **more: Any) -> Holder:
    return Holder(principals or (principal(),), **more)


def shown(cookie: ResumeCookie | None) -> dict[str, str]:
    """What a browser sends back."""
    assert cookie is not None
    return {cookie.name: cookie.value}


class Office:
    """Tickets, with little to say for a test that is about something else."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.tickets = Tickets(self.clock)

    def issue(self, who: Holder | None = None, topics: list[str] | None = None, emit: str | None = None) -> str:
        return self.tickets.issue(who or holder(), topics or TOPICS, emit).text

    def redeem(
        self,
        text: str,
        *,
        topics: list[str] | None = None,
        emit: str | None = None,
        cookies: Mapping[str, str] | None = None,
    ) -> Redeemed:
        return self.tickets.redeem(text, topics=topics or TOPICS, emit=emit, cookies=cookies or {})

    def fault(self, text: str, **asked: Any) -> str:
        with pytest.raises(NotAuthenticated) as caught:
            self.redeem(text, **asked)
        assert not text or text not in f"{caught.value} {caught.value!r}"
        return caught.value.fault


@pytest.fixture
def office() -> Office:
    return Office()


# One use.


def test_a_ticket_stands_for_who_got_it(office: Office) -> None:
    """With what of its request goes upstream, which the request of an EventSource does not have."""
    who = holder(headers={"authorization": "Bearer x"}, cookies={"sid": "1"})
    redeemed = office.redeem(office.issue(who))
    assert redeemed.holder == who
    assert (redeemed.topics, redeemed.emit) == (frozenset(TOPICS), None)


def test_a_ticket_is_good_once(office: Office) -> None:
    """Of several who show it, at whatever time, the first has it; redeeming does not wait for anything in between."""
    text = office.issue()
    office.redeem(text)
    assert [office.fault(text) for _ in range(3)] == ["ticket_unknown"] * 3


@pytest.mark.parametrize("text", ["", "guess", "x" * 10_000, "\udcff", "é"])
def test_a_guess_is_unknown(office: Office, text: str) -> None:
    office.issue()
    assert office.fault(text) == "ticket_unknown"


def test_a_ticket_cannot_be_guessed(office: Office) -> None:
    """192 bits of chance each, and as text it may stand in a URL as it is."""
    texts = {office.issue() for _ in range(MAX_OPEN)}
    assert len(texts) == MAX_OPEN and all(len(text) == 33 for text in texts)
    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for text in texts)


def test_a_ticket_that_nobody_redeems_ends_after_30_seconds(office: Office) -> None:
    """The client is told when."""
    ticket = office.tickets.issue(holder(), TOPICS, None)
    other = office.issue()
    assert ticket.expires_at == office.clock.wall() + 30
    office.clock.time += LIFETIME - 0.1
    office.redeem(ticket.text)
    office.clock.time += 0.1
    assert office.fault(other) == "ticket_unknown"


def test_what_is_kept_is_no_ticket(office: Office) -> None:
    """Neither in what is printed of one, nor in memory as it was given out."""
    text = office.issue()
    cookie = office.redeem(office.issue()).cookie
    assert cookie is not None
    assert text not in repr(office.tickets.issue(holder(), TOPICS, None))
    assert cookie.value not in repr(cookie)
    kept = repr([(grants._grants, grants._digests) for grants in (office.tickets._open, office.tickets._spent)])
    assert text not in kept and cookie.value not in kept


# What it is for.


def test_a_ticket_is_for_its_topics_or_some_of_them(office: Office) -> None:
    office.redeem(office.issue(), topics=[USD])
    office.redeem(office.issue(), topics=[USD, EUR])
    assert office.fault(office.issue(), topics=["/prices/JPY"]) == "ticket_misused"
    assert office.fault(office.issue(), topics=[EUR, "/prices/JPY"]) == "ticket_misused"


def test_who_names_no_topics_yet_is_bound_by_what_it_is_told(office: Office) -> None:
    """A WebSocket names its topics later; those of the ticket come with the principal."""
    redeemed = office.tickets.redeem(office.issue(emit="patch"), topics=[], emit=None, cookies={})
    assert redeemed.topics == frozenset(TOPICS)


@pytest.mark.parametrize(("given", "asked"), [(None, "patch"), ("patch", None), ("patch", "snapshot")])
def test_a_ticket_is_for_its_mode(office: Office, given: str | None, asked: str | None) -> None:
    text = office.issue(emit=given)
    assert office.fault(text, emit=asked) == "ticket_misused"
    assert office.redeem(text, emit=given).emit == given


def test_to_misuse_a_ticket_does_not_spend_it(office: Office) -> None:
    """A page that has made a mistake can do better; nobody else has gained anything."""
    text = office.issue()
    assert office.fault(text, topics=["/other"]) == "ticket_misused"
    office.redeem(text)


# Coming back.


def test_an_event_source_comes_back_with_its_cookie(office: Office) -> None:
    """As often as it likes, as the same one, and long after its ticket would have ended."""
    who = holder(headers={"authorization": "Bearer x"})
    text = office.issue(who, emit="patch")
    cookies = shown(office.redeem(text, emit="patch").cookie)
    for _ in range(3):
        office.clock.time += LIFETIME
        redeemed = office.redeem(text, emit="patch", cookies=cookies)
        assert (redeemed.holder, redeemed.topics, redeemed.emit) == (who, frozenset(TOPICS), "patch")
        assert redeemed.cookie is None, "the browser has it"


def test_neither_the_url_nor_the_cookie_does_alone(office: Office) -> None:
    """A URL out of a log is worth nothing; and a page of another site, with its visitor's cookie, knows no URL."""
    text = office.issue()
    cookies = shown(office.redeem(text).cookie)
    [name] = cookies
    assert office.fault(text) == "ticket_unknown"
    assert office.fault(text, cookies={name: "guess"}) == "ticket_unknown"
    assert office.fault(text, cookies={name: "\udcff"}) == "ticket_unknown"
    assert office.fault("guess", cookies=cookies) == "ticket_unknown"
    assert office.fault("", cookies=cookies) == "ticket_unknown"


def test_a_cookie_is_for_nothing_else(office: Office) -> None:
    """A spent ticket is bound as it was; what it is not for, only who has its cookie is told."""
    text = office.issue(topics=[EUR])
    cookies = shown(office.redeem(text, topics=[EUR]).cookie)
    assert office.fault(text, topics=[USD], cookies=cookies) == "ticket_misused"
    assert office.fault(text, topics=[EUR], emit="merge", cookies=cookies) == "ticket_misused"
    assert office.fault(text, topics=[USD]) == "ticket_unknown"


@pytest.mark.parametrize(
    ("who", "topics"),
    [
        (holder(principal("eve")), TOPICS),
        (holder(principal(issuer="other")), TOPICS),
        (holder(principal(auth="partners")), TOPICS),
        (holder(principal(), principal(auth="partners")), TOPICS),
        (holder(headers={"authorization": "Bearer eve"}), TOPICS),
        (holder(cookies={"authorization": "Bearer ada"}), TOPICS),
        (holder(), [EUR]),
    ],
    ids=["subject", "issuer", "auth", "more", "forwarded header", "forwarded cookie", "topics"],
)
def test_the_cookie_of_somebody_else_does_not_do(office: Office, who: Holder, topics: list[str]) -> None:
    """Neither does one's own for something else, nor that of the same account which is somebody else upstream."""
    text = office.issue(holder(headers={"authorization": "Bearer ada"}))
    own = shown(office.redeem(text).cookie)
    other = office.redeem(office.issue(who, topics), topics=topics).cookie
    assert other is not None
    assert office.fault(text, cookies=shown(other)) == "ticket_unknown"
    assert office.fault(text, cookies=dict.fromkeys(own, other.value)) == "ticket_unknown"
    office.redeem(text, cookies=own)


def test_tabs_do_not_take_each_others_cookie_away(office: Office) -> None:
    """Two that follow the same set the same cookie, whichever comes first; other topics have another name."""
    first, second = office.issue(), office.issue()
    cookies = shown(office.redeem(first).cookie) | shown(office.redeem(second).cookie)
    assert len(cookies) == 1
    office.redeem(first, cookies=cookies)
    office.redeem(second, cookies=cookies)
    assert len(cookies | shown(office.redeem(office.issue(topics=[EUR]), topics=[EUR]).cookie)) == 2
    assert len(cookies | shown(office.redeem(office.issue(emit="merge"), emit="merge").cookie)) == 2


def test_cookies_do_not_pile_up(office: Office) -> None:
    """A page that is loaded again and again with tokens that are renewed leaves one cookie in its browser."""
    names = set()
    for number in range(200):
        who = holder(
            principal(expires_at=office.clock.wall() + 60, proof=f"token {number}"), headers={"x": f"{number}"}
        )
        names |= shown(office.redeem(office.issue(who)).cookie).keys()
    assert len(names) == 1


def test_the_cookies_of_another_process_are_unknown() -> None:
    """Nothing survives a restart: not even the same tickets would."""
    one, other = Office(), Office()
    assert shown(one.redeem(one.issue()).cookie) != shown(other.redeem(other.issue()).cookie)


def test_coming_back_ends_after_twelve_hours(office: Office) -> None:
    text = office.issue()
    cookies = shown(office.redeem(text).cookie)
    office.clock.time += RESUMABLE - 1
    office.redeem(text, cookies=cookies)
    office.clock.time += 1
    assert office.fault(text, cookies=cookies) == "ticket_unknown"


def test_coming_back_ends_with_the_principal(office: Office) -> None:
    """And no ticket is redeemed for one that has ended meanwhile."""
    ends = office.clock.wall() + 20
    who = holder(principal(expires_at=ends))
    text, late = office.issue(who), office.issue(who)
    cookies = shown(office.redeem(text).cookie)
    office.clock.time += 19
    office.redeem(text, cookies=cookies)
    office.clock.time += 1
    assert office.fault(text, cookies=cookies) == "credentials_expired"
    assert office.fault(late) == "credentials_expired"


def test_of_several_principals_one_that_lasts_is_enough(office: Office) -> None:
    """The one that has ended is left out by whoever asks as whom a topic may be followed."""
    ends = principal(expires_at=office.clock.wall() + 5)
    text = office.issue(holder(ends, principal(auth="partners")))
    office.clock.time += 10
    office.redeem(text)


# The cookie as it is set.


def set_cookie(path: str = EUR, *, is_secure: bool = True, is_foreign: bool = False) -> tuple[str, dict[str, str]]:
    """Return the name that is set, and the attributes by their names in lower case."""
    text = ResumeCookie("pushgate_ticket_1", "v").field(path, is_secure=is_secure, is_foreign=is_foreign)
    first, *rest = text.split("; ")
    return first, {name.lower(): value for name, _, value in (part.partition("=") for part in rest)}


def test_no_script_reads_the_cookie_and_only_this_url_gets_it() -> None:
    first, attributes = set_cookie()
    assert first == "pushgate_ticket_1=v"
    assert attributes == {"path": EUR, "max-age": "43200", "httponly": "", "secure": "", "samesite": "Lax"}


def test_without_tls_the_cookie_can_be_kept_all_the_same() -> None:
    """A browser throws away a `Secure` cookie that comes in clear; and with it one that is for other sites."""
    for is_foreign in (False, True):
        _, attributes = set_cookie(is_secure=False, is_foreign=is_foreign)
        assert attributes.keys() == {"path", "max-age", "httponly", "samesite"} and attributes["samesite"] == "Lax"


def test_a_page_of_another_site_gets_a_cookie_that_only_counts_there() -> None:
    _, attributes = set_cookie(is_foreign=True)
    assert (attributes["samesite"], attributes.get("partitioned"), attributes.get("secure")) == ("None", "", "")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/prices/EUR", "/prices/EUR"),
        ("/-/events", "/-/events"),
        ("/prices/%C3%A9%3B", "/prices/%C3%A9%3B"),
        ("/prices/a;b", "/prices/"),
        ("/prices/a; Domain=evil.example", "/prices/"),
        ("/pri;ces/EUR", "/"),
        ("/prices/é/x", "/prices/"),
        ("/prices/" + "x" * 2000, "/prices/"),
    ],
)
def test_a_path_that_no_cookie_can_have_is_its_folder(path: str, told: str) -> None:
    """Which the browser sends it to as well: what is set there is never somebody else's attribute."""
    _, attributes = set_cookie(path)
    assert attributes["path"] == told and path.startswith(told)
    assert "domain" not in attributes


def test_somebody_elses_parser_understands_the_cookie(office: Office) -> None:
    cookie = office.redeem(office.issue()).cookie
    assert cookie is not None
    parsed = SimpleCookie[str](cookie.field(EUR, is_secure=True, is_foreign=False))
    assert {name: morsel.value for name, morsel in parsed.items()} == shown(cookie)
    assert parsed[cookie.name]["httponly"] and parsed[cookie.name]["path"] == EUR


# Bounds.


def test_one_principal_has_so_many_unspent_tickets(office: Office) -> None:
    """Then it is told when there is room again; what it has is not lost, and others are not concerned."""
    first = office.issue()
    office.clock.time += 10
    for _ in range(MAX_OPEN - 1):
        office.issue()
    with pytest.raises(TooMany) as caught:
        office.issue()
    assert caught.value.retry_after == pytest.approx(20)
    office.issue(holder(principal("eve")))
    office.redeem(first)
    office.issue()


def test_tickets_that_have_ended_make_room(office: Office) -> None:
    for _ in range(MAX_OPEN):
        office.issue()
    office.clock.time += LIFETIME
    office.issue()


def test_all_tickets_together_have_a_bound(office: Office) -> None:
    """Whoever takes most loses its oldest; who has one keeps it, however much others ask for."""
    modest = office.issue(holder(principal("modest")))
    long = [f"/prices/{number}/{'x' * 60}" for number in range(400)]  # what fits into a body
    greedy = [office.issue(holder(principal(f"greedy {number}")), long) for number in range(400)]
    assert office.tickets._open._size <= MAX_BYTES
    office.redeem(modest)
    assert office.fault(greedy[0], topics=long) == "ticket_unknown"
    office.redeem(greedy[-1], topics=long)


def test_streams_of_others_come_back_however_many_tickets_somebody_redeems(office: Office) -> None:
    text = office.issue(holder(principal("modest")))
    cookies = shown(office.redeem(text).cookie)
    long = [f"/prices/{number}/{'x' * 60}" for number in range(400)]
    for _ in range(400):
        office.redeem(office.issue(topics=long), topics=long)
    assert office.tickets._spent._size <= MAX_BYTES
    office.redeem(text, cookies=cookies)


def test_the_bound_is_about_ten_thousand_small_tickets(office: Office) -> None:
    numbers = count()
    while office.tickets._open._size + 2200 < MAX_BYTES:
        office.issue(holder(principal(f"{next(numbers)}")), [EUR])
    assert 8_000 < next(numbers) < 12_000


def test_what_leaves_is_counted_no_more(office: Office) -> None:
    """Nothing is left over once all tickets have been redeemed or have ended."""
    for number in range(50):
        office.issue(holder(principal(f"{number % 7}")))
    mine = [office.issue() for _ in range(2)]
    office.redeem(mine[0])
    assert sum(office.tickets._open._sizes.values()) == office.tickets._open._size
    office.redeem(mine[1])
    office.clock.time += LIFETIME
    for number in range(7):
        office.tickets._open.of(holder(principal(f"{number}")).owner, office.clock.now())
    shelf = office.tickets._open
    assert (shelf._size, shelf._grants, shelf._digests, shelf._sizes) == (0, {}, {}, {})


def test_limits_are_as_documented() -> None:
    assert (module.LIFETIME, module.RESUMABLE, module.MAX_OPEN) == (30, 43_200, 100)
