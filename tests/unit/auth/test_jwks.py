"""The keys that an issuer publishes: when they are fetched, which of them count, and what happens while it is down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from issuers import Issuer, issuer, key_set, rsa_key
from pushgate.auth.credential import Credential
from pushgate.auth.jwks import (
    COOL_DOWN,
    FIRST_HOLD,
    JITTER,
    LIFE,
    LONGEST_HOLD,
    LONGEST_LIFE,
    SHORTEST_LIFE,
    Fetched,
    Jwks,
)
from pushgate.auth.jwt import JwtAuthority
from pushgate.auth.keys import MAX_KEYS, MAX_KID, read_key_set
from pushgate.clock import Clock
from pushgate.config.auth import JwtAuth
from pushgate.config.hidden import hide_url
from pushgate.errors import AuthUnavailable, NotAuthenticated

URL = "https://id.example/jwks"

OLD, NEW, OTHER = issuer("ES256", "old"), issuer("ES256", "new"), issuer("EdDSA", "other")


class StillClock(Clock):
    """A clock that stands until it is moved, and dice that show what they are told to."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.dice = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        return self.time

    def chance(self) -> float:
        return self.dice

    async def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        while self.time < end:
            await self._moved.wait()  # the test's own timeout bounds it

    def move(self, seconds: float) -> None:
        self.time += seconds
        self._moved.set()
        self._moved = asyncio.Event()


class PublishesKeys:
    """An issuer that publishes what it is told to, and counts who asks."""

    def __init__(self, *whose: Issuer) -> None:
        self.body = key_set(*(one.jwk() for one in whose))
        self.max_age: float | None = None
        self.is_down = False
        self.retry_after: float | None = None
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def publish(self, *whose: Issuer) -> None:
        self.body = key_set(*(one.jwk() for one in whose))

    async def __call__(self, url: str) -> Fetched:
        assert url == URL
        self.asked += 1
        await self.may_answer.wait()
        if self.is_down:
            raise AuthUnavailable("the issuer does not answer", retry_after=self.retry_after)
        return Fetched(self.body, self.max_age)


class House:
    """One issuer's keys with what they live on."""

    def __init__(self, *whose: Issuer) -> None:
        self.publisher = PublishesKeys(*whose)
        self.clock = StillClock()
        self.heard: list[bool] = []
        self.keys = Jwks(URL, self.publisher, self.clock, self.heard.append)

    async def names(self, kid: str | None) -> list[str | None]:
        return [key.kid for key in await self.keys.find(kid)]

    async def retry_after(self) -> float | None:
        with pytest.raises(AuthUnavailable) as caught:
            await self.keys.find("old")
        return caught.value.retry_after


async def until(is_so: Callable[[], bool]) -> None:
    """Let the others go on until something is so."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 (what is asked is a count, and nobody tells when it changes)
            await asyncio.sleep(0)


async def settled() -> None:
    """Let the others go on for as long as anybody could still want to."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def kept_fresh(house: House) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(house.keys.keep_fresh())
        yield
        task.cancel()


# When they are fetched.


async def test_keys_are_fetched_once_for_all() -> None:
    """Everybody who waits for the first ones shares a fetch, and later ones find them at hand."""
    house = House(OLD, OTHER)
    house.publisher.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(house.names("old")) for _ in range(50)]
        await until(lambda: house.publisher.asked == 1)
        await settled()
        house.publisher.may_answer.set()
    assert [task.result() for task in waiting] == [["old"]] * 50
    assert await house.names(None) == ["old", "other"]
    assert (house.publisher.asked, house.heard) == (1, [True])


async def test_a_request_that_goes_away_takes_nobody_else_with_it() -> None:
    """The one that was fetching is cancelled; the next who waits fetches, and the rest still share that."""
    house = House(OLD)
    house.publisher.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        first, *others = [group.create_task(house.names("old")) for _ in range(5)]
        await until(lambda: house.publisher.asked == 1)
        first.cancel()
        await until(lambda: house.publisher.asked == 2)
        house.publisher.may_answer.set()
    assert [task.result() for task in others] == [["old"]] * 4
    assert house.publisher.asked == 2


async def test_an_unknown_key_is_worth_one_fetch() -> None:
    """It may be new. For a while after, an unknown key is unknown, however many are invented."""
    house = House(OLD)
    await house.names("old")
    house.clock.move(COOL_DOWN)
    house.publisher.publish(OLD, NEW)
    assert await house.names("new") == ["new"]
    for number in range(100):
        assert await house.names(f"invented-{number}") == []
    assert house.publisher.asked == 2
    house.clock.move(COOL_DOWN)
    assert await asyncio.gather(*(house.names(f"invented-{number}") for number in range(100))) == [[]] * 100
    assert house.publisher.asked == 3


async def test_a_key_that_came_right_after_a_fetch_is_found_when_that_has_cooled_down() -> None:
    house = House(OLD)
    await house.names("old")
    house.publisher.publish(NEW)
    assert await house.names("new") == []
    house.clock.move(COOL_DOWN)
    assert await house.names("new") == ["new"]


async def test_a_token_that_names_no_key_fetches_none() -> None:
    house = House(OLD)
    await house.names("old")
    house.clock.move(COOL_DOWN)
    assert await house.names(None) == ["old"]
    assert house.publisher.asked == 1


@pytest.mark.parametrize(
    ("max_age", "life"),
    [
        (None, LIFE),
        (0.0, SHORTEST_LIFE),
        (SHORTEST_LIFE - 1, SHORTEST_LIFE),
        (3600.0, 3600.0),
        (LONGEST_LIFE * 365, LONGEST_LIFE),
    ],
)
async def test_keys_are_fetched_anew_when_the_issuer_says_within_bounds(max_age: float | None, life: float) -> None:
    house = House(OLD)
    house.publisher.max_age = max_age
    async with kept_fresh(house):
        await until(lambda: house.heard == [True])
        house.clock.move(life - 1)
        await settled()
        assert house.publisher.asked == 1
        house.clock.move(1)
        await until(lambda: house.heard == [True, True])


async def test_replicas_do_not_ask_all_at_once() -> None:
    house = House(OLD)
    house.clock.dice = 0.5
    async with kept_fresh(house):
        await until(lambda: house.heard == [True])
        house.clock.move(LIFE * (1 - JITTER / 2) - 1)
        await settled()
        assert house.publisher.asked == 1
        house.clock.move(1)
        await until(lambda: house.publisher.asked == 2)


async def test_a_fetch_for_an_unknown_key_puts_the_next_one_off() -> None:
    house = House(OLD)
    async with kept_fresh(house):
        await until(lambda: house.heard == [True])
        house.clock.move(LIFE - 1)
        await house.names("unknown")
        house.clock.move(1)
        await settled()
        assert house.publisher.asked == 2
        house.clock.move(LIFE)
        await until(lambda: house.publisher.asked == 3)


async def test_nobody_waits_for_fresh_keys_who_could_go_by_those_at_hand() -> None:
    house = House(OLD)
    async with kept_fresh(house):
        await until(lambda: house.heard == [True])
        house.publisher.may_answer.clear()
        house.clock.move(LIFE)
        await until(lambda: house.publisher.asked == 2)
        async with asyncio.timeout(5):
            assert await house.names("old") == ["old"]
        house.publisher.may_answer.set()
        await until(lambda: len(house.heard) == 2)


# While the issuer is down.


async def test_without_keys_it_cannot_be_found_out_who_somebody_is() -> None:
    """The refusal says when it is worth coming back; until then nobody asks the issuer again."""
    house = House(OLD)
    house.publisher.is_down = True
    holds: list[float] = []
    for _ in range(12):
        asked = house.publisher.asked
        hold = await house.retry_after()
        assert hold is not None
        assert await house.retry_after() == hold
        assert house.publisher.asked == asked + 1
        holds.append(hold)
        house.clock.move(hold)
    assert holds[:3] == [FIRST_HOLD, 2 * FIRST_HOLD, 4 * FIRST_HOLD]
    assert holds[-1] == LONGEST_HOLD
    house.publisher.is_down = False
    assert await house.names("old") == ["old"]
    assert house.heard == [False] * 12 + [True]


@pytest.mark.parametrize(("asked_for", "hold"), [(0.5, FIRST_HOLD), (40.0, 40.0), (86_400.0, LONGEST_HOLD)])
async def test_an_issuer_may_ask_for_a_pause(asked_for: float, hold: float) -> None:
    """Retry-After is heeded, within what its listeners can bear."""
    house = House(OLD)
    house.publisher.is_down = True
    house.publisher.retry_after = asked_for
    assert await house.retry_after() == hold


async def test_who_waits_for_keys_in_vain_is_told_so_once_for_all() -> None:
    house = House(OLD)
    house.publisher.is_down = True
    answers = await asyncio.gather(*(house.keys.find("old") for _ in range(50)), return_exceptions=True)
    assert all(isinstance(answer, AuthUnavailable) for answer in answers)
    assert house.publisher.asked == 1


async def test_the_last_keys_count_while_the_issuer_is_down() -> None:
    """For days, if need be; it is asked ever less often, and believed at once when it is back."""
    house = House(OLD)
    async with kept_fresh(house):
        await until(lambda: house.heard == [True])
        house.publisher.is_down = True
        for _ in range(1000):
            house.clock.move(LONGEST_HOLD)
            await settled()
        assert await house.names("old") == ["old"]
        assert await house.names("new") == []
        assert 900 < house.publisher.asked < 1100
        house.publisher.is_down = False
        house.publisher.publish(NEW)
        house.clock.move(LONGEST_HOLD)
        await until(lambda: house.heard[-1])
        assert (await house.names("old"), await house.names("new")) == ([], ["new"])


async def test_an_outage_that_is_over_is_forgotten() -> None:
    """The next one begins with short pauses again."""
    house = House(OLD)
    house.publisher.is_down = True
    for _ in range(5):
        house.clock.move(await house.retry_after() or 0.0)
    house.publisher.is_down = False
    assert await house.names("old") == ["old"]
    house.publisher.is_down = True
    house.clock.move(COOL_DOWN)
    asked = house.publisher.asked
    await house.names("new")
    house.clock.move(FIRST_HOLD)
    await house.names("new")
    assert house.publisher.asked == asked + 2


async def test_a_flood_of_invented_keys_does_not_wake_an_issuer_that_is_down() -> None:
    house = House(OLD)
    await house.names("old")
    house.publisher.is_down = True
    house.clock.move(COOL_DOWN)
    for number in range(100):
        assert await house.names(f"invented-{number}") == []
    assert house.publisher.asked == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"error":"down"}', b'{"keys":{}}', b'{"keys":null}', b'{"keys":"all"}', b"\xff",
     b'{"keys":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}", b'{"keys":[{]}'],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
async def test_what_are_no_keys_does_not_replace_keys(body: bytes) -> None:
    """An error page with status 200 is an outage like any other."""
    house = House(OLD)
    await house.names("old")
    house.publisher.body = body
    house.clock.move(COOL_DOWN)
    assert await house.names("new") == []
    assert await house.names("old") == ["old"]
    assert house.heard == [True, False]


async def test_an_issuer_that_withdraws_all_its_keys_is_believed() -> None:
    house = House(OLD)
    await house.names("old")
    house.publisher.publish()
    house.clock.move(COOL_DOWN)
    assert await house.names("new") == []
    assert (await house.names("old"), house.heard) == ([], [True, True])


# Whom they let in.


CLAIMS = {"sub": "ada", "exp": 2000}


async def test_a_rotation_lets_new_tokens_in_and_ends_old_ones() -> None:
    """Old tokens count as long as their key is published, and so does whom they let in."""
    house = House(OLD)
    settings = JwtAuth.model_validate({"kind": "jwt", "jwks_url": URL})
    authority = JwtAuthority("staff", settings, house.keys)

    async def verified(whose: Issuer) -> Any:
        return await authority.verify(Credential("header", whose.token(CLAIMS)), now=1000)

    async with kept_fresh(house):
        old = await verified(OLD)
        house.publisher.publish(OLD, NEW)
        house.clock.move(COOL_DOWN)
        new = await verified(NEW)
        assert authority.vouches(old) and authority.vouches(new)
        house.publisher.publish(NEW)
        house.clock.move(LIFE)
        await until(lambda: not authority.vouches(old))
        assert authority.vouches(new)
        with pytest.raises(NotAuthenticated) as caught:
            await verified(OLD)
        assert caught.value.code == "token_key"


async def test_a_key_that_takes_another_ones_name_takes_nothing_else() -> None:
    """Whom the old key let in was proved by the key and not by its name."""
    house = House(OLD)
    authority = JwtAuthority("staff", JwtAuth.model_validate({"kind": "jwt", "jwks_url": URL}), house.keys)
    principal = await authority.verify(Credential("header", OLD.token(CLAIMS)), now=1000)
    house.publisher.publish(Issuer("ES256", NEW.key, "old"))
    house.clock.move(COOL_DOWN)
    await house.names("unknown")
    assert await house.names("old") == ["old"]
    assert not authority.vouches(principal)


async def test_before_there_are_keys_nobody_is_vouched_for() -> None:
    house = House(OLD)
    assert not house.keys.trusts("ES256 x")


# Which of them count.


WEAK = Issuer("RS256", rsa_key(1024), "weak")
GOOD = OLD.jwk()
PASSED_OVER: list[tuple[Any, str]] = [
    ({"kty": "oct", "k": "c2VjcmV0"}, "is a secret, which is none once it was published"),
    ({**GOOD, "d": "AAAA"}, "is published with its private part"),
    ({**GOOD, "d": {}}, "is published with its private part"),
    ({**issuer("RS256").jwk(), "p": "AAAA"}, "is published with its private part"),
    ({**GOOD, "use": "enc"}, "is not for signatures"),
    ({**GOOD, "key_ops": ["encrypt", "wrapKey"]}, "is not for signatures"),
    ({**GOOD, "key_ops": []}, "is not for signatures"),
    ({**GOOD, "alg": "HS256"}, "is for an algorithm that is not known here, or does not go with it"),
    ({**GOOD, "alg": "ES384"}, "is for an algorithm that is not known here, or does not go with it"),
    ({**GOOD, "alg": "none"}, "is for an algorithm that is not known here, or does not go with it"),
    (WEAK.jwk(), "is an RSA key of 1024 bits; take one of 2048 to 8192"),
    ({**GOOD, "crv": "secp256k1"}, "cannot be read"),
    ({**GOOD, "crv": "P-384"}, "cannot be read"),
    ({**GOOD, "x": GOOD["y"], "y": GOOD["x"]}, "cannot be read"),  # not on the curve
    ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "cannot be read"),
    ({**WEAK.jwk(), "e": "AQ"}, "cannot be read"),
    ({"kty": "RSA"}, "cannot be read"),
    ({"kty": "OKP", "crv": "X25519", "x": "A" * 43}, "cannot be read"),
    ({"kty": "OKP", "crv": "Ed25519", "x": "é"}, "cannot be read"),
    ({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, "is of a type that is not known here"),
    ({**GOOD, "kid": 7}, "is no JSON Web Key"),
    ({**GOOD, "kid": "k" * (MAX_KID + 1)}, f"has a name of more than {MAX_KID} characters"),
    ({**GOOD, "x": 7}, "is no JSON Web Key"),
    ({"kid": "x"}, "is no JSON Web Key"),
    (7, "is no JSON Web Key"),
    (None, "is no JSON Web Key"),
]


@pytest.mark.parametrize(("jwk", "reason"), PASSED_OVER, ids=lambda value: value if isinstance(value, str) else "")
def test_what_does_not_count_is_passed_over_and_the_rest_does(jwk: Any, reason: str) -> None:
    found = read_key_set(key_set(jwk, OTHER.jwk()))
    assert [key.kid for key in found.keys] == ["other"]
    assert [*found.passed_over.values()] == [reason]


@pytest.mark.parametrize(
    "more",
    [{"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}, {"alg": "ES256"}, {"x5c": ["MIIB"]},
     {"kid": None}, {"alg": None, "use": None}, {"x5u": "https://id.example/chain.pem", "ext": True}],
    ids=str,
)  # fmt: skip
def test_what_issuers_say_beside_a_key_does_not_hurt(more: dict[str, Any]) -> None:
    (key,) = read_key_set(key_set({**GOOD, **more})).keys
    assert key.algorithms == ("ES256",)


def test_so_many_keys_count_and_no_more() -> None:
    """Whom an issuer does not fit into this has other problems."""
    body = json.dumps({"keys": [{**GOOD, "kid": f"{number}"} for number in range(MAX_KEYS + 2)]}).encode()
    found = read_key_set(body)
    assert [key.kid for key in found.keys] == [f"{number}" for number in range(MAX_KEYS)]
    assert [*found.passed_over] == [f"{MAX_KEYS}: {MAX_KEYS}", f"{MAX_KEYS + 1}: {MAX_KEYS + 1}"]


async def test_an_operator_is_told_once_what_does_not_count() -> None:
    """Not with every fetch, and never with the key itself or with what the address hides."""
    secret = {"kty": "oct", "kid": "session", "k": "dG9wLXNlY3JldA"}
    house = House()
    house.publisher.body = key_set(secret, GOOD)
    hidden = hide_url(URL + "?key=hunter2")

    async def fetch(url: str) -> Fetched:
        return Fetched(house.publisher.body, None)

    keys = Jwks(hidden, fetch, house.clock, house.heard.append)
    with capture_logs() as lines:
        await keys.find("old")
        house.clock.move(COOL_DOWN)
        await keys.find("unknown")
        house.publisher.body = b"{}"
        house.clock.move(COOL_DOWN)
        await keys.find("unknown")
    assert [line["event"] for line in lines] == ["auth.key_passed_over", "auth.keys_unavailable"]
    assert lines[0]["key"] == "0: session"
    assert "hunter2" not in repr(lines) and "dG9w" not in repr(lines)
