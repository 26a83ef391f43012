"""
Clients that show credentials in every way, good ones and wrong ones, and keep whatever they are answered.

Each credential is a marker of its own, so that it is known again wherever else it comes out.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from hmac import new as hmac
from typing import Any

import httpx
import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from backends import PATIENCE
from gateways import http_client
from issuers import base64url
from markers import Markers
from strongrooms import Strongroom
from tokens import token

SSE = {"Accept": "text/event-stream"}
PATHS = ["/mine", "/mail", "/house"]


class Haul:
    """Everything that came out, with where that was."""

    def __init__(self, markers: Markers) -> None:
        self._markers = markers
        self._texts: list[tuple[str, str]] = []

    def take(self, place: str, text: str, *, but: Iterable[str] = ()) -> None:
        """Keep a text; ``but`` for secrets that have to be there, because it is given to their owner."""
        for allowed in but:
            assert allowed in text, f"{place} should have had a secret in it"
            text = text.replace(allowed, "")
        self._texts.append((place, text))

    def __len__(self) -> int:
        return len(self._texts)

    def leaks(self) -> dict[str, list[str]]:
        """Return what should be nowhere, by where it was."""
        found = ((place, self._markers.found_in(text)) for place, text in self._texts)
        return {place: sorted(names) for place, names in found if names}


class Bearer:
    """Somebody who has all credentials that there are."""

    def __init__(self, room: Strongroom, markers: Markers, haul: Haul, http: httpx.AsyncClient) -> None:
        self.base = f"https://127.0.0.1:{room.port}"
        self.admin = f"http://127.0.0.1:{room.admin_port}"
        self.room = room
        self.markers = markers
        self.haul = haul
        self.http = http

    # What it has.

    def signed(self, name: str = "a token", **options: Any) -> str:
        """Return a token; nobody can use it without its signature."""
        claims = {"sub": self.markers("a subject"), "email": self.markers("a claim"), "iss": "https://id.example"}
        text = token(**{"secret": self.room.secret, **claims, **options})
        self.markers.know(name, text.rpartition(".")[2])
        return text

    def published(self, **header: Any) -> str:
        claims = {"sub": self.markers("a subject"), "exp": int(time.time()) + 60}
        text = self.room.signer.token(claims, **header)
        self.markers.know("a token of an issuer", text.rpartition(".")[2])
        return text

    def good(self) -> dict[str, dict[str, Any]]:
        """Return what a request shows, by the kind: each is let in."""
        basic = b64encode(f"ada:{self.room.password}".encode()).decode()
        cookie = self.markers("a client's cookie")
        return {
            "jwt by header": {"headers": {"Authorization": f"Bearer {self.signed()}", "Cookie": f"SID={cookie}"}},
            "jwt by cookie": {"headers": {"Cookie": f"token={self.signed()}"}},
            "jwt by query": {"params": {"access_token": self.signed()}},
            "published": {"headers": {"Authorization": f"Bearer {self.published()}"}},
            "key by header": {"headers": {"X-Key": self.room.key}},
            "key by cookie": {"headers": {"Cookie": f"key={self.room.key}"}},
            "key by query": {"params": {"access_token": self.room.key}},
            "basic": {"headers": {"Authorization": f"Basic {basic}"}},
            "forward": {"headers": {"X-Portal": self.markers("what a service is shown"), "Cookie": f"SID={cookie}"}},
        }

    def wrong(self) -> dict[str, dict[str, Any]]:
        """Return what is refused, each for another reason."""
        new = self.markers
        header = base64url(json.dumps({"alg": new("an algorithm"), "kid": new("a kid")}).encode())
        password = b64encode(f"ada:{new('a wrong password')}".encode()).decode()
        texts = {
            "no token": new("no token"),
            "three parts": f"{new('a part')}.{new('a part')}.{new('a part')}",
            "strange header": f"{header}.{base64url(new('a payload').encode())}.{new('a signature')}",
            "another secret": self.signed("a forged token", secret=new("another secret")),
            "expired": self.signed("an old token", lives=-10),
            "strange claims": self.signed("a strange token", nbf=new("a date")),
            "another key": self.published(kid=new("a kid")),
        }
        return {
            **{name: {"headers": {"Authorization": f"Bearer {text}"}} for name, text in texts.items()},
            "wrong password": {"headers": {"Authorization": f"Basic {password}"}},
            "no base64": {"headers": {"Authorization": f"Basic !{new('no base64')}"}},
            "unknown key": {"headers": {"X-Key": new("an unknown key")}},
            "two of them": {"headers": [("X-Key", new("a key of two")), ("X-Key", new("a key of two"))]},
            "unknown scheme": {"headers": {"Authorization": f"Hawk id={new('another scheme')}"}},
            "unknown cookie": {"headers": {"Cookie": f"token={new('a wrong cookie')}; key={new('a wrong cookie')}"}},
            "unknown in query": {"params": {"access_token": new("a wrong query")}},
            "unknown ticket": {"params": {"ticket": new("a wrong ticket")}},
            "not to be shown": {"params": {"access_token": new("a good query"), "surprise": "1"}},
        }

    # What it does.

    async def ask(
        self, place: str, path: str, method: str = "GET", but: Iterable[str] = (), **more: Any
    ) -> httpx.Response:
        base = self.admin if more.pop("is_admin", False) else self.base
        answer = await self.http.request(method, f"{base}{path}", **more)
        self.haul.take(f"{place}: {method} {path}", f"{answer.status_code} {answer.headers} {answer.text}", but=but)
        return answer

    async def stream(self, place: str, path: str, *, wanted: int = 200, but: Iterable[str] = (), **more: Any) -> None:
        """Open an event stream, and read its first event."""
        headers = {**SSE, **more.pop("headers", {})}
        async with (
            asyncio.timeout(PATIENCE),
            self.http.stream("GET", f"{self.base}{path}", headers=headers, **more) as answer,
        ):
            assert answer.status_code == wanted, (place, answer.status_code)
            lines = [str(answer.headers)]
            async for line in answer.aiter_lines():
                lines.append(line)
                if line.startswith("data:"):
                    break
        self.haul.take(f"{place}: an event stream of {path}", "\n".join(lines), but=but)

    async def talk(self, place: str, path: str, *said: str | Mapping[str, Any], **options: Any) -> list[str]:
        """Say something over a WebSocket, and hear what is answered until that ends it or nothing more is due."""
        heard: list[str] = []
        url = f"{self.base.replace('http', 'ws', 1)}{path}"
        try:
            async with (
                asyncio.timeout(PATIENCE),
                websockets.connect(url, ssl=_unverified(), proxy=None, open_timeout=None, **options) as client,
            ):
                for message in [*said, {"op": "ping", "ref": "last"}]:
                    await client.send(message if isinstance(message, str) else json.dumps(message))
                while not heard or '"last"' not in heard[-1]:
                    heard.append(str(await client.recv()))
        except (ConnectionClosed, InvalidHandshake) as end:
            heard.append(str(end))
        self.haul.take(f"{place}: a WebSocket of {path}", "\n".join(heard))
        return heard

    async def be_let_in(self) -> None:
        """Show what is good, over every transport, and write."""
        for name, shown in self.good().items():
            for path in PATHS:
                answer = await self.ask(name, path, **shown)
                assert answer.status_code == 200 or (path == "/mail" and answer.status_code == 403), answer.text
            await self.stream(name, "/mine", **shown)
            cookies = {"headers": {**shown.get("headers", {}), "Origin": self.base}}
            answer = await self.ask(name, "/mine", "POST", **{**shown, **cookies}, content=b"1")
            assert answer.status_code == 201, answer.text
        for place, asked in {"query": {"params": {"access_token": self.room.key}}, "none": {}}.items():
            await self.ask(place, "/old/page", headers={"Authorization": f"Bearer {self.signed()}"})
            await self.ask(place, "/own/page", headers={"X-Key": self.room.key})
            await self.ask(
                place, "/-/poll", params=[("topic", "/mine"), ("topic", "/basic"), *asked.get("params", {}).items()]
            )

    async def be_let_in_by_ticket(self) -> None:
        """Get a ticket, redeem it, and come back with the cookie; neither is anywhere else."""
        answer = await self.http.post(
            f"{self.base}/-/tickets", json={"topics": ["/mine"]}, headers={"X-Key": self.room.key}
        )
        ticket = self.markers.know("a ticket", answer.json()["ticket"])
        self.haul.take("the ticket", answer.text, but=[ticket])
        async with self.http.stream("GET", f"{self.base}/mine?ticket={ticket}", headers=SSE) as stream:
            cookie = stream.headers["Set-Cookie"].partition(";")[0]
            value = self.markers.know("a resume cookie", cookie.partition("=")[2])
            self.haul.take("the ticket's stream", str(stream.headers), but=[value])
        self.http.cookies.clear()
        await self.stream("resumed", f"/mine?ticket={ticket}", headers={"Cookie": cookie})
        await self.stream("spent", f"/mine?ticket={ticket}", wanted=401)
        wrong = f"{cookie.partition('=')[0]}={self.markers('a wrong resume cookie')}"
        await self.stream("stolen", f"/mine?ticket={ticket}", wanted=401, headers={"Cookie": wrong})

    async def be_let_in_by_socket(self) -> None:
        """By subprotocol and by message, and be refused by them."""
        for path in ("/mine", "/-/ws?topic=/mine&topic=/mail", "/-/ws"):
            for place, text in {"good": self.signed(), "key": self.room.key, "wrong": self.markers("no token")}.items():
                shown = f"pushgate.token.{urlsafe_b64encode(text.encode()).decode().rstrip('=')}"
                await self.talk(f"{place} by subprotocol", path, subprotocols=["pushgate.v1", shown])
                more = {"op": "send", "topic": "/mine", "data": {"token": self.markers("what is sent")}}
                await self.talk(f"{place} by message", path, {"op": "auth", "token": text}, more)

    async def talk_nonsense(self) -> None:
        """Say what cannot be understood, with secrets in all of it."""
        new = self.markers
        for said in (
            f'{{"op": "auth", "token": "{new("a cut message")}',
            {"op": "auth", "token": {"deep": new("a deep token")}},
            {"op": "auth", "tokens": new("a misspelt token")},
            {"op": "nonsense", "token": new("a token of no op")},
            {"op": "subscribe", "topic": "/mine", "access_token": new("a token in a subscription")},
        ):
            mine = {"X-Key": self.room.key}
            heard = await self.talk("nonsense", "/-/ws", said, additional_headers=mine)
            assert any("problem" in message or "1008" in message for message in heard), heard
        for path in ("/-/poll", "/-/events", "/-/tickets"):
            body = {"topics": [{"topic": "/mine", "token": new("a member of a body")}], new("a name in a body"): 1}
            await self.ask("nonsense", path, "POST", json=body)
            await self.ask(
                "cut",
                path,
                "POST",
                content=f'{{"token": "{new("a cut body")}',
                headers={"Content-Type": "application/json"},
            )

    async def be_refused(self) -> None:
        for name, shown in self.wrong().items():
            for path in ("/mine", "/-/poll?topic=/mine&topic=/mail", "/-/tickets"):
                method = "POST" if path == "/-/tickets" else "GET"
                answer = await self.ask(name, path, method, **shown)
                assert answer.status_code >= 400, answer.text
            await self.ask(name, "/mine", "POST", **shown)
            await self.ask(name, "/own/page", **shown)
            await self.ask(name, "/nowhere", **shown)

    async def operate(self) -> None:
        """Poke and command with what is good, and with what is not."""
        new, poke = self.markers, {"Authorization": f"Bearer {self.room.poke}"}
        body = b"news"
        signature = hmac(self.room.poke.encode(), body, sha256).hexdigest()
        new.know("a signature", signature)
        assert (await self.ask("poke", "/-/poke?topic=/basic", "POST", headers=poke)).status_code == 202
        for good in (signature, new("a wrong signature")):
            await self.ask(
                "signed", "/-/poke?topic=/basic", "POST", content=body, headers={"Pushgate-Signature": f"sha256={good}"}
            )
        await self.ask(
            "wrong", "/-/poke?topic=/basic", "POST", headers={"Authorization": f"Bearer {new('no poke secret')}"}
        )
        for place, shown in {"good": self.room.admin, "wrong": new("no admin token")}.items():
            headers = {"Authorization": f"Bearer {shown}", "Pushgate-Admin": "1"}
            for path in (
                "/-/topics",
                "/-/live/overview",
                "/-/live/route?route=/basic",
                "/-/disconnect?subject=nobody",
                f"/-/disconnect?subjects={new('a strange query')}",
            ):
                method = "POST" if path.startswith("/-/disconnect") else "GET"
                await self.ask(place, path, method, is_admin=True, headers=headers)
                await self.ask(place, path, method, is_admin=True, headers={**headers, "Host": "rebound.example"})

    async def break_the_protocol(self) -> None:
        """Send what is no HTTP, to both listeners."""
        new = self.markers
        for lines in (
            f"GET /mine?access_token={new('a target')} HTTP/9.9\r\n\r\n",
            f"{new('a method')} {new('a target')}\r\n\r\n",
            f"GET /mine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\x01 {new('a broken field')}\r\n\r\n",
            f"GET /mine HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {new('a field without a colon')}\r\n\r\n",
            f"GET /mine HTTP/1.1\r\nHost: x\r\nX: {new('a long field') * 3000}\r\n\r\n",
            f"POST /mine HTTP/1.1\r\nHost: x\r\nContent-Length: {new('a length')}\r\n\r\n",
            f"POST /mine HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{new('a chunk')}\r\n",
            f"GET http://u:{new('a user of a target')}@x/mine HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ):
            for port, context in {self.room.port: _unverified(), self.room.admin_port: None}.items():
                self.haul.take(f"broken: {lines[:20]!r} on {port}", await _say(port, lines, context))


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _say(port: int, text: str, context: ssl.SSLContext | None) -> str:
    """Send these bytes, and return all that is answered."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(text.encode())
        try:
            if writer.can_write_eof():
                writer.write_eof()
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        writer.close()
    return answer.decode(errors="replace")


@asynccontextmanager
async def bearer(room: Strongroom, markers: Markers, haul: Haul) -> AsyncIterator[Bearer]:
    async with http_client() as http:
        yield Bearer(room, markers, haul, http)
