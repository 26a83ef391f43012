"""
The public listener once more, below ``/-/console/`` of the admin listener: what the dashboard's console subscribes to.

So a topic can be looked at through the admin port alone, from a page of another origin than the topic's.

Rule 1: only who may be told about topics gets through, and only to topics, and only to read; there everybody is a
client like any other, who shows the credentials that the topic wants.
Rule 2: what the operator showed to get here goes no further, cookies included: they are for the whole machine. What the
client shows is said apart, in header fields ``Pushgate-As-…``, or in subprotocols where a page can send no fields:
``pushgate.as.`` and ``Name: value`` in base64url; the operator's token is ``pushgate.operator.`` there.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as NoBase64
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeAlias

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from ...errors import BadRequest, MethodNotAllowed, NotAuthenticated
from ...generation import Generation
from ...naming import origin_form
from .operators import Operators

BELOW: Final = "/-/console"

_AS: Final = "pushgate-as-"
_PROTOCOL: Final = "Sec-WebSocket-Protocol"
_AS_PROTOCOL, _OPERATOR_PROTOCOL = "pushgate.as.", "pushgate.operator."

# What is the operator's and not the client's, or says where a page is.
_OWN: Final = frozenset(["authorization", "cookie", "referer", _PROTOCOL.lower()])

# What no client can say for itself here: what a request is made of, and what proxies and browsers vouch for.
_NOT_TO_SAY: Final = re.compile(
    r"host|origin|connection|upgrade|te|trailer|transfer-.*|content-.*|expect|forwarded|via|x-forwarded-.*|sec-.*"
    r"|proxy-.*|pushgate-.*",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Console:
    """Hands requests on to ``front``. ``generation``: what there is to ask for now."""

    def __init__(self, front: Handler, operators: Operators, generation: Callable[[], Generation]) -> None:
        self._front = front
        self._operators = operators
        self._generation = generation

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as the public listener would; raises the Refusal of who may not come here."""
        protocols = [*_protocols(request)]
        self._operators.check_reader(_with_token(request, protocols))
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("the console only reads", headers={"Allow": "GET, HEAD"})
        generation = self._generation()
        path, separator, query = origin_form(request.raw_path).removeprefix(BELOW).partition("?")
        generation.router.resolve(path)
        target = URL(f"{generation.config.server.base_path}{path}{separator}{query}", encoded=True)
        return await self._front(request.clone(rel_url=target, headers=_headers(request, protocols)))


def _protocols(request: web.BaseRequest) -> Iterator[str]:
    for field in request.headers.getall(_PROTOCOL, ()):
        yield from (protocol.strip() for protocol in field.split(",") if protocol.strip())


def _with_token(request: web.BaseRequest, protocols: list[str]) -> web.BaseRequest:
    """Return the request as the operators shall see it: with the token that a page can only send as a subprotocol."""
    tokens = [_decoded(one, _OPERATOR_PROTOCOL) for one in protocols if one.startswith(_OPERATOR_PROTOCOL)]
    if not tokens:
        return request
    if len(tokens) > 1 or "Authorization" in request.headers:
        raise NotAuthenticated("credentials_malformed", "there is more than one token for the admin listener")
    return request.clone(headers=CIMultiDict([*request.headers.items(), ("Authorization", f"Bearer {tokens[0]}")]))


def _headers(request: web.BaseRequest, protocols: list[str]) -> CIMultiDict[str]:
    """Return what the client says, without what the operator has said."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.items():
        if name.lower().startswith(_AS):
            headers.add(*_field(name[len(_AS) :], value))
        elif name.lower() not in _OWN:
            headers.add(name, value)
    for protocol in protocols:
        if protocol.startswith(_AS_PROTOCOL):
            name, _, value = _decoded(protocol, _AS_PROTOCOL).partition(":")
            headers.add(*_field(name, value.strip()))
    own = [one for one in protocols if not one.startswith((_AS_PROTOCOL, _OPERATOR_PROTOCOL))]
    if own:
        headers[_PROTOCOL] = ", ".join(own)
    return headers


def _field(name: str, value: str) -> tuple[str, str]:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise BadRequest("this is no header field (RFC 9110 section 5)")
    if _NOT_TO_SAY.fullmatch(name):
        raise BadRequest(f"{name} is nothing that a client can say here")
    return name, value


def _decoded(protocol: str, prefix: str) -> str:
    text = protocol.removeprefix(prefix)
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (NoBase64, UnicodeDecodeError):
        raise BadRequest("what stands behind the subprotocol's name is no base64url of a text") from None
