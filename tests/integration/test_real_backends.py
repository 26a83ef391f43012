"""Backends as they are installed from Debian, followed through the gateways in examples/ that users copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from daemons import Daemon, Haproxy, Monit, Netdata, Nginx, Supervisord, running
from gateways import Running, eventually, http_client
from links import Link
from pushgate.config import load, warnings
from recipes import example, example_gateway, follow_until
from transports import connected

BACKENDS: dict[str, type[Daemon]] = {
    "haproxy": Haproxy,
    "nginx": Nginx,
    "supervisord": Supervisord,
    "monit": Monit,
    "netdata": Netdata,
}

# Often enough to see whatever a daemon goes through, seldom enough not to keep it from that.
EVERY = "50ms"


def environment(name: str, daemon: Daemon, **others: str) -> dict[str, str]:
    return {f"{name.upper()}_URL": daemon.url, "EVERY": EVERY, "MONIT_PASSWORD": "secret", **others}


@asynccontextmanager
async def followed(name: str, topic: str, *, transport: str = "sse") -> AsyncIterator[tuple[Any, Running, Link]]:
    """A daemon, the gateway in front of it, and a client of a topic that has its first document."""
    async with (
        running(BACKENDS[name]) as daemon,
        example_gateway(name, **environment(name, daemon)) as gateway,
        connected(transport, gateway.base, topic, emit="patch" if name == "netdata" else None) as client,
    ):
        await client.hear("snapshot")
        yield daemon, gateway, client


def row(document: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    [found] = [item for item in document if wanted.items() <= item.items()]
    return found


@pytest.mark.parametrize("name", BACKENDS)
def test_every_example_loads_without_a_warning(name: str) -> None:
    """Who has the daemon where its packages put it sets nothing but passwords."""
    assert warnings(load(example(name), environ={"MONIT_PASSWORD": "secret"})) == []


async def test_a_server_that_haproxy_takes_out_is_one_small_patch() -> None:
    """Of ninety columns in seven rows, clients hear of the one word that somebody watches."""
    async with followed("haproxy", "/servers") as (haproxy, _, client):
        names = [(server["proxy"], server["name"]) for server in client.replica.document]
        assert names == [("shop", "one"), ("shop", "two"), ("mail", "one")]
        usual = client.replica.document[0]["status"]
        for command, status in (("disable", "MAINT"), ("enable", usual)):
            await haproxy.tell(f"{command} server shop/one")
            patch = await client.hear("patch")
            assert patch["data"] == [{"op": "replace", "path": "/0/status", "value": status}]


async def test_a_row_with_two_keys_is_one_item() -> None:
    """There is a server `one` in two backends, and only one of them changed."""
    async with followed("haproxy", "/servers") as (haproxy, gateway, client), http_client() as http:
        params = {"emit": "items", "cursor": client.replica.cursor, "wait": "10"}
        await haproxy.tell("disable server mail/one")
        [event] = (await http.get(f"{gateway.base}/servers", params=params)).json()["events"]
        await follow_until(client, lambda servers: row(servers, proxy="mail")["status"] == "MAINT")
        changed = {"created": [], "updated": [row(client.replica.document, proxy="mail")], "deleted": []}
        assert (event["event"], event["data"]) == ("items", changed)


async def test_a_view_of_one_backend_hears_only_of_that() -> None:
    """It costs HAProxy no request, and its clients nothing while others' servers come and go."""
    async with followed("haproxy", "/servers/mail") as (haproxy, gateway, client):
        async with connected("websocket", gateway.base, "/servers/shop") as other:
            await other.hear("snapshot")
            await haproxy.tell("disable server shop/two")
            await follow_until(other, lambda servers: row(servers, name="two")["status"] == "MAINT")
        await haproxy.tell("disable server mail/one")
        patch = await client.hear("patch")
        assert patch["data"] == [{"op": "replace", "path": "/0/status", "value": "MAINT"}]
        assert client.replica.kinds == ["snapshot", "patch"]


async def test_the_counters_of_nginx_are_an_object_of_numbers() -> None:
    """A page made for people becomes members by the named groups of an expression."""
    async with followed("nginx", "/connections") as (nginx, _, client):
        first = client.replica.document
        assert first.keys() == {"active", "accepted", "requests", "reading", "writing", "waiting"}
        assert {first[name] for name in ("active", "writing")} == {1}, "the poll itself"
        idle = [await asyncio.open_connection("127.0.0.1", nginx.port) for _ in range(3)]
        busy = await follow_until(client, lambda counters: counters["waiting"] == 3)
        assert (busy["active"], busy["accepted"]) == (4, first["accepted"] + 3)
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        await follow_until(client, lambda counters: counters["active"] == 1)
        merges = [event["data"] for event in client.heard if event["event"] == "merge"]
        assert all(merge.keys() - {"requests"} for merge in merges), "that pushgate polled is no news"


async def test_a_page_that_is_not_the_status_of_nginx_is_no_document() -> None:
    """It has status 200 and no counter in it: the last counters stay, and clients hear why."""
    async with followed("nginx", "/connections") as (nginx, gateway, client):
        last = client.replica.document
        await nginx.stop()
        nginx.CONFIG = nginx.CONFIG.replace("stub_status;", 'return 200 "Down for maintenance\n";')
        await nginx.start()
        failures = await eventually(
            lambda: gateway.metric("pushgate_poll_failures_total", reason="decode"), lambda count: count > 1
        )
        assert failures and client.replica.holds(last)


async def test_a_process_that_supervisord_restarts_changes_its_state() -> None:
    """A poll by POST in XML-RPC, whose structs have become rows with a compound key."""
    async with followed("supervisord", "/processes") as (supervisord, _, client):
        await follow_until(client, lambda rows: all(process["state"] == "RUNNING" for process in rows))
        before = row(client.replica.document, group="mailer", name="mailer")
        ticker = row(client.replica.document, name="ticker")
        await supervisord.call("supervisor.stopProcess", "mailer")
        await follow_until(client, lambda rows: row(rows, name="mailer")["state"] == "STOPPED")
        await supervisord.call("supervisor.startProcess", "mailer")
        rows = await follow_until(client, lambda rows: row(rows, name="mailer")["state"] == "RUNNING")
        assert row(rows, name="mailer")["pid"] not in (0, before["pid"])
        assert row(rows, name="ticker") == ticker


async def test_monit_is_read_in_its_own_encoding() -> None:
    """ISO-8859-1 by HTTP/1.0, behind a password; a file that is missing is a status that is not 0."""
    async with followed("monit", "/services") as (monit, _, client):
        services = await follow_until(client, lambda rows: row(rows, name="kitchen")["output"] is not None)
        assert row(services, name="kitchen")["output"] == "Käse für 5 £"
        await follow_until(client, lambda rows: row(rows, name="stock")["status"] == 0)
        monit.watched.unlink()
        missing = await follow_until(client, lambda rows: row(rows, name="stock")["status"] != 0)
        assert row(missing, name="kitchen") == row(services, name="kitchen")


async def test_a_wrong_password_is_no_document() -> None:
    """Neither is what monit says about it; there is nothing to show, and clients hear the reason."""
    async with (
        running(Monit) as monit,
        example_gateway("monit", **environment("monit", monit, MONIT_PASSWORD="guessed")) as gateway,
        connected("sse", gateway.base, "/services") as client,
        http_client() as http,
    ):
        status = await client.hear("status")
        while status["data"]["reason"] != "upstream_auth":
            status = await client.hear("status")
        answer = await http.get(f"{gateway.base}/services")
        assert (answer.status_code, answer.headers["Content-Type"]) == (502, "application/problem+json")


async def test_a_password_that_is_changed_leaves_the_last_document() -> None:
    """Until somebody tells pushgate the new one, or monit gets the old one back."""
    async with followed("monit", "/services") as (monit, gateway, client):
        await monit.stop()
        monit.password = "other"
        await monit.start()
        await eventually(
            lambda: gateway.metric("pushgate_poll_failures_total", reason="upstream_auth"), lambda count: count > 1
        )
        last = client.replica.document
        async with http_client() as http:
            answer = await http.get(f"{gateway.base}/services")
        assert (answer.status_code, answer.headers["Pushgate-State"]) == (200, "stale")
        assert client.replica.holds(answer.json()) and client.replica.holds(last)
        await monit.stop()
        monit.password = "secret"
        await monit.start()
        await client.hear_state("live")


async def test_an_alarm_of_netdata_comes_and_goes() -> None:
    """No alarm at all is an empty list, and that is good news: nobody has to confirm it."""
    async with followed("netdata", "/alarms") as (netdata, _, client):
        assert client.replica.document == []
        await netdata.count_orders(500)
        [alarm] = await follow_until(client, lambda alarms: alarms != [])
        assert (alarm["name"], alarm["status"], alarm["value"]) == ("orders_waiting", "WARNING", 500)
        await netdata.count_orders(3)
        await follow_until(client, lambda alarms: alarms == [])
        assert all(event["data"]["state"] != "held" for event in client.heard if event["event"] == "status")


@pytest.mark.parametrize(
    ("name", "topic"),
    [("haproxy", "/servers"), ("nginx", "/connections"), ("monit", "/services"), ("netdata", "/alarms")],
)
async def test_a_daemon_that_stops_leaves_its_last_document(name: str, topic: str) -> None:
    """Its clients hear that it is stale; when the daemon is back, they hear that too, without reconnecting."""
    async with followed(name, topic) as (daemon, gateway, client):
        await daemon.stop()
        await client.hear_state("stale")
        async with http_client() as http:
            answer = await http.get(gateway.base + topic)
        assert (answer.status_code, answer.headers["Pushgate-State"]) == (200, "stale")
        assert client.replica.holds(answer.json())
        await daemon.start()
        await client.hear_state("live")
