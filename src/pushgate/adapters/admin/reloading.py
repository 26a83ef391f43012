"""
``POST /-/reload`` on the admin listener: read the configuration again, and take it over if it is sound.

200 tells what became of the topics, 422 what is wrong with the file; then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from ...documents.changes import encode
from ...errors import ConfigError
from .operators import Operators

Reload = Callable[[], Awaitable[Mapping[str, int]]]


class ReloadSwitch:
    """``reload`` returns what became of the topics, or raises ConfigError."""

    def __init__(self, reload: Reload, operators: Operators) -> None:
        self._reload = reload
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey; raises Refusal."""
        if request.method != "POST":
            return web.Response(status=405, text="POST only\n", headers={"Allow": "POST"})
        self._operators.check_operator(request)
        try:
            tally = await self._reload()
        except ConfigError as error:
            return _refused(error)
        return _answer(200, {"topics": tally}, "application/json")


def _refused(error: ConfigError) -> web.Response:
    problems = [
        {"file": one.file, "line": one.line, "column": one.column, "message": one.message} for one in error.problems
    ]
    said = {
        "title": "The configuration is not taken over",
        "status": 422,
        "code": "bad_configuration",
        "detail": str(error),
        "problems": problems,
    }
    return _answer(422, said, "application/problem+json")


def _answer(status: int, said: object, content_type: str) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(status=status, body=encode(said), content_type=content_type, headers=headers)
