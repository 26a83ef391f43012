"""The recipes in examples/recipes, each in front of a double of the backend that it is for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from doubles.bikes import Bikes
from doubles.devices import Device
from doubles.forum import Forum
from doubles.orders import Orders
from doubles.quotes import Quotes
from doubles.reports import Reports
from doubles.server import serving
from gateways import Running, eventually, http_client
from links import Link
from pushgate.config import load, warnings
from recipes import ShiftedClock, SignedSse, bearer, example, example_gateway, follow_until
from replicas import GONE
from transports import connected, see_through

RECIPES = ["quotes", "bikes", "orders", "report", "devices", "comments"]
FAST = "50ms"


# What `pushgate check` says of a budget: how far it goes.
WARNED = {"quotes": "fits 25 topics of /quotes/{symbol} at 5s, or 1250 topics of /watchlist/{symbol} at 5s"}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_loads(name: str) -> None:
    """Nothing but what is secret has to be set, and nothing in it is worth a warning but the width of a budget."""
    secrets = {"QUOTES_KEY": "x", "FORUM_PASSWORD": "x"}
    said = [warning.message for warning in warnings(load(example(f"recipes/{name}"), environ=secrets))]
    assert len(said) == (name in WARNED) and all(WARNED[name] in message for message in said)


def states_of(client: Link) -> set[str]:
    """The states that a client has heard of."""
    return {event["data"]["state"] for event in client.heard if event["event"] == "status"}


class TestQuotes:
    """Rate-limited quotes per symbol."""

    SYMBOLS = ("ACME", "GLOBEX", "INITECH", "UMBRELLA", "HOOLI", "STARK", "WAYNE", "TYRELL")

    @asynccontextmanager
    async def gateway(self, quotes: Quotes, *, every: str = "100ms") -> AsyncIterator[Running]:
        quotes.prices = dict.fromkeys(self.SYMBOLS, 1.0)
        environ = {"QUOTES_KEY": Quotes.KEY, "QUOTES_RATE": "15/s", "EVERY": every}
        async with serving(quotes), example_gateway("recipes/quotes", QUOTES_URL=quotes.url, **environ) as gateway:
            yield gateway

    async def test_more_symbols_than_the_key_allows_are_polled_less_often(self) -> None:
        """Wanted are 80 requests a second, allowed 20: nobody is refused, and none of the symbols starves."""
        quotes = Quotes(limit=20)
        async with self.gateway(quotes) as gateway, AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(connected("sse", gateway.base, f"/quotes/{symbol}"))
                for symbol in self.SYMBOLS
            ]
            for price in (10.5, 11.25, 12.0):
                quotes.prices = {symbol: price + index for index, symbol in enumerate(self.SYMBOLS)}
                async with asyncio.TaskGroup() as tasks:
                    for client, (symbol, now) in zip(clients, quotes.prices.items(), strict=True):
                        tasks.create_task(client.follow({"symbol": symbol, "price": now}))
            counts = [sum(asked.path.endswith(symbol) for asked in quotes.requests) for symbol in self.SYMBOLS]
            assert quotes.refused == []
            assert max(counts) - min(counts) <= 2

    async def test_a_key_that_others_used_up_is_left_alone_until_it_is_good_again(self) -> None:
        """One refusal is enough for all symbols; meanwhile everybody has the last price."""
        quotes = Quotes(limit=20)
        async with self.gateway(quotes) as gateway, http_client() as http:
            async with (
                connected("sse", gateway.base, "/quotes/ACME") as acme,
                connected("websocket", gateway.base, "/quotes/HOOLI") as hooli,
            ):
                await acme.hear("snapshot")
                await hooli.hear("snapshot")
                quotes.spend_everything()
                await quotes.until(lambda: bool(quotes.refused))
                quotes.prices |= {"ACME": 2.0, "HOOLI": 3.0}
                answer = await http.get(f"{gateway.base}/quotes/ACME")
                assert (answer.status_code, answer.json()["price"]) == (200, 1.0)
                await acme.follow({"symbol": "ACME", "price": 2.0})
                await hooli.follow({"symbol": "HOOLI", "price": 3.0})
            first = quotes.refused[0]
            later = [asked.at for asked in quotes.requests if asked.at > first.at + 0.1]
            assert min(later) - first.at >= 1.0, "what Retry-After asked for"
            assert len(quotes.refused) <= 2, "and a second one that was under way"
            assert await gateway.metric("pushgate_poll_failures_total", reason="rate_limited") >= 1

    async def test_many_symbols_are_one_request(self) -> None:
        """Where the API answers for several; one that the answer leaves out does not exist."""
        quotes = Quotes(limit=20)
        async with self.gateway(quotes, every="300ms") as gateway, AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(connected("sse", gateway.base, f"/watchlist/{symbol}"))
                for symbol in self.SYMBOLS
            ]
            for client, symbol in zip(clients, self.SYMBOLS, strict=True):
                await client.follow({"symbol": symbol, "price": 1.0})
            together = ",".join(sorted(self.SYMBOLS))
            await quotes.until(lambda: any(self.symbols_of(asked.path) == together for asked in quotes.requests))
            quotes.prices["TYRELL"] = 8.0
            await clients[-1].follow({"symbol": "TYRELL", "price": 8.0})
            async with http_client() as http:
                assert (await http.get(f"{gateway.base}/watchlist/NOBODY")).status_code == 404
            assert quotes.refused == []

    @staticmethod
    def symbols_of(path: str) -> str:
        return ",".join(sorted(path.partition("symbols=")[2].replace("%2C", ",").split(",")))


class TestBikes:
    """A GBFS feed with a TTL, and a view per station."""

    @asynccontextmanager
    async def gateway(self, bikes: Bikes) -> AsyncIterator[Running]:
        bikes.bikes = {"gare": 4, "port": 7, "zoo": 1}
        async with serving(bikes), example_gateway("recipes/bikes", BIKES_URL=bikes.url, EVERY=FAST) as gateway:
            yield gateway

    async def test_the_feed_is_not_asked_before_it_can_be_new(self) -> None:
        """It says for how long it is good; that is not believed for ever, and nobody hears that it was made anew."""
        bikes = Bikes(ttl=1)
        async with self.gateway(bikes) as gateway, connected("sse", gateway.base, "/stations") as client:
            await client.hear("snapshot")
            await bikes.asked(2)
            bikes.bikes["gare"] = 3
            await follow_until(client, lambda stations: stations[0]["bikes"] == 3)
            assert all(later.at - asked.at > 0.95 for asked, later in pairwise(bikes.requests))
            assert client.replica.kinds == ["snapshot", "patch"]

    async def test_a_station_is_a_view_that_costs_no_request(self) -> None:
        """Its clients hear of that station only, and `gone` when it leaves the feed."""
        bikes = Bikes(ttl=0)
        async with (
            self.gateway(bikes) as gateway,
            connected("sse", gateway.base, "/stations/gare") as gare,
            connected("websocket", gateway.base, "/stations/port") as port,
            connected("long_poll", gateway.base, "/stations") as everything,
        ):
            await everything.hear("snapshot")
            await port.follow({"id": "port", "bikes": 7, "open": True})
            await gare.follow({"id": "gare", "bikes": 4, "open": True})
            bikes.bikes["gare"] = 5
            merge = await gare.hear("merge")
            assert merge["data"] == {"bikes": 5}
            del bikes.bikes["port"]
            await port.hear("gone")
            await follow_until(everything, lambda stations: [row["id"] for row in stations] == ["gare", "zoo"])
            assert port.replica.kinds == ["snapshot", "gone"] and port.replica.document is GONE
            assert gare.replica.kinds == ["snapshot", "merge"]
            assert {asked.path for asked in bikes.requests} == {"/gbfs/2/en/station_status.json"}
            gaps = [later.at - asked.at for asked, later in pairwise(bikes.requests)]
            assert min(gaps) > 0.03, "one poll for all of them"

    async def test_an_empty_city_has_to_be_said_twice(self) -> None:
        """An answer without any station is held; when the next one has them again, nobody ever heard of it."""
        bikes = Bikes(ttl=0)
        async with self.gateway(bikes) as gateway, connected("sse", gateway.base, "/stations") as client:
            await client.hear("snapshot")
            stations, bikes.bikes = bikes.bikes, {}
            await client.hear_state("held")
            bikes.bikes = stations
            await client.hear_state("live")
            assert client.replica.kinds == ["snapshot"]


class TestOrders:
    """SOAP orders per user that end at DELIVERED."""

    @asynccontextmanager
    async def gateway(self, orders: Orders) -> AsyncIterator[Running]:
        orders.tokens = {"ana-token": "ana", "ben-token": "ben"}
        orders.orders = {"ana": {"A-1": "PLACED"}, "ben": {"A-1": "PACKED", "B-2": "PLACED"}}
        async with serving(orders), example_gateway("recipes/orders", SHOP_URL=orders.url, EVERY=FAST) as gateway:
            yield gateway

    @asynccontextmanager
    async def client(self, gateway: Running, topic: str, *, token: str) -> AsyncIterator[Link]:
        async with SignedSse(gateway.base, topic, token=token) as link:
            await link.connect()
            yield link

    async def test_everybody_follows_their_own_order_to_its_end(self) -> None:
        """The same name is another topic for another user; after `end` the service is left alone for that one."""
        orders = Orders()
        async with (
            self.gateway(orders) as gateway,
            self.client(gateway, "/orders/A-1", token="ana-token") as ana,
            self.client(gateway, "/orders/A-1", token="ben-token") as ben,
        ):
            await ana.follow({"order": "A-1", "status": "PLACED"})
            await ben.follow({"order": "A-1", "status": "PACKED"})
            orders.orders["ana"]["A-1"] = "SHIPPED"
            merge = await ana.hear("merge")
            assert merge["data"] == {"status": "SHIPPED"}
            orders.orders["ana"]["A-1"] = "DELIVERED"
            await ana.hear("end")
            assert ana.replica.holds({"order": "A-1", "status": "DELIVERED"})
            polls = len(orders.requests)
            await orders.asked(3)
            assert {asked.headers["authorization"] for asked in orders.requests[polls + 1 :]} == {"Bearer ben-token"}
            assert ben.replica.kinds == ["snapshot"]

    async def test_an_order_that_is_unknown_is_no_document(self) -> None:
        """The service says so with a Fault; so does it of somebody else's order."""
        orders = Orders()
        async with (
            self.gateway(orders) as gateway,
            self.client(gateway, "/orders/B-2", token="ana-token") as ana,
            self.client(gateway, "/orders/B-2", token="ben-token") as ben,
        ):
            await ben.follow({"order": "B-2", "status": "PLACED"})
            async with http_client(headers=bearer("ana-token")) as http:
                answer = await http.get(f"{gateway.base}/orders/B-2")
            assert answer.status_code == 502
            assert b"PLACED" not in answer.content and ana.replica.kinds == []
            orders.orders["ana"]["B-2"] = "PACKED"
            await ana.follow({"order": "B-2", "status": "PACKED"})

    async def test_a_user_who_is_no_longer_let_in_loses_the_document(self) -> None:
        """The stream ends, and a plain GET is answered as the service answers it; others keep theirs."""
        orders = Orders()
        async with (
            self.gateway(orders) as gateway,
            self.client(gateway, "/orders/A-1", token="ana-token") as ana,
            self.client(gateway, "/orders/A-1", token="ben-token") as ben,
        ):
            await ana.hear("snapshot")
            await ben.hear("snapshot")
            del orders.tokens["ana-token"]
            assert (await ana.hear("problem"))["data"]["code"] == "upstream_denied"
            async with http_client(headers=bearer("ana-token")) as http:
                answer = await http.get(f"{gateway.base}/orders/A-1")
            assert answer.status_code == 401 and b"PLACED" not in answer.content
            orders.orders["ben"]["A-1"] = "SHIPPED"
            await ben.follow({"order": "A-1", "status": "SHIPPED"})


class TestReport:
    """A CSV report at two minutes past the hour."""

    OLD = (("Süd", "groß", "1,50"), ("Nord", "klein", "2"))
    NEW = (("Süd", "groß", "17,25"), ("Nord", "klein", "2"))

    async def test_a_report_that_is_late_is_asked_for_until_it_is_there(self) -> None:
        """What has only been begun is no report; once the new one has come, nobody asks until the next hour."""
        reports = Reports()
        reports.publish(*self.OLD)
        nearly = datetime(2026, 3, 4, 15, 1, 59, tzinfo=ZoneInfo("Europe/Berlin"))
        clock = ShiftedClock(starts_at=nearly.timestamp())
        async with (
            serving(reports),
            example_gateway("recipes/report", clock=clock, FILES_URL=reports.url, RETRY="100ms") as gateway,
            connected("sse", gateway.base, "/sales") as client,
        ):
            await client.hear("snapshot")
            assert client.replica.document[0] == {"region": "Süd", "size": "groß", "sales": 1.5}
            before = len(reports.requests)
            await reports.asked(3)
            assert before == 1 and clock.wall() >= nearly.timestamp() + 1, "nobody asked before it was due"
            reports.publish()
            await reports.asked(2)
            reports.publish(*self.NEW)
            patch = await client.hear("patch")
            assert patch["data"] == [{"op": "replace", "path": "/0/sales", "value": 17.25}]
            assert await reports.is_left_alone(0.5)


class TestDevices:
    """Twelve devices with XML status, one route."""

    NUMBERS = tuple(f"{number:02}" for number in range(1, 13))

    @asynccontextmanager
    async def devices(self) -> AsyncIterator[tuple[dict[str, Device], Running]]:
        devices = {number: Device() for number in self.NUMBERS}
        async with serving(*devices.values()):
            urls = {f"DEV_{number}_URL": device.url for number, device in devices.items()}
            async with example_gateway("recipes/devices", **urls, EVERY=FAST, COOLDOWN="200ms") as gateway:
                yield devices, gateway

    async def test_one_that_is_off_is_stale_and_the_others_are_not(self) -> None:
        async with self.devices() as (devices, gateway), AsyncExitStack() as stack:
            clients = {
                number: await stack.enter_async_context(connected("sse", gateway.base, f"/devices/{number}"))
                for number in self.NUMBERS
            }
            for client in clients.values():
                await client.hear("snapshot")
            await devices["07"].switch_off()
            await clients["07"].hear_state("stale")
            for number, client in clients.items():
                devices[number].battery = 50
                if number != "07":
                    await follow_until(client, lambda status: status["battery"] == 50)
            assert clients["07"].replica.document["battery"] == 100
            assert all("stale" not in states_of(client) for number, client in clients.items() if number != "07")
            await devices["07"].switch_on()
            await follow_until(clients["07"], lambda status: status["battery"] == 50)
            await clients["07"].hear_state("live")
            assert {device.busiest for device in devices.values()} == {1}

    async def test_a_voltage_that_is_never_still_is_no_news(self) -> None:
        """It rides with the next change that somebody cares about."""
        async with self.devices() as (devices, gateway), connected("sse", gateway.base, "/devices/03") as client:
            outlets = [{"n": "1", "is": "on"}, {"n": "2", "is": "on"}]
            status: dict[str, Any] = {"model": "UPS-700", "volts": 230, "battery": 100, "outlets": outlets}
            await client.follow(status)
            devices["03"].volts = 232
            await devices["03"].asked(3)
            devices["03"].second_outlet = "off"
            status["volts"], status["outlets"][1]["is"] = 232, "off"
            await client.follow(status)
            assert len(client.replica.kinds) == 2, "one event for both"

    async def test_no_client_can_choose_anybody_else(self) -> None:
        async with self.devices() as (devices, gateway), http_client() as http:
            assert (await http.get(f"{gateway.base}/devices/13")).status_code == 404
            assert not any(device.requests for device in devices.values())


class TestComments:
    """A comments list behind cookies, with posting."""

    @asynccontextmanager
    async def gateway(self, forum: Forum, *, password: str = "secret") -> AsyncIterator[Running]:
        forum.passwords["ana"] = "ana's"
        forum.comment("ben", "first")
        environ = {"FORUM_URL": forum.url, "FORUM_PASSWORD": password, "EVERY": FAST}
        async with example_gateway("recipes/comments", **environ) as gateway:
            yield gateway

    async def test_what_a_member_posts_everybody_hears_of(self) -> None:
        """Members post as they always did; their session is theirs, and the gateway's is its own."""
        forum = Forum()
        async with (
            serving(forum),
            self.gateway(forum) as gateway,
            connected("websocket", gateway.base, "/threads/7/comments") as ben,
            connected("sse", gateway.base, "/threads/7/comments", emit="patch") as eve,
            http_client(base_url=forum.url) as ana,
        ):
            await ben.hear("snapshot")
            await eve.hear("snapshot")
            await ana.post("/login", data={"user": "ana", "password": "ana's"})
            posted = await ana.post("/threads/7/comments", data={"text": "grüße"})
            assert posted.status_code == 201
            assert (await ben.hear("items"))["data"]["created"] == [{"id": 2, "author": "ana", "text": "grüße"}]
            await see_through([ben, eve], forum.comments)
            assert forum.logins == 2, "the gateway's and hers"

    async def test_posting_through_the_gateway(self) -> None:
        """A POST becomes the forum's form, also after the session has run out; whoever posts finds it there at once."""
        forum = Forum()
        async with (
            serving(forum),
            self.gateway(forum) as gateway,
            connected("sse", gateway.base, "/threads/7/comments") as eve,
            http_client() as http,
        ):
            await eve.follow(forum.comments)
            forum.expire_sessions()
            posted = await http.post(f"{gateway.base}/threads/7/comments", json={"text": "a&b=ü"})
            assert (posted.status_code, posted.headers["Pushgate-Settled"]) == (201, "yes")
            assert posted.json() == {"id": 2, "author": "gateway", "text": "a&b=ü"}
            assert (await http.get(f"{gateway.base}/threads/7/comments")).json() == forum.comments
            await eve.follow(forum.comments)

    async def test_a_session_that_runs_out_is_nobody_elses_business(self) -> None:
        """The gateway logs in again within the same poll; no client hears of it."""
        forum = Forum()
        async with (
            serving(forum),
            self.gateway(forum) as gateway,
            connected("sse", gateway.base, "/threads/7/comments") as client,
        ):
            await client.hear("snapshot")
            forum.expire_sessions()
            await forum.until(lambda: forum.logins == 2)
            forum.comment("ben", "second")
            await client.follow(forum.comments)
            assert "stale" not in states_of(client)
            assert await gateway.metric("pushgate_poll_failures_total") == 0

    async def test_a_login_form_is_never_a_document(self) -> None:
        """Whoever gave pushgate a wrong password hears so, and the forum is not stormed with logins."""
        forum = Forum()
        async with (
            serving(forum),
            self.gateway(forum, password="guessed") as gateway,
            connected("sse", gateway.base, "/threads/7/comments") as client,
        ):
            await eventually(
                lambda: gateway.metric("pushgate_poll_failures_total", reason="upstream_auth"), lambda count: count > 0
            )
            async with http_client() as http:
                answer = await http.get(f"{gateway.base}/threads/7/comments")
            assert (answer.status_code, answer.headers["Content-Type"]) == (502, "application/problem+json")
            assert client.replica.kinds == [] and forum.logins == 0
            assert await forum.is_left_alone(0.5)
