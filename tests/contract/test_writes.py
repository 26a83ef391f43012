"""Writes: passed on as the caller, and seen by everybody once the answer says that they are settled."""

from __future__ import annotations

import asyncio
import json

import pytest

from boards import SELDOM, board, document, writable
from gateways import route
from transports import TRANSPORTS, connected


class TestReadYourWrites:
    async def test_a_get_sees_what_is_settled(self) -> None:
        """Although the upstream would say "not modified", since its times have no more than seconds."""
        async with board({"/n/{id}": writable()}) as (double, _, client):
            assert await document(client, "/n/1") == []
            for number in range(5):
                answer = await client.post("/n/1", content=f"note {number}")
                assert (answer.status_code, answer.headers["Pushgate-Settled"]) == (201, "yes")
                assert await document(client, "/n/1") == [f"note {n}" for n in range(number + 1)]
            assert double.polls == ["/n/1"] * 6

    @pytest.mark.parametrize("transport", [name for name in TRANSPORTS if name != "short_poll"])
    async def test_whoever_listens_is_told(self, transport: str) -> None:
        """Over every transport, long before the next poll is due."""
        async with (
            board({"/n/{id}": writable()}) as (_, gateway, client),
            connected(transport, gateway.base, "/n/1") as link,
        ):
            await link.follow({"notes": [], "of": None})
            assert (await client.post("/n/1", content="hello")).headers["Pushgate-Settled"] == "yes"
            await link.follow({"notes": ["hello"], "of": None})

    async def test_a_poll_that_began_before_is_too_old(self) -> None:
        """It may have missed the write; another one follows it, and only that settles anything."""
        async with board({"/n/{id}": writable()}) as (double, _, client):
            await document(client, "/n/1")
            double.delay = 0.2
            first = asyncio.ensure_future(client.post("/n/1", content="a"))
            await double.until(lambda: len(double.polls) == 2)
            second = await client.post("/n/1", content="b")
            assert second.headers["Pushgate-Settled"] == (await first).headers["Pushgate-Settled"] == "yes"
            assert await document(client, "/n/1") == ["a", "b"]
            assert len(double.polls) == 3

    async def test_a_burst_shares_its_polls(self) -> None:
        """Fifty writes at once cost a few polls, not fifty."""
        async with board({"/n/{id}": writable()}) as (double, _, client):
            await document(client, "/n/1")
            double.delay = 0.05
            answers = await asyncio.gather(*(client.post("/n/1", content=str(n)) for n in range(50)))
            assert {answer.headers["Pushgate-Settled"] for answer in answers} == {"yes"}
            assert sorted(await document(client, "/n/1"), key=int) == [str(n) for n in range(50)]
            assert len(double.polls) < 20

    async def test_what_nobody_holds_is_not_out_of_date(self) -> None:
        """A topic without a document costs no poll: whoever asks first gets what is there then."""
        async with board({"/n/{id}": writable()}) as (double, _, client):
            answer = await client.post("/n/1", content="a")
            assert (answer.headers["Pushgate-Settled"], double.polls) == ("yes", [])
            assert answer.headers["Pushgate-State"] == "cold"
            assert await document(client, "/n/1") == ["a"]

    async def test_it_gives_up_after_a_while(self) -> None:
        """Then the answer says so, and the news comes all the same."""
        async with (
            board({"/n/{id}": writable({"wait": "50ms"})}) as (double, gateway, client),
            connected("sse", gateway.base, "/n/1") as link,
        ):
            await link.follow({"notes": [], "of": None})
            double.delay = 0.3
            assert (await client.post("/n/1", content="a")).headers["Pushgate-Settled"] == "no"
            assert await document(client, "/n/1") == []
            await link.follow({"notes": ["a"], "of": None})

    async def test_it_need_not_wait_at_all(self) -> None:
        """``wait: 0s`` answers at once; the poll goes its way."""
        async with board({"/n/{id}": writable({"wait": "0s"})}) as (double, _, client):
            await document(client, "/n/1")
            assert (await client.post("/n/1", content="a")).headers["Pushgate-Settled"] == "no"
            await double.until(lambda: len(double.polls) == 2)

    async def test_a_poll_that_fails_settles_nothing(self) -> None:
        """The old document is still what clients get, so the answer does not claim more."""
        async with board({"/n/{id}": writable({"wait": "100ms"})}) as (double, _, client):
            await document(client, "/n/1")
            double.status = 500
            assert (await client.post("/n/1", content="a")).headers["Pushgate-Settled"] == "no"
            assert len(double.polls) == 2

    async def test_a_poll_that_is_doubted_settles_nothing_until_it_is_confirmed(self) -> None:
        """What a guard holds back is not published yet; the write waits for its confirmation."""
        guards = {"shrink": {"by": "50%", "then": "confirm"}, "confirm_after": "100ms"}
        routes = {
            "/n/{id}": route(poll=SELDOM, select="notes", guards=guards, write={"DELETE": {"wait": "5s"}}, key="id")
        }
        async with board(routes) as (double, gateway, client):
            double.notes["/n/1"] = [{"id": n} for n in range(10)]
            async with connected("sse", gateway.base, "/n/1") as link:
                await link.hear("snapshot")
                answer = await client.delete("/n/1")
                assert answer.headers["Pushgate-Settled"] == "yes"
                assert (await client.get("/n/1")).json() == [] and len(double.polls) == 3

    async def test_an_ended_topic_is_not_polled(self) -> None:
        """It says what it said last, so no write to it can be seen there."""
        routes = {"/e": route(poll={**SELDOM, "until": "length(notes) == `1`"}, write={"POST": {"wait": "5s"}})}
        async with board(routes) as (double, _, client):
            double.notes["/e"] = ["last"]
            await document(client, "/e")
            assert (await client.post("/e", content="more")).headers["Pushgate-Settled"] == "no"
            assert (await document(client, "/e"), len(double.polls)) == (["last"], 1)


class TestWhatIsPolledAgain:
    async def test_the_named_topics_and_no_others(self) -> None:
        """By name, with the values of the write, or all of a kind; an asterisk from a client is no asterisk."""
        refresh = ["/n/{data.to}", "/all/*", "/n/fixed?lang=de"]
        routes = {
            "/n/{id}": route(poll=SELDOM, query={"lang": "[a-z]{2}"}),
            "/all/{x}": route(poll=SELDOM),
            "/all/{x}/more": route(poll=SELDOM),
            "/w": writable({"refresh": refresh}),
        }
        topics = ["/n/1", "/n/1?lang=de", "/n/2", "/n/fixed?lang=de", "/n/fixed", "/n/*", "/all/a", "/all/b", "/w"]
        async with board(routes) as (double, _, client):
            for topic in [*topics, "/all/a/more"]:
                await document(client, topic)
            for to, expected in {
                "1": ["/all/a", "/all/b", "/n/1", "/n/1?lang=de", "/n/fixed?lang=de"],
                "*": ["/all/a", "/all/b", "/n/*", "/n/fixed?lang=de"],
            }.items():
                double.requests.clear()
                answer = await client.post("/w", json={"to": to})
                assert answer.headers["Pushgate-Settled"] == "yes"
                assert sorted(double.polls) == expected

    async def test_a_view_is_polled_where_its_document_is(self) -> None:
        """Also if nobody has asked for the view yet, and with no more of the parent's topics than fit."""
        routes = {
            "/n/{id}": route(poll=SELDOM),
            "/n/{id}/{index}": {"from": "/n/{id}", "pointer": "/notes/{index}"},
            "/w": writable({"path": "/n/1", "refresh": "/n/1/*"}),
        }
        async with board(routes) as (double, _, client):
            for topic in ("/n/1", "/n/2"):
                await document(client, topic)
            assert (await client.post("/w", content="a")).headers["Pushgate-Settled"] == "yes"
            assert (await client.get("/n/1/0")).json() == "a"
            assert double.polls == ["/n/1", "/n/2", "/n/1"]

    async def test_every_identity(self) -> None:
        """The writer's document and everybody else's, each asked for as who it is for."""
        shared = {"share": "identity", "forward": {"headers": ["Authorization"]}}
        async with board({"/me": writable(**shared)}) as (double, _, client):
            people = [{"Authorization": name} for name in ("ann", "bob", "eve")]
            for person in people:
                await document(client, "/me", headers=person)
            double.requests.clear()
            answer = await client.post("/me", headers=people[0], content="from ann")
            assert answer.headers["Pushgate-Settled"] == "yes"
            asked = sorted(asked.headers["authorization"] for asked in double.requests if asked.method == "GET")
            assert asked == ["ann", "bob", "eve"]
            for person in people:
                assert await document(client, "/me", headers=person) == ["from ann"]

    async def test_who_is_not_there_is_not_polled(self) -> None:
        """A write makes no topic: a writer who never read costs nothing but the write."""
        shared = {"share": "identity", "forward": {"headers": ["Authorization"]}}
        async with board({"/me": writable(**shared)}) as (double, _, client):
            await client.post("/me", headers={"Authorization": "ann"}, content="a")
            assert [asked.method for asked in double.requests] == ["POST"]


class TestWhatGoesUpstream:
    async def test_as_the_caller(self) -> None:
        """What is forwarded for polls, and the body with its type; nothing else of the client's request."""
        shared = {"share": "identity", "forward": {"headers": ["Authorization"], "cookies": ["SID"]}}
        async with board({"/me": writable(**shared)}) as (double, gateway, client):
            await client.post(
                "/me",
                headers={"Authorization": "ann", "Cookie": "SID=s; other=o", "X-Other": "o", "Origin": gateway.base},
                json={"a": 1},
            )
            [asked] = double.writes
            assert json.loads(asked.body) == {"a": 1}
            assert (asked.headers["authorization"], asked.headers["cookie"]) == ("ann", "SID=s")
            assert asked.headers["content-type"] == "application/json"
            assert not {"x-other", "origin"} & asked.headers.keys()

    async def test_with_pushgates_own_credentials(self) -> None:
        """On a public route, as it polls; the client's are its own business."""
        credentials = {"credentials": {"kind": "basic", "username": "gate", "password": "way"}}
        async with board({"/n": writable()}, upstream=credentials) as (double, _, client):
            await client.post("/n", headers={"Authorization": "Basic client"}, content="a")
            [asked] = double.writes
            assert asked.headers["authorization"] == "Basic Z2F0ZTp3YXk="

    async def test_in_another_form(self) -> None:
        """A page posts JSON, the backend gets the form that it knows, at its own place."""
        write = {"path": "/rent.cgi", "form": {"station": "{data.station.id}"}, "headers": {"X-From": "{id}"}}
        async with board({"/n/{id}": writable(write)}) as (double, _, client):
            assert (await client.post("/n/7", json={"station": {"id": "a&b=c"}})).status_code == 201
            [asked] = double.writes
            assert (asked.path, asked.body, asked.headers["x-from"]) == ("/rent.cgi", b"station=a%26b%3Dc", "7")

    async def test_it_takes_its_turn(self) -> None:
        """A write is a request like any other to the upstream's budget."""
        slow = {"budget": {"rate": "1/h", "spent": "fail"}, "timeout": {"connect": "200ms", "total": "200ms"}}
        async with board({"/n": writable()}, upstream=slow) as (double, _, client):
            assert (await client.post("/n", content="a")).status_code == 201
            refused = await client.post("/n", content="b")
            assert (refused.status_code, refused.json()["code"]) == (502, "upstream_failed")
            assert "nothing was sent" in refused.json()["detail"] and int(refused.headers["Retry-After"]) > 0
            assert len(double.writes) == 1


class TestWhatComesBack:
    async def test_the_upstreams_answer(self) -> None:
        """Its status, type and body, and no other field of it; never a cursor, and no cache may keep it."""
        async with board({"/n": writable()}) as (_, _, client):
            await document(client, "/n")
            answer = await client.post("/n", content="a")
            assert (answer.status_code, answer.text) == (201, '{"id": 1}')
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            assert (answer.headers["Cache-Control"], answer.headers["Pushgate-State"]) == ("no-store", "live")
            assert not {"set-cookie", "x-secret", "location", "pushgate-cursor", "etag"} & answer.headers.keys()

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429])
    async def test_a_refusal_is_passed_on(self, status: int) -> None:
        """Nothing has happened, so nothing is polled, and there is nothing to settle."""
        async with board({"/n": writable()}) as (double, _, client):
            await document(client, "/n")
            double.answer_to_writes = {"status": status, "text": "no!", "content_type": "text/plain"}
            answer = await client.post("/n", content="a")
            assert (answer.status_code, answer.text) == (status, "no!")
            assert "Pushgate-Settled" not in answer.headers and len(double.polls) == 1

    async def test_an_error_may_have_done_it(self) -> None:
        """So it is passed on like everything, and the topics are polled."""
        async with board({"/n": writable()}) as (double, _, client):
            await document(client, "/n")
            double.answer_to_writes = {"status": 500, "text": "oh"}
            answer = await client.post("/n", content="a")
            assert (answer.status_code, answer.text, answer.headers["Pushgate-Settled"]) == (500, "oh", "yes")
            assert len(double.polls) == 2

    async def test_methods_are_told(self) -> None:
        """A path takes the methods that its route names, and says which those are."""
        routes = {
            "/n": route(write={"POST": {}, "DELETE": {}}),
            "/r": route(),
            "/v": {"from": "/n", "pointer": "/notes"},
        }
        cors = {"cors": {"origins": ["https://app.example"]}}
        async with board(routes, server=cors) as (_, _, client):
            for path, methods in {"/n": "GET, HEAD, POST, DELETE, OPTIONS", "/r": "GET, HEAD, OPTIONS"}.items():
                refused = await client.put(path)
                assert (refused.status_code, refused.headers["Allow"]) == (405, methods)
                asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
                preflight = await client.options(path, headers=asked)
                assert preflight.headers["Allow"] == methods == preflight.headers["Access-Control-Allow-Methods"]
                allowed = preflight.headers["Access-Control-Allow-Headers"].split(", ")
                assert ("Content-Type" in allowed) == ("POST" in methods)
            assert (await client.post("/v")).status_code == 405
            assert (await client.post("/nothing")).status_code == 404
            assert (await client.options("/nothing")).headers["Allow"] == "GET, HEAD, OPTIONS"

    async def test_a_page_may_read_whether_it_is_settled(self) -> None:
        """If it is of an allowed origin."""
        cors = {"cors": {"origins": ["https://app.example"]}}
        async with board({"/n": writable()}, server=cors) as (_, _, client):
            answer = await client.post("/n", content="a", headers={"Origin": "https://app.example"})
            assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert "Pushgate-Settled" in answer.headers["Access-Control-Expose-Headers"].split(", ")


class TestWhoMayWriteWithCookies:
    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"Origin": "own"}, 201),
            ({"Origin": "https://app.example"}, 201),
            ({"Sec-Fetch-Site": "same-origin"}, 201),
            ({"Sec-Fetch-Site": "none"}, 201),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({}, 403),
        ],
    )
    async def test_only_pages_that_are_known(self, fields: dict[str, str], status: int) -> None:
        """Without cookies anybody may, as far as CORS goes: there is nothing that a page could misuse."""
        shared = {"share": "identity", "forward": {"cookies": ["SID"]}}
        cors = {"cors": {"origins": ["https://app.example"]}}
        async with board({"/n": writable(**shared)}, server=cors) as (double, gateway, client):
            headers = {name: gateway.base if value == "own" else value for name, value in fields.items()}
            answer = await client.post("/n", content="a", headers={**headers, "Cookie": "SID=s"})
            assert answer.status_code == status and len(double.writes) == (status == 201)
            if status == 403:
                assert answer.json()["code"] == "origin_forbidden"
            assert (await client.post("/n", content="a", headers=headers)).status_code == 201
