"""
The dashboard's own files: a page, its style and its scripts, as they are in the package.

Rule 1: they hold no data, so whoever reaches the admin listener gets them; a browser cannot show a token when it opens
a page. Everything that they show is asked for apart, by whoever may.
Rule 2: they ask nobody else for anything, and no page of anybody else's can show them inside itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web

from .orders import only

BELOW: Final = "/dashboard/"

_FOLDER: Final = "dashboard"
_FRONT: Final = "index.html"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FIELDS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


class Pages:
    """Answers ``/`` and below ``/dashboard/``."""

    def __init__(self) -> None:
        self._files = dict(_read())

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Return a file, or that it is still the same."""
        if request.method not in ("GET", "HEAD"):
            return only("GET", "HEAD")
        file = self._files.get(_FRONT if request.path == "/" else request.path.removeprefix(BELOW))
        if file is None:
            return web.Response(status=404, text="the dashboard has no such file\n")
        fields = {**_FIELDS, "ETag": file.etag}
        if request.headers.get("If-None-Match") == file.etag:
            return web.Response(status=304, headers=fields)
        return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=fields)


def _read() -> list[tuple[str, _File]]:
    assert __package__ is not None, "this is a part of a package"
    found = []
    for file in files(__package__).joinpath(_FOLDER).iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            body = file.read_bytes()
            found.append((file.name, _File(body, kind, f'"{sha256(body).hexdigest()[:16]}"')))
    return found
