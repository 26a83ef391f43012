"""
No secret comes out: each has a marker in it, everything goes wrong that can, and all that is said is searched.

What may hold a secret is what is given to its owner (a ticket, a resume cookie) and what is sent upstream.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from itertools import cycle
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from bearers import Bearer, Haul, bearer
from doubles.server import serving
from doubles.tattler import Mode, Tattler
from gateways import eventually
from issuers import issuer, key_set
from markers import Markers
from processes import Process
from pushgate.cli import app
from strongrooms import KINDS, Strongroom

PUSHGATE = Path(sys.executable).parent / "pushgate"
# What is tried while the backend answers like that.
TRIED: dict[Mode, list[str]] = {
    "good": ["/oauth2"],
    "500": ["/basic", "/digest", "/query", "/oauth2", "/login", "/session", "/plain", "/egress", "/told"],
    "confesses": ["/oauth2", "/login", "/texted", "/known"],
}
TOPICS = [f"/{kind}" for kind in [*KINDS, "asked", "told", "texted", "filed", "known"]]


@pytest.mark.timeout(120)
async def test_no_secret_comes_out(tmp_path: Path) -> None:
    """Neither in a log, a metric or an answer, nor in what a command prints; whatever fails, and whoever is refused."""
    markers, signer = Markers(), issuer("ES256", kid="1")
    haul, tattler = Haul(markers), Tattler(markers, key_set(signer.jwk()))
    async with serving(tattler):
        room = Strongroom(tmp_path, tattler.url, markers, signer)
        with Process("pushgate", [PUSHGATE, "run", "-c", room.file], env=room.env) as gateway:
            async with bearer(room, markers, haul) as client:
                await asyncio.to_thread(gateway.wait_until_ready, f"{client.admin}/readyz")
                await ask_all(client)
                await fail(client, tattler)
                await change_the_file(client, room)
        log = "".join(gateway.lines)
        haul.take("the log", log)
        await run_commands(room, haul, tattler, markers)
    assert {event for event in EVENTS if f'"event": "{event}"' not in log} == set()
    leaks = haul.leaks()
    assert not leaks, "\n".join(f"{place}: {names}" for place, names in leaks.items())
    assert len(haul) > 500


# What has to have been logged, or the test did not do what it says.
EVENTS = [
    "auth.refused",
    "auth.keys_unavailable",
    "auth.silent",
    "poll.failed",
    "reload.failed",
    "reload.done",
    "write.failed",
]


async def ask_all(client: Bearer) -> None:
    """Do all that can be done while everything is well, and what is refused then."""
    for topic in TOPICS:
        await client.ask("good", topic)
    await client.be_let_in()
    await client.be_let_in_by_ticket()
    await client.be_let_in_by_socket()
    await client.talk_nonsense()
    await client.operate()
    await client.break_the_protocol()
    await client.be_refused()
    await look(client, "good")


async def fail(client: Bearer, tattler: Tattler) -> None:
    """Have the backend fail in every way, and repeat in its errors what it was asked."""
    poke = {"Authorization": f"Bearer {client.room.poke}"}
    for mode in get_args(Mode):
        before = await failures(client)
        tattler.mode = mode
        await client.ask(mode, "/-/poke", "POST", headers=poke, params=[("topic", topic) for topic in TOPICS])
        if mode != "good":
            enough = before + len(TOPICS)
            await eventually(lambda: failures(client), enough.__le__)
        for topic in TOPICS:
            await client.ask(mode, topic, params={"wait": "0"})
        await client.ask(mode, "/mine", headers={"X-Key": client.room.key})
        await client.ask(mode, "/mine", "POST", headers={"X-Key": client.room.key, "Origin": client.base})
        await look(client, mode)
    tattler.is_down, tattler.mode = True, "good"
    for name, shown in client.wrong().items():
        await client.ask(f"down, {name}", "/mine", **shown)
    for name, shown in client.good().items():
        await client.ask(f"down, {name}", "/mine", **shown)
    await look(client, "down")


async def failures(client: Bearer) -> float:
    lines = (await client.http.get(f"{client.admin}/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("pushgate_poll_failures_total{"))


async def look(client: Bearer, place: str) -> None:
    for path in ("/metrics", "/-/topics", "/livez?verbose", "/readyz?verbose", "/startupz?verbose", "/"):
        await client.ask(place, path, is_admin=True)


async def change_the_file(client: Bearer, room: Strongroom) -> None:
    """Save files that are wrong, and then one that is right, with another secret."""
    for place, text in broken(room, client.markers).items():
        room.file.write_text(text)
        answer = await client.ask(place, "/-/reload", "POST", is_admin=True, headers={"Pushgate-Admin": "1"})
        assert answer.status_code >= 400, (place, answer.text)
    room.save(room.config)
    (room.folder / "bolt").write_text(client.markers("another key from a file"))
    answer = await client.ask("good", "/-/reload", "POST", is_admin=True, headers={"Pushgate-Admin": "1"})
    assert answer.status_code == 200, answer.text


def broken(room: Strongroom, markers: Markers) -> dict[str, str]:
    """Return files with mistakes right beside their secrets, and in them."""
    new = markers
    mistakes: dict[str, Any] = {
        "a misspelt key": {
            "upstreams": {"basic": {"url": "http://x", "credentials": {"pasword": new("a misspelt key")}}}
        },
        "a secret that is a list": {"server": {"admin": {"token": [new("a listed token")]}}},
        "a secret that is a mapping": {"server": {"poke": {"secret": {"a": new("a mapped secret")}}}},
        "a secret that no field can carry": {"server": {"admin": {"token": f"{new('a strange token')} ä"}}},
        "a secret in place of a section": {
            "upstreams": {"basic": {"url": "http://x", "credentials": new("a misplaced secret")}}
        },
        "a URL of another scheme": {
            "auth": {"a": {"kind": "jwt", "jwks_url": f"ftp://u:{new('a password in a URL')}@x/"}}
        },
        "a URL without a port": {
            "auth": {"a": {"kind": "jwt", "jwks_url": f"http://u:{new('a password in a URL')}@x:y/"}}
        },
        "a URL with a user": {"upstreams": {"basic": {"url": f"http://u:{new('a password in a URL')}@x"}}},
        "a URL with a query": {"upstreams": {"basic": {"url": f"http://x?key={new('a key in a URL')}"}}},
        "a path with a query": {
            "routes": {"/a": {"upstream": "plain", "request": {"path": f"/a?key={new('a key in a path')}"}}}
        },
        "a key for a hash": {
            "auth": {"a": {"kind": "api_key", "keys": [{"name": "n", "hash": new("a key for a hash")}]}}
        },
        "a key under two names": {
            "auth": {"a": {"kind": "api_key", "keys": [{"name": n, "key": room.key} for n in "ab"]}}
        },
        "a private key for a public one": {
            "auth": {"a": {"kind": "jwt", "public_key": (room.folder / "tls.key").read_text()}}
        },
        "a private key for a secret": {"auth": {"a": {"kind": "jwt", "secret": (room.folder / "tls.key").read_text()}}},
        "a field with a line end": {
            "upstreams": {"basic": {"url": "http://x", "headers": {"X-Key": f"{new('a broken field')}\n"}}}
        },
        "a variable that is an address": {"server": {"listen": "${JWT_SECRET}"}},
        "a file that is a duration": {"defaults": {"poll": {"every": "${file:poke}"}}},
        "a variable that is a number": {"server": {"limits": {"connections": "${JWT_SECRET}"}}},
        "a variable that is a choice": {"auth": {"a": {"kind": "${JWT_SECRET}"}}},
    }
    for name in ("alias", "tag", "handle", "anchor", "quote", "colon", "directive", "braces"):
        secret = new(f"a secret like YAML's {name}")
        texts = {
            "alias": f"*{secret}",
            "tag": f"!{secret}",
            "anchor": f"&{secret} &{secret} x",
            "quote": f'"{secret}',
            "colon": f"{secret}: {secret}: x",
            "directive": f"%{secret}",
            "handle": f"!{secret}!x",
            "braces": f"{{{secret}}}",
        }
        mistakes[f"a secret like YAML's {name}"] = f"version: 1\nserver:\n  admin:\n    token: {texts[name]}\n"
    return {
        name: mistake if isinstance(mistake, str) else json.dumps({**room.config, **mistake}, indent=1)
        for name, mistake in mistakes.items()
    }


async def run_commands(room: Strongroom, haul: Haul, tattler: Tattler, markers: Markers) -> None:
    """Have every command say what it has to say: of a good file, of broken ones, and of a backend that repeats all."""
    tattler.is_down, file, runner = False, str(room.file), CliRunner(env=room.env)
    said = [["schema"], ["version"], ["plan", "-c", file], ["--help"]]
    said += [["config", "-c", file, "--output", form] for form in ("yaml", "json")]
    said += [["check", "-c", file, "--format", form] for form in ("text", "json", "github")]
    wrong = room.folder / "wrong.yaml"
    for arguments in said:
        haul.take(f"pushgate {arguments[0]}", runner.invoke(app, arguments).output)
    for place, text in broken(room, markers).items():
        wrong.write_text(text)
        for form in ("text", "json", "github"):
            answer = runner.invoke(app, ["check", "-c", str(wrong), "--format", form])
            assert answer.exit_code == 1 and answer.output
            haul.take(f"pushgate check, {place}", answer.output)
    token = markers("an operator's token")
    commands = [["run", "-c", str(wrong)], ["reload", "-c", file, "--admin", "127.0.0.1:9", "--token", token]]
    await run(room, haul, commands)
    for mode, topics in TRIED.items():
        tattler.mode = mode
        asked = f"{tattler.url}/polled/probed?api_key={markers('a key that is probed with')}"
        probe = [
            "probe",
            asked,
            "-u",
            f"ada:{markers('a probed password')}",
            "-H",
            f"X-Key: {markers('a probed field')}",
        ]
        tries = [["try", topic, "-c", file, "--output", form] for topic, form in zip(topics, cycle(["text", "json"]))]
        await run(room, haul, [[*probe, "--for", "1s"], *tries, tried_as_somebody(file, markers)])


def tried_as_somebody(file: str, markers: Markers) -> list[str]:
    shown = {
        "Authorization": f"Bearer {markers('a token that is tried')}",
        "Cookie": f"SID={markers('a tried cookie')}",
    }
    fields = [part for name, value in shown.items() for part in ("-H", f"{name}: {value}")]
    return ["try", "/mine", "-c", file, *fields, "--as", json.dumps({"sub": "ann", "email": markers("a tried claim")})]


async def run(room: Strongroom, haul: Haul, commands: list[list[str]]) -> None:
    """Run them, as many at once as there are processors, and keep what they print."""
    gate = asyncio.Semaphore(os.cpu_count() or 1)

    async def run_one(arguments: list[str]) -> None:
        async with gate:
            process = await asyncio.create_subprocess_exec(
                PUSHGATE, *arguments, env={**os.environ, **room.env}, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
            )
            said, _ = await process.communicate()
        assert said
        haul.take(f"pushgate {' '.join(arguments[:2])}", said.decode())

    async with asyncio.TaskGroup() as tasks:
        for arguments in commands:
            tasks.create_task(run_one(arguments))
