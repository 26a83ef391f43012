"""
People who are easily mistaken for one another, and a backend that says as whom it was asked.

Every answer of the backend carries a label wherever it differs from another: path, token, cookie, tenant, and a number
that no other answer has.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from doubles.server import Asked, Double
from gateways import route
from tokens import token

CARRIERS = ["header", "cookie", "query", "subprotocol", "message", "ticket"]


def _entry(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "jwt", "secret": f"{name}: {'s' * 32}", "carriers": CARRIERS, "cookie_name": "session", **more}


# The last one believes whatever issuer its tokens name.
AUTH = {"one": _entry("one", issuer="https://1"), "two": _entry("two", issuer="https://2"), "any": _entry("any")}
ORDER = [*AUTH]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of somebody, who has several."""

    tag: str
    entry: str
    iss: str
    sub: str
    tenant: str
    friends: tuple[str, ...]
    text: str = field(repr=False)


def _tokens(name: str, entry: str, iss: str, sub: str, *friends: str) -> list[Token]:
    """Return those of somebody who has got a new one meanwhile."""
    secret = str(AUTH[entry]["secret"])
    tags = [f"{name}{number}" for number in range(2)]
    claims: dict[str, Any] = {"iss": iss, "tenant": "acme", "friends": [*friends]}
    return [Token(tag, entry, iss, sub, "acme", friends, token(sub, secret=secret, tag=tag, **claims)) for tag in tags]


# All of them are called ann and work for acme, except for one, who works there with the first.
PEOPLE = {
    "ann of one": _tokens("A", "one", "https://1", "ann", "ben", "cat"),
    "ann of two": _tokens("B", "two", "https://2", "ann", "ben"),
    "ann of three": _tokens("C", "any", "https://3", "ann", "cat"),
    "ann of four": _tokens("D", "any", "https://4", "ann"),
    "eve of one": _tokens("E", "one", "https://1", "eve", "ben"),
}

_POLL = {"every": "300ms", "linger": "1s"}
_LIST = {"auth": ORDER, "poll": _POLL, "key": "id", "emit": ["patch", "items", "snapshot"]}
_OBJECT = {"auth": ORDER, "poll": _POLL, "emit": ["merge", "patch", "snapshot"]}
_WRITE = {"POST": {"wait": "100ms"}}

ROUTES: dict[str, Any] = {
    "/me": route(**_LIST, share="identity", forward={"headers": ["Authorization"]}, write=_WRITE),
    "/me/{id}": {"from": "/me", "item": "{id}", "emit": ["patch", "snapshot"]},
    "/sid": route(
        **_LIST, share="identity", forward={"cookies": ["SID"]}, request={"headers": {"Tag": "{claims.tag}"}}
    ),
    "/tenant": route(**_OBJECT, share={"claims": ["tenant"]}, request={"headers": {"Tenant": "{claims.tenant}"}}),
    "/same": route(**_OBJECT, share="identity"),
    "/of/{who}": route(**_LIST, allow=[{"claim": "friends", "contains": "{who}"}]),
    "/house": route(**_OBJECT),
    "/open": route(**{**_OBJECT, "auth": "none"}),
}
PROXY = {"/elsewhere": {"upstream": "u", "auth": ORDER, "methods": ["GET"]}}

PRIVATE = ("/me", "/me/head", "/sid", "/tenant", "/same")
TOPICS = (*PRIVATE, "/of/ben", "/of/cat", "/house", "/open")


SAME_FOR = 0.7  # seconds
LISTS = ("/me", "/sid", "/of/ben", "/of/cat")


def modes_of(topic: str) -> list[str]:
    """Return what a topic emits."""
    modes = ["patch", "snapshot"]
    return modes if topic == "/me/head" else [*modes, "items" if topic in LISTS else "merge"]


def base_of(topic: str) -> str:
    """Return what is polled for a topic."""
    return "/me" if topic == "/me/head" else topic


class Mirror(Double):
    """Its documents are lists and objects, and most of what is in them stays; one is the same for all."""

    def __init__(self) -> None:
        super().__init__()
        self.serial = 0

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        self.serial += 1
        headers, path = asked.headers, request.path
        cookies = dict(pair.split("=", 1) for pair in headers.get("cookie", "").split("; ") if pair)
        told = (headers.get("tag", _tag(headers)), cookies.get("SID", ""), headers.get("tenant", ""))
        label = f"@{'|'.join((path, *told))}#{self.serial}@"
        if asked.method != "GET":
            return web.json_response({"by": label}, status=201)
        stays: list[dict[str, Any]] = [{"id": f"row {number}", "pad": "x" * 60} for number in range(8)]
        if path == "/same":
            return web.json_response({"of": "everybody", "at": int(asked.at / SAME_FOR), "rows": stays})
        if path in LISTS:
            return web.json_response([{"id": "head", "of": label}, {"id": label, "of": label}, *stays])
        return web.json_response({"of": label, "rows": stays})


def _tag(headers: Mapping[str, str]) -> str:
    payload = headers["authorization"].split(".")[1] if "authorization" in headers else None
    return "" if payload is None else str(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["tag"])


class Standing:
    """Who a client is on one connection: by its tokens, the latest of which counts first, and by its cookie."""

    def __init__(self, shown: Token | None, sid: str = "") -> None:
        self.shown = shown
        self.sid = sid
        self._proved: dict[str, Token] = {}
        if shown is not None:
            self.prove(shown)

    def prove(self, shown: Token) -> None:
        self.shown = shown
        self._proved[shown.entry] = shown

    def may(self, topic: str) -> bool:
        """Whether it gets a topic: as one of those who it has proved to be."""
        if topic == "/open":
            return True
        friends = [topic.removeprefix("/of/") in token.friends for token in self._proved.values()]
        return any(friends) if topic.startswith("/of/") else bool(friends)

    def label(self, topic: str) -> str:
        """Return what is written on the answers that are for this client."""
        path, who = base_of(topic), self.shown
        if who is None:
            return f"{path}|||"
        match path:
            case "/me":
                return f"/me|{who.tag}||"
            case "/sid" | "/elsewhere":
                return f"{path}|{who.tag}|{self.sid}|"
            case "/tenant":
                return f"/tenant|||{who.tenant}"
            case _:
                return f"{path}|||"

    def identity(self, topic: str) -> Hashable:
        """Return what is different for whoever may not see the same answers, cursors and entity tags of a topic."""
        who = self.shown
        if topic not in (*PRIVATE, "/elsewhere") or who is None:
            return None
        person = (who.entry, who.iss) if topic == "/tenant" else (who.entry, who.iss, who.sub)
        return (*person, self.label(topic))
