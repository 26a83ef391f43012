"""
A gateway as browsers meet it: by name, over HTTP, over its own TLS or behind nginx that ends it, and on a line that a
test can cut.

Every name under ``.example`` is this machine to the browser, so pages are of as many sites as a test needs:
``push.example`` is the gateway, ``app.push.example`` another origin of the same site, and the others are other sites.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, async_playwright

from backends import ScriptedBackend, scripted_backend
from browsers import FLAGS
from gateways import Running, running_gateway
from proxies import Changes, behind
from secured import Site
from upstreams import listening
from visits import SCRIPT, Tab

FRONTS = ["http", "tls", "nginx"]

# chrome://settings/cookies: without it this browser keeps back what an attack is made of.
COOKIES_OF_ALL_SITES = 0

# The opposite for one tab: as Safari and Firefox have it, and without exceptions for the sake of old pages.
KEEP_BACK_COOKIES = {
    "enableThirdPartyCookieRestriction": True,
    "disableThirdPartyCookieMetadata": True,
    "disableThirdPartyCookieHeuristics": True,
}

NAMES = "--host-resolver-rules=MAP *.example 127.0.0.1"


class Line:
    """Passes bytes on, both ways, to a port of this machine. Who comes while it is cut waits."""

    def __init__(self) -> None:
        self.port = 0
        self.target = 0
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._ends: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Break every connection, and let nobody through before the context ends."""
        self._is_whole.clear()
        for writer in self._ends:
            writer.transport.abort()
        try:
            yield
        finally:
            self._is_whole.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_whole.wait()
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.target)
        ends = {writer, other_writer}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pass_on(reader, other_writer))
                tasks.create_task(_pass_on(other_reader, writer))
        finally:
            self._ends -= ends
            other_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # it was cut
    writer.close()


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway, and a browser that has been nowhere yet."""

    gateway: Running
    backend: ScriptedBackend
    line: Line
    context: BrowserContext
    scheme: str
    pages_port: int

    @property
    def base(self) -> str:
        """The gateway's own origin."""
        return f"{self.scheme}://push.example:{self.line.port}"

    @property
    def ws_base(self) -> str:
        return self.base.replace("http", "ws", 1)

    def origin(self, name: str) -> str:
        """Return the origin of the pages under another name."""
        return f"{self.scheme}://{name}:{self.pages_port}"

    async def visit(self, origin: str, *, keeps_back_cookies: bool = False) -> Tab:
        """Open a page of an origin in a tab of its own; the browser may keep back the cookies of other sites there."""
        page = await self.context.new_page()
        if keeps_back_cookies:
            session = await self.context.new_cdp_session(page)
            await session.send("Network.enable")
            await session.send("Network.setCookieControls", KEEP_BACK_COOKIES)
        await page.goto(f"{origin}/page")
        return Tab(page)

    async def set_cookie(self, token: str, *, same_site: str = "Lax") -> None:
        """Give the browser the cookie that a login at the gateway's site would have left."""
        cookie: Any = {"name": "session", "value": token, "domain": "push.example", "path": "/", "httpOnly": True}
        await self.context.add_cookies([cookie | {"secure": self.scheme == "https", "sameSite": same_site}])


@asynccontextmanager
async def chromium_browser(chromium: str, folder: Path) -> AsyncIterator[Browser]:
    """A browser to which every name under ``.example`` is this machine, and that lets other sites use their cookies."""
    settings = folder / "Default" / "Preferences"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"profile": {"cookie_controls_mode": COOKIES_OF_ALL_SITES}}))
    async with async_playwright() as playwright:
        profile = await playwright.chromium.launch_persistent_context(
            folder, executable_path=chromium, args=[*FLAGS, NAMES], chromium_sandbox=False
        )
        assert profile.browser is not None, "it was not connected to, but started"
        yield profile.browser
        await profile.close()


@asynccontextmanager
async def staged(
    browser: Browser, front: str, folder: Path, *, listed: tuple[str, ...] = (), **sections: Any
) -> AsyncIterator[Stage]:
    """A gateway behind a front, and a new profile of the browser; ``listed``: names whose pages may use cookies."""
    async with AsyncExitStack() as life:
        site, line = Site(folder), Line()
        pages, backend = [await life.enter_async_context(scripted_backend()) for _ in range(2)]
        pages.say(f"<!doctype html><title>page</title><script>{SCRIPT}</script>".encode(), Content_Type="text/html")
        pages_url = pages.url
        if front != "http":  # the pages of other origins too, as they would be
            pages_url = await life.enter_async_context(_over_tls(pages.url, site))
        scheme, pages_port = ("http" if front == "http" else "https"), _port(pages_url)
        server: dict[str, Any] = {"cors": {"credentials": True, "origins": []}}
        server["cors"]["origins"] = [f"{scheme}://{name}:{pages_port}" for name in listed]
        server |= site.server if front == "tls" else {}
        server |= {"trusted_proxies": ["127.0.0.0/8"]} if front == "nginx" else {}
        sections = {
            "upstreams": {"u": {"url": backend.url}, "pages": {"url": pages.url}},
            "proxy": {"/": {"upstream": "pages", "auth": "none"}},
            **sections,
        }
        gateway = await life.enter_async_context(running_gateway(backend, server=server, **sections))
        line.target = gateway.port
        if front == "nginx":
            line.target = (await life.enter_async_context(behind("nginx", gateway, also=ends_tls(site)))).port
        line.port = _port(await life.enter_async_context(listening(line.carry)))
        context = await browser.new_context(ignore_https_errors=True)
        life.push_async_callback(context.close)
        yield Stage(gateway, backend, line, context, scheme, pages_port)


def ends_tls(site: Site) -> Changes:
    """Return what makes nginx the one who ends TLS; the rest of its example stays as it is."""
    files = f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key};"
    return {"listen 80;": f"listen 127.0.0.1:<port> ssl http2; {files}"}


@asynccontextmanager
async def _over_tls(url: str, site: Site) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(site.certificate, site.key)
    line = Line()
    line.target = _port(url)
    async with listening(line.carry, tls=context) as secure_url:
        yield secure_url


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
