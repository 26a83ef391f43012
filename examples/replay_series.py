"""
Pushes a recorded series of real answers through a running gateway: ``python examples/replay_series.py FOLDER``.

A legacy backend (``examples/legacy --replay``) gives each poll the next answer; ``pushgate run`` polls it; one client
for each transport and mode follows from the first answer on, at the same time, and checks that it holds every document
in between and ends with the last one. It prints what was polled and what was pushed.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType

ROOT = Path(__file__).parents[1]
READY_WITHIN, END_WITHIN = 30.0, 60.0


# The series, and what of it is news.


def load(folder: Path, *, ignore: Iterable[str] = ()) -> tuple[list[Any], int]:
    """Return the documents of a series without repetitions, as a client must hold them, and the bytes of all bodies."""
    paths = sorted((path for path in folder.glob("*.json") if path.stem.isdigit()), key=lambda path: int(path.stem))
    documents: list[Any] = []
    size = 0
    for path in paths:
        body = path.read_bytes()
        size += len(body)
        document = json.loads(body)
        for pointer in ignore:
            forget(document, pointer)
        if not documents or documents[-1] != document:
            documents.append(document)
    return documents, size


def as_sets(series: list[Any], key: str) -> list[Any]:
    """Return the lists of a series as the set of their items in a fixed order, without repetitions."""
    sets: list[Any] = []
    for items in series:
        ordered = sorted(items, key=lambda item: str(item[key]))
        if not sets or sets[-1] != ordered:
            sets.append(ordered)
    return sets


def forget(document: Any, pointer: str) -> None:
    """Remove the member that a JSON Pointer (RFC 6901) names."""
    holder, member = place(document, pointer)
    holder.pop(member, None)


# What a client does with what it gets.


def place(document: Any, pointer: str) -> tuple[Any, Any]:
    """Return where a JSON Pointer ends: the object or list, and the member or index."""
    holder: Any = {"": document}
    member: Any = ""
    for part in pointer.split("/")[1:]:
        holder, member = holder[member], part.replace("~1", "/").replace("~0", "~")
        if isinstance(holder, list):
            member = len(holder) if member == "-" else int(member)
    return holder, member


def put(document: Any, pointer: str, value: Any) -> None:
    holder, member = place(document, pointer)
    if isinstance(holder, list):
        holder.insert(member, value)
    else:
        holder[member] = value


def patched(document: Any, operations: list[dict[str, Any]]) -> Any:
    """Apply a JSON Patch (RFC 6902)."""
    root = {"root": copy.deepcopy(document)}
    for operation in operations:
        path = "/root" + operation["path"]
        match operation["op"]:
            case "add":
                put(root, path, operation["value"])
            case "replace":
                holder, member = place(root, path)
                holder[member] = operation["value"]
            case "remove":
                holder, member = place(root, path)
                del holder[member]
            case "move":
                holder, member = place(root, "/root" + operation["from"])
                put(root, path, holder.pop(member))
            case "copy":
                holder, member = place(root, "/root" + operation["from"])
                put(root, path, copy.deepcopy(holder[member]))
    return root["root"]


def merged(document: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def with_items(document: list[Any], news: dict[str, list[Any]], key: str) -> list[Any]:
    """Apply an ``items`` event; the order of the list is not part of it."""
    items = {item[key]: item for item in document}
    for gone in news["deleted"]:
        del items[gone]
    return list((items | {item[key]: item for item in news["created"] + news["updated"]}).values())


@dataclass
class Follower:
    """A client: the document it holds, and which documents of the series it has held."""

    transport: str
    mode: str
    key: str | None
    series: list[Any] = field(repr=False)
    document: Any = field(default=None, repr=False)
    cursor: str | None = None
    held: list[int] = field(default_factory=list)  # places in the series, in the order in which they were held
    strange: list[str] = field(default_factory=list)  # ids at which it held what the backend never said, or said before
    numbers: list[int] = field(default_factory=list)  # of the ids
    kinds: dict[str, int] = field(default_factory=dict)
    received: int = 0  # bytes of bodies, events and messages

    def hear(self, kind: str, id: str | None, data: Any) -> None:
        if kind not in ("snapshot", "patch", "merge", "items"):
            return
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        match kind:
            case "snapshot":
                self.document = data
            case "patch":
                self.document = patched(self.document, data)
            case "merge":
                self.document = merged(self.document, data)
            case "items":
                self.document = with_items(self.document, data, self.key or "")
        assert id is not None, "every change has an id"
        self.cursor = id
        self.hold(id)

    def hold(self, id: str) -> None:
        """Note which document of the series this is; it must come after the one before."""
        self.numbers.append(int(id.split(".")[1]))
        start = self.held[-1] + 1 if self.held else 0
        for place_in_series in range(start, len(self.series)):
            if self.is_same(self.series[place_in_series]):
                self.held.append(place_in_series)
                return
        self.strange.append(id)

    def is_same(self, document: Any) -> bool:
        if self.mode != "items":
            return bool(self.document == document)
        assert self.key is not None, "items have one"
        return bool(as_sets([self.document], self.key) == [document])

    @property
    def has_last(self) -> bool:
        return bool(self.held) and self.held[-1] == len(self.series) - 1

    def complaint(self) -> str | None:
        """Say what it lost, if anything. Who polls from time to time may miss what was between."""
        missing = sorted(set(range(len(self.series))) - set(self.held))
        if self.strange:
            return f"held what the backend never served then, at {self.strange[:3]}"
        if self.numbers != sorted(set(self.numbers)):
            return "the ids do not rise"
        if not self.has_last:
            return f"did not end with the last document, but with {self.held[-1:]} of {len(self.series)}"
        if missing and self.transport != "short_poll":
            return f"never held {len(missing)} documents: {missing[:5]} …"
        return None


# The four transports.


async def short_poll(session: ClientSession, url: str, me: Follower, over: asyncio.Event) -> None:
    """Ask every now and then, with If-None-Match."""
    etag = ""
    while True:
        async with session.get(url, headers={"If-None-Match": etag}) as answer:
            body = await answer.read()
            me.received += len(body)
            if answer.status == 200:
                etag = answer.headers["ETag"]
                me.hear("snapshot", answer.headers["Pushgate-Cursor"], json.loads(body))
        try:
            await asyncio.wait_for(over.wait(), 0.05)
        except TimeoutError:
            continue
        if me.has_last:
            return


async def long_poll(session: ClientSession, url: str, me: Follower) -> None:
    while True:
        query = {"emit": me.mode, "cursor": me.cursor or ""}
        async with session.get(url, params=query) as answer:
            body = await answer.read()
        me.received += len(body)
        for event in json.loads(body)["events"] if answer.status == 200 else []:
            me.hear(event["event"], event["id"], event["data"])


async def sse(session: ClientSession, url: str, me: Follower) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": me.cursor or ""}
    event: dict[str, str] = {}
    async with session.get(url, params={"emit": me.mode}, headers=headers) as answer:
        async for line in answer.content:
            me.received += len(line)
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif event:
                me.hear(event["event"], event.get("id"), json.loads(event["data"]))
                event = {}


async def websocket(session: ClientSession, url: str, me: Follower) -> None:
    query = {"emit": me.mode, "cursor": me.cursor or ""}
    async with session.ws_connect(url, params=query, protocols=["pushgate.v1"], max_msg_size=0) as socket:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                me.received += len(message.data.encode())
                event = json.loads(message.data)
                me.hear(event["event"], event.get("id"), event["data"])


TRANSPORTS = {"long_poll": long_poll, "sse": sse, "websocket": websocket}


# All together.


@dataclass(frozen=True)
class Outcome:
    """What came of a series."""

    name: str
    documents: int  # different from the one before
    polls: int
    polled: int  # bytes of the bodies that the backend sent
    followers: list[Follower]
    seconds: float

    def complaints(self) -> list[str]:
        found = [(one, one.complaint()) for one in self.followers]
        return [f"{self.name}, {one.transport} with {one.mode}: {text}" for one, text in found if text]

    def lines(self) -> Iterator[str]:
        changes = self.documents - 1
        yield f"{self.name}: {self.polls} polls, {self.polled:,} bytes polled, {changes} changes, {self.seconds:.1f} s"
        yield f"  {'transport':11} {'mode':9} {'documents':>9} {'bytes pushed':>13} {'of polled':>9}  events"
        for one in self.followers:
            events = ", ".join(f"{count} {kind}" for kind, count in sorted(one.kinds.items()))
            share = one.received / self.polled
            yield f"  {one.transport:11} {one.mode:9} {len(one.held):9} {one.received:13,} {share:9.1%}  {events}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@asynccontextmanager
async def child(*command: str | Path, output: int | IO[bytes]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process, and end it when the context is left."""
    words = [sys.executable, *map(str, command)]
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), END_WITHIN)


@asynccontextmanager
async def legacy(folder: Path) -> AsyncIterator[str]:
    """Start a backend that gives each poll the next answer of the series; yields its URL."""
    command = ("-u", ROOT / "examples" / "legacy", "--port", "0", "--replay", folder)
    async with child(*command, output=asyncio.subprocess.PIPE) as backend:
        assert backend.stdout is not None, "it was opened with a pipe"
        line = await asyncio.wait_for(backend.stdout.readline(), READY_WITHIN)
        yield line.decode().split()[-1]


@contextmanager
def configuration(
    upstream: str, *, key: str | None, ignore: list[str], modes: list[str], every: str
) -> Iterator[tuple[Path, str]]:
    """Write a gateway.yaml and yield its path and the topic's URL."""
    port = free_port()
    route: dict[str, Any] = {
        "upstream": "legacy",
        "request": {"path": "/"},
        "poll": {"every": every},
        "ignore": ignore,
        "emit": modes,
    }
    config = {
        "version": 1,
        "server": {"listen": f"127.0.0.1:{port}", "admin": {"listen": f"127.0.0.1:{free_port()}"}},
        "upstreams": {"legacy": {"url": upstream}},
        "routes": {"/series": route | ({"key": key} if key else {})},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        yield path, f"http://127.0.0.1:{port}/series"


async def first_answer(session: ClientSession, url: str, gateway: asyncio.subprocess.Process) -> tuple[Any, str]:
    """Wait until the gateway listens, and return its first document and the cursor of it."""
    async with asyncio.timeout(READY_WITHIN):
        while gateway.returncode is None:
            try:
                async with session.get(url) as answer:
                    return await answer.json(), answer.headers["Pushgate-Cursor"]
            except ClientError:
                await pause(0.05)
    raise ChildProcessError("the gateway ended")


async def pause(seconds: float) -> None:
    """Let time pass where there is nothing to wait for but another process."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


async def end_of_series(session: ClientSession, backend: str, followers: list[Follower]) -> None:
    """Return when the backend has served its last answer and everybody has got it."""
    while True:
        async with session.get(f"{backend}/-/step") as answer:
            progress = await answer.json()
        if progress["step"] >= progress["of"] and all(
            one.has_last for one in followers if one.transport != "short_poll"
        ):
            return
        await pause(0.05)


async def replay(
    folder: Path,
    *,
    key: str | None = None,
    ignore: Iterable[str] = (),
    modes: Iterable[str] = ("patch", "merge", "items", "snapshot"),
    every: str = "50ms",
) -> Outcome:
    """Push a series through a gateway of its own."""
    series, size = load(folder, ignore=ignore)
    modes = [mode for mode in modes if mode != "items" or (key and isinstance(series[0], list))]
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack is its context manager)
        upstream = await stack.enter_async_context(legacy(folder))
        session = await stack.enter_async_context(
            ClientSession(timeout=ClientTimeout(sock_read=60), read_bufsize=2**24)
        )
        path, url = stack.enter_context(configuration(upstream, key=key, ignore=list(ignore), modes=modes, every=every))
        gateway = await stack.enter_async_context(child("-m", "pushgate", "run", "-c", path, output=log))
        try:
            document, cursor = await first_answer(session, url, gateway)
        except (TimeoutError, ChildProcessError) as error:
            log.seek(0)
            error.add_note(log.read().decode())
            raise
        began = loop.time()
        followers = [Follower("short_poll", "document", key, series)]
        for mode in modes:
            told = as_sets(series, key) if mode == "items" and key else series
            followers += [Follower(transport, mode, key, told, document, cursor) for transport in TRANSPORTS]
        for one in followers[1:]:
            one.hold(cursor)
        await follow(session, url, upstream, followers)
        seconds = loop.time() - began
        async with session.get(f"{upstream}/-/requests") as answer:
            polls = (await answer.json())["/"]
    return Outcome(folder.name, len(series), polls, size, followers, seconds)


async def follow(session: ClientSession, url: str, upstream: str, followers: list[Follower]) -> None:
    """Let everybody follow until the end of the series, or until it is clear that somebody never gets there."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        poller = tasks.create_task(short_poll(session, url, followers[0], over))
        streams = [tasks.create_task(TRANSPORTS[one.transport](session, url, one)) for one in followers[1:]]
        try:
            async with asyncio.timeout(END_WITHIN):
                await end_of_series(session, upstream, followers)
                over.set()
                await asyncio.wait([poller], timeout=5)
        except TimeoutError:
            pass  # the complaints say who
        for task in [poller, *streams]:
            task.cancel()


def main() -> int:
    """Replay the series that the command line names."""
    parser = argparse.ArgumentParser(description="Push a recorded series of answers through a running gateway.")
    parser.add_argument("folder", type=Path, help="holds 0001.json, 0002.json, …")
    parser.add_argument("--key", help="the member that names an item of a list")
    parser.add_argument("--ignore", action="append", default=[], metavar="POINTER", help="what is no news")
    parser.add_argument("--modes", default="patch,merge,items,snapshot", help="default: %(default)s")
    parser.add_argument("--every", default="50ms", help="the interval of polls (default: %(default)s)")
    chosen = parser.parse_args()
    if not list(chosen.folder.glob("[0-9]*.json")):
        parser.error(f"{chosen.folder} holds no recorded answers (0001.json, 0002.json, …)")
    outcome = asyncio.run(
        replay(
            chosen.folder,
            key=chosen.key,
            ignore=chosen.ignore,
            modes=chosen.modes.split(","),
            every=chosen.every,
        )
    )
    print("\n".join(outcome.lines()))
    complaints = outcome.complaints()
    print("\n".join(complaints) or "  every client held every document and ended with the last one")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
