"""
A form login whose cookies are kept.

Rule 1: cookies are those of the upstream's origin, by the rules of browsers (RFC 6265), and die with the process.
Rule 2: when an answer says that the login is over, there is one new login, by one poll for all; then the answer stands
or is an ``upstream_auth``.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import aiohttp
import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from yarl import URL

from ....asking import Question
from ....config.credentials import Expired, LoginCredentials
from ....config.requests import Request
from ....config.upstreams import Upstream
from ....errors import PollError
from ....values import UpstreamRequest
from ..exchange import Reply, Send
from ..origins import REDIRECTS, resolve
from .renewal import Renewal, refused
from .shown import with_field


class Login:
    """Asks with the cookies that a login brought."""

    def __init__(self, config: LoginCredentials, upstream: Upstream, renewal: Renewal) -> None:
        self._host = upstream.host
        self._request = _login_request(config.request, upstream)
        self._renewal = renewal
        self._is_over = _sign(config.expired)
        self._jar: aiohttp.CookieJar | None = None

    async def __call__(self, request: UpstreamRequest, send: Send) -> Reply:
        if self._jar is None:
            await self._renewal.since(0, lambda: self._log_in(send))
        count = self._renewal.count
        reply = await self._ask(request, send)
        if self._is_over(request, reply):
            await self._renewal.since(count, lambda: self._log_in(send))
            count = self._renewal.count
            reply = await self._ask(request, send)
        if self._is_over(request, reply):
            error = PollError("upstream_auth", "the upstream wants a login right after one that it accepted")
            self._renewal.doubted(count, error)
            raise error
        self._renewal.proved()
        return reply

    async def _ask(self, request: UpstreamRequest, send: Send) -> Reply:
        assert self._jar is not None, "a login that went well leaves cookies"
        return await self._with_cookies(self._jar, request, send)

    async def _with_cookies(self, jar: aiohttp.CookieJar, request: UpstreamRequest, send: Send) -> Reply:
        url = self._place(request.url)
        cookies = jar.filter_cookies(url)
        if cookies:
            own = [value for name, value in request.headers if name.lower() == "cookie"]
            pairs = [f"{name}={morsel.coded_value}" for name, morsel in cookies.items()]
            request = with_field(request, "Cookie", "; ".join([*own, *pairs]))
        reply = await send(request)
        if "Set-Cookie" in reply.headers:
            jar.update_cookies_from_headers(reply.headers.getall("Set-Cookie"), url)
        return reply

    async def _log_in(self, send: Send) -> None:
        """Log in as nobody; until that has worked, the old cookies are those of all other polls."""
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)  # unsafe: hosts that are IP addresses
        reply = await self._with_cookies(jar, self._request, send)
        answer = reply.answer
        if answer.status >= 400:
            raise refused("the login failed", answer, f"it was answered {answer.status}")
        if not len(jar):
            raise PollError("upstream_auth", f"the login was answered {answer.status} and brought no cookie")
        self._jar = jar

    def _place(self, url: str) -> URL:
        """Return the URL as the upstream knows it: cookies are for the name that it is called by."""
        place = URL(url, encoded=True)
        host = None if self._host is None else urlsplit(f"//{self._host}").hostname
        return place if host is None else place.with_host(host)


def _login_request(config: Request, upstream: Upstream) -> UpstreamRequest:
    """Return the request that logs in. It is of no topic, so braces in it are literal: they may be in a password."""
    assert config.path is not None, "the section demands it"
    question = Question(config.path, config, "", {"": upstream})
    return question.ask({name: f"{{{name}}}" for name in question.used}, query=[], headers=[])


def _sign(expired: Expired) -> Callable[[UpstreamRequest, Reply], bool]:
    """Return the predicate that says of a request and its reply whether the login is over."""
    if expired.redirect is not None:
        return _Redirected(expired.redirect)
    if expired.status is not None:
        return lambda request, reply: reply.answer.status == expired.status
    assert expired.fail_if is not None, "the section demands one of them"
    return _Tells(expired.fail_if)


class _Redirected:
    """Whether an answer redirects to the login page; its query and path parameters (``;jsessionid=``) do not count."""

    def __init__(self, page: str) -> None:
        self._page = page

    def __call__(self, request: UpstreamRequest, reply: Reply) -> bool:
        location = reply.headers.get("Location")
        if reply.answer.status not in REDIRECTS or location is None:
            return False
        target, page = urlsplit(resolve(request.url, location)), urlsplit(urljoin(request.url, self._page))
        is_there = target.path.partition(";")[0] == page.path
        return is_there and (self._page.startswith("/") or target.netloc == page.netloc)


class _Tells:
    """Whether an answer says so itself; only what is JSON can."""

    def __init__(self, expression: str) -> None:
        self._compiled = jmespath.compile(expression)

    def __call__(self, request: UpstreamRequest, reply: Reply) -> bool:
        try:
            found = self._compiled.search(msgspec.json.decode(reply.answer.body))
        except (msgspec.DecodeError, UnicodeDecodeError, JMESPathError, RecursionError):
            return False
        return found is not None and found is not False and found not in ("", [], {})  # as JMESPath has it
