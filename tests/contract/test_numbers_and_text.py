"""Promise 8: numbers and text survive, over every transport and in every mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backends import ScriptedBackend
from gateways import http_client, route, running_gateway
from slowclients import EVENT_STREAM, raw_client
from transports import RESUMABLE, STREAMS, TRANSPORTS, connected

# What the upstream's body says, and what every client holds then.
VALUES: dict[str, tuple[str, Any]] = {
    "beyond 64 bits": ("18446744073709551617", 2**64 + 1),
    "below -2^63": ("-9223372036854775809", -(2**63) - 1),
    "beyond the exact doubles": ("9007199254740993", 2**53 + 1),
    "4,000 digits": ("7" * 4000, int("7" * 4000)),
    "a double": ("0.1", 0.1),
    "a small double": ("1e-7", 1e-7),
    "a large double": ("1.7976931348623157e308", 1.7976931348623157e308),
    "the smallest double": ("5e-324", 5e-324),
    "negative zero": ("-0.0", -0.0),
    "more digits than a double has": ("0.1000000000000000055511151231257827", 0.1),
    "true": ("true", True),
    "null": ("null", None),
    "line separators": ('"a\u2028b\u2029c\x7f\x85d"', "a\u2028b\u2029c\x7f\x85d"),
    "line ends": (r'"a\nb\rc\r\nd\u000b\u000c\u0000"', "a\nb\rc\r\nd\x0b\x0c\0"),
    "a lone high surrogate": (r'"<\ud800>"', "<\ufffd>"),
    "a lone low surrogate": (r'"<\udfff>"', "<\ufffd>"),
    "surrogates the wrong way round": (r'"\ude00\ud83d"', "\ufffd\ufffd"),
    "a surrogate pair": (r'"\ud83d\ude00"', "😀"),
    "an escaped backslash before u": (r'"\\ud800"', r"\ud800"),
    "no character": ('"\ufeff\uffff"', "\ufeff\uffff"),
    "an empty name": ('{"": {"": 1}}', {"": {"": 1}}),
    "names that pointers must escape": ('{"a/b~c~1": 1}', {"a/b~c~1": 1}),
    "null members": ('{"a": null, "b": [null]}', {"a": None, "b": [None]}),
}
PAD = "x" * 9000  # so that a change is worth a patch, whatever the value


def is_identical(one: Any, other: Any) -> bool:
    """Equal down to the type of a number and the sign of a zero."""
    return json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_values_survive_in_snapshots(backend: ScriptedBackend, transport: str) -> None:
    """What the upstream said is what a client reads, to the last digit."""
    members = ", ".join(f"{json.dumps(name)}: {text}" for name, (text, _) in VALUES.items())
    backend.say(f"{{{members}}}".encode())
    async with running_gateway(backend, {"/t": route()}) as gateway, connected(transport, gateway.base, "/t") as client:
        while not client.replica.kinds:
            await client.receive()
        assert list(client.replica.document) == list(VALUES), "the order of keys is kept"
        for name, (_, value) in VALUES.items():
            assert is_identical(client.replica.document[name], value), name


@pytest.mark.parametrize("mode", ["patch", "merge", "items"])
@pytest.mark.parametrize("transport", RESUMABLE)
async def test_values_survive_in_changes(backend: ScriptedBackend, transport: str, mode: str) -> None:
    """The same as the value of a change: one value after the other, told as a patch, a merge or an item."""

    def body(n: int, text: str) -> bytes:
        item = f'{{"id": 1, "n": {n}, "value": {text}}}'
        return (
            f'[{item}, {{"id": 2, "pad": "{PAD}"}}]' if mode == "items" else f'{{"one": {item}, "pad": "{PAD}"}}'
        ).encode()

    backend.say(body(0, '"before"'))
    everything = route(emit=["patch", "merge", "items"], key="id")
    async with (
        running_gateway(backend, {"/t": everything}) as gateway,
        connected(transport, gateway.base, "/t", emit=mode) as client,
    ):
        while not client.replica.kinds:
            await client.receive()
        for n, (name, (text, value)) in enumerate(VALUES.items(), start=1):
            backend.say(body(n, text))
            while (item := one_of(client.replica.document))["n"] != n:
                await client.receive()
            assert is_identical(item["value"], value), name
        told = set(client.replica.kinds[1:])
        assert mode in told


def one_of(document: Any) -> dict[str, Any]:
    return next(item for item in document if item["id"] == 1) if isinstance(document, list) else document["one"]


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_equal_as_json(backend: ScriptedBackend, transport: str) -> None:
    """1 and 1.0 are one number, 0 and -0.0 too; true is no number; an order of keys is no change."""
    steps: list[tuple[bytes, bool]] = [
        (b'{"v": 1.0, "w": 0}', False),
        (b'{"w": -0.0, "v": 1}', False),
        (b'{"v": true, "w": 0}', True),
        (b'{"v": 1, "w": 0}', True),
        (b'{"v": 1, "w": false}', True),
        (b'{"v": 1e0, "w": false}', False),
        (b'{"v": 9007199254740992, "w": false}', True),
        (b'{"v": 9007199254740992.0, "w": false}', False),
        (b'{"v": 9007199254740993, "w": false}', True),
        (b'{"v": "1", "w": false}', True),
        (b'{"v": null, "w": false}', True),
        (b'{"w": false}', True),
    ]
    backend.say(b'{"v": 1, "w": 0}')
    async with (
        running_gateway(backend, {"/t": route(poll={"while": "always"})}) as gateway,
        connected(transport, gateway.base, "/t") as client,
    ):
        await client.follow({"v": 1, "w": 0})
        changes = 1
        for body, is_change in steps:
            backend.say(body)
            await backend.polled(3)
            changes += is_change
            assert await gateway.metric("pushgate_changes_total", route="/t") == changes, body
            await client.follow(json.loads(body))


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("text", ["null", "true", "0", '""', '"text"', "[]", "{}"])
async def test_any_json_value_is_a_document(backend: ScriptedBackend, transport: str, text: str) -> None:
    """A document need not be an object; it may even be null."""
    backend.say(text.encode())
    async with running_gateway(backend, {"/t": route()}) as gateway, connected(transport, gateway.base, "/t") as client:
        await client.follow(json.loads(text))
        backend.serve({"n": 1})
        await client.follow({"n": 1})
        backend.say(text.encode())
        await client.follow(json.loads(text))


ENCODED = {
    "a byte order mark": (b'\xef\xbb\xbf{"t": "\xc3\xbc"}', "application/json"),
    "latin-1": (b'{"t": "\xfc"}', "application/json; charset=ISO-8859-1"),
    "quoted charset": (b'{"t": "\xfc"}', 'text/plain; charset="latin-1"'),
    "UTF-16 by its mark": ('{"t": "ü"}'.encode("utf-16"), "application/json"),
    "UTF-16 by its charset": ('{"t": "ü"}'.encode("utf-16-be"), "application/json; charset=utf-16be"),
    "no type at all": (b'{"t": "\xc3\xbc"}', ""),
    "another type": (b'{"t": "\xc3\xbc"}', "text/html; charset=UTF-8"),
}


@pytest.mark.parametrize("encoding", ENCODED)
async def test_the_upstreams_encoding_is_honoured(backend: ScriptedBackend, encoding: str) -> None:
    """Whatever encoding the upstream uses and declares, clients get UTF-8."""
    body, content_type = ENCODED[encoding]
    backend.say(body, Content_Type=content_type)
    async with running_gateway(backend, {"/t": route()}) as gateway, http_client() as client:
        answer = await client.get(f"{gateway.base}/t")
        assert answer.json() == {"t": "ü"}, answer.text
        assert answer.content == '{"t":"ü"}'.encode()


async def test_sse_data_is_one_line(backend: ScriptedBackend) -> None:
    """No text of the upstream's can end a line, a block or a stream: data is one line, whatever is in it."""
    backend.serve({"t": "\r\n\r\nevent: patch\ndata: []\n\n\u2028\0"})
    async with running_gateway(backend, {"/t": route()}) as gateway, raw_client(gateway.port) as client:
        async with http_client() as http:
            await http.get(f"{gateway.base}/t")
        await client.ask("/t", EVENT_STREAM)
        await client.read_until(b"}\n\n")
        block = client.body.split(b"\n\n")[0].split(b"\n")
        assert [line.split(b":")[0] for line in block] == [b"retry", b"id", b"event", b"data"]
        assert b"\r" not in client.body
