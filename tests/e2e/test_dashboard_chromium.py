"""The dashboard in Debian's Chromium, in front of a gateway with routes in every state."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import expect

from doubles.server import serving
from gateways import http_client, running_gateway
from layouts import untidiness
from windows import LONG, ROUTES, Backend, Window, arrival, house, of, row

SIZES = [(1440, 900), (1024, 768), (768, 1024), (360, 740)]


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    async with serving(backend):
        yield backend


@pytest.mark.timeout(120)
async def test_it_fits_every_screen_by_day_and_by_night(backend: Backend, window: Window) -> None:
    """Nothing overlaps, nothing scrolls sideways, nothing is complained about, and nobody else is asked."""
    async with house(backend) as gateway:
        page = window.page
        await window.look(gateway)
        for name, state in {"/live": "live", LONG: "stale", "/held": "held", "/paused": "paused"}.items():
            await expect(row(page, name).locator(".badge")).to_have_text(state)
        await expect(row(page, "/cold").locator(".trouble")).to_contain_text("http_5xx")
        for view in ("/", of("/live"), of("/held"), of(LONG), of("/idle"), "/console?topic=/live"):
            await window.look(gateway, view)
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                for width, height in SIZES:
                    await page.set_viewport_size({"width": width, "height": height})
                    assert await untidiness(page) == [], f"{view} at {width}, {scheme}"
        assert window.complaints == []
        assert window.hosts == {urlsplit(gateway.admin).netloc}


async def test_each_route_is_told_of_at_a_glance(backend: Backend, window: Window) -> None:
    """Its state and since when, its topics, who listens and how, what it costs and what that saves; a line each."""
    async with house(backend) as gateway, http_client(base_url=gateway.base) as client:
        live = client.stream("GET", "/live", headers={"Accept": "text/event-stream"})
        async with live, client.stream("GET", "/live", headers={"Accept": "text/event-stream"}):
            page = window.page
            await window.look(gateway)
            topics, subscribers, polls, changes, delivery, saved = await row(page, "/live").locator(".metric").all()
            await expect(topics.locator(".value")).to_have_text("1")
            await expect(subscribers.locator(".value")).to_have_text("2")
            await expect(subscribers.locator(".note")).to_have_text("2 SSE")
            await expect(saved.locator(".note")).to_have_text(re.compile(r"^[\d.]+ k?B$"))
            await expect(saved.locator(".value")).to_have_text(re.compile(r"^[1-9]"))
            await expect(polls.locator(".value")).to_have_text(re.compile(r"^[1-9]"))
            backend.n = 7
            await expect(delivery.locator(".note")).to_have_text(re.compile(r"^p95 [\d.]+ m?s$"))
            await expect(changes.locator(".value")).to_have_text(re.compile(r"^[1-9]"))
            for number in (subscribers, polls, changes, delivery, saved):
                await expect(number.locator(".spark .line")).to_have_attribute("d", re.compile(r"^M"))
        failing = row(page, LONG).locator(".trouble")
        await expect(failing).to_have_text(re.compile(r"^for \d+ s: answers 5xx .*; the last good document is served$"))
        await window.look(gateway, of(LONG))
        await expect(page.locator(".view > .trouble")).to_have_text(re.compile(r"^stale for \d+ s: answers 5xx"))
        await expect(page.locator(".failures li").first).to_contain_text("http_5xx")
        await expect(page.locator(".failures li").first).to_contain_text("the upstream answered 502")


async def test_by_day_and_by_night_as_one_likes(backend: Backend, window: Window) -> None:
    """As the system is, until somebody chooses; the choice stays."""
    by_day, by_night = "rgb(246, 246, 243)", "rgb(18, 20, 24)"
    async with running_gateway(backend.url, {"/live": {**ROUTES["/live"], "auth": None}}) as gateway:
        page = window.page
        await page.emulate_media(color_scheme="dark")
        await window.look(gateway)
        body, theme = page.locator("body"), page.locator("#theme")
        await expect(body).to_have_css("background-color", by_night)
        await theme.click()
        await expect(body).to_have_css("background-color", by_day)
        await page.reload()
        await expect(body).to_have_css("background-color", by_day)
        await page.emulate_media(color_scheme="light")
        await theme.click()
        await expect(body).to_have_css("background-color", by_night)
        await theme.click()
        await expect(body).to_have_css("background-color", by_day)


async def test_a_route_is_found_and_seen_from_near(backend: Backend, window: Window) -> None:
    """Its topics, why the next poll is when it is, and what a change has changed; a state or a word finds routes."""
    async with house(backend) as gateway:
        page = window.page
        await window.look(gateway)
        await page.get_by_role("link", name="/live", exact=True).press("Enter")
        topic = page.locator(".topic")
        await expect(topic.locator(".next")).to_contain_text("every 50ms")
        await expect(topic.locator(".cursor")).not_to_be_empty()
        backend.n = 7
        change = page.locator(".change").first
        await expect(change.locator("li").first).to_contain_text("[R1].n")
        await expect(change.locator("del").first).to_have_text("1")
        await expect(change.locator("ins").first).to_have_text("7")
        await expect(page.locator(".published .json")).to_contain_text('"n": 56')
        await page.get_by_role("link", name="All routes").click()
        await page.get_by_role("link", name="/held", exact=True).click()
        await expect(page.locator(".held")).to_contain_text("an empty array, where there was an array of 9")
        await expect(page.locator(".held .json")).to_have_text("[]")
        await page.get_by_role("link", name="All routes").click()
        await page.locator(".chip", has_text="held").click()
        await expect(page.locator(".rows .row .name")).to_have_text(["/held"])
        await page.locator(".chip", has_text="held").click()
        await page.get_by_role("searchbox").fill("leaves soon")
        await expect(page.locator(".rows .row .name")).to_have_text(["/live"])
        await page.get_by_role("searchbox").fill("nothing like that")
        await expect(page.locator(".rows + .empty")).to_be_visible()
        assert window.complaints == []


async def test_an_upstream_is_paused_only_by_who_is_sure(backend: Backend, window: Window) -> None:
    """A route at once; and whatever an operator does elsewhere, such as a drain, is said."""
    async with house(backend) as gateway, http_client(base_url=gateway.admin) as operator:
        page = window.page
        await window.look(gateway)
        await page.get_by_role("button", name="Pause upstream").click()
        assert await paused(operator) == []
        await page.get_by_role("button", name="Yes, pause").click()
        await expect(page.locator(".card .badge")).to_have_text("paused")
        await expect(row(page, "/live").locator(".trouble")).to_have_text("by an operator")
        assert await paused(operator) == ["u"]
        await page.get_by_role("button", name="Resume upstream").click()
        await expect(page.locator(".card .badge")).to_be_hidden()
        assert await paused(operator) == []
        await window.look(gateway, of("/live"))
        await page.get_by_role("button", name="Pause route").click()
        await expect(page.locator(".heading > .badge")).to_have_text("paused")
        await page.get_by_role("button", name="Resume route").click()
        await expect(page.locator(".heading > .badge")).to_have_text("live")
        await page.get_by_role("button", name="Poll now").click()
        await expect(page.locator(".near .said")).to_have_text("polled")
        await operator.post("/-/drain", headers={"Pushgate-Admin": "1"})
        await expect(page.locator(".notice.warn").first).to_contain_text("Draining")
        await operator.delete("/-/drain", headers={"Pushgate-Admin": "1"})
        await expect(page.locator(".notice.warn").first).to_be_hidden()


async def paused(operator: httpx.AsyncClient) -> list[str]:
    found: list[str] = (await operator.get("/-/pause")).json()["paused"]["upstreams"]
    return found


async def test_where_nobody_listens_it_says_how_to_begin(backend: Backend, window: Window) -> None:
    """With a line that works."""
    async with running_gateway(backend.url, {"/live": {**ROUTES["/live"], "auth": None}}) as gateway:
        page = window.page
        await window.look(gateway)
        command = page.locator(".begin code")
        await expect(command).to_have_text(f"curl -N -H 'Accept: text/event-stream' '{gateway.base}/live'")
        assert await untidiness(page) == []
        await page.get_by_role("link", name="Follow /live in the console").click()
        await page.get_by_role("button", name="Subscribe").click()
        await expect(arrival(page, "snapshot")).to_be_visible()
        await page.get_by_role("link", name="Routes").click()
        await expect(page.locator(".picture")).to_be_visible()


async def test_a_gateway_that_goes_away_is_missed_and_found_again(gateway: Any, window: Window) -> None:
    """What was seen last stays, greyed, with its time; what comes back is followed without a reload."""
    page = window.page
    await page.goto(gateway.admin_url)
    await expect(row(page, "/counter").locator(".badge")).to_have_text("idle")
    await gateway.end(signal.SIGKILL)
    await expect(page.locator(".notice.bad")).to_contain_text("does not answer")
    await expect(page.locator(".notice.bad")).to_contain_text("how it was at")
    # What is shown is drawn anew each second, and this has to stay.
    assert await page.evaluate("new Promise(done => setTimeout(done, 1200, true))")
    await expect(page.locator(".notice.bad")).to_be_visible()
    assert await untidiness(page) == []
    await gateway.start()
    await expect(page.locator(".notice.bad")).to_be_hidden()
    await expect(page.locator("#pulse")).to_have_text("live")
