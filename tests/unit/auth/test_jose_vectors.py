"""
Signatures that others have made: those of the standards, and the JOSE cookbook's (RFC 7520) if it lies beside us.

Their payloads are mostly no claims, so it is the signature that is checked; and that nobody gets in by one of them.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from issuers import key_set
from pushgate.auth.credential import Credential
from pushgate.auth.jwt import JwtAuthority
from pushgate.auth.keys import Key, OneKey, configured_key, read_key_set
from pushgate.auth.tokens import Token, read_token
from pushgate.config.auth import JwtAuth
from pushgate.errors import NotAuthenticated
from pushgate.values import Principal
from shared_data import SHARED, shared

PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}

# Appendix A of RFC 7515: one payload, signed in several ways.
PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
EXPIRES = 1_300_819_380

RFC_SECRET = {
    "kty": "oct",
    "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
}
RFC_RSA = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca"
    "pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h"
    "4FRWyuXpoQ",
    "e": "AQAB",
}
RFC_EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC_ED = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

OF_THE_STANDARDS = [
    pytest.param(
        RFC_SECRET,
        f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        id="RFC 7515 A.1 HS256",
    ),
    pytest.param(
        RFC_RSA,
        f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}."
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
        "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
        "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
        "cN_IoypGlUPQGe77Rw",
        id="RFC 7515 A.2 RS256",
    ),
    pytest.param(
        RFC_EC,
        f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}."
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        id="RFC 7515 A.3 ES256",
    ),
    pytest.param(
        RFC_ED,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        id="RFC 8037 A.4 EdDSA",
    ),
]
UNSIGNED = f"eyJhbGciOiJub25lIn0.{PAYLOAD}."  # RFC 7515 A.5

# What of the cookbook is a signature; the names, so that they are known without it.
SIGNED = ["4_1", "4_2", "4_3", "4_4", "4_5", "4_6", "4_8"]


def holder(jwk: dict[str, Any]) -> OneKey:
    """Return the key as whoever holds it would configure it; of a pair, the public one."""
    if jwk["kty"] == "oct":
        secret = urlsafe_b64decode(jwk["k"] + "==").decode("utf-8", "surrogateescape")
        return configured_key(JwtAuth.model_validate({"kind": "jwt", "secret": secret}))
    public = {name: value for name, value in jwk.items() if name not in PRIVATE}
    (key,) = read_key_set(key_set(public)).keys
    return OneKey(key)


async def key_of(jwk: dict[str, Any]) -> Key:
    (key,) = await holder(jwk).find(None)
    return key


def is_signed(key: Key, token: Token) -> bool:
    return token.algorithm in key.algorithms and key.verifies(token.algorithm, token.signed, token.signature)


async def verified(jwk: dict[str, Any], text: str, *, now: float) -> Principal:
    config = JwtAuth.model_validate({"kind": "jwt", "secret": "s" * 32})
    return await JwtAuthority("staff", config, holder(jwk)).verify(Credential("header", text), now=now)


async def refusal(jwk: dict[str, Any], text: str, *, now: float) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        await verified(jwk, text, now=now)
    return caught.value.code


@pytest.mark.parametrize(("jwk", "text"), OF_THE_STANDARDS)
async def test_what_the_standards_have_signed_is_signed(jwk: dict[str, Any], text: str) -> None:
    key, token = await key_of(jwk), read_token(text)
    assert is_signed(key, token)
    assert not key.verifies(token.algorithm, token.signed + b"A", token.signature)


@pytest.mark.parametrize(("jwk", "text"), OF_THE_STANDARDS[:3])
async def test_what_the_standards_have_signed_let_joe_in_until_2011(jwk: dict[str, Any], text: str) -> None:
    """He is an issuer, and nobody in particular: those tokens have no subject."""
    assert await refusal(jwk, text, now=EXPIRES) == "credentials_expired"
    principal = await verified(jwk, text, now=EXPIRES - 1)
    assert (principal.issuer, principal.subject, principal.expires_at) == ("joe", "", EXPIRES)


@pytest.mark.parametrize("jwk", [RFC_SECRET, RFC_RSA, RFC_EC, RFC_ED], ids=lambda jwk: str(jwk["kty"]))
async def test_what_nobody_has_signed_lets_nobody_in(jwk: dict[str, Any]) -> None:
    assert await refusal(jwk, UNSIGNED, now=0) == "token_algorithm"


async def test_a_thumbprint_is_that_of_the_standards() -> None:
    """RFC 8037 appendix A.3, and for RSA RFC 7638 section 3.1."""
    assert (await key_of(RFC_ED)).thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    rsa = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV"
        "4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0z"
        "gdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFC"
        "ur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert (await key_of(rsa)).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


# The cookbook.


def recipe(pattern: str) -> Any:
    (path,) = shared("vectors/jose-cookbook").glob(pattern)
    return json.loads(path.read_text())


def compact(signature: dict[str, str], payload: str) -> str:
    """Return the compact serialization of what may have been published in the other one, with its header in it."""
    return f"{signature['protected']}.{payload}.{signature['signature']}"


@pytest.mark.parametrize("number", SIGNED)
async def test_what_the_cookbook_has_signed_is_signed(number: str) -> None:
    """By each key that is given, and by no other; each signature again with a byte too many is wrong."""
    told = recipe(f"jws/{number}.*")
    jwks = told["input"]["key"] if isinstance(told["input"]["key"], list) else [told["input"]["key"]]
    keys = [await key_of(jwk) for jwk in jwks]
    output = told["output"]["json"]
    payload = told["output"]["json"].get("payload") or _payload_of(told)
    signatures = [one for one in output["signatures"] if "alg" in _header(one)]
    assert signatures
    for signature in signatures:
        token = read_token(compact(signature, payload))
        assert [is_signed(key, token) for key in keys].count(True) == 1
        assert not any(
            key.verifies(token.algorithm, token.signed, token.signature + b"\x00")
            for key in keys
            if token.algorithm in key.algorithms
        )


def _payload_of(told: Any) -> str:
    """Return what is signed although it is sent another way (section 4.5)."""
    return str(told["signing"]["sig-input"]).partition(".")[2]


def _header(signature: dict[str, str]) -> Any:
    return json.loads(urlsafe_b64decode(signature.get("protected", "e30") + "=="))


@pytest.mark.parametrize("number", ["4_1", "4_2", "4_3", "4_4"])
async def test_what_the_cookbook_has_signed_lets_nobody_in(number: str) -> None:
    """A walk down the road is no claim."""
    told = recipe(f"jws/{number}.*")
    assert await refusal(told["input"]["key"], told["output"]["compact"], now=0) == "credentials_malformed"


async def test_what_is_sent_apart_from_its_signature_lets_nobody_in() -> None:
    """Section 4.5: the payload is missing."""
    told = recipe("jws/4_5.*")
    assert await refusal(told["input"]["key"], told["output"]["compact"], now=0) == "token_signature"


async def test_a_header_that_nobody_has_signed_is_not_read() -> None:
    """Section 4.7: the algorithm stands outside of what is signed."""
    told = recipe("jws/4_7.*")
    text = "." + told["output"]["json_flat"]["payload"] + "." + told["output"]["json_flat"]["signature"]
    assert await refusal(told["input"]["key"], text, now=0) == "credentials_malformed"


@pytest.mark.parametrize("name", ["hmac-sha2_b64_false", "4.2.hmac-sha2_b64_false"])
async def test_a_payload_that_is_not_encoded_is_refused(name: str) -> None:
    """RFC 7797: as it was published, and with what is right in it in a form that could be read."""
    told = recipe(f"rfc7797/{name}.json")
    signature = told["output"]["json"]["signatures"][0]
    for payload in (told["output"]["json"]["payload"], PAYLOAD, ""):
        text = compact(signature, payload)
        assert await refusal(told["input"]["key"], text, now=0) == "credentials_malformed"


async def test_the_cookbooks_signature_on_the_other_curve_is_one() -> None:
    told = recipe("curve25519/jws.json")
    assert is_signed(await key_of(told["input"]["key"]), read_token(told["output"]["compact"]))


@pytest.mark.parametrize("number", range(1, 14))
async def test_nothing_encrypted_is_read(number: int) -> None:
    """In whichever serialization, and whatever it is encrypted with."""
    told = recipe(f"jwe/5_{number}.*")
    for text in [value if isinstance(value, str) else json.dumps(value) for value in told["output"].values()]:
        assert await refusal(RFC_SECRET, text, now=0) == "credentials_malformed"


async def test_nothing_encrypted_is_read_because_something_signed_is_in_it() -> None:
    """Section 6: a token inside an encrypted one; by itself it is signed, and lacks what a token needs."""
    told = recipe("6.nesting_signatures_and_encryption.json")
    outer, inner = told["encrypt"]["output"]["compact"], told["sign"]["output"]["compact"]
    jwk = told["sign"]["input"]["key"]
    assert await refusal(jwk, outer, now=0) == "credentials_malformed"
    assert is_signed(await key_of(jwk), read_token(inner))


@pytest.mark.parametrize("path", sorted(SHARED.glob("vectors/jose-cookbook/jwk/3_*.json")), ids=lambda path: path.stem)
def test_of_the_cookbooks_keys_only_public_ones_count_if_published(path: Path) -> None:
    """Secrets and private keys that an issuer publishes by mistake are worth nothing any more."""
    found = read_key_set(key_set(json.loads(path.read_text())))
    assert len(found.keys) == ("public" in path.stem)
    assert len(found.keys) + len(found.passed_over) == 1
