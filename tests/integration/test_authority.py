"""Issuers and services over real connections: what they are shown, what counts as an answer, and what does not."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import structlog
import trustme

from backends import PATIENCE, ScriptedBackend
from pushgate import __version__
from pushgate.adapters.authority import COME_BACK, MAX_CONNECTIONS, MAX_KEYS_BYTES, Inquiries
from pushgate.auth.forward import HeaderFields, Reply
from pushgate.auth.jwks import Fetched
from pushgate.clock import Clock
from pushgate.errors import AuthUnavailable
from upstreams import raw_backend, respond

KEYS = b'{"keys": []}'


@pytest.fixture
async def inquiries() -> AsyncIterator[Inquiries]:
    async with Inquiries(Clock()) as inquiries:
        yield inquiries


async def ask(inquiries: Inquiries, url: str, shown: HeaderFields = (), *, timeout: float = PATIENCE) -> Reply:
    return await inquiries.ask(url, shown, timeout=timeout)


async def refusal(inquiries: Inquiries, url: str, *, of: str, timeout: float = PATIENCE) -> AuthUnavailable:
    with pytest.raises(AuthUnavailable) as caught:
        await (inquiries.fetch_keys(url) if of == "keys" else ask(inquiries, url, timeout=timeout))
    return caught.value


class TestKeys:
    async def test_keys_come_with_how_long_they_are_good(self, inquiries: Inquiries, backend: ScriptedBackend) -> None:
        backend.say(KEYS, Cache_Control="public, max-age=600")
        assert await inquiries.fetch_keys(f"{backend.url}/jwks?v=1") == Fetched(KEYS, 600.0)
        backend.say(KEYS)
        assert await inquiries.fetch_keys(backend.url) == Fetched(KEYS, None)
        asked = backend.requests[0]
        assert (asked.path, asked.headers["user-agent"]) == ("/jwks?v=1", f"pushgate/{__version__}")
        assert asked.headers["accept"] == "application/json"

    async def test_a_compressed_set_is_unfolded(self, inquiries: Inquiries, backend: ScriptedBackend) -> None:
        backend.say(gzip.compress(KEYS), Content_Encoding="gzip")
        assert (await inquiries.fetch_keys(backend.url)).body == KEYS

    @pytest.mark.parametrize("status", [204, 301, 302, 401, 404, 500, 503])
    async def test_another_status_is_no_set_of_keys(
        self, inquiries: Inquiries, backend: ScriptedBackend, status: int
    ) -> None:
        """Nor is what a redirect leads to: the keys would be those of another."""
        backend.say(b"" if status == 204 else KEYS, status=status, Location=f"{backend.url}/elsewhere")
        assert (await refusal(inquiries, backend.url, of="keys")).retry_after == COME_BACK
        assert len(backend.requests) == 1

    async def test_an_issuer_may_say_when_to_come_back(self, inquiries: Inquiries, backend: ScriptedBackend) -> None:
        backend.say(b"", status=503, Retry_After="17")
        assert (await refusal(inquiries, backend.url, of="keys")).retry_after == 17

    @pytest.mark.parametrize(
        "answer",
        [
            respond("200 OK", KEYS, length=len(KEYS) + 1),
            respond("200 OK", gzip.compress(KEYS)[:-9], "Content-Encoding: gzip"),
            respond("200 OK", gzip.compress(bytes(MAX_KEYS_BYTES + 1)), "Content-Encoding: gzip"),
            respond("200 OK", bytes(MAX_KEYS_BYTES + 1)),
            respond("200 OK", KEYS, "Content-Encoding: br"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + KEYS + b"\r\n",
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
            None,
        ],
        ids=["cut", "gzip cut", "bomb", "too large", "brotli", "chunked cut", "no HTTP", "long field", "silence"],
    )
    async def test_half_an_answer_is_none(self, inquiries: Inquiries, answer: bytes | None) -> None:
        async with raw_backend(lambda asked: answer, keeps_open=False) as issuer:
            await refusal(inquiries, issuer.url, of="keys")


class TestVerdicts:
    async def test_the_service_sees_what_is_shown_and_nothing_else(
        self, inquiries: Inquiries, backend: ScriptedBackend
    ) -> None:
        """Byte for byte; nothing of earlier answers or of this machine is added."""
        backend.say(b"", Set_Cookie="who=first")
        shown = (("X-Tenant", "été"), ("Cookie", 'SID=a="b"'), ("authorization", "Bearer t"))
        for _ in range(2):
            await ask(inquiries, f"{backend.url}/whoami?x=%2e%2E", shown)
        for asked in backend.requests:
            assert asked.path == "/whoami?x=%2e%2E"
            assert {
                name: value for name, value in asked.headers.items() if name not in ("host", "accept-encoding")
            } == {
                "x-tenant": "été",
                "cookie": 'SID=a="b"',
                "authorization": "Bearer t",
                "user-agent": f"pushgate/{__version__}",
                "accept": "*/*",
            }

    @pytest.mark.parametrize("status", [200, 204, 302, 401, 403, 500, 503])
    async def test_every_status_is_an_answer(self, inquiries: Inquiries, backend: ScriptedBackend, status: int) -> None:
        """What it means is for others to say; no redirect is followed."""
        backend.say(b"", status=status, Location=f"{backend.url}/login", X_User="ada", Retry_After="9")
        reply = await ask(inquiries, backend.url)
        assert (reply.status, reply.retry_after, len(backend.requests)) == (status, 9, 1)
        assert ("X-User", "ada") in reply.headers

    async def test_fields_that_come_twice_come_twice(self, inquiries: Inquiries) -> None:
        async with raw_backend(respond("200 OK", b"", "X-City: paris", "x-city: lyon", "X-User: \xff")) as service:
            reply = await ask(inquiries, service.url)
        assert [value for name, value in reply.headers if name.lower() == "x-city"] == ["paris", "lyon"]
        assert ("X-User", "\udcff") in reply.headers

    async def test_the_body_is_not_waited_for(self, inquiries: Inquiries) -> None:
        """The verdict is in the head, so a body may be endless, or a bomb."""
        async with raw_backend(respond("200 OK", b"..", "X-User: ada", length=10**9)) as service:
            assert (await ask(inquiries, service.url)).status == 200

    async def test_one_connection_serves_many_questions(self, inquiries: Inquiries) -> None:
        async with raw_backend(respond("200 OK", b"who: ada")) as service:
            for _ in range(3):
                await ask(inquiries, service.url)
            assert (len(service.asked), service.connections) == (3, 1)

    async def test_who_does_not_answer_in_time_has_not_answered(
        self, inquiries: Inquiries, backend: ScriptedBackend
    ) -> None:
        backend.crime = "stalls"
        await refusal(inquiries, backend.url, of="verdict", timeout=0.05)

    async def test_so_has_who_hangs_up_or_is_not_there(self, inquiries: Inquiries, backend: ScriptedBackend) -> None:
        backend.crime = "hangs up"
        await refusal(inquiries, backend.url, of="verdict")
        with socket.socket() as nobody:  # bound, so that nobody else is; not listening
            nobody.bind(("127.0.0.1", 0))
            await refusal(inquiries, f"http://127.0.0.1:{nobody.getsockname()[1]}/", of="verdict")

    async def test_many_questions_wait_for_their_turn(self, inquiries: Inquiries, backend: ScriptedBackend) -> None:
        """A crowd of clients is no crowd of connections, and all get their answers."""
        backend.delay = 0.02
        replies = await asyncio.gather(*(ask(inquiries, backend.url) for _ in range(MAX_CONNECTIONS + 20)))
        assert {reply.status for reply in replies} == {200}
        assert backend.most_under_way <= MAX_CONNECTIONS


async def test_a_certificate_that_nobody_vouches_for_is_no_issuer(inquiries: Inquiries) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with raw_backend(respond("200 OK", KEYS), tls=tls) as issuer:
        await refusal(inquiries, issuer.url, of="keys")
        assert issuer.asked == []


async def test_the_log_tells_of_a_silence_once_and_of_its_end(inquiries: Inquiries, backend: ScriptedBackend) -> None:
    """An outage with a thousand clients is two lines; neither holds what may be a secret, and clients learn less."""
    backend.say(KEYS, status=500)
    url = backend.url.replace("//", "//user:pa55word@") + "/jwks?key=s3cr3t"
    with structlog.testing.capture_logs() as logs:
        said = [str(await refusal(inquiries, url, of="keys")) for _ in range(3)]
        backend.say(KEYS)
        await inquiries.fetch_keys(url)
        await inquiries.fetch_keys(url)
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("auth.silent", "status 500"),
        ("auth.answers_again", None),
    ]
    assert {line["service"] for line in logs} == {f"{backend.url}/jwks"}
    assert not any(part in str((logs, said)) for part in ("pa55word", "s3cr3t"))
    assert backend.url.removeprefix("http://") not in str(said)


async def test_a_service_that_fails_is_named_in_the_log(inquiries: Inquiries, backend: ScriptedBackend) -> None:
    backend.crime = "hangs up"
    with structlog.testing.capture_logs() as logs:
        await refusal(inquiries, backend.url, of="verdict")
    assert [(line["event"], line["reason"], line["error"]) for line in logs] == [
        ("auth.silent", "connect", "ServerDisconnectedError")
    ]
