"""
Changes that told nobody anything: which they are, where they come from, and what to write to be rid of them.

- **Noise**: all that differs is noise, as ``probing/noise.py`` finds it in the whole series: the time of the answer or
  of an update that changed nothing, a random token, a count of our own requests.
- **A flap**: the very next poll undid it, and the document was again what it had been before. The way there and the
  way back are one false change each.

What changes all the time and is a value (a price, a counter) is news; so is what comes and goes more slowly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..documents.equality import same
from ..documents.patching import Operation
from ..documents.quieting import Quiet
from ..values import ABSENT, Document
from .probing.noise import Kind, Noise, find_noise
from .probing.reading import distinct, without
from .probing.samples import Version
from .probing.strands import weave

_NEARLY_ALL = 0.9  # of the polls


@dataclass(frozen=True, slots=True)
class Published:
    """A document as it was published: by which poll, when, and by which patch from the one before."""

    poll: int
    at: float
    document: Document
    patch: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Falsity:
    """
    What was false about a series of changes.

    ``pointers``: in how many of the false changes what stands there differed; ``*`` is any item. ``noise``: all that
    was found in the documents, also what made no change false.
    """

    by_noise: int
    by_flaps: int
    pointers: dict[str, int]
    noise: tuple[Noise, ...]


def judge(series: Sequence[Published], *, polls: int) -> Falsity:
    """Return which changes of a series are false; ``polls``: how many good ones there were."""
    found = _noise(series, polls)
    quiet = _quiet(found, "clock", "token", "polls")
    noisy = _noisy(series, quiet)
    if len(noisy) == len(series) - 1:  # if nothing else ever changes, only a clock says nothing for certain
        quiet = _quiet(found, "clock")
        noisy = _noisy(series, quiet)
    flaps = _flaps(series, noisy, quiet)
    pointers: Counter[str] = Counter()
    for at in sorted(noisy | flaps):
        pointers.update({_general(str(operation["path"]), series[at - 1].document) for operation in series[at].patch})
    return Falsity(len(noisy), len(flaps), dict(pointers.most_common()), tuple(found))


def _noise(series: Sequence[Published], polls: int) -> list[Noise]:
    versions: list[Version] = []
    for each in series:
        if isinstance(each.document, dict | list):  # of a text, nothing can be told apart
            before = versions[-1].at if versions else each.at
            versions.append(Version(each.at, before, each.poll, each.document))
    if len(versions) < 2:
        return []
    found = _find(versions, polls)
    if ignored := [noise for noise in found if noise.is_ignored]:
        # A clock that ticks with every update is seen once the one that ticks with every answer is out of the way.
        known = {noise.pointer for noise in found}
        again = _find(distinct(versions, without(versions, ignored)), polls)
        found += [noise for noise in again if noise.pointer not in known]
    return found


def _find(versions: list[Version], polls: int) -> list[Noise]:
    """Return the noise; what ticks with every version is not the time of the answer if there are fewer of them."""
    found = find_noise(weave([version.document for version in versions]), versions, polls=polls)
    if len(versions) >= _NEARLY_ALL * polls:
        return found
    return [_of_update(noise) if noise.kind == "clock" and noise.is_ignored else noise for noise in found]


def _of_update(noise: Noise) -> Noise:
    return replace(noise, reason="is the time of an update", is_ignored=False)


def _quiet(found: list[Noise], *kinds: Kind) -> Quiet:
    """Return what hides a change of nothing but such noise."""
    return Quiet({noise.pointer: "any" for noise in found if noise.kind in kinds})


def _noisy(series: Sequence[Published], quiet: Quiet) -> set[int]:
    found = set()
    for at in range(1, len(series)):
        before, after = series[at - 1].document, series[at].document
        if before is not ABSENT and after is not ABSENT and quiet.hides(before, after):
            found.add(at)
    return found


def _flaps(series: Sequence[Published], noisy: set[int], quiet: Quiet) -> set[int]:
    """Return the changes that the next poll undid, and those that undid them; each belongs to one flap."""
    found: set[int] = set()
    for at in range(1, len(series) - 1):
        there, back = series[at], series[at + 1]
        is_quick = back.poll == there.poll + 1 and not {at, at + 1} & (found | noisy)
        if is_quick and _is_same(series[at - 1].document, back.document, quiet):
            found |= {at, at + 1}
    return found


def _is_same(one: Document, other: Document, quiet: Quiet) -> bool:
    """Tell whether two documents are the same but for noise."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return same(one, other) or quiet.hides(one, other)


def _general(path: str, document: Document) -> str:
    """Return a pointer with ``*`` for every item of an array."""
    found = []
    here: object = document
    for token in path.split("/")[1:]:
        if isinstance(here, list):
            found.append("*")
            here = here[int(token)] if token.isdigit() and int(token) < len(here) else None
        else:
            found.append(token)
            here = here.get(token.replace("~1", "/").replace("~0", "~")) if isinstance(here, dict) else None
    return "".join(f"/{token}" for token in found)
