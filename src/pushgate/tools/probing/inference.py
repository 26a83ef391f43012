"""
From the samples of a probe to a route: what each module of this package finds, put together.

The order matters: the format says what the values are, the keys say which items are the same, the noise says which
changes are none, and what is left says how often the document changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

import msgspec

from ...answers import Answer
from ...documents.diffing import compare
from ...documents.keys import Keys
from ...errors import PollError
from ...values import Json
from .advice import format_words, freshness, guards, ignores, key_notes, keys_found, quiet, ttl_of, worth
from .formats import find_format
from .honesty import is_always_now, judge_validators
from .moments import moment_of
from .noise import Noise, find_noise
from .paging import find_pages
from .reading import Reading, changes_of, distinct, latest, read, refusals, without
from .rhythm import Tempo, find_rhythm, interval, transport
from .samples import Decode, Finding, Report, Sample
from .strands import MISSING, weave


def infer(samples: Sequence[Sample], decode: Decode) -> Report:
    """
    Return what the samples say about a route, in the order of a gateway.yaml.

    Raises PollError: that of the last answer if none could be decoded, or ``protocol`` if there is no answer at all.
    """
    samples = latest(samples)
    good = [sample.answer for sample in samples if 200 <= sample.answer.status < 300 and sample.answer.body]
    if not good:
        raise PollError("protocol", "there was no answer with a body to look at")
    formatted = find_format(good)
    reading, woven = read(samples, formatted.value, decode)
    noise = find_noise(woven, reading.versions, polls=len(reading.answers))
    ignored = _settled(noise, reading)
    documents = without(reading.versions, ignored)
    changes = changes_of(reading.versions, documents)
    proposed = _proposed(noise, ignored, reading, documents)
    keyed = keys_found(woven)
    tempo = _tempo(samples, reading, _unwatched(noise, ignored, reading), ignored)
    rhythm = find_rhythm(tempo)
    findings = [
        interval(tempo, rhythm),
        *freshness(reading),
        Finding(formatted.path, reading.form, format_words(formatted, reading.form)),
        *ignores(ignored, tempo),
        *guards(reading, woven),
        *keyed,
        *quiet(proposed, ignored, reading.versions, documents),
        transport(tempo, rhythm),
        *find_pages(reading.answers, woven, documents[-1]),
    ]
    pushed = _pushed(documents, keyed)
    costs = worth(samples, pushed, len(changes))
    return Report(
        polls=len(samples),
        seconds=samples[-1].answer.at - samples[0].answer.at,
        changes=len(changes),
        polled_bytes=sum(len(sample.answer.body) for sample in samples),
        pushed_bytes=pushed,
        findings=tuple(findings),
        notes=(*refusals(reading), *judge_validators(samples), *key_notes(woven, reading), *costs),
    )


def _settled(noise: list[Noise], reading: Reading) -> list[Noise]:
    """Return what is ignored for good: what is no clock is not, if nothing else ever changes."""
    ignored = [each for each in noise if each.is_ignored]
    clocks = [each for each in ignored if each.kind == "clock"]
    if len(clocks) == len(ignored):
        return ignored
    documents = without(reading.versions, ignored)
    return ignored if changes_of(reading.versions, documents) else clocks


def _unwatched(noise: list[Noise], ignored: list[Noise], reading: Reading) -> list[tuple[float, float]]:
    """Return the changes that would be there without us: a counter of our own requests changes because we look."""
    ours = [each for each in noise if each.kind == "polls"]
    return changes_of(reading.versions, without(reading.versions, [*ignored, *ours]))


def _proposed(noise: list[Noise], ignored: list[Noise], reading: Reading, documents: list[Json]) -> list[Noise]:
    """
    Return what may be quiet: what was found and is not ignored, and what a second look finds.

    A clock that ticks with every update, and not with every answer, is only seen once the latter are out of the way.
    """
    found = {each.pointer: each for each in noise if each not in ignored}
    if ignored:
        versions = distinct(reading.versions, documents)
        again = find_noise(weave([version.document for version in versions]), versions, polls=len(reading.answers))
        found |= {each.pointer: replace(each, is_ignored=False) for each in again if each.is_ignored}
    return list(found.values())


def _tempo(samples: list[Sample], reading: Reading, changes: list[tuple[float, float]], ignored: list[Noise]) -> Tempo:
    answers = reading.answers
    stamps, unchanged_for = _modified(answers)
    refused = [sample.answer for sample in samples if sample.answer.status == 429]
    fresh = [answer.fresh_for for answer in answers if answer.fresh_for is not None]
    if (ttl := ttl_of(reading.versions[-1].document)) is not None:
        fresh.append(ttl)
    return Tempo(
        polls=len(answers),
        span=answers[-1].at - answers[0].at,
        changes=changes,
        stamps=stamps or _ticks(ignored, len(answers)),
        fresh_for=max(fresh, default=None),
        unchanged_for=unchanged_for if not changes else None,
        seconds=median(sample.seconds for sample in samples),
        least=max([10.0, *(answer.retry_after or 0.0 for answer in refused)]) if refused else 0.0,
    )


def _modified(answers: list[Answer]) -> tuple[list[float], float | None]:
    """Return the moments of changes by Last-Modified, and how old the last one is; nothing if it just follows now."""
    dated = [answer.modified_at for answer in answers if answer.modified_at is not None]
    if not dated or is_always_now(answers):
        return [], None
    return sorted(set(dated)), max(0.0, answers[-1].at - dated[-1])


def _ticks(ignored: list[Noise], polls: int) -> list[float]:
    """Return the moments of a clock in the body that stands still between two updates of the document."""
    for noise in ignored:
        if noise.kind == "clock" and len(noise.strands) == 1:
            moments = {moment_of(value) for value in noise.strands[0].values if value is not MISSING}
            found = sorted(moment for moment in moments if moment is not None)
            if 2 < len(found) <= 0.6 * polls:
                return found
    return []


def _pushed(documents: list[Json], keyed: list[Finding]) -> int:
    """Return the bytes of the first document and of the patches from then on, or of documents that are shorter."""
    keys = Keys.of(keyed[0].value if keyed else None)
    size = len(msgspec.json.encode(documents[0]))
    for old, new in pairwise(documents):
        difference = compare(old, new, keys=keys)
        if difference is not None:
            size += min(len(msgspec.json.encode(difference.patch)), len(msgspec.json.encode(new)))
    return size
