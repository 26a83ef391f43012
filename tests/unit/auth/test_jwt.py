"""JSON Web Tokens: who is let in by one, and every way of making one that must not let anybody in."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from issuers import SECRET, Issuer, base64url, issuer, issuer_with_ed448, key_set, rsa_key
from pushgate.auth.credential import Credential, Presented
from pushgate.auth.jwt import MAX_GUESSES, JwtAuthority
from pushgate.auth.keys import KeySet, configured_key, read_key_set
from pushgate.auth.tokens import MAX_DEPTH, MAX_TOKEN, read_object, read_token
from pushgate.config.auth import JwtAuth
from pushgate.config.signatures import OF_PUBLIC_KEYS
from pushgate.errors import NotAuthenticated
from pushgate.values import Principal

NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {"sub": "ada", "iss": "https://id.example", "exp": NOW + 60}

RSA, EC, ED = issuer("RS256", "rsa"), issuer("ES256", "ec"), issuer("EdDSA", "ed")
MALLORY = Issuer("RS256", rsa_key(number=1), "rsa")
HS = issuer("HS256")


def config(**keys: Any) -> JwtAuth:
    return JwtAuth.model_validate({"kind": "jwt", **keys})


def with_secret(**keys: Any) -> JwtAuthority:
    settings = config(secret=SECRET, **keys)
    return JwtAuthority("staff", settings, configured_key(settings))


def with_public_key(whose: Issuer, **keys: Any) -> JwtAuthority:
    settings = config(public_key=whose.pem, **keys)
    return JwtAuthority("staff", settings, configured_key(settings))


class Published:
    """Keys as an issuer publishes them, at hand."""

    algorithms = OF_PUBLIC_KEYS

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.set: KeySet = read_key_set(key_set(*keys))

    async def find(self, kid: str | None) -> Any:
        return self.set.keys if kid is None else self.set.named(kid)

    def trusts(self, proof: str) -> bool:
        return proof in self.set.proofs


def with_key_set(*keys: dict[str, Any], **settings: Any) -> JwtAuthority:
    return JwtAuthority("staff", config(jwks_url="https://id.example/jwks", **settings), Published(*keys))


async def verified(authority: JwtAuthority, token: str, *, now: float = NOW) -> Principal:
    return await authority.verify(Credential("header", token), now=now)


async def fault(authority: JwtAuthority, token: str, *, now: float = NOW) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        await verified(authority, token, now=now)
    assert len(caught.value.message) < 120, "nothing of the token is repeated"
    return caught.value.code


# Who is let in.


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_secret_verifies_what_was_signed_with_it(algorithm: str) -> None:
    principal = await verified(with_secret(), issuer(algorithm).token(CLAIMS))
    assert (principal.auth, principal.issuer, principal.subject) == ("staff", "https://id.example", "ada")
    assert (principal.claims, principal.expires_at) == (CLAIMS, NOW + 60)


@pytest.mark.parametrize("algorithm", OF_PUBLIC_KEYS)
async def test_a_public_key_verifies_by_every_algorithm_that_goes_with_it(algorithm: str) -> None:
    """In the file or published, it is the same key: whoever it let in stays when one becomes the other."""
    somebody = issuer(algorithm, "one")
    token = somebody.token(CLAIMS)
    by_file = await verified(with_public_key(somebody), token)
    published = with_key_set(somebody.jwk())
    assert await verified(published, token) == by_file
    assert published.vouches(by_file)


async def test_a_certificate_stands_for_its_key() -> None:
    """Nothing else of it counts: this one is over since 2001."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(RSA.key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2001, 1, 1, tzinfo=UTC))
        .sign(RSA.key, hashes.SHA256())
    )
    settings = config(public_key=certificate.public_bytes(Encoding.PEM).decode())
    authority = JwtAuthority("staff", settings, configured_key(settings))
    assert (await verified(authority, RSA.token(CLAIMS))).subject == "ada"
    assert await fault(authority, MALLORY.token(CLAIMS)) == "token_signature"


async def test_ed448_is_an_eddsa_key_too() -> None:
    somebody = issuer_with_ed448()
    assert (await verified(with_public_key(somebody), somebody.token(CLAIMS))).subject == "ada"


async def test_claims_arrive_as_they_were_signed() -> None:
    """Large numbers are exact, and objects stay objects."""
    claims = {**CLAIMS, "aud": ["a", "b"], "id": 2**70, "realm_access": {"roles": ["admin"]}, "name": "Ada \U0001f600"}
    assert (await verified(with_secret(audience=["b"]), HS.token(claims))).claims == claims


_SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(0, 9e99) | st.text(max_size=9)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.text(max_size=3), inner)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


# What no token can talk its way round.


def _altered(token: str, part: int) -> str:
    """Change one character in the middle of a part."""
    parts = token.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    return ".".join(parts)


def _unsigned(algorithm: str) -> str:
    header = json.dumps({"alg": algorithm}).encode()
    return f"{base64url(header)}.{base64url(json.dumps(CLAIMS).encode())}."


def _last_bits(token: str) -> str:
    """Write the same bytes in another way: the last character of a signature has bits to spare."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


_SECRET_OF_PEM = Issuer("HS256", RSA.pem.encode())
_OF_MALLORY = MALLORY.jwk()

# What comes with a token that RSA's owner has not signed, or not so.
ATTACKS = [
    ("token_algorithm", "no signature", _unsigned("none")),
    ("token_algorithm", "no signature, spelled None", _unsigned("None")),
    ("token_algorithm", "no signature, spelled NONE", _unsigned("NONE")),
    ("token_algorithm", "no signature, spelled nOnE", _unsigned("nOnE")),
    ("token_algorithm", "no signature, and a space", _unsigned("none ")),
    ("token_algorithm", "no algorithm at all", RSA.token(CLAIMS, alg=None)),
    ("token_algorithm", "an algorithm that is no text", RSA.token(CLAIMS, alg=["RS256"])),
    ("token_algorithm", "an algorithm in small letters", RSA.token(CLAIMS, alg="rs256")),
    ("token_algorithm", "the public key as a secret", _SECRET_OF_PEM.token(CLAIMS, kid="rsa")),
    ("token_algorithm", "an algorithm of other keys", RSA.token(CLAIMS, alg="ES256")),
    ("token_algorithm", "an algorithm that nobody has", RSA.token(CLAIMS, alg="RS1")),
    ("token_signature", "no signature where one is due", RSA.token(CLAIMS).rpartition(".")[0] + "."),
    ("token_signature", "somebody else's signature", MALLORY.token(CLAIMS)),
    ("token_signature", "another algorithm of the key", RSA.token(CLAIMS, alg="PS256")),
    ("token_signature", "other claims", _altered(RSA.token(CLAIMS), 1)),
    ("token_signature", "another signature", _altered(RSA.token(CLAIMS), 2)),
    ("token_signature", "a shorter signature", RSA.token(CLAIMS)[:-22]),
    ("token_signature", "half of this token, half of that", ".".join([*RSA.token(CLAIMS).split(".")[:2],
                                                                  RSA.token({**CLAIMS, "sub": "b"}).split(".")[2]])),
    ("token_signature", "a key in the header", MALLORY.token(CLAIMS, jwk=_OF_MALLORY)),
    ("token_signature", "an address of keys", MALLORY.token(CLAIMS, jku="https://mallory.example/jwks")),
    ("token_signature", "an address of certificates", MALLORY.token(CLAIMS, x5u="https://mallory.example/chain.pem")),
    ("token_signature", "certificates in the header", MALLORY.token(CLAIMS, x5c=["MIIB"], x5t="x")),
    ("credentials_malformed", "an extension that must be understood", RSA.token(CLAIMS, crit=["exp"], exp=0)),
    ("credentials_malformed", "an extension that is not there", RSA.token(CLAIMS, crit=["b64"])),
    ("credentials_malformed", "an empty list of extensions", RSA.token(CLAIMS, crit=[])),
    ("credentials_malformed", "extensions that are no list", RSA.token(CLAIMS, crit=0)),
    ("credentials_malformed", "a payload that is not encoded", RSA.token(CLAIMS, b64=False)),
    ("credentials_malformed", "the same, declared", RSA.token(CLAIMS, b64=False, crit=["b64"])),
    ("credentials_malformed", "a name of a key that is no text", RSA.token(CLAIMS, kid={"$ne": None})),
    ("credentials_malformed", "a name of a key without end", RSA.token(CLAIMS, kid="k" * 257)),
    ("credentials_malformed", "an algorithm that occurs twice",
     RSA.signed(b'{"alg":"none","alg":"RS256"}', json.dumps(CLAIMS).encode())),
    ("credentials_malformed", "the same, spelled in two ways",
     RSA.signed(b'{"alg":"none","\\u0061lg":"RS256"}', json.dumps(CLAIMS).encode())),
    ("credentials_malformed", "claims that occur twice", RSA.token(b'{"sub":"ada","sub":"root","exp":1800000060}')),
    ("credentials_malformed", "claims within claims that occur twice",
     RSA.token(b'{"sub":"ada","exp":1800000060,"x":[{"a":1,"a":2}]}')),
    ("credentials_malformed", "a list", RSA.token(b'[{"sub":"ada"}]')),
    ("credentials_malformed", "a text", RSA.token(b'"ada"')),
    ("credentials_malformed", "nothing", RSA.token(b"")),
    ("credentials_malformed", "no JSON", RSA.token(b"sub=ada")),
    ("credentials_malformed", "JSON and more", RSA.token(json.dumps(CLAIMS).encode() + b"{}")),
    ("credentials_malformed", "a byte order mark", RSA.token(b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode())),
    ("credentials_malformed", "UTF-16", RSA.token(json.dumps(CLAIMS).encode("utf-16"))),
    ("credentials_malformed", "half a character", RSA.token(b'{"sub":"\\ud800","exp":1800000060}')),
    ("credentials_malformed", "no UTF-8", RSA.token(b'{"sub":"\xff","exp":1800000060}')),
    ("credentials_malformed", "not a number", RSA.token(b'{"sub":"ada","exp":NaN}')),
    ("credentials_malformed", "a number without end", RSA.token(b'{"sub":"ada","exp":1e999}')),
    ("credentials_malformed", "a number of 5,000 digits", RSA.token(b'{"sub":"ada","exp":' + b"9" * 5000 + b"}")),
    ("credentials_malformed", "claims that go deep",
     RSA.token(b'{"sub":"ada","exp":1800000060,"x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")),
    ("credentials_malformed", "claims that go deeper than any parser",
     RSA.token(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")),
    ("credentials_malformed", "a header that goes deeper than any parser",
     RSA.signed(b'{"alg":"RS256","a":' + b"[" * 5000 + b"]" * 5000 + b"}", b"{}")),
    ("credentials_malformed", "a header that is a list", RSA.signed(b'["RS256"]', json.dumps(CLAIMS).encode())),
    ("credentials_malformed", "a header that is no JSON", RSA.signed(b"RS256", json.dumps(CLAIMS).encode())),
    ("credentials_malformed", "a token without end", RSA.token({**CLAIMS, "x": "x" * MAX_TOKEN})),
    ("credentials_malformed", "five parts: encrypted", "e30.e30.e30.e30.e30"),
    ("credentials_malformed", "four parts", RSA.token(CLAIMS) + ".e30"),
    ("credentials_malformed", "two parts", RSA.token(CLAIMS).rpartition(".")[0]),
    ("credentials_malformed", "no header", "." + RSA.token(CLAIMS).partition(".")[2]),
    ("credentials_malformed", "padding", RSA.token(CLAIMS) + "=="),
    ("credentials_malformed", "spare bits", _last_bits(RSA.token(CLAIMS))),
    ("credentials_malformed", "a part of a length that none has", RSA.token(CLAIMS) + "AAA"),
    ("credentials_malformed", "base64 as others write it", RSA.token({**CLAIMS, "x": "??????"}).replace("_", "/")),
    ("credentials_malformed", "a line break", RSA.token(CLAIMS) + "\n"),
    ("credentials_malformed", "letters that look alike", RSA.token(CLAIMS).replace("e", "е", 1)),
    ("credentials_malformed", "the JSON serialization", '{"payload":"e30","signatures":[]}'),
    ("credentials_malformed", "an empty text", ""),
]  # fmt: skip


@pytest.mark.parametrize(("code", "token"), [pytest.param(code, token, id=name) for code, name, token in ATTACKS])
@pytest.mark.parametrize("source", ["file", "published"])
async def test_an_attack_is_refused_with_its_code(source: str, code: str, token: str) -> None:
    authority = with_public_key(RSA) if source == "file" else with_key_set(RSA.jwk(), EC.jwk())
    assert await fault(authority, token) == code


@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "rsa\x00", "' UNION SELECT 'key", "https://mallory.example/key", "", "RSA", "0"]
)
async def test_a_name_of_a_key_is_looked_up_and_nothing_else(kid: str) -> None:
    """A file, a query or an address in its place finds no key; and where there is but one, it does not matter."""
    assert await fault(with_key_set(RSA.jwk()), MALLORY.token(CLAIMS, kid=kid)) == "token_key"
    assert await fault(with_secret(), Issuer("HS256", b"").token(CLAIMS, kid=kid)) == "token_signature"
    assert (await verified(with_secret(), HS.token(CLAIMS, kid=kid))).subject == "ada"


async def test_the_name_of_another_key_of_the_issuer_does_not_help() -> None:
    authority = with_key_set(RSA.jwk(), EC.jwk())
    assert await fault(authority, RSA.token(CLAIMS, kid="ec")) == "token_algorithm"
    assert (await verified(authority, EC.token(CLAIMS))).subject == "ada"


async def test_a_published_secret_signs_nothing() -> None:
    """Symmetric keys in a key set are known to everybody."""
    published = {"kty": "oct", "kid": "oct", "k": base64url(SECRET.encode())}
    assert await fault(with_key_set(published, RSA.jwk()), HS.token(CLAIMS, kid="oct")) == "token_algorithm"


async def test_a_secret_of_the_file_verifies_no_other_signature() -> None:
    assert await fault(with_secret(), RSA.token(CLAIMS)) == "token_algorithm"


async def test_the_configuration_narrows_the_algorithms() -> None:
    """By default those count that go with the key; with `algorithms`, only those of them."""
    token = Issuer("PS256", RSA.key).token(CLAIMS)
    assert (await verified(with_public_key(RSA), token)).subject == "ada"
    assert await fault(with_public_key(RSA, algorithms=["RS256"]), token) == "token_algorithm"
    assert await fault(with_key_set(RSA.jwk(), algorithms=["RS256"]), token) == "token_algorithm"


async def test_a_published_key_may_narrow_its_algorithms_itself() -> None:
    token = Issuer("PS256", RSA.key, "rsa").token(CLAIMS)
    assert (await verified(with_key_set(RSA.jwk()), token)).subject == "ada"
    assert await fault(with_key_set(RSA.jwk(alg="RS256")), token) == "token_algorithm"


async def test_a_signature_of_zeros_is_none() -> None:
    """CVE-2022-21449: to a careless verifier of ECDSA, zeros are everybody's signature."""
    for size in (64, 63, 0):
        forged = EC.token(CLAIMS).rpartition(".")[0] + "." + base64url(bytes(size))
        assert await fault(with_public_key(EC), forged) == "token_signature"


@pytest.mark.parametrize("whose", [HS, EC, ED], ids=["HS256", "ES256", "EdDSA"])
async def test_a_signature_of_any_other_length_is_wrong(whose: Issuer) -> None:
    authority = with_secret() if whose is HS else with_public_key(whose)
    signed, _, signature = whose.token(CLAIMS).rpartition(".")
    whole = urlsafe_b64decode(signature + "==")
    for wrong in (b"", whole[:-1], whole + b"\x00", whole * 3):
        assert await fault(authority, f"{signed}.{base64url(wrong)}") == "token_signature"


async def test_a_token_that_names_no_key_is_tried_with_a_few() -> None:
    """Names may be left out; but who leaves them out does not get a long search."""
    few = [issuer("ES256", f"{number}") for number in range(MAX_GUESSES)]
    authority = with_key_set(RSA.jwk(), *(one.jwk() for one in few))
    assert (await verified(authority, few[-1].token(CLAIMS, kid=None))).subject == "ada"
    assert await fault(authority, EC.token(CLAIMS, kid=None)) == "token_signature"
    many = with_key_set(*(one.jwk() for one in [*few, EC]))
    assert await fault(many, EC.token(CLAIMS, kid=None)) == "token_key"
    assert (await verified(many, EC.token(CLAIMS))).subject == "ada"


async def test_keys_of_two_types_may_share_a_name() -> None:
    authority = with_key_set(RSA.jwk(kid="one"), EC.jwk(kid="one"))
    assert (await verified(authority, RSA.token(CLAIMS, kid="one"))).subject == "ada"
    assert (await verified(authority, EC.token(CLAIMS, kid="one"))).subject == "ada"


async def test_an_issuer_without_keys_has_signed_nothing() -> None:
    assert await fault(with_key_set(), RSA.token(CLAIMS)) == "token_key"
    assert await fault(with_key_set(), RSA.token(CLAIMS, kid=None)) == "token_key"


@given(st.lists(st.text("eyJhbGciOiJ-_=+/A0. é", max_size=12), max_size=6).map(".".join))
def test_whatever_is_sent_as_a_token_is_read_or_refused(text: str) -> None:
    with suppress(NotAuthenticated):
        read_token(text)


@given(st.binary(max_size=200) | st.recursive(_SCALARS, lambda inner: st.lists(inner) | _objects(inner)).map(_json))
def test_whatever_is_in_a_token_is_an_object_or_refused(content: bytes) -> None:
    """What is read is what was written; nothing fails in a way that nobody expects."""
    try:
        claims = read_object(content, "payload")
    except NotAuthenticated:
        with suppress(ValueError):
            written = json.loads(content)
            assert not isinstance(written, dict) or not content.isascii() or b"\\ud" in content.lower()
    else:
        assert json.loads(content) == claims


# What it says.


@pytest.mark.parametrize(
    ("code", "claims"),
    [
        ("token_claims", {"exp": None}),
        ("token_claims", {"exp": "1800000060"}),
        ("token_claims", {"exp": True}),
        ("token_claims", {"exp": []}),
        ("token_claims", {"exp": 1_800_000_060_000}),  # milliseconds
        ("token_claims", {"exp": 10**400}),
        ("token_claims", {"exp": 1e300}),
        ("token_claims", {"exp": -1}),
        ("credentials_expired", {"exp": 0}),
        ("credentials_expired", {"exp": NOW}),
        ("credentials_expired", {"exp": NOW - 0.5}),
        ("credentials_premature", {"nbf": NOW + 1}),
        ("credentials_premature", {"iat": NOW + 1}),
        ("token_claims", {"nbf": "0"}),
        ("token_claims", {"nbf": None}),
        ("token_claims", {"iat": "yesterday"}),
        ("token_claims", {"sub": None}),
        ("token_claims", {"sub": ""}),
        ("token_claims", {"sub": 7}),
        ("token_claims", {"sub": ["ada"]}),
        ("token_claims", {"iss": 7}),
        ("token_claims", {"iss": ["https://id.example"]}),
        ("token_claims", {"aud": 7}),
        ("token_claims", {"aud": ["pushgate", 7]}),
        ("token_claims", {"aud": {"pushgate": True}}),
        ("token_audience", {"aud": "pushgate"}),
        ("token_audience", {"aud": []}),
    ],
    ids=str,
)
async def test_claims_are_what_the_standard_says(code: str, claims: dict[str, Any]) -> None:
    assert await fault(with_secret(), HS.token({**CLAIMS, **claims})) == code


async def test_a_token_without_end_does_not_end_and_one_without_subject_is_nobody() -> None:
    """Both are the issuer's decision; who has no name has no topic of its own (identity.py)."""
    principal = await verified(with_secret(), HS.token({"iss": "https://id.example"}))
    assert (principal.expires_at, principal.subject) == (None, "")


async def test_a_token_that_everybody_could_have_made_tells_nothing_about_its_claims() -> None:
    """The signature comes first: whether a token has expired is nobody's business who cannot make one."""
    assert await fault(with_secret(), Issuer("HS256", b"wrong").token({**CLAIMS, "exp": 0})) == "token_signature"


async def test_times_may_have_fractions() -> None:
    claims = {**CLAIMS, "exp": NOW + 0.25, "nbf": NOW - 0.25, "iat": NOW}
    assert (await verified(with_secret(), HS.token(claims))).expires_at == NOW + 0.25


async def test_clocks_may_differ_by_the_leeway() -> None:
    """
    At both ends; and a principal expires when its token would be refused, never before: whoever came back with the
    same one would be let in, and sent away again.
    """
    authority = with_secret(leeway="10s")
    late = HS.token({**CLAIMS, "exp": NOW - 9})
    assert (await verified(authority, late)).expires_at == NOW + 1
    assert await fault(authority, late, now=NOW + 1) == "credentials_expired"
    early = HS.token({**CLAIMS, "nbf": NOW + 10, "iat": NOW + 10})
    assert (await verified(authority, early)).subject == "ada"
    assert await fault(authority, early, now=NOW - 0.5) == "credentials_premature"


async def test_the_issuer_must_be_the_one_that_is_asked_for() -> None:
    authority = with_secret(issuer="https://id.example")
    assert (await verified(authority, HS.token(CLAIMS))).issuer == "https://id.example"
    for other in ("https://id.example/", "https://ID.example", "", "https://id.example.mallory.example"):
        assert await fault(authority, HS.token({**CLAIMS, "iss": other})) == "token_issuer"
    assert await fault(authority, HS.token({"sub": "ada", "exp": NOW + 1})) == "token_issuer"


async def test_who_names_no_issuer_is_of_none() -> None:
    assert (await verified(with_secret(), HS.token({"sub": "ada", "exp": NOW + 1}))).issuer == ""


async def test_one_of_the_audiences_is_enough() -> None:
    authority = with_secret(audience=["pushgate", "live"])
    for audience in ("pushgate", ["live"], ["others", "live"]):
        assert (await verified(authority, HS.token({**CLAIMS, "aud": audience}))).subject == "ada"
    for audience in ("push", "pushgate2", ["others"], [], ["push", "gate"]):
        assert await fault(authority, HS.token({**CLAIMS, "aud": audience})) == "token_audience"
    assert await fault(authority, HS.token(CLAIMS)) == "token_audience"


# How long it counts.


async def test_nobody_is_vouched_for_by_another_key_algorithm_issuer_or_audience() -> None:
    """What a new configuration would refuse, it does not keep."""
    token = RSA.token({**CLAIMS, "aud": "live"})
    principal = await verified(with_public_key(RSA, audience=["live"]), token)
    assert with_public_key(RSA, audience=["live", "more"]).vouches(principal)
    assert with_public_key(RSA, audience=["live"], issuer="https://id.example").vouches(principal)
    assert not with_public_key(MALLORY, audience=["live"]).vouches(principal)
    assert not with_public_key(RSA, audience=["live"], algorithms=["RS512"]).vouches(principal)
    assert not with_public_key(RSA, audience=["live"], issuer="https://other.example").vouches(principal)
    assert not with_public_key(RSA, audience=["more"]).vouches(principal)
    assert not with_public_key(RSA).vouches(principal)
    assert not with_secret(audience=["live"]).vouches(principal)


async def test_nobody_is_vouched_for_under_another_name() -> None:
    settings = config(secret=SECRET)
    principal = await verified(with_secret(), HS.token(CLAIMS))
    assert with_secret().vouches(principal)
    assert not JwtAuthority("others", settings, configured_key(settings)).vouches(principal)


async def test_a_new_secret_ends_what_the_old_one_proved() -> None:
    principal = await verified(with_secret(), HS.token(CLAIMS))
    settings = config(secret=SECRET[::-1])
    assert not JwtAuthority("staff", settings, configured_key(settings)).vouches(principal)


async def test_nothing_shows_a_secret_or_a_token() -> None:
    principal = await verified(with_secret(), HS.token(CLAIMS))
    key = (await configured_key(config(secret=SECRET)).find(None))[0]
    shown = f"{principal!r} {principal} {key!r} {Credential('header', HS.token(CLAIMS))!r}"
    assert key.thumbprint not in shown
    assert SECRET not in shown and HS.token(CLAIMS) not in shown


async def test_it_is_found_where_the_configuration_says() -> None:
    authority = with_secret(carriers=["query", "header"])
    for presented, carrier, text in [
        (Presented(headers={"authorization": "Bearer x"}), "header", "x"),
        (Presented(headers={"authorization": "Bearer x"}, token="y"), "query", "y"),
    ]:
        found = authority.find(presented)
        assert found is not None and (found.carrier, found.text) == (carrier, text)
    assert authority.find(Presented(cookies={"token": "z"})) is None
    assert (authority.name, authority.challenge) == ("staff", 'Bearer realm="staff"')


async def test_whoever_has_proved_himself_is_known_by_the_same_proof() -> None:
    """Two tokens of one key have one proof, two keys have two."""
    tokens = [RSA.token(CLAIMS), RSA.token({**CLAIMS, "sub": "bob"})]
    proofs = [(await verified(with_public_key(RSA), token)).proof for token in tokens]
    assert all(one == other for one, other in pairwise(proofs))
    assert (await verified(with_public_key(EC), EC.token(CLAIMS))).proof not in proofs
