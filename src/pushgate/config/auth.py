"""``auth:``: how clients prove who they are."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .addresses import FieldName, Url
from .scalars import Duration, OptionalSecret, Period, Text, text_of
from .section import EMPTY, Names, OneOrMore, Section, demand_one, misplaced

Carrier = Literal["header", "cookie", "query", "subprotocol", "message", "ticket"]
Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


def _hash(value: object) -> str:
    text = text_of(value)
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text) is None:
        raise ValueError("is no hash; write it like sha256:<64 hexadecimal digits>")
    return text


Hash = Annotated[str, BeforeValidator(_hash), WithJsonSchema({"title": "hash", "type": "string"})]


class _Carried(Section):
    carriers: OneOrMore[Carrier] = ("header", "cookie")
    """Where clients may put their credentials."""
    header_name: FieldName = "Authorization"
    """The header that carries them."""
    cookie_name: FieldName | None = None
    """The cookie that carries them."""


class JwtAuth(_Carried):
    """Signed tokens (RFC 7519)."""

    kind: Literal["jwt"]
    """JSON Web Tokens."""
    secret: OptionalSecret = None
    """The shared secret of HS algorithms."""
    public_key: Text | None = None
    """PEM of the issuer's public key."""
    jwks_url: Url | None = None
    """Where the issuer publishes its keys."""
    algorithms: Names[Algorithm] = ()
    """Which signatures count; by default those that fit the key."""
    issuer: Text | None = None
    """What `iss` must be."""
    audience: Names[Text] = ()
    """One of these must be in `aud`."""
    leeway: Duration = 0.0
    """How far clocks may differ."""

    @model_validator(mode="after")
    def _one_key(self) -> JwtAuth:
        demand_one(self, "secret", "public_key", "jwks_url")
        return self


class ApiKey(Section):
    """One client's key."""

    name: Text
    """The subject that the key stands for."""
    hash: Hash | None = None
    """The key's hash, which is better kept in a file than the key."""
    key: OptionalSecret = None
    """The key itself."""
    claims: dict[Text, Names[Text]] = EMPTY
    """What is true of this client."""

    @model_validator(mode="after")
    def _one_form(self) -> ApiKey:
        demand_one(self, "hash", "key")
        return self


class ApiKeyAuth(_Carried):
    """Keys that are listed here."""

    kind: Literal["api_key"]
    """API keys."""
    keys: tuple[ApiKey, ...]
    """The keys."""

    @model_validator(mode="after")
    def _distinct(self) -> ApiKeyAuth:
        names = [key.name for key in self.keys]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise misplaced(("keys", index, "name"), f"{name} is named twice; give each key its own name")
        return self


class BasicAuth(_Carried):
    """User names and passwords in an htpasswd file."""

    kind: Literal["basic"]
    """HTTP Basic."""
    htpasswd: Text
    """The file."""
    realm: Text = "pushgate"
    """What browsers show when they ask."""


class Send(Section):
    """What of the client's request is shown to the other service."""

    headers: Names[FieldName] = ()
    """These header fields."""
    cookies: Names[FieldName] = ()
    """These cookies."""


class ForwardAuth(_Carried):
    """Another service decides: 2xx is yes."""

    kind: Literal["forward"]
    """Subrequest."""
    url: Url
    """Whom to ask."""
    send: Send = Send(headers=("Authorization",))
    """What is shown to it."""
    claims: dict[Text, FieldName] = EMPTY
    """Claims, and the header of its answer that brings each."""
    cache: Duration = 10.0
    """How long a verdict holds for the same credentials."""
    timeout: Period = 3.0
    """How long it may take."""


Auth = Annotated[JwtAuth | ApiKeyAuth | BasicAuth | ForwardAuth, Field(discriminator="kind")]
