"""What a replay found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..routes import Route
from ..tools.falsity import Falsity
from ..tools.narration import counted
from ..tools.probing.noise import Noise
from ..tools.replaying import MODES, Replay, Tally, runs

_SHOWN = 10  # rows of a kind


def as_json(played: Replay, route: Route) -> dict[str, Any]:
    """Return all that was found."""
    tally, falsity = played.tally, played.falsity()
    return {
        "polls": tally.polls,
        "unchanged": dict(tally.unchanged),
        "changes": tally.changes,
        "gone": tally.gone,
        "ended_at_poll": tally.ended,
        "false_changes": {"noise": falsity.by_noise, "flaps": falsity.by_flaps, "pointers": falsity.pointers},
        "held": [
            {"poll": held.poll, "file": held.name, "guard": held.doubt.guard, "detail": held.doubt.detail,
             "bytes": held.size, "polls": held.polls, "fate": held.fate, "why": held.why}
            for held in tally.holdings
        ],
        "failed": {
            reason: {"count": len(each.polls), "polls": each.polls, "detail": each.detail}
            for reason, each in tally.failures.items()
        },
        "keyless_arrays": dict(tally.keyless),
        "patches_rejected": tally.disproved,
        "bytes": {
            "polled": tally.polled,
            "polled_with_perfect_etag": tally.distinct,
            "short_poll_with_etag": tally.documents,
            **{mode: {"bytes": cost.bytes, "events": dict(cost.events)} for mode, cost in tally.costs.items()},
        },
        "suggestions": [
            {"key": key, "pointer": noise.pointer, "reason": noise.reason} for key, noise in _suggested(route, falsity)
        ],
        "idle_ignores": played.idle,
    }  # fmt: skip


def as_text(played: Replay, route: Route, title: str) -> Iterator[str]:
    """Yield the lines for people."""
    tally, falsity = played.tally, played.falsity()
    yield title
    yield ""
    yield from _counts(tally, falsity)
    yield ""
    yield from _costs(tally, route)
    yield from _section("false changes, by what differs in them", _pointers(falsity))
    yield from _section("held answers", [*_held(tally)])
    yield from _section("failed polls", [*_failed(tally)])
    yield from _section("arrays compared by index, for their items have no key or share one", [
        f"{pointer or 'the document'}: {counted(count, 'time')}" for pointer, count in tally.keyless.most_common(_SHOWN)
    ])  # fmt: skip
    yield from _section("to do", [*_advice(played, route, falsity)])


def _counts(tally: Tally, falsity: Falsity) -> Iterator[str]:
    failed = sum(len(each.polls) for each in tally.failures.values())
    seen = ", ".join(f"{count} {how}" for how, count in tally.unchanged.most_common())
    yield _count("polls", tally.polls, "" if tally.ended is None else "`until` came true at the last")
    yield _count("unchanged", tally.unchanged.total(), seen)
    yield _count("changes", tally.changes, f"{tally.gone} of them gone" if tally.gone else "")
    false = [f"{falsity.by_noise} nothing but noise"] if falsity.by_noise else []
    false += [f"{falsity.by_flaps} undone by the next poll, or undoing"] if falsity.by_flaps else []
    yield _count("  of them false", falsity.by_noise + falsity.by_flaps, ", ".join(false))
    yield _count("held", len(tally.holdings), ", ".join(_fates(tally)))
    yield _count("failed", failed, ", ".join(f"{len(each.polls)} {reason}" for reason, each in tally.failures.items()))


def _count(what: str, number: int, how: str) -> str:
    return f"  {what:<16}{number:>8,}  {how}".rstrip()


def _fates(tally: Tally) -> Iterator[str]:
    for fate in ("confirmed", "dropped", "open"):
        if number := sum(held.fate == fate for held in tally.holdings):
            yield f"{number} {fate}"


def _costs(tally: Tally, route: Route) -> Iterator[str]:
    yield f"  {'bytes for one client':<40}{'bytes':>14}{'of polled':>11}  events"
    rows = [
        ("polled: every body", tally.polled, ""),
        ("polled with a perfect ETag", tally.distinct, ""),
        ("short polls of pushgate with its ETag", tally.documents, ""),
    ]
    for mode in MODES:
        cost = tally.costs[mode]
        if mode == "items" and mode not in route.modes and "items" not in cost.events:
            continue  # the document is no array of items with keys
        events = ", ".join(f"{count} {kind}" for kind, count in cost.events.most_common())
        rows.append((f"pushed as {mode}{'' if mode in route.modes else ' (not in emit)'}", cost.bytes, events))
    for name, size, events in rows:
        share = f"{size / tally.polled:.1%}" if tally.polled else "-"
        yield f"  {name:<40}{size:>14,}{share:>11}  {events}".rstrip()


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"  {title}:"
        yield from (f"    {line}" for line in lines)


def _pointers(falsity: Falsity) -> list[str]:
    rows = [
        f"{pointer or 'the whole document'}: {counted(count, 'time')}" for pointer, count in falsity.pointers.items()
    ]
    return rows[:_SHOWN] + ([f"… and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else [])


def _held(tally: Tally) -> Iterator[str]:
    for held in tally.holdings[:_SHOWN]:
        what = f"poll {held.poll} ({held.name}, {held.size:,} bytes) fails `{held.doubt.guard}`: {held.doubt.detail}"
        yield f"{what}; {held.fate}: {held.why}"
    if len(tally.holdings) > _SHOWN:
        yield f"… and {len(tally.holdings) - _SHOWN} more"


def _failed(tally: Tally) -> Iterator[str]:
    for reason, each in tally.failures.items():
        noun = "poll" if len(each.polls) == 1 else "polls"
        yield f"{reason}: {noun} {runs(each.polls)}: {each.detail}"


def _suggested(route: Route, falsity: Falsity) -> Iterator[tuple[str, Noise]]:
    """Yield what to do about noise: ignore addresses the answer, and is certain; quiet addresses the document."""
    is_answer = route.config.select is None and route.recipe.accumulate is None
    for noise in falsity.noise:
        if noise.is_ignored:
            yield ("ignore" if is_answer else "quiet"), noise
        elif falsity.by_noise and noise.kind in ("clock", "polls"):  # a counter is what somebody may watch
            yield "quiet", noise


def _advice(played: Replay, route: Route, falsity: Falsity) -> Iterator[str]:
    tally = played.tally
    least = min(tally.costs[mode].bytes for mode in route.modes)
    if least > tally.distinct:
        yield "as JSON this is larger than what the upstream sends, even pushed: select less of it, or let clients poll"
    for key, noise in _suggested(route, falsity):
        value = f"[{noise.pointer}]" if key == "ignore" else f"{{{noise.pointer}: any}}"
        yield f"{key}: {value}  # {noise.reason}"
    for pointer in played.idle:
        yield f"ignore: {pointer} matched nothing in the latest 20 answers: remove it, or correct it"
    if tally.disproved:
        yield f"{tally.disproved} patches did not prove themselves: a bug of pushgate's, please report it"
