"""
``POST /-/poke?topic=…``: somebody who knows the secret says that there is news, and the topics are polled now.

Rule 1: the secret is shown, or signs the body as it came. The topics are not in the body, so whoever catches a signed
request can send it again, with other topics too: all that this ever does is to poll topics that somebody follows,
within the budget of their upstream.
Rule 2: who does not know the secret is not told which topics there are.
Rule 3: the body is nobody's business, and is not kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from pydantic import SecretStr

from ...auth.permission import route_of
from ...config.refresh import Reach, reach_of_topics
from ...config.server import Server
from ...documents.changes import encode
from ...errors import BadRequest, MethodNotAllowed, NoSuchTopic, NotAuthenticated
from ...hub import Hub
from ...naming import origin_form
from ...routes import Route
from ...views import ViewRoute
from ...wishes import MAX_TOPICS
from .aftermath import poke
from .bodies import take_in
from .replies import JSON, Reply
from .trails import id_of

log = structlog.get_logger()

# Webhooks tell what has happened; those that tell more than this are for somebody who reads it.
MAX_BODY_BYTES: Final = 1_000_000

# Where the signature is, by whom: ours, and that of GitHub and of those who do as it does.
SIGNATURES: Final = ("Pushgate-Signature", "X-Hub-Signature-256")

_SCHEME = "bearer "
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pushgate poke"'}


class Poking:
    """Obeys whoever knows the secret. ``entries``: all routes and views."""

    def __init__(self, hub: Hub, settings: Server, entries: Collection[Route | ViewRoute]) -> None:
        self._hub = hub
        self.revise(settings, entries)

    def revise(self, settings: Server, entries: Collection[Route | ViewRoute]) -> None:
        """Go by another configuration from now on."""
        self._secret = settings.poke.secret
        self._entries = entries

    async def answer(self, request: web.BaseRequest) -> Reply:
        """Poll what the query names, for everybody; raises a Refusal if nothing is polled for it."""
        if self._secret is None:
            raise NoSuchTopic("nobody can poke here (server.poke.secret)")
        if request.method != "POST":
            raise MethodNotAllowed("this URL takes POST", headers={"Allow": "POST"})
        await _check_proof(request, self._secret)
        reaches = self._reaches(origin_form(request.raw_path).partition("?")[2])
        polled = [number for number in poke(reaches, self._entries, self._hub).values() if number is not None]
        log.info("poke.obeyed", topics=len(reaches), polled=len(polled), request_id=id_of(request))
        fields = {"Content-Type": JSON, "Cache-Control": "no-store"}
        return Reply(202, fields, encode({"polled": len(polled)}))

    def _reaches(self, query: str) -> list[Reach]:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_TOPICS)
        except ValueError:
            raise BadRequest(f"the query is no UTF-8, or names more than {MAX_TOPICS} topics") from None
        if not pairs or any(name != "topic" for name, _ in pairs):
            raise BadRequest("name the topics as ?topic=, once for each, and nothing else")
        return [self._reach(topic) for _, topic in pairs]

    def _reach(self, topic: str) -> Reach:
        """Return what an entry reaches; as in ``refresh:``, ``*`` is any segment."""
        if not topic.startswith("/"):
            raise BadRequest("a topic begins with a slash")
        reach = reach_of_topics(topic)
        if not any(_leads_to(reach, entry) for entry in self._entries):
            raise NoSuchTopic("no route has such topics")
        return reach


def _leads_to(reach: Reach, entry: Route | ViewRoute) -> bool:
    listed = {name for name, rule in route_of(entry).config.query.items() if rule != "drop"}
    return reach.query.keys() <= listed and reach.within(entry.template) is not None


async def _check_proof(request: web.BaseRequest, secret: SecretStr) -> None:
    """Raise NotAuthenticated for who shows neither the secret nor a signature made with it; read what is signed."""
    key = secret.get_secret_value().encode()
    shown = request.headers.get("Authorization", "")
    signatures = [request.headers[name] for name in SIGNATURES if name in request.headers]
    if not shown and not signatures:
        message = f"show the secret (Authorization: Bearer), or sign the body ({SIGNATURES[0]}: sha256=…)"
        raise NotAuthenticated("credentials_missing", message, headers=_CHALLENGE)
    if shown[: len(_SCHEME)].lower() == _SCHEME and _are_equal(shown[len(_SCHEME) :].strip(), key):
        return
    digest = hmac.new(key, digestmod=sha256)
    if signatures:
        await take_in(request, digest.update, at_most=MAX_BODY_BYTES)
    expected = f"sha256={digest.hexdigest()}".encode()
    if not any(_are_equal(signature.strip().lower(), expected) for signature in signatures):
        message = "this is not the secret, or not its signature of this body (server.poke.secret)"
        raise NotAuthenticated("credentials_unknown", message, headers=_CHALLENGE)


def _are_equal(shown: str, expected: bytes) -> bool:
    return hmac.compare_digest(shown.encode(errors="surrogateescape"), expected)
