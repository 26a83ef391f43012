"""
Upstreams whose answers are no document: the last good one is kept, the failure has a name, and the next good answer is
believed at once.
"""

from __future__ import annotations

import json
from math import inf
from typing import ClassVar

import pytest

from troubles import LOGIN_PAGE, Trouble, staged
from upstreams import Asked, respond


class SendsALoginPage(Trouble):
    reasons: ClassVar = {"guard"}
    route: ClassVar = {"guards": {"content_type": "application/json"}, "format": "json"}

    def crime(self, asked: Asked) -> bytes:
        return respond("200 OK", LOGIN_PAGE, "Content-Type: text/html; charset=utf-8")


class EmptiesItselfWhereThatIsRejected(Trouble):
    reasons: ClassVar = {"guard"}
    route: ClassVar = {"guards": {"empty": "reject"}}

    def crime(self, asked: Asked) -> bytes:
        return self.say("[]")


class SaysErrorWithStatus200(Trouble):
    reasons: ClassVar = {"fail_if"}
    route: ClassVar = {"guards": {"fail_if": "error"}}

    def crime(self, asked: Asked) -> bytes:
        return self.say('{"error": "database is locked"}')


class RenamesItsMembers(Trouble):
    reasons: ClassVar = {"select"}
    route: ClassVar = {"select": "data"}

    def body(self, version: int) -> str:
        return f'{{"data": {super().body(version)}}}'

    def crime(self, asked: Asked) -> bytes:
        return self.say(f'{{"result": {super().body(99)}}}')


class SendsNaN(Trouble):
    reasons: ClassVar = {"decode"}

    def crime(self, asked: Asked) -> bytes:
        return self.say('[{"id": 1, "version": NaN}]')


class LiesAboutItsCharset(Trouble):
    reasons: ClassVar = {"decode"}

    def crime(self, asked: Asked) -> bytes:
        return respond("200 OK", '["Zürich"]'.encode("latin-1"), "Content-Type: application/json; charset=utf-8")


class SpeaksXml(Trouble):
    type: ClassVar = "text/xml"
    route: ClassVar = {"format": "xml"}

    def body(self, version: int) -> str:
        return f"<status><version>{version}</version></status>"


class SendsAnXmlBomb(SpeaksXml):
    reasons: ClassVar = {"decode"}

    def crime(self, asked: Asked) -> bytes:
        entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        return self.say(f'<!DOCTYPE status [<!ENTITY e0 "ha">{entities}]><status>&e9;</status>')


class AnswersWithASoapFault(SpeaksXml):
    reasons: ClassVar = {"fail_if"}

    def crime(self, asked: Asked) -> bytes:
        fault = "<s:Fault><faultcode>s:Server</faultcode><faultstring>no such order</faultstring></s:Fault>"
        return self.say(
            f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{fault}</s:Body></s:Envelope>'
        )


class AnswersWithAnXmlRpcFault(SpeaksXml):
    reasons: ClassVar = {"fail_if"}

    def crime(self, asked: Asked) -> bytes:
        member = "<member><name>faultString</name><value>BAD_NAME</value></member>"
        return self.say(f"<methodResponse><fault><value><struct>{member}</struct></value></fault></methodResponse>")


class SendsRaggedCsv(Trouble):
    reasons: ClassVar = {"decode"}
    type: ClassVar = "text/csv"

    def body(self, version: int) -> str:
        return f"id,version\n1,{version}\n2,{version}\n"

    def crime(self, asked: Asked) -> bytes:
        return self.say("id,version\n1,99\n2\n")


class CutsItsFeed(Trouble):
    reasons: ClassVar = {"decode"}
    type: ClassVar = "application/rss+xml"

    def body(self, version: int) -> str:
        item = f"<item><guid>1</guid><title>version {version}</title></item>"
        return f'<rss version="2.0"><channel><title>News</title>{item}</channel></rss>'

    def crime(self, asked: Asked) -> bytes:
        return self.say(self.body(99)[:-20])


class ChangesItsText(Trouble):
    reasons: ClassVar = {"decode"}
    type: ClassVar = "text/plain"
    route: ClassVar = {"format": {"kind": "text", "regex": "version (?P<version>[0-9]+)"}}

    def body(self, version: int) -> str:
        return f"version {version}\n"

    def crime(self, asked: Asked) -> bytes:
        return self.say("Sorry, we are down for maintenance.\n")


class RefusesTheCredentials(Trouble):
    reasons: ClassVar = {"upstream_auth"}
    upstream: ClassVar = {"credentials": {"kind": "basic", "username": "u", "password": "expired"}}

    def crime(self, asked: Asked) -> bytes:
        return self.say('{"error": "unauthorized"}', status="401 Unauthorized")


class SaysBadRequest(Trouble):
    reasons: ClassVar = {"http_4xx"}

    def crime(self, asked: Asked) -> bytes:
        return self.say('{"error": "unknown field"}', status="400 Bad Request")


class RedirectsToItsLoginPage(Trouble):
    reasons: ClassVar = {"decode"}

    def __call__(self, asked: Asked) -> bytes:
        if asked.target == "/login":
            return respond("200 OK", LOGIN_PAGE, "Content-Type: text/html")
        return super().__call__(asked)

    def crime(self, asked: Asked) -> bytes:
        return respond("302 Found", b"", "Location: /login")


class RedirectsElsewhere(Trouble):
    reasons: ClassVar = {"protocol"}

    def crime(self, asked: Asked) -> bytes:
        return respond("302 Found", b"", "Location: http://elsewhere.invalid/")


class Paged(Trouble):
    """Honest ones have one page."""

    route: ClassVar = {"pages": {"next": {"pointer": "/next"}, "items": "/rows", "max": 3}}

    def body(self, version: int) -> str:
        return self.page(None, version=version)

    def page(self, following: str | None, *, version: int = 99) -> str:
        return json.dumps({"rows": [{"id": 1, "version": version}], "next": following})


class HasPagesWithoutEnd(Paged):
    reasons: ClassVar = {"too_large"}

    def crime(self, asked: Asked) -> bytes:
        return self.say(self.page(asked.target + "x"))


class HasPagesInACircle(Paged):
    reasons: ClassVar = {"protocol"}

    def crime(self, asked: Asked) -> bytes:
        return self.say(self.page("/document"))


class HasItsNextPageElsewhere(Paged):
    reasons: ClassVar = {"protocol"}

    def crime(self, asked: Asked) -> bytes:
        return self.say(self.page("http://elsewhere.invalid/2"))


class LosesTheListOfItsPages(Paged):
    reasons: ClassVar = {"select"}

    def crime(self, asked: Asked) -> bytes:
        return self.say('{"rows": "none", "next": null}')


class LeavesATopicOut(Trouble):
    reasons: ClassVar = {"select"}
    path: ClassVar = "/quotes/{symbol}"
    topic: ClassVar = "/quotes/ACME"
    route: ClassVar = {
        "request": {"path": "/quotes"},
        "batch": {"param": "s", "value": "{symbol}", "match": "symbol", "missing": "fail"},
    }

    def body(self, version: int) -> str:
        return json.dumps([{"symbol": "ACME", "version": version}])

    def crime(self, asked: Asked) -> bytes:
        return self.say('[{"symbol": "OTHER", "version": 99}]')


FAILURES = [
    SendsALoginPage,
    EmptiesItselfWhereThatIsRejected,
    SaysErrorWithStatus200,
    RenamesItsMembers,
    SendsNaN,
    LiesAboutItsCharset,
    SendsAnXmlBomb,
    AnswersWithASoapFault,
    AnswersWithAnXmlRpcFault,
    SendsRaggedCsv,
    CutsItsFeed,
    ChangesItsText,
    RefusesTheCredentials,
    SaysBadRequest,
    RedirectsToItsLoginPage,
    RedirectsElsewhere,
    HasPagesWithoutEnd,
    HasPagesInACircle,
    HasItsNextPageElsewhere,
    LosesTheListOfItsPages,
    LeavesATopicOut,
]


@pytest.mark.parametrize("crime", FAILURES, ids=lambda crime: crime.__name__)
async def test_what_is_no_document_is_a_failed_poll(crime: type[Trouble]) -> None:
    """It has its own reason; the document stays, and is announced as stale until there is a good answer again."""
    trouble = crime()
    async with staged(trouble) as scene:
        good = await scene.until("live")
        trouble.bad_answers = inf
        assert await scene.until("stale") == good
        await scene.until_counted("failed", 3)
        named = [await scene.gateway.metric("pushgate_poll_failures_total", reason=reason) for reason in crime.reasons]
        assert sum(named) == await scene.failures() >= 3
        assert await scene.get() == ("stale", good)

        trouble.version, trouble.bad_answers = 2, 0
        recovered = await scene.until("live")
        assert "2" in json.dumps(recovered) and "99" not in json.dumps(recovered)
        failed = await scene.failures()
        await scene.until_polled(5)
        assert (await scene.changes(), await scene.failures()) == (2, failed)
