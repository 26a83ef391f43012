"""
What of a request may be shown to people, and what is hidden in everything that is shown.

Rule 1: a value is shown only under a name that no credential goes by. That holds for header fields, query parameters,
form fields, members of JSON and elements of XML; of header fields that clients send to be passed on, none is shown.
Rule 2: what the configuration keeps secret, and what a client sent to be passed on, is hidden wherever it turns up: in
the answer of a backend that repeats what it was asked, too.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit, urlunsplit

import msgspec
from pydantic import BaseModel, SecretStr

from ..config.credentials import BasicCredentials, texts_of
from ..config.hidden import REDACTED, Hidden, hide_credentials, is_credential, redact
from .narration import CUT

# Shorter ones would hide half of what is shown, and are no secrets.
_MIN_LENGTH = 5

# A word before a token, in header fields whose names say nothing.
_CREDENTIAL_VALUE = re.compile(r"(?i)^(?:bearer|basic|digest|token|negotiate)\s")
_AUTH_NAME = re.compile(r"(?i)(?:^|[-_])auth(?:$|[-_])")
_FORM_FIELD = re.compile(r"([^=&]+)=([^&]*)")
_ELEMENT = re.compile(r"<((?:[\w.-]+:)?([\w.-]+))((?:\s[^<>]*)?)>([^<>]+)(?=</\1\s*>)")


def shown_url(url: str) -> str:
    """Return a URL without a user, a password, and query parameters that are called like credentials."""
    parts = urlsplit(url)
    netloc = parts.netloc if "@" not in parts.netloc else f"{REDACTED}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc, query=_shown_fields(parts.query)))


def shown_fields(fields: Iterable[tuple[str, str]], *, forwarded: Collection[str]) -> Iterator[str]:
    """Yield header fields as lines; ``forwarded``: the names, in lower case, of those that clients send."""
    for name, value in fields:
        is_secret = is_credential(name) or _AUTH_NAME.search(name) or _CREDENTIAL_VALUE.match(value)
        yield f"{name}: {REDACTED if is_secret or name.lower() in forwarded else value}"


def shown_body(body: bytes, content_type: str) -> str:
    """Return the text of a request's body without the values that are called like credentials."""
    text = body.decode(errors="replace")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return _shown_fields(text)
    try:
        return msgspec.json.encode(redact(hide_credentials(msgspec.json.decode(body)))).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _ELEMENT.sub(_shown_element, text)


def _shown_fields(query: str) -> str:
    def shown(match: re.Match[str]) -> str:
        return f"{match[1]}={REDACTED}" if is_credential(unquote(match[1])) else match[0]

    return _FORM_FIELD.sub(shown, query)


def _shown_element(match: re.Match[str]) -> str:
    return f"<{match[1]}{match[3]}>{REDACTED}" if is_credential(match[2]) else match[0]


def secrets_of(section: Any) -> Iterator[str]:
    """Yield every text that a part of the configuration keeps secret, at any depth."""
    match section:
        case SecretStr():
            yield section.get_secret_value()
        case Hidden():
            yield from _secrets_of_hidden(str.__str__(section))
        case BaseModel():
            if isinstance(section, BasicCredentials):
                yield b64encode(":".join(texts_of(section).values()).encode()).decode()
            for name in type(section).model_fields:
                yield from secrets_of(getattr(section, name))
        case Mapping():
            for value in section.values():
                yield from secrets_of(value)
        case list() | tuple():
            for value in section:
                yield from secrets_of(value)
        case _:
            return


def _secrets_of_hidden(text: str) -> Iterator[str]:
    """Yield a hidden text, or of a hidden URL what makes it one: its password and its query's values."""
    if "://" not in text:
        yield text
        return
    parts = urlsplit(text)
    yield from (value for _, value in _FORM_FIELD.findall(parts.query))
    yield from filter(None, (parts.username, parts.password))
    if parts.password:
        yield b64encode(f"{unquote(parts.username or '')}:{unquote(parts.password)}".encode()).decode()


class Veil:
    """Hides secrets in what is shown: as they are, without ``Bearer``, and as JSON, URLs and forms write them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._known: set[str] = set()
        self._forms: list[str] = []  # the longest first
        self._any: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these, too."""
        whole = {*secrets}
        known = {each for each in whole | {_CREDENTIAL_VALUE.sub("", one) for one in whole} if len(each) >= _MIN_LENGTH}
        if known <= self._known:
            return
        self._known |= known
        forms = {form for one in self._known for form in (one, _in_json(one), quote(one, ""), quote_plus(one))}
        self._forms = sorted(forms, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, self._forms)))

    def __call__(self, value: Any) -> Any:
        """Return a text, or a JSON value with all its texts, without the secrets."""
        if self._any is None:
            return value
        match value:
            case str():
                return self._without_beginning(self._any.sub(REDACTED, value))
            case dict():
                return {self(name): self(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self(inner) for inner in value]
            case _:
                return value

    def _without_beginning(self, text: str) -> str:
        """Hide the beginning of a secret in which a text was cut."""
        shown, mark, rest = text.rpartition(CUT)
        fitting = (
            length
            for form in self._forms
            for length in range(min(len(form), len(shown)), _MIN_LENGTH - 1, -1)
            if shown.endswith(form[:length])
        )
        length = max(fitting, default=0) if mark else 0
        return f"{shown[:-length]}{REDACTED}{mark}{rest}" if length else text


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
