"""A backend that repeats whatever it was asked in every error that it makes, as a framework in debug mode does."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

from aiohttp import web

from markers import Markers

from .server import Asked, Double

# What it does to polls.
Mode = Literal["good", "500", "401", "garbage", "confesses", "redirects", "stalls"]

_STALLS_FOR = 1.0


class Tattler(Double):
    """
    Logs in, gives out tokens and sessions, answers who somebody is, and publishes keys; and has documents, by path.

    ``mode`` is how polls are answered; those who log in, ask for a token or a verdict are let down as long as
    ``is_down``. ``asked_for`` counts the requests for documents.
    """

    def __init__(self, markers: Markers, published: bytes) -> None:
        super().__init__()
        self.mode: Mode = "good"
        self.is_down = False
        self.asked_for: dict[str, int] = {}
        self._published = published
        self._access_token = markers("an access token")
        self._cookie = markers("a login's cookie")
        self._session = markers("a session id")
        self._subject = markers("a subject that a service tells")

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if name == "lost":
            return self._tell(asked, 500)
        if name in ("jwks", "whoami", "token", "log-in"):
            return self._tell(asked, 500) if self.is_down else self._help(name)
        if name == "write":
            await asyncio.sleep(_STALLS_FOR if self.mode == "stalls" else 0)
            return web.json_response({"ok": True}, status=201 if self.mode == "good" else 500)
        if request.path.startswith("/passed"):
            return web.json_response({"path": name})
        self.asked_for[name] = self.asked_for.get(name, 0) + 1
        if (refusal := self._refusal(name, asked)) is not None:
            return refusal
        return await self._document(asked)

    def _help(self, name: str) -> web.Response:
        match name:
            case "jwks":
                return web.Response(body=self._published, content_type="application/json")
            case "token":
                return web.json_response({"access_token": self._access_token, "token_type": "Bearer"})
            case "log-in":
                return web.Response(headers={"Set-Cookie": f"login={self._cookie}"})
            case _:
                return web.Response(headers={"X-User": self._subject})

    def _refusal(self, name: str, asked: Asked) -> web.Response | None:
        """Return what a backend says that wants a digest or a session first."""
        if name == "digest" and "authorization" not in asked.headers:
            challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if name == "session" and "x-session-id" not in asked.headers:
            return web.Response(status=409, headers={"X-Session-Id": self._session})
        return None

    async def _document(self, asked: Asked) -> web.StreamResponse:
        match self.mode:
            case "good":
                return web.json_response([{"id": 1, "serial": len(self.requests)}, {"id": 2, "pad": "x" * 100}])
            case "500" | "401":
                return self._tell(asked, int(self.mode))
            case "garbage":
                return web.Response(text='{"broken": ' + _account(asked), content_type="application/json")
            case "confesses":
                return web.json_response({"error": _account(asked)})
            case "redirects":
                return web.Response(status=302, headers={"Location": f"http://elsewhere.invalid{asked.path}"})
            case "stalls":
                await asyncio.sleep(_STALLS_FOR)
                return web.Response()

    def _tell(self, asked: Asked, status: int) -> web.Response:
        return web.Response(status=status, text=_account(asked), content_type="text/plain")


# What everybody sends.
_BORING = {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"}

# So long that a text which is cut behind 200 characters is cut in the middle of a credential.
_PADDED = 175


def _account(asked: Asked) -> str:
    """Return all that is worth something, where it is read, and once more where long texts are cut."""
    shown = {name: value for name, value in asked.headers.items() if name not in _BORING}
    told = json.dumps({"path": asked.path, **shown, "body": asked.body.decode(errors="replace")})
    return f"{told:.<{_PADDED}}{' '.join(shown.values())}"
