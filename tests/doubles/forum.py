"""A forum as forums are: a login form, a session cookie that runs out, and a redirect to the form without one."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from .server import Asked, Double


class Forum(Double):
    """``passwords`` by user, ``comments`` of its one thread. Whoever posts needs a session, as whoever reads does."""

    def __init__(self) -> None:
        super().__init__()
        self.passwords = {"gateway": "secret"}
        self.comments: list[dict[str, Any]] = []
        self.logins = 0
        self._sessions: dict[str, str] = {}

    def comment(self, author: str, text: str) -> dict[str, Any]:
        comment = {"id": len(self.comments) + 1, "author": author, "text": text}
        self.comments.append(comment)
        return comment

    def expire_sessions(self) -> None:
        self._sessions.clear()

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if request.path == "/login":
            return self._login(asked)
        user = self._sessions.get(request.cookies.get("SID", ""))
        if user is None:
            return web.Response(status=302, headers={"Location": "/login"})
        if request.path != "/threads/7/comments":
            return web.json_response({"error": "no such thread"}, status=404)
        if asked.method == "POST":
            return web.json_response(self.comment(user, _form(asked)["text"]), status=201)
        return web.json_response({"comments": self.comments, "you": user})

    def _login(self, asked: Asked) -> web.Response:
        """Show the form, also to whoever filled it in wrongly: with status 200, as forms are."""
        fields = _form(asked)
        user = fields.get("user", "")
        if asked.method != "POST" or self.passwords.get(user) != fields.get("password"):
            return web.Response(text="<html><form method=post>…</form></html>", content_type="text/html")
        self.logins += 1
        session = secrets.token_hex(8)
        self._sessions[session] = user
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.set_cookie("SID", session, httponly=True, path="/")
        return answer


def _form(asked: Asked) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(asked.body.decode()).items()}
