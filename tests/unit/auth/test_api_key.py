"""API keys that the configuration lists: which are good, whose they are, and when they stop counting."""

from __future__ import annotations

from contextlib import nullcontext
from hashlib import sha256
from typing import Any

import pytest

from pushgate.auth.api_key import ApiKeyAuthority, _owner
from pushgate.auth.credential import Credential, Presented
from pushgate.config.auth import MAX_KEY_LENGTH, ApiKeyAuth
from pushgate.errors import NotAuthenticated

ACME = {"name": "acme", "key": "acme-key-in-clear", "claims": {"cities": ["paris", "lyon"], "tenant": "t1"}}
BETA = {"name": "beta", "hash": f"sha256:{sha256(b'beta-key').hexdigest()}"}


def authority(*keys: dict[str, Any], **more: Any) -> ApiKeyAuthority:
    return ApiKeyAuthority("partners", ApiKeyAuth.model_validate({"kind": "api_key", "keys": [*keys], **more}))


def shown(text: str) -> Credential:
    return Credential("header", text)


async def refusal(text: str) -> NotAuthenticated:
    with pytest.raises(NotAuthenticated) as caught:
        await authority(ACME, BETA).verify(shown(text), now=0)
    return caught.value


async def test_a_key_stands_for_its_name_with_its_claims() -> None:
    """A claim that is written as a list is a list, and a text is a text; `sub` is the key's name."""
    principal = await authority(ACME, BETA).verify(shown("acme-key-in-clear"), now=0)
    assert (principal.auth, principal.issuer, principal.subject) == ("partners", "", "acme")
    assert principal.claims == {"cities": ["paris", "lyon"], "tenant": "t1", "sub": "acme"}
    assert principal.expires_at is None


async def test_a_hash_is_as_good_as_the_key_itself() -> None:
    principal = await authority(ACME, BETA).verify(shown("beta-key"), now=0)
    assert (principal.subject, principal.claims) == ("beta", {"sub": "beta"})


@pytest.mark.parametrize("text", ["acme", "acme-key-in-clea", "ACME-KEY-IN-CLEAR", BETA["hash"], "kl\udcffé", "•" * 99])
async def test_another_key_is_unknown(text: str) -> None:
    """Neither a part of one nor a hash is a key; bytes that are no UTF-8 are one that nobody has."""
    refused = await refusal(text)
    assert refused.code == "credentials_unknown"
    assert text not in str(refused)


@pytest.mark.parametrize("text", ["", "k" * (MAX_KEY_LENGTH + 1)])
async def test_what_is_too_long_for_a_key_is_not_even_hashed(text: str) -> None:
    assert (await refusal(text)).code == "credentials_malformed"


def test_every_key_is_compared_whichever_is_right() -> None:
    """How long it takes tells nobody where in the list a key stands."""
    listed = authority(ACME, BETA)._listed
    left = iter(listed)
    owner = _owner(left, listed[0].hash)
    assert owner is not None and owner.subject == "acme"
    assert next(left, None) is None


class TestVouching:
    """Whether a principal that was let in may stay, under the configuration as it is now."""

    @pytest.mark.parametrize(
        "now",
        [
            {**ACME, "key": "another-key"},
            {**ACME, "name": "acme-2"},
            {**ACME, "claims": {"cities": ["paris"], "tenant": "t1"}},
            {**ACME, "claims": {"cities": ["paris", "lyon"], "tenant": ["t1"]}},
            BETA,
        ],
    )
    async def test_a_key_that_is_not_listed_as_it_was_counts_no_more(self, now: dict[str, Any]) -> None:
        principal = await authority(ACME).verify(shown("acme-key-in-clear"), now=0)
        assert authority(ACME).vouches(principal)
        assert not authority(now).vouches(principal)

    async def test_others_may_come_and_go_and_a_key_may_be_hashed(self) -> None:
        """Nothing changes for a client whose key is now written as its hash."""
        principal = await authority(ACME).verify(shown("acme-key-in-clear"), now=0)
        hashed = {
            "name": "acme",
            "claims": ACME["claims"],
            "hash": f"sha256:{sha256(b'acme-key-in-clear').hexdigest()}",
        }
        assert authority(BETA, hashed).vouches(principal)


def test_a_header_of_its_own_holds_the_key_and_nothing_else() -> None:
    headers = {"x-api-key": "acme-key-in-clear", "authorization": "Bearer other"}
    found = authority(ACME, header_name="X-Api-Key").find(Presented(headers=headers))
    assert found is not None and (found.carrier, found.text) == ("header", "acme-key-in-clear")
    found = authority(ACME).find(Presented(headers=headers))
    assert found is not None and found.text == "other"
    assert authority(ACME).find(Presented(headers={"authorization": "Basic acme-key-in-clear"})) is None


@pytest.mark.parametrize(
    ("more", "challenge"),
    [
        ({}, 'Bearer realm="partners"'),
        ({"header_name": "X-Api-Key"}, 'ApiKey realm="partners", header="X-Api-Key"'),
        ({"header_name": "X-Api-Key", "carriers": "query"}, 'Bearer realm="partners"'),
    ],
)
def test_the_challenge_says_how_to_show_a_key(more: dict[str, str], challenge: str) -> None:
    assert authority(ACME, **more).challenge == challenge


@pytest.mark.parametrize(("length", "is_good"), [(MAX_KEY_LENGTH, True), (MAX_KEY_LENGTH + 1, False)])
def test_no_key_is_listed_that_nobody_could_show(length: int, is_good: bool) -> None:
    key = {"name": "long", "key": "k" * length}
    with nullcontext() if is_good else pytest.raises(ValueError, match="is longer than"):
        authority(key)


def test_neither_keys_nor_hashes_are_in_what_is_printed() -> None:
    config = ApiKeyAuth.model_validate({"kind": "api_key", "keys": [ACME]})
    listed = ApiKeyAuthority("partners", config)._listed
    assert "acme-key-in-clear" not in repr((config, listed))
    assert sha256(b"acme-key-in-clear").hexdigest() not in repr(listed)
