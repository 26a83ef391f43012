"""
The account of a poll as JSON: what ``pushgate try --output json`` prints, and what its text is made of.

Whoever prints it draws the veil (``redaction.py``): nothing but requests is redacted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..config.access import Claims
from ..documents.changes import Change, Telling, encode, timestamp
from ..errors import PollError
from ..happenings import Answered, Denied, Missing
from ..naming import fill_known
from ..routes import Route
from ..tools.narration import remedy
from ..tools.tracing import Step, view_step
from ..values import ABSENT, Document
from ..views import Parts, ViewRoute, news_of
from .target import Target
from .trial import Trial


def account(target: Target, trial: Trial) -> dict[str, Any]:
    """Return what came of the latest poll, step by step."""
    document = trial.feed.history.latest.document if trial.feed.history.latest is not None else ABSENT
    error = _error(trial)
    steps = [_route_step(target), _identity_step(target), *trial.trace.steps]
    outcome, state = _outcome(trial, error), trial.feed.topic.state
    if target.view is not None and error is None:
        document = _part(target, target.view, document)
        steps.append(view_step(document, where=_where(target, target.view)))
        outcome, state = ("gone", "gone") if document is ABSENT else (outcome, state)
    return {
        "topic": target.name.text,
        "route": target.view.name if target.view is not None else target.route.name,
        "steps": [{"step": step.name, "lines": [*step.lines]} for step in steps],
        "outcome": outcome,
        "state": state,
        "error": None if error is None else _told(error, target.route, trial),
        "next_poll": _next_poll(trial),
        **({} if document is ABSENT else {"document": document}),
    }


def events(target: Target, trial: Trial, told: dict[str, Any], *, was: str) -> Iterator[dict[str, Any]]:
    """Yield what is to be seen of the latest poll from outside; ``told``: its account, ``was``: the state before."""
    at = timestamp(trial.clock.wall())
    for change in trial.changes:
        if (telling := _telling(target, change)) is not None:
            data = msgspec.json.decode(telling.data)
            yield {"at": at, "event": "change", "kind": telling.kind, "bytes": len(telling.data), "data": data}
    held = trial.feed.reception.held
    if held is not None and told["outcome"] == "held":
        detail = f"{held.doubt.guard}: {held.doubt.detail}"
        yield {"at": at, "event": "held", "detail": detail, "bytes": held.size, "next_poll": told["next_poll"]}
    if told["error"] is not None:
        yield {"at": at, "event": "failed", **told["error"], "next_poll": told["next_poll"]}
    if told["state"] != was:
        yield {"at": at, "event": "state", "was": was, "state": told["state"]}


def _telling(target: Target, change: Change) -> Telling | None:
    """Return a change as a patch; of a view, what it changes there."""
    if change.after.is_end:
        return Telling("end", encode({"at": timestamp(change.after.at)}))
    if target.view is None:
        return change.tell("patch")
    before = ABSENT if change.before is None else _part(target, target.view, change.before.document)
    shown = _part(target, target.view, change.after.document)
    news = news_of(before, shown, keys=target.view.keys)
    if news is None:
        return None
    if shown is ABSENT:
        return change.after.tell()
    return Telling("patch", encode(news.patch)) if news.patch else Telling("snapshot", encode(shown))


def _part(target: Target, view: ViewRoute, document: Document) -> Document:
    try:
        return Parts(document, view.shelf).find(view.part(target.name.values))
    except PollError:  # a view whose expression fails shows nothing
        return ABSENT


def _where(target: Target, view: ViewRoute) -> str:
    config = view.config
    named = {"item": config.item, "pointer": config.pointer, "select": config.select}
    name, text = next((name, text) for name, text in named.items() if text is not None)
    return f"{name} `{fill_known(text, target.name.values, escape=str)}` of {view.parent.name}"


def _route_step(target: Target) -> Step:
    name = target.view.name if target.view is not None else target.route.name
    values = {name: value for name, value in target.name.values.items() if not name.startswith("claims.")}
    lines = [f"{name} {' '.join(f'{name}={value}' for name, value in values.items())}".rstrip()]
    if target.view is not None:
        lines.append(f"a view: polled is {target.topic.text} of {target.route.name}")
    return Step("route", tuple(lines))


def _identity_step(target: Target) -> Step:
    """Say whose the document is, without what the client sent."""
    config, caller = target.route.config, target.caller
    if config.share == "public":
        return Step("identity", ("public: one document for everybody",))
    if isinstance(config.share, Claims):
        return Step("identity", (f"one document for each value of {', '.join(config.share.claims)}",))
    who = "a client without a name" if caller.principal is None else caller.principal.subject or "a nameless principal"
    given = [name for name in config.forward.headers if name.lower() in caller.headers]
    given += [f"cookie {name}" for name in config.forward.cookies if name in caller.cookies]
    asked = [*config.forward.headers, *(f"cookie {name}" for name in config.forward.cookies)]
    lines = [f"one document for each caller: {who}"]
    if given:
        lines.append(f"passed on, and not shown: {', '.join(given)}")
    if missing := [name for name in asked if name not in given]:
        lines.append(f"not sent by this client: {', '.join(missing)} (add it with -H)")
    return Step("identity", tuple(lines))


def _error(trial: Trial) -> PollError | None:
    if trial.trace.error is not None:
        return trial.trace.error
    if isinstance(trial.trace.outcome, Denied):
        detail = f"the upstream answered {trial.trace.outcome.status} to this caller"
        return PollError("upstream_auth", detail)
    # Not seen on its way: a bug of ours, whose traceback is in the log.
    return None if trial.trace.outcome is not None else PollError("decode", "pushgate failed on the answer")


def _told(error: PollError, route: Route, trial: Trial) -> dict[str, Any]:
    told = {"step": trial.trace.at, "reason": error.reason, "detail": error.detail}
    return {**told, "remedy": remedy(error.reason, upstream=route.config.upstream)}


def _outcome(trial: Trial, error: PollError | None) -> str:
    if error is not None:
        return "denied" if isinstance(trial.trace.outcome, Denied) else "failed"
    if trial.feed.reception.held is not None:
        return "held"
    match trial.trace.outcome:
        case Missing():
            return "gone"
        case Answered() if trial.changes:
            return "changed"
        case _:
            return "unchanged"


def _next_poll(trial: Trial) -> dict[str, Any] | None:
    topic, clock = trial.feed.topic, trial.clock
    if topic.next_poll_at is None:
        return {"in": None, "at": None, "why": topic.next_poll_why}
    wait = max(0.0, topic.next_poll_at - clock.now())
    return {"in": round(wait, 3), "at": timestamp(clock.wall_at(topic.next_poll_at)), "why": topic.next_poll_why}
