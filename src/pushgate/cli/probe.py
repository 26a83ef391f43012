"""
``pushgate probe``: which route suits this backend?

It polls for a while, one request at a time and ever more slowly, and prints a gateway.yaml with the reason for each
line. What it is told with ``-u``, ``-H`` and ``-d`` is sent, and credentials in it are not printed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from .. import quantities
from .paint import legible

if TYPE_CHECKING:
    from ..answers import Answer
    from ..clock import Clock
    from ..errors import PollError
    from ..tools.probing import Asked, Decode, Format, Report, Sample
    from ..values import Validators

    Ask = Callable[[Validators], Awaitable[Answer]]

# An upstream that has not answered once by then will not do so because we insist.
_TRIES = 3
_LINE_EVERY = 10.0  # seconds between two lines of progress where no line can be rewritten

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def probe(
    url: Annotated[str, typer.Argument(help="What to poll.")],
    headers: Annotated[
        list[str] | None, typer.Option("-H", "--header", metavar="NAME: VALUE", help="A header field; repeatable.")
    ] = None,
    user: Annotated[str | None, typer.Option("-u", "--user", metavar="NAME:PASSWORD", help="HTTP Basic.")] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", metavar="BODY", help="A body; POST unless -X.")] = None,
    method: Annotated[Method | None, typer.Option("-X", "--request", help="The method.")] = None,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long to poll at most.")] = "2m",
    max_polls: Annotated[int, typer.Option(min=2, help="How many polls at most.")] = 120,
    output: Annotated[Literal["yaml", "json"], typer.Option("--output", help="yaml or json.")] = "yaml",
) -> None:
    """Poll a backend for a while, and print a route for it; Ctrl-C ends the polling early."""
    from ..clock import Clock
    from ..errors import PollError
    from ..tools.probing import infer

    asked = _asked(url, headers or [], user, data, method)
    seconds = _seconds(duration)
    watch = Watch(Clock(), seconds, max_polls, progress_to(sys.stderr))
    asyncio.run(_poll(asked, watch))
    try:
        if not watch.samples:
            raise watch.failure or PollError("protocol", "there was no time for an answer")
        report = infer(watch.samples, decoder())
    except PollError as error:
        print(legible(f"{asked.shown}: {error}{_remedy(error)}"), file=sys.stderr)
        raise typer.Exit(1) from None
    _print(asked, report, output)


@dataclass(slots=True)
class Watch:
    """One probe under way: how long, how many polls, whom to tell, and what was seen so far."""

    clock: Clock
    seconds: float
    max_polls: int
    tell: Callable[[str, bool], None]
    samples: list[Sample] = field(default_factory=list)
    failures: int = 0
    failure: PollError | None = None

    async def run(self, ask: Ask) -> None:
        """Poll until the time or the polls are used up, or the upstream turns out not to answer at all."""
        from ..tools.probing import Pace

        pace = Pace.over(self.seconds, polls=self.max_polls)
        end = self.clock.now() + self.seconds
        while True:
            began = self.clock.now()
            answer = await self._poll(ask, began)
            if len(self.samples) + self.failures >= self.max_polls or self._is_hopeless():
                return
            pace = pace.after(answer, seconds=self.clock.now() - began)
            if self.clock.now() + pace.wait > end:
                return
            self._report(end)
            await self.clock.sleep(pace.wait)

    async def _poll(self, ask: Ask, began: float) -> Answer | None:
        """Ask every other time with the validators of the last answer, so that their honesty can be judged."""
        from ..answers import NO_VALIDATORS
        from ..errors import PollError
        from ..tools.probing import Sample

        last = self.samples[-1] if self.samples else None
        is_turn = last is not None and last.asked_with == NO_VALIDATORS and last.answer.status == 200
        validators = last.answer.validators if last is not None and is_turn else NO_VALIDATORS
        try:
            answer = await ask(validators)
        except PollError as error:
            self.failure, self.failures = error, self.failures + 1
            return None
        if not self.samples and (failure := _failure(answer.status)) is not None:
            self.failure, self.failures = failure, self.failures + 1
        else:
            self.samples.append(Sample(answer, self.clock.now() - began, validators))
        return answer

    def _is_hopeless(self) -> bool:
        is_final = self.failure is not None and self.failure.reason in ("http_4xx", "upstream_auth", "protocol")
        return not self.samples and (self.failures >= _TRIES or is_final)

    def _report(self, end: float) -> None:
        bodies = [sample.answer.body for sample in self.samples if sample.answer.status == 200]
        versions = sum(before != after for before, after in pairwise(bodies))
        left = quantities.duration_text(max(0, round(end - self.clock.now())))
        failed = f", {self.failures} failed" if self.failures else ""
        self.tell(
            f"{len(self.samples)} polls, {versions} different bodies{failed}; {left} to go, Ctrl-C for less", False
        )


def progress_to(stream: object, *, now: Callable[[], float] | None = None) -> Callable[[str, bool], None]:
    """
    Return what tells how far a probe is: on a terminal in one line that is rewritten, elsewhere a line now and then.

    Called with True it ends its line.
    """
    from ..clock import Clock

    now = now or Clock().now
    is_terminal = getattr(stream, "isatty", lambda: False)() and os.environ.get("TERM") != "dumb"
    told = now()

    def tell(text: str, is_last: bool) -> None:
        nonlocal told
        if is_terminal:
            print(f"\r\x1b[K{text}", end="", file=stream, flush=True)  # type: ignore[call-overload]  # any text stream
        elif not is_last and now() - told >= _LINE_EVERY:
            told = now()
            print(text, file=stream, flush=True)  # type: ignore[call-overload]  # any text stream

    return tell


def _asked(url: str, headers: list[str], user: str | None, data: str | None, method: Method | None) -> Asked:
    from ..tools.probing import Asked

    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise typer.BadParameter("write it like https://bikes.example/api/stations", param_hint="URL")
    fields = [(name.strip(), value.strip()) for name, _, value in (header.partition(":") for header in headers)]
    if any(not value or not name for name, value in fields):
        raise typer.BadParameter("write it like 'Accept: text/csv'", param_hint="-H")
    if data is not None and method in ("GET", "HEAD"):
        raise typer.BadParameter(f"a {method} has no body", param_hint="-d")
    return Asked(url, method or ("GET" if data is None else "POST"), tuple(fields), data, user)


def _seconds(text: str) -> float:
    try:
        seconds = quantities.parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None
    if seconds <= 0:
        raise typer.BadParameter("must be above 0s", param_hint="--for")
    return seconds


async def _poll(asked: Asked, watch: Watch) -> None:
    """Run the watch until it is over or the first SIGINT; a second one ends the process as it would without us."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        ask = await _connect(asked, watch.clock, stack)
        async with asyncio.TaskGroup() as tasks:
            polling = tasks.create_task(watch.run(ask), name="probe")

            def enough() -> None:
                loop.remove_signal_handler(signal.SIGINT)
                polling.cancel()

            loop.add_signal_handler(signal.SIGINT, enough)
            stack.callback(loop.remove_signal_handler, signal.SIGINT)
    watch.tell("", True)


async def _connect(asked: Asked, clock: Clock, stack: AsyncExitStack) -> Ask:
    """Return what asks once: the gateway's own client, with the manners of an upstream that has no configuration."""
    from ..adapters.upstream.budget import Gate
    from ..adapters.upstream.fetch import HttpFetch
    from ..config.upstreams import Upstream
    from ..metrics import Metrics
    from ..values import UpstreamRequest

    upstream = Upstream(url=asked.origin)
    gate = Gate(asked.name, upstream, clock, Metrics())
    fetch = await stack.enter_async_context(
        HttpFetch({asked.name: upstream}, clock, gates={asked.name: gate}, refreshed=lambda _name, _ok: None)
    )
    body = None if asked.body is None else asked.body.encode()
    request = UpstreamRequest(asked.method, asked.target, _fields(asked), body, asked.name)
    return lambda validators: fetch(request, validators)


def _fields(asked: Asked) -> tuple[tuple[str, str], ...]:
    """Return the header fields to send: those asked for, and what follows from ``-u`` and ``-d``."""
    from ..tools.probing.asked import content_type

    fields = [*asked.headers]
    named = {name.lower() for name, _ in fields}
    if asked.credentials is not None and "authorization" not in named:
        fields.append(("Authorization", f"Basic {base64.b64encode(asked.credentials.encode()).decode()}"))
    if asked.body is not None and "content-type" not in named:
        fields.append(("Content-Type", content_type(asked.body)))
    return tuple(fields)


def decoder() -> Decode:
    """Return the gateway's own decoders, made once for each format; raises PollError(``decode``) as they do."""
    from pydantic import TypeAdapter

    from ..adapters.upstream.formats import decoder_of, missing_library
    from ..config.formats import Format as Section
    from ..errors import PollError

    adapter: TypeAdapter[Section] = TypeAdapter(Section)

    def decode(form: Format, answer: Answer) -> object:
        section = adapter.validate_python(form if isinstance(form, str) else dict(form))
        if (missing := missing_library(section)) is not None:
            raise PollError("decode", missing)
        return decoder_of(section, keeps_shape=False).decode(answer.body, answer.content_type)

    return decode  # type: ignore[return-value]  # what a decoder returns is Json


def _failure(status: int) -> PollError | None:
    """Return what is wrong with the first answer, if it is none."""
    from ..errors import PollError

    if 200 <= status < 300:
        return None
    if status in (401, 403):
        return PollError("upstream_auth", f"the upstream answered {status}")
    if status == 429:
        return PollError("rate_limited", "the upstream answered 429")
    if status >= 500:
        return PollError("http_5xx", f"the upstream answered {status}")
    return PollError("http_4xx" if status >= 400 else "protocol", f"the upstream answered {status}")


def _remedy(error: PollError) -> str:
    match error.reason:
        case "upstream_auth":
            return "; show who you are with -u or -H"
        case "http_4xx":
            return "; look at the path, and at -X and -d"
        case "protocol" if "answered 3" in error.detail:
            return "; probe the address that it redirects to"
        case _:
            return ""


def _print(asked: Asked, report: Report, output: str) -> None:
    from ..tools.probing import as_json, write

    if output == "json":
        print(json.dumps(as_json(asked, report), ensure_ascii=False, indent=2))
        return
    text = write(asked, report)
    is_plain = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    print(text if is_plain else _dimmed(text), end="")


def _dimmed(text: str) -> str:
    """Let the comments step back behind the lines that count."""
    lines = text.splitlines()
    return "".join(f"\x1b[2m{line}\x1b[0m\n" if line.lstrip().startswith("#") else f"{line}\n" for line in lines)
