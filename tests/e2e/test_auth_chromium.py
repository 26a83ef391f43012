"""
Pages in Debian's Chromium show who they are in every way that a page can: over HTTP, over TLS, and behind nginx.

The gateway, the pages and the evil ones are of sites of their own, so the browser sends, keeps back and checks what it
would on the web.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from backends import ScriptedBackend
from gateways import route
from stages import FRONTS, Stage, chromium_browser, staged
from tokens import STAFF, bearer, token
from visits import Tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITE = "app.push.example"  # of the gateway's site, and another origin
ELSEWHERE = "app.example"
EVIL = "evil.example"

SECURE = [front for front in FRONTS if front != "http"]

# For what TLS of pushgate's own cannot make a difference to.
PLAIN_AND_PROXIED = pytest.mark.parametrize("front", ["http", "nginx"])

# Polls go on while a test has cut everybody off.
STAYS = {"every": "30ms", "linger": "1m"}
ROUTES = {
    "/mine": route(auth="staff", key="id", poll=STAYS, write={"POST": {"path": "/rent"}}),
    "/of/{who}": route(auth="staff", key="id", poll=STAYS, allow=[{"claim": "friends", "contains": "{who}"}]),
}


def document(n: int) -> dict[str, Any]:
    return {"n": n, "rows": [{"id": f"r{k}", "name": f"row {k}"} for k in range(20)]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    chromium = which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    async with chromium_browser(chromium, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an EventSource come back at once, and not after some seconds."""
    monkeypatch.setattr("pushgate.admission.MIN_RETRY", 0.05)
    monkeypatch.setattr("pushgate.admission.MAX_RETRY", 0.1)


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def gateway(browser: Browser, front: str, folder: Path, **options: Any) -> AsyncIterator[Stage]:
    async with staged(browser, front, folder, routes=ROUTES, auth={"staff": STAFF}, **options) as stage:
        stage.backend.serve(document(0))
        yield stage


async def change(backend: ScriptedBackend, numbers: range) -> dict[str, Any]:
    """Change so often, each change seen by a poll of its own; returns the last document."""
    for n in numbers:
        backend.serve(document(n))
        await backend.polled(2)
    return document(numbers[-1])


async def survive_a_cut(stage: Stage, *tabs: Tab) -> None:
    """All that these pages follow hears a change, is cut off from two, and is told of these as changes."""
    last = await change(stage.backend, range(1, 2))
    for tab in tabs:
        await tab.all_hold(last)
    before = [await tab.counts() for tab in tabs]
    async with stage.line.cut():
        last = await change(stage.backend, range(2, 4))
    for tab, counts in zip(tabs, before, strict=True):
        await tab.all_hold(last)
        for name, count in counts.items():
            assert set(await tab.kinds(name, since=count)) == {"patch"}, name


async def ticket_url(tab: Tab, stage: Stage, *topics: str, by: str | None = None) -> str:
    """Have the page get a ticket with a token, and return the URL that it can follow then."""
    ticket = await tab.call("ticket", stage.base, by or token(friends=["ben"]), [*topics])
    if len(topics) == 1:
        return f"{stage.base}{topics[0]}?ticket={ticket}"
    return f"{stage.base}/-/events?{'&'.join(f'topic={topic}' for topic in topics)}&ticket={ticket}"


async def follow_by_ticket(tab: Tab, stage: Stage, name: str, *topics: str) -> None:
    many = [*topics] if len(topics) > 1 else None
    await tab.call("follow", name, await ticket_url(tab, stage, *topics), True, many)


def in_protocol(credentials: str) -> list[str]:
    text = urlsafe_b64encode(credentials.encode()).decode().rstrip("=")
    return ["pushgate.v1", f"pushgate.token.{text}"]


class TestEventSource:
    """With what a browser sends by itself: cookies, or a ticket in the URL; the browser comes back by itself, too."""

    async def test_with_a_cookie(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """From a page of the gateway's own origin, about which the browser says none, and from another of its site."""
        async with gateway(browser, front, tmp_path, listed=(SITE,)) as stage:
            await stage.set_cookie(token())
            own, sibling = await stage.visit(stage.base), await stage.visit(stage.origin(SITE))
            await own.call("follow", "own", f"{stage.base}/mine")
            await sibling.call("follow", "sibling", f"{stage.base}/mine", True)
            await survive_a_cut(stage, own, sibling)
            first, again = await own.asked("eventsource")
            assert "origin" not in first and "origin" not in again
            assert "last-event-id" not in first and "last-event-id" in again
            assert {one["origin"] for one in await sibling.asked("eventsource")} == {stage.origin(SITE)}

    @pytest.mark.parametrize("front", SECURE)
    async def test_with_a_cookie_from_another_site(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """Which takes a cookie that is meant for that, an origin that is listed, and ``withCredentials``."""
        async with gateway(browser, front, tmp_path, listed=(ELSEWHERE,)) as stage:
            await stage.set_cookie(token(), same_site="None")
            page = await stage.visit(stage.origin(ELSEWHERE))
            await page.call("follow", "elsewhere", f"{stage.base}/mine", True)
            await survive_a_cut(stage, page)

    async def test_with_tickets(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """Several in one page, each with its own; each repeats its URL with the ticket that is spent."""
        async with gateway(browser, front, tmp_path, listed=(SITE,)) as stage:
            own, sibling = await stage.visit(stage.base), await stage.visit(stage.origin(SITE))
            await follow_by_ticket(own, stage, "one", "/mine")
            await follow_by_ticket(own, stage, "another", "/of/ben")
            await follow_by_ticket(own, stage, "the same again", "/mine")
            await follow_by_ticket(own, stage, "many", "/mine", "/of/ben")
            await follow_by_ticket(sibling, stage, "sibling", "/mine")
            await survive_a_cut(stage, own, sibling)
            assert len(await own.asked("eventsource")) == 8
            cookies = await stage.context.cookies(f"{stage.base}/mine")
            assert cookies and {cookie["name"][:16] for cookie in cookies} == {"pushgate_ticket_"}
            assert all(cookie["httpOnly"] for cookie in cookies)
            assert {cookie["secure"] for cookie in cookies} == {front in SECURE}

    @pytest.mark.parametrize("front", SECURE)
    async def test_with_a_ticket_from_another_site(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """Also where a browser keeps back the cookies of other sites: this one is for pages of that site alone."""
        async with gateway(browser, front, tmp_path, listed=(ELSEWHERE,)) as stage:
            page = await stage.visit(stage.origin(ELSEWHERE), keeps_back_cookies=True)
            await follow_by_ticket(page, stage, "elsewhere", "/mine")
            await survive_a_cut(stage, page)
            (cookie,) = await stage.context.cookies(f"{stage.base}/mine")
            assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "None")
            assert cookie["partitionKey"] == "https://app.example"

    async def test_that_keeps_no_cookies_does_not_come_back(self, browser: Browser, tmp_path: Path) -> None:
        """Of another origin and without ``withCredentials``; nor does who has only got hold of the URL."""
        async with gateway(browser, "http", tmp_path, listed=(SITE,)) as stage:
            page = await stage.visit(stage.origin(SITE))
            url = await ticket_url(page, stage, "/mine")
            await page.call("follow", "forgetful", url)
            await page.all_hold(document(0))
            thief = await stage.visit(stage.base)
            await thief.call("follow", "thief", url)
            assert await thief.ended("thief") == "closed"
            async with stage.line.cut():
                pass
            assert await page.ended("forgetful") == "closed"
            assert await thief.kinds("thief") == []


class TestWebSocket:
    """With what a page can say in a handshake, and right behind it."""

    async def test_with_each_carrier(self, front: str, browser: Browser, tmp_path: Path) -> None:
        async with gateway(browser, front, tmp_path) as stage:
            page, mine, url = await stage.visit(stage.base), token(), f"{stage.ws_base}/mine"
            await page.call("speak", "message", url, {"first": mine})
            await page.call("speak", "subprotocol", url, {"protocols": in_protocol(mine)})
            await page.call("speak", "query", f"{url}?access_token={mine}")
            await page.call("speak", "ticket", (await ticket_url(page, stage, "/mine")).replace("http", "ws", 1))
            await stage.set_cookie(mine)
            await page.call("speak", "cookie", url)
            await page.all_hold(document(0))
            await page.all_hold(await change(stage.backend, range(1, 3)))
            assert await page.look("ends") == {}

    @PLAIN_AND_PROXIED
    async def test_of_whatever_page_knows_a_token(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """No origin is listed: a token that no browser sends by itself is proof enough."""
        async with gateway(browser, front, tmp_path) as stage:
            page, mine, url = await stage.visit(stage.origin(ELSEWHERE)), token(), f"{stage.ws_base}/mine"
            await page.call("speak", "message", url, {"first": mine})
            await page.call("speak", "subprotocol", url, {"protocols": in_protocol(mine)})
            await page.all_hold(document(0))
            await page.all_hold(await change(stage.backend, range(1, 3)))

    @PLAIN_AND_PROXIED
    async def test_that_is_refused_learns_why(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """A browser tells a page nothing of a refused handshake, so it is accepted, and closed with the reason."""
        async with gateway(browser, front, tmp_path) as stage:
            page, mine, base = await stage.visit(stage.origin(ELSEWHERE)), token(), stage.ws_base
            old, wrong = token(lives=-10), token(secret="another secret that is long enough as well")
            await page.call("speak", "nonsense", f"{base}/mine", {"first": "nonsense"})
            await page.call("speak", "old", f"{base}/mine", {"protocols": in_protocol(old)})
            await page.call("speak", "wrong", f"{base}/mine?access_token={wrong}")
            await page.call("speak", "no ticket", f"{base}/mine?ticket=nonsense")
            await page.call("speak", "not allowed", f"{base}/of/cat", {"protocols": in_protocol(mine)})
            await page.call("speak", "not allowed later", f"{base}/of/cat", {"first": mine})
            assert {name: await page.ended(name) for name in await page.look("Object.keys(heard)")} == {
                "nonsense": [4401, "credentials_malformed"],
                "old": [4401, "credentials_expired"],
                "wrong": [4401, "token_signature"],
                "no ticket": [4401, "ticket_unknown"],
                "not allowed": [4403, "forbidden"],
                "not allowed later": [4403, "forbidden"],
            }
            assert not stage.backend.requests


class TestFetch:
    """With an Authorization header, from a page of another site, which the browser asks about first."""

    @PLAIN_AND_PROXIED
    async def test_follows_without_a_gap(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """In a loop of long polls, and by a stream that is read by hand."""
        async with gateway(browser, front, tmp_path, listed=(ELSEWHERE,)) as stage:
            page = await stage.visit(stage.origin(ELSEWHERE))
            await page.begin("poll", "long polls", f"{stage.base}/mine", token())
            await page.begin("read", "stream", f"{stage.base}/mine", token())
            await survive_a_cut(stage, page)

    @PLAIN_AND_PROXIED
    async def test_reads_what_is_exposed(self, front: str, browser: Browser, tmp_path: Path) -> None:
        async with gateway(browser, front, tmp_path, listed=(ELSEWHERE,)) as stage:
            page, url = await stage.visit(stage.origin(ELSEWHERE)), f"{stage.base}/mine"
            answer = await page.call("ask", url, {"headers": bearer()})
            assert (answer["status"], answer["body"]) == (200, document(0))
            assert {"pushgate-cursor", "pushgate-state", "etag", "age"} <= answer["fields"].keys()
            same = {**bearer(), "If-None-Match": answer["fields"]["etag"], "Prefer": "wait=0"}
            assert (await page.call("ask", url, {"headers": same, "cache": "no-store"}))["status"] == 304
            stage.backend.say(b"", status=500)
            failed = await page.call("ask", f"{stage.base}/of/ben", {"headers": bearer(friends="ben")})
            assert failed["status"] == 502 and int(failed["fields"]["retry-after"]) > 0
            stranger = await page.call("ask", url)
            assert (stranger["status"], stranger["body"]["code"]) == (401, "credentials_missing")

    @PLAIN_AND_PROXIED
    async def test_writes(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """From a page of another site with a token, and from one of the gateway's own with a cookie."""
        async with gateway(browser, front, tmp_path, listed=(ELSEWHERE,)) as stage:
            page, own = await stage.visit(stage.origin(ELSEWHERE)), await stage.visit(stage.base)
            json_body = {"Content-Type": "application/json"}
            await page.call("follow", "watching", await ticket_url(page, stage, "/mine"), True)
            await page.all_hold(document(0))
            write = {"method": "POST", "body": '{"bike": 1}'}
            written = await page.call("ask", f"{stage.base}/mine", {**write, "headers": {**bearer(), **json_body}})
            assert (written["status"], written["fields"]["pushgate-settled"]) == (200, "yes")
            await stage.set_cookie(token())
            written = await own.call("ask", f"{stage.base}/mine", {**write, "headers": json_body})
            assert (written["status"], written["fields"]["pushgate-settled"]) == (200, "yes")
            assert [one.path for one in stage.backend.requests].count("/rent") == 2


class TestStrangers:
    """Pages that are not listed, in the browser of somebody who is logged in."""

    async def test_get_nothing_by_its_cookie(self, front: str, browser: Browser, tmp_path: Path) -> None:
        """
        The browser sends it for them, and they get neither a stream, nor a document, nor a ticket, nor a write.

        Over HTTP it does so for pages of the same site only, whatever their origin.
        """
        async with gateway(browser, front, tmp_path, listed=(ELSEWHERE,)) as stage:
            await stage.set_cookie(token(), same_site="Lax" if front == "http" else "None")
            evil = await stage.visit(stage.origin(SITE if front == "http" else EVIL))
            await evil.call("speak", "socket", f"{stage.ws_base}/mine")
            await evil.call("follow", "stream", f"{stage.base}/mine", True)
            assert (await evil.ended("socket"))[0] == 1006
            assert await evil.ended("stream") == "closed"
            refused = "pushgate_connections_refused_total"
            for transport in ("websocket", "sse"):  # which is told to those only that came with it
                count = await stage.gateway.metric(refused, transport=transport, reason="origin_forbidden")
                assert count == 1, transport
            theirs, body = {"credentials": "include"}, {"method": "POST", "body": '{"topics": ["/mine"]}'}
            for path, options in {"/mine": theirs, "/-/tickets": theirs | body}.items():
                assert await evil.call("ask", f"{stage.base}{path}", options) == {"error": "TypeError"}
            assert await evil.call("ask", f"{stage.base}/mine", {"headers": bearer()}) == {"error": "TypeError"}
            async with evil.page.expect_navigation() as navigation:
                await evil.call("send", f"{stage.base}/mine")
            answer = await navigation.value
            assert answer is not None and answer.status == 403
            assert (await answer.json())["code"] == "origin_forbidden"
            assert not stage.backend.requests
            own = await stage.visit(stage.base)  # where the same cookie does all of that
            await own.call("speak", "socket", f"{stage.ws_base}/mine")
            await own.all_hold(document(0))


class TestTheEnd:
    @PLAIN_AND_PROXIED
    async def test_of_the_credentials_is_the_end_of_the_stream(
        self, front: str, browser: Browser, tmp_path: Path
    ) -> None:
        """It is announced; who does nothing about it ends and stays away; who says another token goes on."""
        async with gateway(browser, front, tmp_path) as stage:
            page, short = await stage.visit(stage.base), token(lives=3.0)
            url, ws_url = f"{stage.base}/mine", f"{stage.ws_base}/mine"
            await stage.set_cookie(short)
            await page.call("follow", "cookie", url)
            await page.call("follow", "ticket", await ticket_url(page, stage, "/mine", by=short))
            await page.begin("poll", "long polls", url, short)
            await page.call("speak", "says nothing", ws_url, {"protocols": in_protocol(short)})
            await page.call("speak", "says another", ws_url, {"first": short, "next": token()})
            await page.all_hold(document(0))
            for stream in ("cookie", "ticket"):
                assert await page.ended(stream) == "closed"
                assert (await page.kinds(stream))[-2:] == ["expiring", "problem"]
            assert await page.ended("says nothing") == [4401, "credentials_expired"]
            assert await page.ended("long polls") == "credentials_expired"
            codes = {events[-1][1]["code"] for events in await page.look("[heard.cookie, heard.ticket]")}
            assert codes == {"credentials_expired"}
            await page.all_hold(await change(stage.backend, range(1, 3)), "says another")
            kinds = await page.kinds("says another")
            assert kinds.count("snapshot") == 1 and "expiring" in kinds
