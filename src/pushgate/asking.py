"""
What is asked of an upstream for one topic: its method, URL, header fields and body, with the topic's values in them.

Every value is escaped for where it stands: in a path segment, a query, a header field, or a body of JSON, XML or form
fields. A URL made here begins with the upstream's own, whatever a client sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import msgspec

from .config.requests import Request
from .config.upstreams import Upstream
from .escaping import content_type_of, escape_of
from .naming import encode_query, fill_header, fill_known, fill_path, fill_text, references
from .values import UpstreamRequest


class Question:
    """A route's request, ready to be asked for any of its topics. ``path``: where, unless the request says so."""

    def __init__(self, path: str, config: Request, upstream: str, upstreams: Mapping[str, Upstream]) -> None:
        self.path = config.path or path
        self._config = config
        self._upstream = upstream  # a name, or a template of one
        self._upstreams = upstreams
        self._body = _body_text(config)
        self._type = content_type_of(config.headers, self._body, is_form=config.form is not None)
        self.used = frozenset[str]().union(*map(references, self._templates()))

    @property
    def definition(self) -> list[Any]:
        """What an answer is an answer to, for those who ask whether it is still the same."""
        config = self._config
        urls = sorted((name, upstream.url) for name, upstream in self._upstreams.items())
        return [urls, config.method, self.path, config.query, config.headers, self._body, config.form]

    def _templates(self) -> list[str]:
        config = self._config
        return [self.path, self._upstream, *config.query.values(), *config.headers.values(), *self._in_body()]

    def _in_body(self) -> list[str]:
        if self._config.form is not None:
            return [*self._config.form.values()]
        # Only where a value can be escaped does it stand for one; every other brace is literal.
        return [] if self._body is None or escape_of(self._type) is None else [self._body]

    def ask(
        self, values: Mapping[str, str], *, query: list[tuple[str, str]], headers: list[tuple[str, str]]
    ) -> UpstreamRequest:
        """
        Return the request for these values; ``query`` and ``headers`` come beside those of the configuration.

        Raises BadRequest for a value that cannot stand where the request has it.
        """
        config = self._config
        name = fill_text(self._upstream, values)
        upstream = self._upstreams[name]
        asked = [(field, fill_text(template, values)) for field, template in config.query.items()] + query
        url = upstream.base + fill_path(self.path, values)
        if asked:
            url += f"?{encode_query(asked)}"
        fields = {**upstream.headers, **config.headers}
        filled = [(field, fill_header(template, values)) for field, template in fields.items()]
        body = self._fill_body(values)
        if body is not None and not any(field.lower() == "content-type" for field in fields):
            filled.append(("Content-Type", self._type))
        claims = {
            field.removeprefix("claims."): value for field, value in values.items() if field.startswith("claims.")
        }
        return UpstreamRequest(config.method, url, (*filled, *headers), body, name, claims)

    def _fill_body(self, values: Mapping[str, str]) -> bytes | None:
        if self._config.form is not None:
            fields = [(name, fill_text(template, values)) for name, template in self._config.form.items()]
            return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields).encode()
        if self._body is None:
            return None
        escape = escape_of(self._type)
        return (self._body if escape is None else fill_known(self._body, values, escape=escape)).encode()


def _body_text(config: Request) -> str | None:
    if config.body_file is not None:
        return Path(config.body_file).read_text(encoding="utf-8")
    if config.body is None or isinstance(config.body, str):
        return config.body
    return msgspec.json.encode(config.body, enc_hook=str.__str__).decode()  # a hidden text is a text
