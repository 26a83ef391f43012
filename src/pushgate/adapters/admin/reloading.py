"""
``POST /-/reload`` on the admin listener: read the configuration again, and take it over if it is sound.

200 tells what became of the topics, 422 what is wrong with the file; then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from ...errors import ConfigError
from .operators import Operators
from .orders import only, tell

Reload = Callable[[], Awaitable[Mapping[str, int]]]


class ReloadSwitch:
    """``reload`` returns what became of the topics, or raises ConfigError."""

    def __init__(self, reload: Reload, operators: Operators) -> None:
        self._reload = reload
        self._operators = operators

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Obey; raises Refusal."""
        if request.method != "POST":
            return only("POST")
        self._operators.check_operator(request)
        try:
            tally = await self._reload()
        except ConfigError as error:
            return _refused(error)
        return tell({"topics": tally})


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
    return tell(said, status=422, content_type="application/problem+json")
