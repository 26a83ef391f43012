"""``pushgate try``: what becomes of one poll, step by step, and when the next one is due."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Headers, Output, header_fields
from .completion import complete_topics
from .configuration import ConfigFile, require_config
from .paint import Paint, legible

if TYPE_CHECKING:
    from ..tools.redaction import Veil
    from ..values import Caller, Json, Principal
    from .target import Target
    from .trial import Trial

_DOCUMENT_LINES = 24
_OPERATIONS = 10
_MARGIN = 14  # the width of a step's name


def try_(
    topic: Annotated[
        str, typer.Argument(help="What clients ask for: /quotes/ACME?lang=de", autocompletion=complete_topics)
    ],
    file: ConfigFile = "gateway.yaml",
    watch: Annotated[bool, typer.Option("--watch", help="Keep polling, and print every change; Ctrl-C ends.")] = False,
    headers: Headers = None,
    claims: Annotated[
        str | None, typer.Option("--as", metavar="CLAIMS", help="""Who the client is: '{"sub": "ann"}'.""")
    ] = None,
    output: Output = "text",
) -> None:
    """
    Poll one topic, and print what every step makes of the answer.

    It is polled as the gateway would, with the same client, credentials, budget and pipeline; no gateway has to run,
    and none is asked. What is printed holds no credentials: neither those of the configuration nor what a client sends
    to be passed on.

        pushgate try '/quotes/ACME?lang=de'
        pushgate try /stations/paris --watch

        # as somebody, where the topic is not the same for everybody
        pushgate try /orders -H 'Cookie: SID=42' --as '{"sub": "ann"}'

    A poll that fails is shown up to the step at which it fails, with the reason and what to look at; the exit status
    is 1. With --watch, changes are printed as JSON Patch, with everything else that happens to the topic; as JSON, one
    line each.
    """
    import asyncio

    from ..clock import Clock
    from ..config import brought
    from ..errors import Refusal
    from ..logs import configure
    from ..tools.redaction import Veil, secrets_of
    from .target import find
    from .trial import keep_polling, poll_once

    config = require_config(file)
    caller = _caller(headers or [], claims)
    try:
        target = find(config, topic, caller)
    except Refusal as refusal:
        print(f"{topic}: {refusal} ({refusal.status} {refusal.code})", file=sys.stderr)
        raise typer.Exit(2) from None
    configure(Clock().now, level="error")  # the rest is told anyway
    forwarded = (value for _, value in target.topic.identity.headers)
    veil = Veil([*secrets_of(config), *brought(config), *forwarded, *_secrets(caller)])
    printer = _Printer(target, veil, output, watches=watch)
    try:
        with asyncio.Runner() as runner:
            runner.run(keep_polling(target, printer) if watch else poll_once(target, printer))
    except KeyboardInterrupt:
        raise typer.Exit(1) from None
    if not printer.is_good:
        raise typer.Exit(1)


def _caller(headers: list[str], claims: str | None) -> Caller:
    from ..identity import cookies_of
    from ..values import Caller

    fields = [(name.lower(), value) for name, value in header_fields(headers)]
    cookies = "; ".join(value for name, value in fields if name == "cookie")
    return Caller(_principal(claims), dict(fields), cookies_of(cookies))


def _principal(claims: str | None) -> Principal | None:
    from ..values import Principal

    if claims is None:
        return None
    try:
        told = json.loads(claims)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise typer.BadParameter("""write it like '{"sub": "ann", "tenant": "acme"}'""", param_hint="--as")
    return Principal("try", str(told.get("iss", "")), str(told.get("sub", "")), told)


def _secrets(caller: Caller) -> Iterator[str]:
    """Yield what a client sends that may be a credential, whether or not it is passed on."""
    from ..config.hidden import is_credential

    yield from caller.cookies.values()
    yield from (value for name, value in caller.headers.items() if is_credential(name))


class _Printer:
    """Prints polls: the first with all its steps, those that follow with what came of them."""

    def __init__(self, target: Target, veil: Veil, output: Output, *, watches: bool) -> None:
        from .progress import Progress

        self.progress = Progress(is_for_programs=output == "json")
        self.is_good = False  # whether the latest poll was, or any if polls are watched
        self._target = target
        self._veil = veil
        self._output = output
        self._watches = watches
        self._polls = self._changes = 0
        self._state = "cold"
        self._paint = Paint(sys.stdout)

    def waiting(self, trial: Trial) -> str:
        topic = trial.feed.topic
        if topic.next_poll_at is None:
            return "polling"
        wait = max(0.0, topic.next_poll_at - trial.clock.now())
        return f"{topic.state}: {self._polls} polls, {self._changes} changes; next in {wait:.0f}s, Ctrl-C ends"

    def poll(self, trial: Trial) -> None:
        """Print what came of the latest poll."""
        from .account import account, events

        self.progress.clear()
        first = self._polls == 0
        self._polls += 1
        self._changes += len(trial.changes)
        self._veil.learn(trial.credentials)
        told = self._veil(account(self._target, trial))
        self.is_good = told["outcome"] not in ("failed", "denied") or (self._watches and self.is_good)
        if not first:
            self._print_events([*self._veil([*events(self._target, trial, told, was=self._state)])])
        elif self._output == "text":
            print("\n".join(self._steps(legible(told))), flush=True)
        else:
            print(json.dumps(told, ensure_ascii=False, indent=None if self._watches else 2), flush=True)
        self._state = told["state"]

    def _print_events(self, told: list[dict[str, Any]]) -> None:
        for event in told:
            if self._output == "json":
                print(json.dumps(event, ensure_ascii=False), flush=True)
            else:
                print("\n".join(self._event(legible(event))), flush=True)

    # As text.

    def _steps(self, told: dict[str, Any]) -> Iterator[str]:
        paint = self._paint
        for step in told["steps"]:
            yield from self._entry(step["step"], step["lines"])
        if (error := told["error"]) is not None:
            lines = [f"failed at {error['step']}: {error['reason']}: {error['detail']}", error["remedy"]]
            yield from self._entry(error["step"], [paint.red(lines[0]), *lines[1:]])
        elif "document" in told:
            yield from self._entry("document", _pretty(told["document"]))
        yield from self._entry("state", [f"{told['state']} ({told['outcome']})"])
        yield from self._entry("next poll", [_next(told["next_poll"])])

    def _entry(self, name: str, lines: list[str]) -> Iterator[str]:
        head = self._paint.bold(f"{name.ljust(_MARGIN - 1)} ")  # a time of day is wider
        for line in lines or [""]:
            yield f"{head}{line}"
            head = " " * _MARGIN

    def _event(self, event: dict[str, Any]) -> Iterator[str]:
        paint = self._paint
        match event["event"]:
            case "change":
                head = f"{event['kind']}, {event['bytes']:,} bytes"
                yield from self._entry(event["at"], [head, *_operations(event["kind"], event["data"])])
            case "held":
                yield from self._entry(
                    event["at"], [paint.yellow(f"held: {event['detail']}"), _next(event["next_poll"])]
                )
            case "failed":
                text = f"failed at {event['step']}: {event['reason']}: {event['detail']}"
                yield from self._entry(event["at"], [paint.red(text), _next(event["next_poll"])])
            case _:
                yield from self._entry(event["at"], [f"{event['event']}: {event['was']} → {event['state']}"])


def _pretty(document: Json) -> list[str]:
    """Return a document in lines, cut after the first few."""
    lines = json.dumps(document, ensure_ascii=False, indent=2).splitlines()
    shown = [line if len(line) <= 200 else f"{line[:200]} …" for line in lines[:_DOCUMENT_LINES]]
    return shown if len(lines) <= _DOCUMENT_LINES else [*shown, f"… ({len(lines) - _DOCUMENT_LINES:,} more lines)"]


def _operations(kind: str, data: Json) -> list[str]:
    from ..tools.narration import preview

    if kind != "patch" or not isinstance(data, list):
        return [preview(data)]
    more = [f"… ({len(data) - _OPERATIONS:,} more operations)"] if len(data) > _OPERATIONS else []
    return [preview(operation) for operation in data[:_OPERATIONS]] + more


def _next(told: dict[str, Any] | None) -> str:
    if told is None:
        return "none"
    return told["why"] if told["in"] is None else f"in {told['in']:.1f}s, at {told['at']}: {told['why']}"
