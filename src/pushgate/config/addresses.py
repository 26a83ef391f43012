"""Where things are: listening addresses, URLs, paths, origins, networks, and the names in HTTP messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from ..naming import placeholders
from .hidden import REDACTED, hide_url, redact_url
from .scalars import Text, WithCredentials, text_of

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")
_ORIGIN = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_NOT_IN_A_PATH = re.compile(r"[\s\x00-\x1f\x7f?#\\]")
_QUERY = re.compile(r"\?.+", re.DOTALL)
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BRACES = re.compile(r"\{[^}]*\}?|\}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens; an empty host is every interface, port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(value: object) -> Address:
    if isinstance(value, Address):
        return value
    text = text_of(value)
    match = _LISTEN.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is no address; write it like 0.0.0.0:8080, :8080 or [::1]:8080")
    if int(match["port"]) > 65_535:
        raise ValueError(f"`{text}` has a port above 65535")
    return Address(match["six"] or match["host"], int(match["port"]))


def _url(*schemes: str) -> Callable[[object], str]:
    """Make a reader of URLs; its messages do not repeat the URL, which may hold a password."""

    def reader(value: object) -> str:
        text = text_of(value)
        try:
            parts = urlsplit(text)
            host, _port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is no URL: its host or port cannot be read") from None
        if parts.scheme not in schemes:
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if parts.scheme == "unix" and (host or not parts.path.startswith("/")):
            raise ValueError("must name a socket file, as in unix:///run/app.sock")
        if parts.scheme != "unix" and not host:
            raise ValueError(f"names no host; write it like {parts.scheme}://host/path")
        if re.search(r"[\s\x00-\x1f\x7f]", text):
            raise ValueError("holds a space or a control character; percent-encode it")
        return text

    return reader


def base_url_of(value: object) -> str:
    """Return an upstream's URL: nothing but scheme, host, port and path, without a slash at its end."""
    text = _url("http", "https", "unix")(value)
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password; write them under `credentials:`")
    if parts.query or parts.fragment:
        raise ValueError("holds a query or a fragment; write it under the route's `request: {query: …}`")
    return text.rstrip("/") if parts.scheme != "unix" else text


def path_of(value: object) -> str:
    """Return an absolute path, with or without ``{name}`` in it."""
    text = text_of(value)
    if not text.startswith("/"):
        raise ValueError(f"`{text}` must begin with a slash")
    if _NOT_IN_A_PATH.search(text):
        text = _QUERY.sub("?…", text)  # which may hold a key
        raise ValueError(f"`{text}` holds a space, a backslash, `?` or `#`; percent-encode it, or use `query:`")
    if any(unquote(segment) in (".", "..") for segment in text.split("/")):
        raise ValueError(f"`{text}` has `.` or `..` as a segment; write the path without it")
    return text


def route_path_of(value: object) -> str:
    """Return a route's public path: its segments are not empty, its braces hold names, each once."""
    text = path_of(value)
    if text != "/" and "" in text[1:].split("/"):
        raise ValueError(f"`{text}` has an empty segment; write it without doubled or trailing slashes")
    found = _BRACES.findall(text)
    for braces in found:
        if not placeholders(braces):
            raise ValueError(f"`{braces}` in `{text}` is no parameter; write it like {{name}}")
        if found.count(braces) > 1:
            raise ValueError(f"`{braces}` stands twice in `{text}`; give each its own name")
    return text


def prefix_of(value: object) -> str:
    text = path_of(value)
    if len(text) < 3 or not text.endswith("/") or placeholders(text):
        raise ValueError(f"`{text}` must begin and end with a slash, as in /-/")
    return text


def base_path_of(value: object) -> str:
    text = text_of(value)
    return path_of(text).rstrip("/") if text else ""


def origin_of(value: object) -> str:
    text = text_of(value)
    if text != "*" and _ORIGIN.fullmatch(text) is None:
        raise ValueError(f"`{text}` is no origin; write it like https://app.example, without a path, or *")
    return text.lower()


def network_of(value: object) -> str:
    text = text_of(value)
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"`{text}` is no network: {error}; write it like 10.0.0.0/8") from None


def host_of(value: object) -> str:
    text = text_of(value)
    if _HOST.fullmatch(text) is None:
        raise ValueError(f"`{text}` is no host name")
    return text


def field_name_of(value: object) -> str:
    """Return the name of a header or a cookie."""
    text = text_of(value)
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"`{text}` is no header name")
    return text


def sent_field_of(value: object) -> str:
    """Return the name of a header that may be sent; those of the connection are not the file's to choose."""
    text = field_name_of(value)
    if text.lower() in _HOP_BY_HOP:
        raise ValueError(f"`{text}` is set by pushgate itself; remove it")
    return text


def field_value_of(value: object) -> str:
    """Return a header's value; it is not repeated in messages, since it may be a credential."""
    text = text_of(value)
    if _NOT_IN_A_VALUE.search(text):
        raise ValueError("holds a line end or a control character, which no header can carry")
    if not text.replace(REDACTED, "").isascii():  # what `pushgate config` wrote can be checked again
        raise ValueError("holds characters beyond ASCII, which headers cannot carry safely")
    return text.strip(" \t")


def name_of(value: object) -> str:
    """Return the name of an upstream or an auth: it becomes a label of metrics."""
    text = text_of(value)
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"`{text}` is no name; use letters, digits, `-`, `_` and `.`")
    return text


def _type(title: str, *examples: str) -> WithJsonSchema:
    described: dict[str, Any] = {"title": title, "type": "string"}
    return WithJsonSchema({**described, "examples": list(examples)} if examples else described)


_HIDDEN, _SHOWN = AfterValidator(hide_url), PlainSerializer(redact_url, when_used="json")

Listen = Annotated[
    Address, BeforeValidator(address_of), PlainSerializer(str, when_used="json"), _type("address", "0.0.0.0:8080")
]
Url = Annotated[str, BeforeValidator(_url("http", "https")), _HIDDEN, _SHOWN, _type("URL", "https://id.example/token")]
BaseUrl = Annotated[str, BeforeValidator(base_url_of), _HIDDEN, _SHOWN, _type("URL", "https://bikes.example/api")]
ProxyUrl = Annotated[str, BeforeValidator(_url("http", "https")), _HIDDEN, _SHOWN, _type("URL", "http://egress:3128")]
RedisUrl = Annotated[
    str, BeforeValidator(_url("redis", "rediss", "unix")), _HIDDEN, _SHOWN, _type("URL", "redis://redis:6379")
]
HttpPath = Annotated[str, BeforeValidator(path_of), _type("path", "/gbfs/{city}/status.json")]
RoutePath = Annotated[str, BeforeValidator(route_path_of)]
Prefix = Annotated[str, BeforeValidator(prefix_of), _type("path", "/-/")]
BasePath = Annotated[str, BeforeValidator(base_path_of), _type("path", "/live")]
Origin = Annotated[str, BeforeValidator(origin_of), _type("origin", "https://app.example")]
Network = Annotated[str, BeforeValidator(network_of), _type("network", "10.0.0.0/8")]
Host = Annotated[str, BeforeValidator(host_of), _type("host", "bikes.example")]
FieldName = Annotated[str, BeforeValidator(field_name_of), _type("header name", "Authorization")]
SentField = Annotated[str, BeforeValidator(sent_field_of), _type("header name", "User-Agent")]
FieldValue = Annotated[str, BeforeValidator(field_value_of), _type("text")]
Name = Annotated[str, BeforeValidator(name_of), _type("name", "bikes")]

Headers = WithCredentials[dict[SentField, FieldValue]]
Query = WithCredentials[dict[Text, Text]]
