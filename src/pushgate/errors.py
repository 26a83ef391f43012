"""
Every exception that pushgate raises, as a tree.

- PushgateError
    - ConfigError                 gateway.yaml cannot be used: file, line, column, message
    - PollError                   a poll yielded no document: reason (a metric label) and detail
    - Refusal                     a client does not get what it asked for
        - BadRequest              400  1008
        - NotAuthenticated        401  4401
        - Forbidden               403  4403
        - UpstreamDenied          401 or 403  4403
        - OriginForbidden         403  4403
        - NoSuchTopic             404  4404
        - TopicGone               404  4404
        - MethodNotAllowed        405  1008
        - TransportNotOffered     406  4406
        - AuthTooLate             408  4408
        - RequestTooLate          408  1008
        - BodyTooLarge            413  1009
        - LineTooLong             414  1009
        - UnsupportedBody         415  1008
        - UpstreamRefused         4xx  1008
        - TooMany                 429  4429
        - FieldsTooLarge          431  1009
        - UpstreamFailed          502  1013
        - AuthUnavailable         503  1013
        - Overloaded              503  1013
        - Paused                  503  1013
        - Draining                503  1012
        - Reloaded                503  1012
        - UpstreamTimedOut        504  1013

A refusal knows its HTTP status, its stable problem code (RFC 9457 extension member ``code``), its WebSocket close
code and when it is worth coming back; the adapters only write it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias

PollFailureReason = Literal[
    "timeout",
    "connect",
    "dns",
    "tls",
    "http_4xx",
    "http_5xx",
    "rate_limited",
    "upstream_auth",
    "protocol",
    "truncated",
    "too_large",
    "decode",
    "select",
    "guard",
    "fail_if",
    "budget",
]

# And why there was no poll to fail: an operator has paused its upstream, so nothing was asked.
PollErrorReason: TypeAlias = PollFailureReason | Literal["paused"]

# When to come back to what an operator has paused, in seconds: often enough to notice soon that it is over.
PAUSE_PATIENCE = 30.0

# What can be wrong with credentials; each is the problem code of its refusal.
CredentialFault = Literal[
    "credentials_missing",  # none were found where the entry of ``auth:`` looks for them
    "credentials_malformed",  # a token that is none, a header field of another scheme
    "credentials_unknown",  # a key, user name or password that is not listed
    "credentials_refused",  # the service that decides said no
    "credentials_expired",
    "credentials_premature",  # not valid yet
    "credentials_revoked",  # they were good, and the configuration or an operator has taken them back
    "token_algorithm",  # none, or one that does not go with the key
    "token_key",  # signed by a key that the issuer does not publish
    "token_signature",
    "token_issuer",
    "token_audience",
    "token_claims",  # a claim that must be there is missing, or is not what it must be
    "ticket_unknown",  # never given out, redeemed already, or too old
    "ticket_misused",  # for another topic or another mode
]


class PushgateError(Exception):
    """The root of all errors raised by pushgate itself."""


class ConfigError(PushgateError):
    """gateway.yaml cannot be used; ``str()`` is ``file:line:column: message``, one line for each problem."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class ConfigProblem:
    """One thing that is wrong with gateway.yaml, and where. ``line`` and ``column`` count from 1."""

    __slots__ = ("column", "file", "line", "message")

    def __init__(self, file: str, line: int, column: int, message: str) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.message = message

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PollError(PushgateError):
    """
    A poll yielded no document.

    ``reason`` is one of the label values of ``pushgate_poll_failures_total``, or ``paused``. ``detail`` is for people
    and never holds the body or a credential. ``retry_after`` is what the upstream asked for, in seconds. ``asked``:
    whether a request went out at all; a poll that was spared the upstream is counted as skipped.
    """

    def __init__(
        self, reason: PollErrorReason, detail: str, *, retry_after: float | None = None, asked: bool = True
    ) -> None:
        self.reason: PollErrorReason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.asked = asked

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Refusal(PushgateError):
    """A client does not get what it asked for."""

    status: ClassVar[int]
    code: ClassVar[str]
    close_code: ClassVar[int]

    def __init__(
        self, message: str, *, retry_after: float | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.message = message
        self.retry_after = retry_after  # seconds; None: the same request will be refused again
        self.headers = headers

    def __str__(self) -> str:
        return self.message


class BadRequest(Refusal):
    status, code, close_code = 400, "bad_request", 1008


class NotAuthenticated(Refusal):
    """Nobody knows who the client is; ``fault`` says why, and is the problem code."""

    status, code, close_code = 401, "credentials_missing", 4401

    def __init__(
        self, fault: CredentialFault, message: str, *, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(message, headers=headers)
        self.fault = fault
        self.code = fault  # type: ignore[misc]  # what is wrong is what a client can act on


class Forbidden(Refusal):
    status, code, close_code = 403, "forbidden", 4403


class UpstreamDenied(Refusal):
    """The upstream sent away the client as whom it was asked; its status is repeated."""

    status, code, close_code = 403, "upstream_denied", 4403

    def __init__(self, status: int) -> None:
        super().__init__(f"the upstream answered {status} to this client's own credentials")
        self.status = status  # type: ignore[misc]  # the only refusal that has more than one


class OriginForbidden(Refusal):
    status, code, close_code = 403, "origin_forbidden", 4403


class NoSuchTopic(Refusal):
    status, code, close_code = 404, "no_such_topic", 4404


class TopicGone(Refusal):
    status, code, close_code = 404, "gone", 4404


class MethodNotAllowed(Refusal):
    status, code, close_code = 405, "method_not_allowed", 1008


class TransportNotOffered(Refusal):
    status, code, close_code = 406, "transport_not_offered", 4406


class AuthTooLate(Refusal):
    """A WebSocket client was let in to say who it is, and did not in time."""

    status, code, close_code = 408, "auth_too_late", 4408


class RequestTooLate(Refusal):
    status, code, close_code = 408, "request_too_late", 1008


class BodyTooLarge(Refusal):
    status, code, close_code = 413, "body_too_large", 1009


class LineTooLong(Refusal):
    status, code, close_code = 414, "line_too_long", 1009


class UnsupportedBody(Refusal):
    status, code, close_code = 415, "unsupported_body", 1008


class UpstreamRefused(Refusal):
    """The upstream did not do what a client wrote; its status is repeated, and ``shown`` is what it said."""

    status, code, close_code = 400, "upstream_refused", 1008

    def __init__(self, status: int, shown: Mapping[str, Any]) -> None:
        super().__init__(f"the upstream answered {status} to this write")
        self.status = status  # type: ignore[misc]  # it is the upstream's
        self.shown = shown


class TooMany(Refusal):
    """One client takes more than its share: connections, topics, attempts; ``limit`` names which, where counted."""

    status, code, close_code = 429, "too_many", 4429

    def __init__(self, message: str, *, retry_after: float | None = None, limit: str | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit


class FieldsTooLarge(Refusal):
    status, code, close_code = 431, "fields_too_large", 1009


class UpstreamFailed(Refusal):
    status, code, close_code = 502, "upstream_failed", 1013


class AuthUnavailable(Refusal):
    """Whether the client may cannot be found out now, so it may not."""

    status, code, close_code = 503, "auth_unavailable", 1013


class Overloaded(Refusal):
    """There is no room, or not so fast; ``limit`` names which limit says so, where that is counted."""

    status, code, close_code = 503, "overloaded", 1013

    def __init__(self, message: str, *, retry_after: float, limit: str | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit


class Paused(Refusal):
    """An operator has paused a route or an upstream; nobody knows for how long."""

    status, code, close_code = 503, "paused", 1013

    def __init__(self, message: str, *, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message, retry_after=PAUSE_PATIENCE, headers=headers)


class Draining(Refusal):
    status, code, close_code = 503, "draining", 1012


class Reloaded(Refusal):
    """Under the new configuration the topic has to be asked for anew; it may well be there."""

    status, code, close_code = 503, "reloaded", 1012


class UpstreamTimedOut(Refusal):
    status, code, close_code = 504, "upstream_timed_out", 1013
