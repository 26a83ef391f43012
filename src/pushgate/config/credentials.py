"""``credentials:`` of an upstream: how pushgate shows who it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ..naming import placeholders, references
from .addresses import FieldName, Url
from .expressions import JmesPath
from .hidden import hide_all
from .requests import Request
from .scalars import Count, Secret, Text
from .section import Names, Section, demand_one, misplaced


class NoCredentials(Section):
    """Nothing is shown."""

    kind: Literal["none"] = "none"
    """No credentials."""


def _username(value: str) -> str:
    if ":" in value:
        raise ValueError("holds a colon, behind which HTTP Basic and Digest expect the password")
    return value


Username = Annotated[Text, AfterValidator(_username)]


class BasicCredentials(Section):
    """HTTP Basic (RFC 7617)."""

    kind: Literal["basic"]
    """Basic."""
    username: Username
    """The user's name."""
    password: Secret
    """The password."""


class DigestCredentials(Section):
    """HTTP Digest (RFC 7616)."""

    kind: Literal["digest"]
    """Digest."""
    username: Username
    """The user's name."""
    password: Secret
    """The password."""


class BearerCredentials(Section):
    """A token in the Authorization header (RFC 6750)."""

    kind: Literal["bearer"]
    """Bearer token."""
    token: Secret
    """The token."""


class ApiKeyCredentials(Section):
    """A key in a header or a query parameter."""

    kind: Literal["api_key"]
    """API key."""
    header: FieldName | None = None
    """The header that carries the key."""
    query: Text | None = None
    """The query parameter that carries the key."""
    value: Secret
    """The key."""

    @model_validator(mode="after")
    def _one_place(self) -> ApiKeyCredentials:
        demand_one(self, "header", "query")
        return self


class OAuth2Credentials(Section):
    """OAuth 2.0 client credentials (RFC 6749 section 4.4)."""

    kind: Literal["oauth2"]
    """OAuth 2.0."""
    token_url: Url
    """Where tokens are issued."""
    client_id: Text
    """Who the gateway is."""
    client_secret: Secret
    """What proves it."""
    scopes: Names[Text] = ()
    """What it asks for."""
    audience: Text | None = None
    """Whom the token is for."""


class Expired(Section):
    """How an answer tells that the login is over."""

    redirect: Text | None = None
    """A redirect to this path."""
    status: Count | None = None
    """This status."""
    fail_if: JmesPath | None = None
    """This expression is true of the decoded answer."""

    @model_validator(mode="after")
    def _one_sign(self) -> Expired:
        demand_one(self, "redirect", "status", "fail_if")
        return self


def _hide_login(request: Request) -> Request:
    """Hide whatever a login sends: it is there for nothing else, and a password may be called anything."""
    sent = {name: getattr(request, name) for name in ("query", "form", "body")}
    return request.model_copy(update={name: hide_all(values) for name, values in sent.items() if values})


class LoginCredentials(Section):
    """A form login whose cookies are kept."""

    kind: Literal["login"]
    """Form login."""
    request: Annotated[Request, AfterValidator(_hide_login)]
    """The request that logs in."""
    expired: Expired
    """When it has to be sent again."""

    @model_validator(mode="after")
    def _says_where(self) -> LoginCredentials:
        if self.request.path is None:
            raise misplaced(("request", "path"), "is missing: a login is of no route; say where it is sent")
        if placeholders(self.request.path):
            raise misplaced(("request", "path"), "holds a placeholder, and a login is of no topic; write it out")
        return self


class SessionCredentials(Section):
    """A session id that the upstream hands out with a refusal."""

    kind: Literal["session"]
    """Session id."""
    status: Count = 409
    """The status of that refusal."""
    header: FieldName
    """The header that brings the id, and takes it back."""


Credentials = Annotated[
    NoCredentials
    | BasicCredentials
    | DigestCredentials
    | BearerCredentials
    | ApiKeyCredentials
    | OAuth2Credentials
    | LoginCredentials
    | SessionCredentials,
    Field(discriminator="kind"),
]


def texts_of(credentials: Credentials) -> dict[str, str]:
    """Return the texts in which `{claims.x}` stands for a claim of the caller, by their key."""
    match credentials:
        case BasicCredentials(username=username, password=password):
            return {"username": username, "password": password.get_secret_value()}
        case BearerCredentials(token=token):
            return {"token": token.get_secret_value()}
        case ApiKeyCredentials(value=value):
            return {"value": value.get_secret_value()}
        case _:
            return {}


def claims_in(text: str) -> frozenset[str]:
    """Return the claims in a text of credentials, where all other braces are literal."""
    return frozenset(name for name in references(text) if name.startswith("claims."))
