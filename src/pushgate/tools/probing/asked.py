"""
What a probe was told to ask, and how gateway.yaml says the same without the credentials in it.

Rules:

- A value goes into the output only where it cannot be a credential: header fields that are known to hold none, query
  parameters and members of the body that are not called like one. Everything else becomes ``${NAME}``.
- What would stand for a parameter is never printed as if it stayed literal: braces of a path are escaped, those of
  GraphQL are set apart, and any other value with ``{name}`` in it becomes ``${NAME}`` with a word about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from ...config.hidden import is_credential
from ...naming import references

# Fields whose values may be shown: they say what is wanted, not who wants it.
_HARMLESS = frozenset(
    ["accept", "accept-charset", "accept-language", "cache-control", "content-type", "origin", "prefer", "referer",
     "soapaction", "user-agent", "x-requested-with"]
)  # fmt: skip
_CREDENTIAL_VALUE = re.compile(r"(?i)(?:token|bearer|basic|secret|password|key)[:= ]")
_CREDENTIAL_TEXT = re.compile(r"(?i)passw|token|secret|api.?key|credential|authorization")
_FORM = re.compile(r"[^=&\s{}<>\[\]]+=[^&\s]*(?:&[^=&\s]+=[^&\s]*)*")
_PATH_LITERAL = str.maketrans({"{": "%7B", "}": "%7D", "\\": "%5C", " ": "%20"})
_UNNAMED = "upstream"


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What is asked for: a URL with scheme and host, and what curl would be told.

    ``user`` is ``name:password``. Nothing of it is shown by repr.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    user: str | None = None

    def __repr__(self) -> str:
        return f"<Asked {self.method} {self.shown}>"

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a user."""
        parts = self._parts
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def target(self) -> str:
        """The absolute URL to ask, without a user and a fragment."""
        parts = self._parts
        path = (parts.path or "/").translate(_PATH_LITERAL)
        return f"{self.origin}{path}{'?' if parts.query else ''}{parts.query.replace(' ', '%20')}"

    @property
    def shown(self) -> str:
        """The URL for people, without what may be a credential."""
        return self.origin + (self._parts.path or "/") + ("?…" if self._parts.query else "")

    @property
    def credentials(self) -> str | None:
        """``name:password``, from ``-u`` or from the URL."""
        if self.user is not None:
            return self.user
        user = self._parts.netloc.rpartition("@")[0]
        return unquote(user) if user else None

    @property
    def name(self) -> str:
        """What the upstream is called: by its host."""
        host = (self._parts.hostname or _UNNAMED).removeprefix("www.").removeprefix("api.")
        return re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-") or _UNNAMED

    def upstream(self) -> dict[str, Any]:
        """Return the entry of ``upstreams:``."""
        entry: dict[str, Any] = {"url": self.origin}
        if shared := {name: value for name, value in self._fields() if name.lower() != "content-type"}:
            entry["headers"] = shared
        if self.credentials is not None:
            username = self.credentials.partition(":")[0]
            entry["credentials"] = {"kind": "basic", "username": _literal(username), "password": "${PASSWORD}"}
        return entry

    def route_path(self) -> str:
        """Return a public path for the route: that of the URL, without what a route cannot have."""
        segments = [segment for segment in self._parts.path.translate(_PATH_LITERAL).split("/") if segment]
        return "/" + "/".join(segments)

    def request(self) -> dict[str, Any]:
        """Return ``request:`` of the route; empty if it asks for nothing but the route's own path."""
        path = (self._parts.path or "/").translate(_PATH_LITERAL)
        request: dict[str, Any] = {} if self.method == "GET" else {"method": self.method}
        if path != self.route_path():
            request["path"] = path
        if self._parts.query:
            pairs = parse_qsl(self._parts.query, keep_blank_values=True)
            request["query"] = {name: _shown(name, value) for name, value in pairs}
        if types := {name: value for name, value in self._fields() if name.lower() == "content-type"}:
            request["headers"] = types
        return {**request, **self._body()}

    def repeated(self) -> list[str]:
        """Return the query parameters that stand in the URL more than once, which a route cannot say."""
        names = [name for name, _ in parse_qsl(self._parts.query, keep_blank_values=True)]
        return sorted({name for name in names if names.count(name) > 1})

    def templates(self) -> list[str]:
        """Return what was asked for literally and would be a parameter in gateway.yaml."""
        texts = [
            self._parts.query and unquote(self._parts.query),
            self.body or "",
            *(value for _, value in self.headers),
        ]
        body = self.request().get("body")
        if body is not None and "${" not in str(body):
            texts[1] = ""  # it is written so that it stays literal
        return sorted({f"{{{name}}}" for text in texts for name in references(text)})

    def placeholders(self) -> list[str]:
        """Return the names of the variables that the output leaves open."""
        found = re.findall(r"(?<!\$)\$\{(\w+)\}", msgspec.json.encode([self.upstream(), self.request()]).decode())
        return list(dict.fromkeys(found))

    def _fields(self) -> Iterator[tuple[str, str]]:
        for name, value in self.headers:
            is_open = name.lower() in _HARMLESS and not references(value)
            yield name, _literal(value) if is_open else variable(name)

    def _body(self) -> dict[str, Any]:
        if self.body is None:
            return {}
        document = json_of(self.body)
        if isinstance(document, dict | list):
            return {"body": _without_credentials("body", document)}
        if _FORM.fullmatch(self.body):
            fields = parse_qsl(self.body, keep_blank_values=True)
            return {"form": {name: _shown(name, value) for name, value in fields}}
        is_open = not _CREDENTIAL_TEXT.search(self.body)
        return {"body": _literal(self.body) if is_open else variable("body")}


def json_of(text: str) -> Any:
    """Return the value of a text that is JSON, or None."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def content_type(body: str) -> str:
    """Return the type that a body is sent as, by its looks; the route will send it as the same."""
    if isinstance(json_of(body), dict | list):
        return "application/json"
    if _FORM.fullmatch(body):
        return "application/x-www-form-urlencoded"
    return "text/xml; charset=utf-8" if body.lstrip().startswith("<") else "text/plain; charset=utf-8"


def variable(name: str) -> str:
    """Return the placeholder for a value that is not shown: ``X-Api-Key`` becomes ``${X_API_KEY}``."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper() or "SECRET"
    return f"${{{words if words[0].isalpha() else f'_{words}'}}}"


def _shown(name: str, value: str) -> str:
    """Return a value for the output, or its placeholder if it may be a credential or would be a template."""
    if is_credential(name) or _CREDENTIAL_VALUE.match(value) or references(value):
        return variable(name)
    return _literal(value)


def _literal(text: str) -> str:
    return text.replace("${", "$${")


def _without_credentials(name: str, value: Any) -> Any:
    match value:
        case str():
            # A brace of GraphQL may stand apart; there, space means nothing.
            return _shown(name, re.sub(r"\{(?=[A-Za-z_][\w.]*\})", "{ ", value) if name == "query" else value)
        case Mapping():
            return {key: _without_credentials(key, member) for key, member in value.items()}
        case list():
            return [_without_credentials(name, item) for item in value]
        case _:
            return variable(name) if is_credential(name) and isinstance(value, int | float) else value
