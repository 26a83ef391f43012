"""
Probes, in the form that Kubernetes gives its own: ``/livez``, ``/readyz``, ``/startupz``.

    GET /readyz?verbose        [+]config ok
                               [-]draining failed: clients are asked to leave
                               readyz check failed

Rule 1: ``/livez`` fails only for what a restart mends. That it answers shows that the loop turns; so it says besides
whether what runs in the background still does.
Rule 2: ``/readyz`` fails only for what another replica does better. That a backend is down, or the store is away for a
while, it does not.
Rule 3: ``/startupz`` never fails once it was well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from ...departures import Departures
from ...vitals import Vitals


@dataclass(frozen=True, slots=True)
class Check:
    """Something that is well or not. ``complaint`` returns what is wrong, or None."""

    name: str
    complaint: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe came to. ``text`` is told to whoever wants to know more, or if it is not well."""

    is_well: bool
    text: str


Probes = Mapping[str, Sequence[Check]]


def examine(probe: str, checks: Sequence[Check], *, excluded: Collection[str] = ()) -> Finding:
    """Ask all checks of a probe, but for those that are ``excluded`` by their names."""
    lines, is_well = [], True
    for check in checks:
        complaint = None if check.name in excluded else check.complaint()
        is_well = is_well and complaint is None
        if check.name in excluded:
            lines.append(f"[+]{check.name} excluded: ok")
        else:
            lines.append(f"[+]{check.name} ok" if complaint is None else f"[-]{check.name} failed: {complaint}")
    names = {check.name for check in checks}
    lines += [f"warn: there is no check called {name!r}" for name in excluded if name not in names]
    lines.append(f"{probe} check {'passed' if is_well else 'failed'}")
    return Finding(is_well, "".join(f"{line}\n" for line in lines))


def probes_of(vitals: Vitals, departures: Departures) -> Probes:
    """Return what each probe looks at."""
    config = Check("config", lambda: None if vitals.is_configured else "not loaded yet")
    listeners = Check("listeners", lambda: None if vitals.is_listening else "not bound yet")
    store = Check("store", lambda: None if vitals.is_store_reached else "not reached yet")
    draining = Check("draining", lambda: "clients are asked to leave" if departures.is_draining else None)
    return {
        "/livez": [
            Check("loop", lambda: vitals.silence("loop")),
            Check("heartbeats", lambda: vitals.silence("heartbeats")),
            Check("tasks", vitals.crashed),
        ],
        "/readyz": [config, listeners, store, draining],
        "/startupz": [config, listeners, store],
    }


class Health:
    """Answers probes. A path may be asked with ``?verbose``, and ``?exclude=`` with the name of a check."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes

    @property
    def paths(self) -> Collection[str]:
        return self._probes.keys()

    def answer(self, request: web.BaseRequest) -> web.Response:
        """Return 200 if all is well that the path stands for, otherwise 503."""
        query = request.query
        excluded = query.getall("exclude", [])
        finding = examine(request.path.removeprefix("/"), self._probes[request.path], excluded=excluded)
        is_brief = finding.is_well and "verbose" not in query
        return web.Response(
            status=200 if finding.is_well else 503,
            text="ok\n" if is_brief else finding.text,
            headers={"Cache-Control": "no-store"},
        )
