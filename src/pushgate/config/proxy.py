"""``proxy:``: paths of the backend that no route covers, passed through."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from .access import AuthNames
from .scalars import Period, Text
from .section import EMPTY, Names, OneOrMore, Section, misplaced


class ProxyTimeout(Section):
    """When an exchange is given up; a download may take as long as it moves."""

    idle: Period = 60.0
    """Time without a byte."""


class Proxy(Section):
    """A path and everything below it, passed through to an upstream."""

    upstream: Text
    """Where it goes."""
    auth: AuthNames = None
    """Who may use it: entries of `auth:`, or none."""
    methods: OneOrMore[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]] = ("GET", "HEAD")
    """What may be done."""
    credentials: Literal["client", "upstream"] = "client"
    """Whose credentials are sent: the client's own, or the upstream's from this file."""
    timeout: ProxyTimeout = ProxyTimeout()
    """When an exchange is given up."""
    refresh: dict[Text, Names[Text]] = EMPTY
    """Topics that are polled after a request, such as `POST /add.php`; `*` is any one segment."""

    @model_validator(mode="after")
    def _requests_that_are_passed_on(self) -> Proxy:
        for key in self.refresh:
            method, _, path = key.partition(" ")
            if not path.startswith("/") or any(part in path for part in "?#{} "):
                raise misplaced(("refresh", key), "is no request; write it like `POST /add.php`")
            if method not in self.methods:
                raise misplaced(("refresh", key), f"is never passed on; add {method} to `methods`")
        return self

    @model_validator(mode="after")
    def _nobody_borrows_credentials(self) -> Proxy:
        if self.credentials == "upstream" and not self.auth:
            raise misplaced("credentials", "anybody could use pushgate's own; name an `auth`, or set `client`")
        return self
