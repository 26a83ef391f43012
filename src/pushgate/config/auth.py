"""``auth:``: how clients prove who they are."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator

from .addresses import FieldName, FieldValue, SentField, Url
from .hidden import REDACTED
from .scalars import Duration, OptionalSecret, Period, ReadableFile, Text, text_of
from .section import EMPTY, Names, OneOrMore, Section, demand_one, misplaced
from .signatures import (
    OF_PUBLIC_KEYS,
    SECRET_BYTES,
    Algorithm,
    algorithms_of,
    algorithms_of_secret,
    is_key,
    public_key_of,
    secret_bytes,
)

Carrier = Literal["header", "cookie", "query", "subprotocol", "message", "ticket"]


def _hash(value: object) -> str:
    text = text_of(value)
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text) is None:
        raise ValueError("is no hash; write it like sha256:<64 hexadecimal digits>")
    return text


# Longer is what no client is given as a key; and so much of what a stranger sends is hashed.
MAX_KEY_LENGTH = 4096


def _claim(value: object) -> str | tuple[str, ...]:
    return tuple(text_of(item) for item in value) if isinstance(value, list | tuple) else text_of(value)


def _some_key(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) > MAX_KEY_LENGTH:
        raise ValueError(f"is longer than {MAX_KEY_LENGTH} characters")
    return value


def hash_of(key: str) -> str:
    """Return the hash of a key as the configuration has it; any text has one, also what is no UTF-8."""
    return f"sha256:{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


Hash = Annotated[str, BeforeValidator(_hash), WithJsonSchema({"title": "hash", "type": "string"})]
Key = Annotated[OptionalSecret, AfterValidator(_some_key)]
_TEXTS = {"title": "text or list", "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Claim = Annotated[str | tuple[str, ...], BeforeValidator(_claim), WithJsonSchema(_TEXTS)]


def _public_key(value: object) -> str:
    text = text_of(value)
    public_key_of(text)
    return text


PublicKeyPem = Annotated[str, BeforeValidator(_public_key), WithJsonSchema({"title": "PEM", "type": "string"})]


class _Carried(Section):
    carriers: OneOrMore[Carrier] = ("header", "cookie")
    """Where clients may put their credentials."""
    header_name: SentField = "Authorization"
    """The header that carries them."""
    cookie_name: FieldName | None = None
    """The cookie that carries them."""

    @property
    def ways(self) -> frozenset[Carrier]:
        """The carriers in which something may really be found."""
        return frozenset(one for one in self.carriers if one != "cookie" or self.cookie_name is not None)

    @model_validator(mode="after")
    def _can_be_carried(self) -> Self:
        if self.cookie_name is not None and "cookie" not in self.carriers:
            raise misplaced("cookie_name", "is not looked at; add `cookie` to `carriers`")
        # The default names the cookie, whether or not there is one.
        if "cookie" in self.carriers and "cookie" not in self.ways and self.carriers != ("header", "cookie"):
            raise misplaced("carriers", "`cookie` needs `cookie_name`; add it")
        if "ticket" in self.carriers and self.ways.isdisjoint(["header", "cookie", "query"]):
            raise misplaced("carriers", "a ticket is got with credentials in a request; add a carrier like `header`")
        return self


class JwtAuth(_Carried):
    """Signed tokens (RFC 7519)."""

    kind: Literal["jwt"]
    """JSON Web Tokens."""
    secret: OptionalSecret = None
    """The shared secret of HS algorithms."""
    public_key: PublicKeyPem | None = None
    """The issuer's public key or certificate in PEM form."""
    jwks_url: Url | None = None
    """Where the issuer publishes its keys."""
    algorithms: Names[Algorithm] = ()
    """Which signatures count; by default those that fit the key."""
    issuer: Text | None = None
    """What `iss` must be."""
    audience: Names[Text] = ()
    """One of these must be in `aud`; if none is named, a token that has an `aud` is for somebody else."""
    leeway: Duration = 0.0
    """How far clocks may differ; tokens are good for so much longer."""

    @model_validator(mode="after")
    def _one_key(self) -> JwtAuth:
        demand_one(self, "secret", "public_key", "jwks_url")
        if self.secret is not None:
            self._check_secret(self.secret.get_secret_value())
        elif self.public_key is not None:
            self._check_algorithms(algorithms_of(public_key_of(self.public_key)), "the key")
        else:
            self._check_algorithms(OF_PUBLIC_KEYS, "`jwks_url`")
        return self

    def _check_secret(self, secret: str) -> None:
        self._check_algorithms((*SECRET_BYTES,), "`secret`")
        if secret == REDACTED:  # what `pushgate config` wrote can be checked again
            return
        if is_key(secret):
            raise misplaced("secret", "is a key; write a public key under `public_key`")
        name = max(self.algorithms or ("HS256",), key=lambda name: SECRET_BYTES[name])
        if name not in algorithms_of_secret(secret):
            size = len(secret_bytes(secret))
            raise misplaced("secret", f"is {size} bytes long; {name} needs {SECRET_BYTES[name]} (RFC 7518 section 3.2)")

    def _check_algorithms(self, fitting: tuple[Algorithm, ...], key: str) -> None:
        for name in self.algorithms:
            if name not in fitting:
                raise misplaced("algorithms", f"{name} does not go with {key}; that verifies {', '.join(fitting)}")


class ApiKey(Section):
    """One client's key."""

    name: Text
    """The subject that the key stands for."""
    hash: Hash | None = None
    """The key's hash, which is better kept in a file than the key."""
    key: Key = None
    """The key itself."""
    claims: dict[Text, Claim] = EMPTY
    """What is true of this client; `sub` is its name."""

    @model_validator(mode="after")
    def _one_form(self) -> ApiKey:
        demand_one(self, "hash", "key")
        if "sub" in self.claims:
            raise misplaced(("claims", "sub"), "is the key's name already; remove it")
        return self

    @property
    def is_redacted(self) -> bool:
        """Whether it comes from the output of ``pushgate config``, where all keys look alike."""
        return self.key is not None and self.key.get_secret_value() == REDACTED

    @property
    def fingerprint(self) -> str:
        """The hash, also of a key that stands there in clear."""
        if self.hash is not None:
            return self.hash
        assert self.key is not None, "the section demands one of them"
        return hash_of(self.key.get_secret_value())


class ApiKeyAuth(_Carried):
    """Keys that are listed here."""

    kind: Literal["api_key"]
    """API keys."""
    keys: tuple[ApiKey, ...]
    """The keys."""

    @model_validator(mode="after")
    def _distinct(self) -> ApiKeyAuth:
        if not self.keys:
            raise misplaced("keys", "must not be empty")
        owners: dict[str, str] = {}
        names = [key.name for key in self.keys]
        for index, key in enumerate(self.keys):
            if key.name in names[:index]:
                raise misplaced(("keys", index, "name"), f"{key.name} is named twice; give each key its own name")
            owner = owners.setdefault(key.fingerprint, key.name)
            if owner != key.name and not key.is_redacted:
                raise misplaced(("keys", index), f"{key.name} has the same key as {owner}; give each its own")
        return self


class BasicAuth(_Carried):
    """User names and passwords in an htpasswd file."""

    kind: Literal["basic"]
    """HTTP Basic."""
    htpasswd: ReadableFile
    """The file, with a line `user:hash` for each; bcrypt, apr1, SHA or SHA-crypt (read again when it changes)."""
    realm: FieldValue = "pushgate"
    """What browsers show when they ask."""


def _no_cookies(name: str) -> str:
    if name.lower() == "cookie":
        raise ValueError("would show all cookies; list those that are meant under `cookies`")
    return name


def _no_user(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise ValueError("holds a user name or password, which would take the place of the client's")
    return url


class Send(Section):
    """What of the client's request is shown to the other service."""

    headers: Names[Annotated[SentField, AfterValidator(_no_cookies)]] = ()
    """These header fields."""
    cookies: Names[FieldName] = ()
    """These cookies."""


class ForwardAuth(_Carried):
    """Another service decides: 2xx is yes."""

    kind: Literal["forward"]
    """Subrequest."""
    url: Annotated[Url, AfterValidator(_no_user)]
    """Whom to ask."""
    send: Send = Send(headers=("Authorization",))
    """What is shown to it; a credential by query, subprotocol or message goes into `header_name`."""
    claims: dict[Text, FieldName] = EMPTY
    """Claims, and the header of its answer that brings each; `sub` and `iss` tell who it is, `exp` until when."""
    cache: Duration = 10.0
    """How long a verdict holds for the same credentials."""
    timeout: Period = 3.0
    """How long it may take."""

    @property
    def ways(self) -> frozenset[Carrier]:
        """What is listed is shown, whatever the carriers; these are for what else there is."""
        listed: list[Carrier] = ["header"] if self.send.headers else []
        listed += ["cookie"] if self.send.cookies else []
        return (super().ways - {"header"}) | {*listed}

    @model_validator(mode="after")
    def _shows_something(self) -> ForwardAuth:
        if not self.ways - {"ticket"}:
            raise misplaced("send", "shows nothing of the client; name `headers` or `cookies`")
        return self


Auth = Annotated[JwtAuth | ApiKeyAuth | BasicAuth | ForwardAuth, Field(discriminator="kind")]
