"""
The samples of a probe as documents: decoded once for each body that is not the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec

from ...answers import Answer
from ...documents.equality import same
from ...documents.selecting import Ignore
from ...errors import PollError, PollFailureReason
from ...values import Json
from .formats import kind_of, with_lists
from .noise import Noise
from .samples import Decode, Format, Sample, Version
from .strands import Weave, weave

# Of a long series of large bodies the latest are enough.
_MAX_BYTES = 24_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """The samples as documents. ``refused`` counts polls without a document by what was wrong."""

    form: Format
    answers: list[Answer]  # those with a document, repeated ones too
    versions: list[Version]
    refused: dict[str, int]


def latest(samples: Sequence[Sample]) -> list[Sample]:
    kept: list[Sample] = []
    size = 0
    for sample in reversed(samples):
        size += len(sample.answer.body)
        if size > _MAX_BYTES and len(kept) > 2:
            break
        kept.append(sample)
    return kept[::-1]


def read(samples: list[Sample], form: Format, decode: Decode) -> tuple[Reading, Weave]:
    """Decode; XML a second time if elements repeat, so that they are lists in every answer."""
    reading = _read_all(samples, form, decode)
    woven = weave([version.document for version in reading.versions])
    if kind_of(form) == "xml" and (repeated := _always_lists(woven)):
        form = with_lists(form, repeated)
        reading = _read_all(samples, form, decode)
        woven = weave([version.document for version in reading.versions])
    return reading, woven


def _always_lists(woven: Weave) -> list[str]:
    """Return the names that are lists wherever they stand: to force a name is to force it everywhere."""
    single = {place[-1] for place in (woven.leaves.keys() | woven.objects) - woven.lists if place}
    return [name for name in {place[-1] for place in woven.lists if place} if name not in single]


def _read_all(samples: list[Sample], form: Format, decode: Decode) -> Reading:
    reading = Reading(form, [], [], {})
    before = samples[0].answer.at
    failure: PollError | None = None
    for number, sample in enumerate(samples):
        try:
            _read_one(reading, sample, form, decode, before, number)
        except PollError as error:
            failure = error
            reading.refused[error.reason] = reading.refused.get(error.reason, 0) + 1
        before = sample.answer.at
    if not reading.versions:
        assert failure is not None, "nothing was read, and nothing was wrong"
        raise failure
    return reading


def _read_one(reading: Reading, sample: Sample, form: Format, decode: Decode, before: float, number: int) -> None:
    answer = sample.answer
    if answer.status == 304:
        reading.answers.extend(reading.answers[-1:])
        return
    if not 200 <= answer.status < 300:
        raise PollError(_reason(answer.status), f"the upstream answered {answer.status}")
    if reading.answers and reading.answers[-1].body == answer.body:
        reading.answers.append(answer)
        return
    document = decode(form, answer)
    reading.answers.append(answer)
    reading.versions.append(Version(answer.at, before, number, document))


def _reason(status: int) -> PollFailureReason:
    if status == 429:
        return "rate_limited"
    if status in (401, 403):
        return "upstream_auth"
    return "http_5xx" if status >= 500 else "http_4xx" if status >= 400 else "protocol"


def without(versions: list[Version], ignored: list[Noise]) -> list[Json]:
    """Return the documents without what is ignored; the versions keep theirs."""
    if not ignored:
        return [version.document for version in versions]
    ignore = Ignore([each.pointer for each in ignored])
    return [ignore(msgspec.json.decode(msgspec.json.encode(version.document))) for version in versions]


def changes_of(versions: list[Version], documents: list[Json]) -> list[tuple[float, float]]:
    """Return between which two polls each change fell."""
    pairs = pairwise(zip(versions, documents, strict=True))
    return [(version.before, version.at) for (_, old), (version, new) in pairs if not same(old, new)]


def distinct(versions: list[Version], documents: list[Json]) -> list[Version]:
    """Return the versions with these documents instead of theirs, each once in a row."""
    found: list[Version] = []
    for version, document in zip(versions, documents, strict=True):
        if not found or not same(found[-1].document, document):
            found.append(replace(version, document=document))
    return found


def refusals(reading: Reading) -> Iterator[str]:
    for reason, count in reading.refused.items():
        yield f"{count} of the polls yielded no document ({reason}); subscribers keep the last good one meanwhile"
