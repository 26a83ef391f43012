"""HTTPS on the public listener, over both event loops: every transport, certificates that change, and rude clients."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_der_x509_certificate

from backends import PATIENCE, ScriptedBackend, scripted_backend
from gateways import Running, eventually, http_client, route, running_gateway
from loops import LOOPS
from pushgate.adapters.downstream import tls
from pushgate.config.original import Original
from pushgate.errors import ConfigError
from pushgate.gateway import Gateway
from pushgate.subscriber import Subscriber
from secured import SecureClient, Site, pair, secure_client, trusting
from slowclients import EVENT_STREAM, UPGRADE, client_frame, raw_client, read_frames
from transports import RESUMABLE, TRANSPORTS, connected

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
ROUTES = {"/t": route(emit=["snapshot", "patch"]), "/idle": route(poll={"every": "1h"})}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def on_the_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main)

    return on_the_loop


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class TestEveryTransport:
    @pytest.mark.parametrize("transport", TRANSPORTS)
    def test_follows_and_resumes(self, run: Any, site: Site, transport: str) -> None:
        async def main() -> None:
            async with (
                scripted_backend({"n": 0}) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                connected(transport, gateway.base, "/t") as link,
            ):
                assert gateway.base.startswith("https:")
                for n in range(1, 6):
                    backend.serve({"n": n})
                    await link.follow({"n": n})
                if transport in RESUMABLE:
                    await link.disconnect()
                    backend.serve({"n": 6})
                    await link.connect(link.replica.cursor)
                    await link.follow({"n": 6})

        run(main())

    def test_is_offered_on_one_connection_with_several_topics(self, run: Any, site: Site) -> None:
        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                secure_client(gateway.port) as stream,
                secure_client(gateway.port) as socket_,
                http_client(base_url=gateway.base) as client,
            ):
                await stream.ask("/-/events?topic=/t&topic=/idle", EVENT_STREAM)
                await stream.read_until(b'"topic":"/idle"')
                await socket_.ask("/-/ws?topic=/t&topic=/idle", UPGRADE)
                await socket_.read_until(b'"topic":"/idle"')
                first = (await client.get("/-/poll?topic=/t&topic=/idle")).json()
                waiting = asyncio.create_task(client.get(f"/-/poll?topic=/t&topic=/idle&cursor={first['cursor']}"))
                backend.serve([1, 2])
                await stream.read_until(b"[1,2]")
                assert (await waiting).json()["events"][0]["data"] == [1, 2]

        run(main())

    def test_a_connection_goes_to_and_fro_between_long_polls(self, run: Any, site: Site) -> None:
        """Parked, given back with its answer, and parked again: one handshake for all of it."""

        async def main() -> None:
            async with (
                scripted_backend({"n": 0}) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                secure_client(gateway.port) as client,
            ):
                await client.ask("/t?wait=30")
                await client.read_until(b'"n":0')
                for n in range(1, 5):
                    [cursor] = re.findall(r"Pushgate-Cursor: (\S+)", client.head)
                    client.received = b""
                    await client.ask(f"/t?wait=30&cursor={cursor}")
                    backend.serve({"n": n})
                    await client.read_until(b"}]}")
                    assert json.loads(client.body)["events"][-1]["id"] in client.head

        run(main())

    def test_what_comes_with_the_handshake_is_not_lost(self, run: Any, site: Site) -> None:
        """A client need not wait for an answer between the end of its handshake and its first request."""

        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                secure_client(gateway.port, is_hasty=True) as client,
            ):
                await client.ask("/t")
                await client.read_until(b"[1]")

        run(main())

    def test_a_hello_that_comes_in_drops(self, run: Any, site: Site) -> None:
        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                secure_client(gateway.port, pieces=7) as client,
            ):
                await client.ask("/t")
                await client.read_until(b"[1]")

        run(main())

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name)
    def test_speaks_http_1_1_over_tls_1_2_and_1_3(self, run: Any, site: Site, version: ssl.TLSVersion) -> None:
        """Also to whoever would rather speak HTTP/2."""
        context = trusting()
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])

        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                secure_client(gateway.port, context=context) as client,
            ):
                assert client.tls.selected_alpn_protocol() == "http/1.1"
                await client.ask("/t", EVENT_STREAM)
                await client.read_until(b"[1]")

        run(main())

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
    def test_speaks_nothing_older(self, run: Any, site: Site) -> None:
        context = trusting()
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")

        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
            ):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    async with secure_client(gateway.port, context=context):
                        pass

        run(main())


class TestSlowClients:
    @pytest.mark.parametrize(("size", "changes"), [(20_000, 100), (400_000, 20)])
    @pytest.mark.parametrize("transport", ["sse", "websocket"])
    def test_a_client_that_never_reads_costs_two_events(
        self, run: Any, site: Site, transport: str, size: int, changes: int
    ) -> None:
        """
        One that the kernel has not taken, and one that TLS has not: and no more, however many come.

        When it reads again, it gets what the kernel held, those two, and then the last.
        """

        async def main() -> None:
            async with (
                scripted_backend(document(0, size)) as backend,
                running_gateway(backend, {"/t": route(emit="snapshot")}, server=site.server) as gateway,
                connected("sse", gateway.base, "/t") as witness,
                secure_client(gateway.port) as slow,
            ):
                await slow.ask("/t", EVENT_STREAM if transport == "sse" else UPGRADE)
                await slow.read_until(b'"text"')
                for n in range(changes + 1):
                    backend.serve(document(n, size))
                    await witness.follow(document(n, size))
                assert size / 2 < held_bytes() < 2.2 * size
                backend.serve({"n": -1})
                await witness.follow({"n": -1})
                await slow.read_until(b'{"n":-1}')
                seen = [int(n) for n in re.findall(rb'\{"n":(-?\d+)', slow.received)]
                assert seen[0] == 0 and seen[-1] == -1
                assert len(seen) < changes / 3 and seen[:-1] == sorted(set(seen[:-1]))

        run(main())

    def test_who_reads_is_never_taken_for_slow(self, run: Any, site: Site) -> None:
        """An empty buffer is no full one: after each event, the stream is ready for the next."""

        async def main() -> None:
            async with (
                scripted_backend({"n": 0}) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                secure_client(gateway.port) as client,
            ):
                await client.ask("/t", EVENT_STREAM)
                await client.read_until(b'{"n":0}')
                for n in range(1, 10):
                    backend.serve({"n": n})
                    await client.read_until(b'{"n":%d}\n\n' % n)
                    assert [one for one in subscribers() if one.is_paused] == []
                assert await gateway.metric("pushgate_conflations_total") == 0

        run(main())

    @pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="this system does not tell")
    def test_who_vanishes_is_found_out(self, run: Any, site: Site) -> None:
        """Below TLS, acknowledgements are missed all the same."""

        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server={**site.server, "heartbeat": "2s"}) as gateway,
                secure_client(gateway.port) as client,
            ):
                await client.ask("/idle", EVENT_STREAM)
                await client.read_until(b"[1]")
                unplug(client)
                await eventually(lambda: ended(gateway, "dead"), lambda count: count == 1)

        run(main())


class TestTheEnd:
    def test_a_stream_ends_with_a_goodbye(self, run: Any, site: Site) -> None:
        """A cut can be told from the end (RFC 8446 section 6.1)."""

        async def main() -> None:
            until = {"poll": {"every": "10ms", "until": "done"}}
            async with (
                scripted_backend({"done": False}) as backend,
                running_gateway(backend, {"/t": route(**until)}, server=site.server) as gateway,
                secure_client(gateway.port) as client,
            ):
                await client.ask("/t", EVENT_STREAM)
                await client.read_until(b"false")
                backend.serve({"done": True})
                await client.read_all()
                assert b"event: end" in client.received and client.is_told_goodbye
                await client.say_goodbye()
                await eventually(lambda: streams(gateway), lambda count: count == 0)

        run(main())

    def test_who_does_not_answer_the_goodbye_is_forgotten_soon(
        self, run: Any, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client can hold a connection that is over only for a moment."""
        monkeypatch.setattr(tls, "SHUTDOWN_TIMEOUT", 0.3)

        async def main() -> None:
            until = {"poll": {"every": "10ms", "until": "done"}}
            async with (
                scripted_backend({"done": False}) as backend,
                running_gateway(backend, {"/t": route(**until)}, server=site.server) as gateway,
                secure_client(gateway.port) as client,
            ):
                await client.ask("/t", EVENT_STREAM)
                await client.read_until(b"false")
                backend.serve({"done": True})
                await client.read_until(b"event: end")
                await eventually(lambda: streams(gateway), lambda count: count == 0)

        run(main())

    def test_a_websocket_is_told_why_even_while_it_talks(self, run: Any, site: Site) -> None:
        """TLS has no half-closed connections to listen on; the close frame arrives all the same."""

        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                secure_client(gateway.port, receive_buffer=1_000_000) as client,
            ):
                await client.ask("/t", UPGRADE)
                await client.read_until(b"[1]")
                try:
                    for _ in range(40):
                        await client.send(client_frame(b"\xff" * 100) + client_frame(b"x" * 60_000))
                except ConnectionError:
                    pass
                await client.read_until((1007).to_bytes(2, "big") + b"messages are UTF-8")
                assert read_frames(client.body)[-1][0] == 8

        run(main())

    def test_nothing_is_left_of_who_leaves(self, run: Any, site: Site) -> None:
        """With or without a word, before, in, or after the handshake."""

        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
            ):
                for fields in (EVENT_STREAM, UPGRADE, ""):
                    async with secure_client(gateway.port) as client:
                        await client.ask("/t" if fields else "/idle?wait=30&cursor=now", fields)
                        if fields:
                            await client.read_until(b"[1]")
                        await client.say_goodbye()
                    async with secure_client(gateway.port) as client:
                        await client.ask("/t", fields)
                    async with secure_client(gateway.port, is_hasty=True):
                        pass
                    async with raw_client(gateway.port) as client:
                        await client.send(b"\x16\x03\x01\x02\x00")
                await eventually(lambda: streams(gateway), lambda count: count == 0)
                await eventually(handshakes, lambda count: count == 0)
                await eventually(secured_transports, lambda count: count == 0)

        run(main())

    def test_the_gateway_ends_while_somebody_shakes_hands(self, run: Any, site: Site) -> None:
        """Nobody waits for those who have not come in yet."""

        async def main() -> None:
            async with scripted_backend([1]) as backend:
                async with asyncio.timeout(PATIENCE):
                    async with running_gateway(backend, ROUTES, server=site.server) as gateway:
                        undecided = await asyncio.open_connection("127.0.0.1", gateway.port)
                        await eventually(handshakes, lambda count: count == 1)
                    assert await undecided[0].read() == b""
                undecided[1].close()

        run(main())


class TestRudeness:
    @pytest.mark.parametrize(
        "words",
        [
            b"GET /t HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x00" * 5000,
            b"\x16\x03\x01\xff\xff" + b"\x01" * 70_000,  # a record longer than any
            b"\x15\x03\x01\x00\x02\x02\x28",  # an alert instead of a hello
        ],
        ids=["plain HTTP", "zeros", "a record too large", "an alert"],
    )
    def test_what_is_no_tls_is_let_go_without_a_word_in_the_log(
        self, run: Any, site: Site, words: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
            ):
                async with raw_client(gateway.port) as client:
                    await client.send(words)
                    try:
                        assert b"HTTP" not in await client.read_all()
                    except ConnectionResetError:
                        pass
                async with http_client() as polite:
                    assert (await polite.get(f"{gateway.base}/t")).json() == [1]

        with caplog.at_level(logging.WARNING):
            run(main())
        assert caplog.records == []

    @pytest.mark.parametrize("words", [b"", b"\x16\x03\x01\x02"], ids=["says nothing", "begins a hello"])
    def test_who_does_not_shake_hands_is_let_go(
        self, run: Any, site: Site, words: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.2)

        async def main() -> None:
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
                raw_client(gateway.port) as client,
            ):
                await client.send(words)
                assert await client.read_all() == b""

        run(main())

    def test_whoever_cuts_a_handshake_anywhere_disturbs_nobody(
        self, run: Any, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nothing in the log, nothing that the loop has to report, and the next one is served."""
        reported: list[Any] = []
        dice = Random(1)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: reported.append(context))
            async with (
                scripted_backend([1]) as backend,
                running_gateway(backend, ROUTES, server=site.server) as gateway,
            ):
                hello = client_hello()
                for _ in range(200):
                    with socket.socket() as rude:
                        rude.setblocking(False)
                        await loop.sock_connect(rude, ("127.0.0.1", gateway.port))
                        await loop.sock_sendall(rude, hello[: dice.choice([0, len(hello), dice.randrange(len(hello))])])
                        for _ in range(dice.randrange(4)):
                            await asyncio.sleep(0)
                        if dice.random() < 0.5:  # a reset instead of an end
                            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                async with http_client() as polite:
                    assert (await polite.get(f"{gateway.base}/t")).json() == [1]

        with caplog.at_level(logging.WARNING):
            run(main())
        assert (reported, caplog.records) == ([], [])


class TestCertificates:
    def test_a_renewed_pair_is_for_new_handshakes(self, run: Any, tmp_path: Path) -> None:
        """Who is connected stays, on the certificate that it began with; the metric tells when the new one ends."""
        site, original = Site(tmp_path), written(tmp_path)

        async def main() -> None:
            async with (
                scripted_backend({"n": 0}) as backend,
                started(original, backend) as gateway,
                secure_client(gateway.port) as old,
            ):
                await old.ask("/t", EVENT_STREAM)
                await old.read_until(b'{"n":0}')
                first = shown(old)
                site.renew()
                await eventually(lambda: certificate_of(gateway), lambda one: one != first)
                backend.serve({"n": 1})
                await old.read_until(b'{"n":1}')
                assert shown(old) == first
                name, file = "pushgate_certificate_expiry_timestamp_seconds", str(site.certificate)
                assert await gateway.metric(name, file=file) == not_after(await certificate_of(gateway))

        run(main())

    def test_the_link_of_a_kubernetes_secret_is_followed(self, run: Any, tmp_path: Path) -> None:
        """A new folder, and one link that is swapped; the files themselves are never touched."""
        for name in ("..v1", "..v2"):
            (tmp_path / name).mkdir()
            Site(tmp_path / name)
        (tmp_path / "..data").symlink_to("..v1")
        for name in ("tls.crt", "tls.key"):
            (tmp_path / name).symlink_to(f"..data/{name}")
        original = written(tmp_path)

        async def main() -> None:
            async with scripted_backend([1]) as backend, started(original, backend) as gateway:
                first = await certificate_of(gateway)
                (tmp_path / "..tmp").symlink_to("..v2")
                (tmp_path / "..tmp").replace(tmp_path / "..data")
                await eventually(lambda: certificate_of(gateway), lambda one: one != first)

        run(main())

    @pytest.mark.parametrize("crime", ["another key", "half a file", "no file", "a key with a password"])
    def test_a_pair_that_cannot_be_used_is_refused_and_the_old_one_stays(
        self, run: Any, tmp_path: Path, crime: str
    ) -> None:
        """The log and the metric say so; when it is mended, it is taken over."""
        site, original = Site(tmp_path), written(tmp_path)

        async def main() -> None:
            async with scripted_backend([1]) as backend, started(original, backend) as gateway:
                first = await certificate_of(gateway)
                spoil(site, crime)
                await eventually(lambda: is_loaded(gateway), lambda loaded: not loaded)
                assert await certificate_of(gateway) == first
                site.renew()
                await eventually(lambda: is_loaded(gateway), lambda loaded: loaded)
                assert await certificate_of(gateway) != first

        run(main())

    @pytest.mark.parametrize(
        ("crime", "words"),
        [
            ("another key", "key values mismatch"),
            ("half a file", "no PEM file with a certificate and its key"),
            ("no file", "tls.key: No such file or directory"),
            ("a key with a password", "no PEM file with a certificate and its key; .* without a password"),
        ],
    )
    async def test_at_the_start_it_is_a_mistake_in_the_file(self, tmp_path: Path, crime: str, words: str) -> None:
        """With its line, before anything listens."""
        site, original = Site(tmp_path), written(tmp_path)
        spoil(site, crime)
        gateway = Gateway(original.read(), source=original)
        with pytest.raises(ConfigError, match=words) as caught:
            async with gateway.serving():
                pass
        [problem] = caught.value.problems
        assert (problem.line, problem.message.startswith("server: tls: the files cannot be used: ")) == (2, True)
        assert gateway.address is None

    def test_switching_it_off_takes_a_restart(self, run: Any, tmp_path: Path) -> None:
        Site(tmp_path)
        original = written(tmp_path)

        async def main() -> None:
            async with scripted_backend([1]) as backend, started(original, backend) as gateway:
                original.path.write_text(re.sub(r"tls: \{.*?\}, ", "", original.path.read_text()))
                gateway.gateway.ask_reload()
                await eventually(lambda: is_loaded(gateway), lambda loaded: not loaded)
                assert await certificate_of(gateway)

        run(main())


# What the tests look at.


def client_hello() -> bytes:
    said = ssl.MemoryBIO()
    client = trusting().wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return said.read()


def document(n: int, size: int) -> dict[str, Any]:
    return {"n": n, "text": f"{n:x}".zfill(8) * (size // 8)}


def subscribers() -> list[Subscriber]:
    return [one for one in gc.get_objects() if issubclass(type(one), Subscriber)]


def held_bytes() -> int:
    """What all transports of this process hold beyond the kernel, those below TLS as well."""
    kinds = {"_SelectorSocketTransport", "TCPTransport", "_SSLProtocolTransport"}
    transports = [one for one in gc.get_objects() if type(one).__name__ in kinds and not one.is_closing()]
    return sum(one.get_write_buffer_size() for one in transports)


async def secured_transports() -> int:
    gc.collect()
    return sum(type(one).__name__ == "_SSLProtocolTransport" for one in gc.get_objects())


async def streams(gateway: Running) -> float:
    return await gateway.metric("pushgate_connections")


async def ended(gateway: Running, reason: str) -> float:
    return await gateway.metric("pushgate_disconnects_total", reason=reason)


async def handshakes() -> int:
    return sum(task.get_name() == "TLS handshake" for task in asyncio.all_tasks())


def unplug(client: SecureClient) -> None:
    """Have the client's system throw away whatever comes for it."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # linux/filter.h: BPF_RET, 0 bytes
    try:
        client.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(nothing)))
    except OSError as error:
        pytest.skip(f"this system cannot cut off a socket: {error}")


def written(folder: Path) -> Original:
    """A gateway.yaml that names its pair by relative paths."""
    text = """version: 1
server: {tls: {certificate: tls.crt, key: tls.key}, listen: "127.0.0.1:0", admin: {listen: "127.0.0.1:0"}}
upstreams: {u: {url: "http://backend"}}
routes: {/t: {upstream: u, poll: {every: 10ms, jitter: 0%}}}
"""
    file = folder / "gateway.yaml"
    file.write_text(text)
    return Original(file, environ={})


@asynccontextmanager
async def started(original: Original, backend: ScriptedBackend) -> AsyncIterator[Running]:
    """A gateway that takes over what its files say whenever they change."""
    original.path.write_text(original.path.read_text().replace("http://backend", backend.url))
    async with Gateway(original.read(), source=original).serving() as gateway:
        assert gateway.address is not None and gateway.admin_address is not None
        yield Running(gateway, "https://{}:{}".format(*gateway.address), "http://{}:{}".format(*gateway.admin_address))


async def certificate_of(gateway: Running) -> bytes:
    """What a new handshake shows, as DER."""
    async with secure_client(gateway.port) as client:
        return shown(client)


def shown(client: SecureClient) -> bytes:
    certificate = client.tls.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def not_after(certificate: bytes) -> float:
    return load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()


async def is_loaded(gateway: Running) -> bool:
    return await gateway.metric("pushgate_config_last_reload_successful") == 1


def spoil(site: Site, crime: str) -> None:
    match crime:
        case "another key":
            site.key.write_bytes(pair()[1])
        case "half a file":
            site.certificate.write_bytes(site.certificate.read_bytes()[:300])
        case "no file":
            site.key.unlink()
        case _:
            key = load_pem_private_key(site.key.read_bytes(), None)
            lock = BestAvailableEncryption(b"secret")
            site.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
