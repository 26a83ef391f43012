"""Attacks on the admin listener, by pages that an operator visits and by whoever reaches it: one test each."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from backends import ScriptedBackend
from gateways import Running, http_client, route, running_gateway
from reloads import reloadable_gateway
from slowclients import raw_client

TOKEN = "a-token.of_16~or+more/characters"
OPERATOR = {"Pushgate-Admin": "1"}
SECURED = {"admin": {"listen": "127.0.0.1:0", "token": TOKEN}}
EVIL = "http://evil.example"

READS = ["/-/topics", "/-/drain"]
CHANGES = [("POST", "/-/drain"), ("DELETE", "/-/drain"), ("POST", "/-/reload"), ("POST", "/-/disconnect?subject=ann")]
EVERYTHING = [*(("GET", path) for path in READS), *CHANGES]

# What an HTML form can send to another site without being asked whether it may.
FORMS = {
    "urlencoded": {"Content-Type": "application/x-www-form-urlencoded"},
    "multipart": {"Content-Type": "multipart/form-data; boundary=x"},
    "text/plain": {"Content-Type": "text/plain"},
}

# How browsers tell that a page of another site is behind a request; the first ones say no more than that.
PAGES = {
    "an old browser's": {"Origin": EVIL},
    "another site's": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    "a sibling's": {"Origin": "http://app.internal.example", "Sec-Fetch-Site": "same-site"},
    "a sandbox's": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "another port's": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    "one without an origin": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
}

REBOUND = [
    *(
        "evil.example",
        "evil.example:8081",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
    ),
    *("evil.example:127.0.0.1", "[::1].evil.example", "10.0.0.1", "127.0.0.1:80:80", "1.evil.example:8081", ""),
]

# Each from somebody who passes requests on, as if it were this machine that asks.
FORWARDED = {
    "Forwarded": "for=203.0.113.9",
    "Via": "1.1 proxy",
    "X-Forwarded-For": "203.0.113.9",
    "x-forwarded-host": "ops.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Server": "proxy",
    "X-FORWARDED-PORT": "443",
    "X-Real-IP": "127.0.0.1",
    "True-Client-IP": "203.0.113.9",
    "CF-Connecting-IP": "203.0.113.9",
    "X-Envoy-External-Address": "203.0.113.9",
}

GUESSES = {
    "another": "b" * len(TOKEN),
    "the beginning": TOKEN[:-1],
    "more than all of it": f"{TOKEN}=",
    "all but the last letter right": f"{TOKEN[:-1]}-",
    "in capitals": TOKEN.upper(),
    "very long": "x" * 6_000,
}
MALFORMED = {
    "nothing": "Bearer",
    "without its scheme": TOKEN,
    "another scheme": f"Token {TOKEN}",
    "a password": "Basic YWRtaW46YWRtaW4=",
    "two": f"Bearer {TOKEN}, Bearer {TOKEN}",
    "with something behind it": f"Bearer {TOKEN} x",
    "not ASCII": "Bearer tökentökentöken",
}


async def ask(gateway: Running, method: str, path: str, headers: Mapping[str, str] = {}) -> httpx.Response:
    async with http_client() as client:
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        return await client.request(method, f"{gateway.admin}{path}", headers=fields)


@asynccontextmanager
async def untouched(backend: ScriptedBackend, **server: Any) -> AsyncIterator[Running]:
    """A gateway, to which nothing has happened when the context ends."""
    backend.serve([1])
    async with running_gateway(backend, {"/t": route(poll={"while": "always"})}, server=server) as gateway:
        yield gateway
        assert (await ask(gateway, "GET", "/readyz")).status_code == 200
        assert await gateway.metric("pushgate_draining") == 0
        assert await gateway.metric("pushgate_config_last_reload_successful") == 1, "nobody has had it read again"


def expect_no_leave(answer: httpx.Response) -> None:
    """No page is told that it may read this, or ask again in another way."""
    assert [name for name in answer.headers if name.startswith("access-control-")] == []


class TestCrossSiteForms:
    @pytest.mark.parametrize("page", PAGES)
    @pytest.mark.parametrize("form", FORMS)
    async def test_are_refused(self, form: str, page: str, backend: ScriptedBackend) -> None:
        async with untouched(backend) as gateway:
            for path in [path for method, path in CHANGES if method == "POST"]:
                answer = await ask(gateway, "POST", path, {**FORMS[form], **PAGES[page]})
                assert answer.status_code == 403, path
                expect_no_leave(answer)

    @pytest.mark.parametrize(("method", "path"), CHANGES)
    async def test_of_a_browser_that_says_nothing_lack_the_header(
        self, method: str, path: str, backend: ScriptedBackend
    ) -> None:
        async with untouched(backend) as gateway:
            for consent in ({}, {"Pushgate-Admin": ""}, {"Pushgate-Admin": "0"}, {"Pushgate-Admin": "1, 1"}):
                answer = await ask(gateway, method, path, consent)
                assert (answer.status_code, "send Pushgate-Admin: 1" in answer.text) == (403, True)

    async def test_have_no_other_way_to_say_the_method_or_the_header(self, backend: ScriptedBackend) -> None:
        async with untouched(backend) as gateway:
            for trick in ("?_method=DELETE&Pushgate-Admin=1", "?Pushgate-Admin=1", "?consent=1"):
                assert (await ask(gateway, "POST", f"/-/drain{trick}")).status_code == 403
            override = {"X-HTTP-Method-Override": "DELETE"}
            assert (await ask(gateway, "POST", "/-/drain", override)).status_code == 403

    @pytest.mark.parametrize("page", PAGES)
    async def test_are_refused_with_the_header_too(self, page: str, backend: ScriptedBackend) -> None:
        """No browser sends that unasked; if one does, it still says whose page it is. A token makes it no better."""
        bearing = {"Authorization": f"Bearer {TOKEN}"}
        async with untouched(backend, **SECURED) as gateway:
            for (method, path), credentials in product(CHANGES, ({}, bearing)):
                answer = await ask(gateway, method, path, {**OPERATOR, **credentials, **PAGES[page]})
                assert (answer.status_code, "another site" in answer.text) == (403, True), (method, path)

    @pytest.mark.parametrize("path", ["/-/drain", "/-/reload", "/-/disconnect", "/-/topics", "/metrics"])
    async def test_preflights_are_told_nothing(self, path: str, backend: ScriptedBackend) -> None:
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "pushgate-admin"}
        async with untouched(backend) as gateway:
            answer = await ask(gateway, "OPTIONS", path, {"Origin": EVIL, **asks})
            assert answer.status_code == 405
            expect_no_leave(answer)

    @pytest.mark.parametrize("path", ["/-/drain", "/-/reload", "/-/disconnect?subject=ann"])
    async def test_images_and_links_change_nothing(self, path: str, backend: ScriptedBackend) -> None:
        """A GET is no order, whoever it comes from."""
        async with untouched(backend) as gateway:
            assert (await ask(gateway, "GET", path, OPERATOR)).status_code in (200, 405)


class TestReadingPages:
    @pytest.mark.parametrize("page", PAGES)
    @pytest.mark.parametrize("path", READS)
    async def test_of_other_sites_are_told_nothing(self, path: str, page: str, backend: ScriptedBackend) -> None:
        async with untouched(backend) as gateway:
            answer = await ask(gateway, "GET", path, PAGES[page])
            assert (answer.status_code, "topics" in answer.text) == (403, False)
            expect_no_leave(answer)

    async def test_in_a_frame_are_other_pages(self, backend: ScriptedBackend) -> None:
        framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
        async with untouched(backend) as gateway:
            assert (await ask(gateway, "GET", "/-/topics", framed)).status_code == 403
            followed = framed | {"Sec-Fetch-Dest": "document"}
            assert (await ask(gateway, "GET", "/-/topics", followed)).status_code == 200, "that is a link in a chat"


class TestDnsRebinding:
    """A page whose name was made to mean this machine: its browser takes it for ours, and sends what it says."""

    @pytest.mark.parametrize("host", REBOUND)
    async def test_is_known_by_its_host(self, host: str, backend: ScriptedBackend) -> None:
        rebound = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        async with untouched(backend) as gateway:
            for (method, path), fields in product(EVERYTHING, (rebound, {"Host": host})):
                answer = await ask(gateway, method, path, {**OPERATOR, **fields})
                assert (answer.status_code, answer.text.startswith("{")) == (403, False), (method, path)

    @pytest.mark.parametrize(("method", "path"), EVERYTHING)
    async def test_is_no_better_where_there_is_a_token(self, method: str, path: str, backend: ScriptedBackend) -> None:
        async with untouched(backend, **SECURED) as gateway:
            rebound = {"Host": "evil.example", **OPERATOR}
            assert (await ask(gateway, method, path, rebound)).status_code == 403
            guess = {**rebound, "Authorization": "Bearer aaaaaaaaaaaaaaaa"}
            assert (await ask(gateway, method, path, guess)).status_code == 401

    async def test_does_not_come_by_the_address_in_the_request_line_either(self, backend: ScriptedBackend) -> None:
        async with untouched(backend) as gateway:
            port = int(gateway.admin.rpartition(":")[2])
            async with raw_client(port) as client:
                await client.send(
                    b"POST http://127.0.0.1/-/drain HTTP/1.1\r\nHost: evil.example\r\nPushgate-Admin: 1\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
                )
                assert (await client.read_all()).startswith(b"HTTP/1.1 403 ")

    async def test_does_not_come_by_a_second_host(self, backend: ScriptedBackend) -> None:
        async with untouched(backend) as gateway:
            port = int(gateway.admin.rpartition(":")[2])
            async with raw_client(port) as client:
                await client.send(
                    b"POST /-/drain HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\nPushgate-Admin: 1\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
                )
                assert (await client.read_all()).startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))


class TestPassedOn:
    @pytest.mark.parametrize("field", FORWARDED)
    async def test_by_a_proxy_on_this_machine(self, field: str, backend: ScriptedBackend) -> None:
        """Its address is loopback, but nobody knows for whom it asks."""
        passed_on = {**OPERATOR, field: FORWARDED[field]}
        async with untouched(backend) as gateway:
            for method, path in EVERYTHING:
                answer = await ask(gateway, method, path, passed_on)
                assert (answer.status_code, "server.admin.token" in answer.text) == (403, True), (method, path)

    async def test_with_a_token_it_is_whoever_knows_it(self, backend: ScriptedBackend) -> None:
        async with untouched(backend, **SECURED) as gateway:
            for field, value in FORWARDED.items():
                refused = await ask(gateway, "GET", "/-/topics", {field: value})
                assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (
                    401,
                    'Bearer realm="pushgate admin"',
                )
                bearing = {field: value, "Host": "ops.example", "Authorization": f"bearer {TOKEN}"}
                assert (await ask(gateway, "GET", "/-/topics", bearing)).status_code == 200


class TestTokens:
    @pytest.mark.parametrize("guess", GUESSES)
    async def test_a_wrong_one_is_refused_also_on_this_machine(self, guess: str, backend: ScriptedBackend) -> None:
        """Who means to prove something and cannot, is not let in for where it is. How near a guess is, nobody tells."""
        async with untouched(backend, **SECURED) as gateway:
            said = "this is not the token of the admin listener (server.admin.token)\n"
            for method, path in EVERYTHING:
                answer = await ask(gateway, method, path, {**OPERATOR, "Authorization": f"Bearer {GUESSES[guess]}"})
                assert (answer.status_code, answer.text) == (401, said), (method, path)

    @pytest.mark.parametrize("shown", MALFORMED)
    async def test_what_is_none_is_refused(self, shown: str, backend: ScriptedBackend) -> None:
        async with untouched(backend, **SECURED) as gateway:
            answer = await ask(gateway, "POST", "/-/drain", {**OPERATOR, "Authorization": MALFORMED[shown]})
            assert (answer.status_code, answer.text) == (401, "this is no bearer token\n")

    async def test_where_none_is_configured_none_is_right(self, backend: ScriptedBackend) -> None:
        """Nor is the word for nothing."""
        async with untouched(backend) as gateway:
            for guess in ("None", "null", "*" * 10, "undefined", TOKEN):
                answer = await ask(gateway, "POST", "/-/drain", {**OPERATOR, "Authorization": f"Bearer {guess}"})
                assert answer.status_code == 401

    async def test_elsewhere_than_in_its_header_it_is_not_looked_for(self, backend: ScriptedBackend) -> None:
        """URLs are logged, and cookies are sent by pages of others."""
        passed_on = {**OPERATOR, "X-Forwarded-For": "203.0.113.9"}
        async with untouched(backend, **SECURED) as gateway:
            for path, fields in (
                (f"/-/drain?token={TOKEN}&access_token={TOKEN}", {}),
                ("/-/drain", {"Cookie": f"token={TOKEN}; access_token={TOKEN}"}),
                ("/-/drain", {"Proxy-Authorization": f"Bearer {TOKEN}"}),
            ):
                assert (await ask(gateway, "POST", path, {**passed_on, **fields})).status_code == 401

    async def test_one_that_was_taken_back_opens_nothing(self, backend: ScriptedBackend, tmp_path: Path) -> None:
        """From the reload on, which whoever has the old one can still ask for."""
        backend.serve([1])
        old, new = ({"Authorization": f"Bearer {text}", "X-Forwarded-For": "203.0.113.9"} for text in (TOKEN, "n" * 16))
        async with reloadable_gateway(backend, {"/t": route()}, tmp_path, server=SECURED) as gateway:
            server = gateway.written.says["server"]
            assert (await ask(gateway.running, "GET", "/-/topics", old)).status_code == 200
            await gateway.rewrite(server={**server, "admin": {**server["admin"], "token": "n" * 16}})
            assert (await ask(gateway.running, "GET", "/-/topics", old)).status_code == 401
            assert (await ask(gateway.running, "GET", "/-/topics", new)).status_code == 200
            await gateway.rewrite(server={**server, "admin": {"listen": "127.0.0.1:0"}})
            assert (await ask(gateway.running, "GET", "/-/topics", new)).status_code == 401

    async def test_neither_it_nor_a_guess_is_repeated(
        self, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        guess = "a-guess-that-nobody-should-read"
        said = ""
        with caplog.at_level(logging.DEBUG):
            async with untouched(backend, **SECURED) as gateway:
                for shown in (guess, TOKEN):
                    for method, path in EVERYTHING[:2]:
                        answer = await ask(gateway, method, path, {"Authorization": f"Bearer {shown}"})
                        said += f"{answer.text} {answer.headers}"
                said += (await ask(gateway, "GET", "/metrics")).text + repr(gateway.gateway.config)
        printed = capsys.readouterr()
        for text in (said, caplog.text, printed.out, printed.err):
            assert TOKEN not in text and guess not in text


class TestWithoutCredentials:
    @pytest.mark.parametrize("host", ["evil.example", "gateway.internal:8081"])
    async def test_probes_and_metrics_are_all_that_there_is(self, host: str, backend: ScriptedBackend) -> None:
        """As section 8 has it: a balancer or a scraper knows no token, and its ``Host`` is its own affair."""
        elsewhere = {"Host": host, "X-Forwarded-For": "203.0.113.9"}
        async with untouched(backend, **SECURED) as gateway:
            for path in ("/livez", "/readyz", "/startupz", "/metrics"):
                assert (await ask(gateway, "GET", path, elsewhere)).status_code == 200
                assert (await ask(gateway, "POST", path, elsewhere)).status_code == 405

    @pytest.mark.parametrize(
        "path", ["/%2d/drain", "//-/drain", "/-/drain/", "/./-/drain", "/x/../-/drain", "/-/DRAIN"]
    )
    async def test_no_other_spelling_of_a_path_gets_by(self, path: str, backend: ScriptedBackend) -> None:
        async with untouched(backend) as gateway:
            port = int(gateway.admin.rpartition(":")[2])
            async with raw_client(port) as client:
                head = f"POST {path} HTTP/1.1\r\nHost: evil.example\r\nPushgate-Admin: 1\r\nContent-Length: 0\r\n"
                await client.send(f"{head}Connection: close\r\n\r\n".encode())
                assert int((await client.read_all()).split()[1]) in (403, 404, 405)
