"""What was found, as lines of a route: each with its reason, and the notes that no line can say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ...values import Json
from .formats import kind_of, media_type
from .keys import Names
from .noise import Noise
from .reading import Reading, changes_of, without
from .rhythm import Tempo
from .samples import Finding, Format, Sample, Version
from .strands import ANY, Place, Weave, pointer

_MAX_QUIET = 5


def ignores(ignored: list[Noise], tempo: Tempo) -> Iterator[Finding]:
    if ignored:
        reasons = "; ".join(f"{each.pointer} {each.reason}" for each in ignored)
        nothing = "" if tempo.changes else "; nothing else changed"
        yield Finding(("ignore",), [each.pointer for each in ignored], reasons + nothing)


def quiet(
    proposed: list[Noise], ignored: list[Noise], versions: list[Version], documents: list[Json]
) -> Iterator[Finding]:
    """Propose what may ride along with other changes, if there are changes that are nothing but it."""
    proposed = proposed[:_MAX_QUIET]
    if not proposed or len(documents) < 2:
        return
    fewer = changes_of(versions, without(versions, [*ignored, *proposed]))
    spared = len(changes_of(versions, documents)) - len(fewer)
    if spared:
        reasons = "; ".join(f"{each.pointer} {each.reason}" for each in proposed)
        words = f"{reasons}. {spared} changes were nothing else: with this, it only rides along with others"
        yield Finding(("quiet",), {each.pointer: "any" for each in proposed}, words, is_optional=True)


def ttl_of(document: Json) -> float | None:
    """Return the freshness in seconds that a body tells at its top, as GBFS does."""
    ttl = document.get("ttl") if isinstance(document, dict) else None
    return float(ttl) if isinstance(ttl, int | float) and not isinstance(ttl, bool) and 0 < ttl < 1e6 else None


def freshness(reading: Reading) -> Iterator[Finding]:
    if ttl_of(reading.versions[-1].document) is not None:
        yield Finding(("poll", "ttl"), "ttl", "the body tells for how long it is fresh: no poll is due before")


def guards(reading: Reading, woven: Weave) -> Iterator[Finding]:
    types = sorted({media_type(answer) for answer in reading.answers} - {""})
    kind = kind_of(reading.form)
    if types and not (any("html" in each for each in types) and kind != "html"):
        value = types[0] if len(types) == 1 else types
        yield Finding(("guards", "content_type"), value, "an answer of another type is an apology or a login page")
    is_keyed = any(key.names for key in woven.keys.values())
    if is_keyed and not any(_is_empty(version.document, woven) for version in reading.versions):
        yield Finding(("guards", "empty"), "confirm", "there was always something: an empty answer is asked again")


def _is_empty(document: Json, woven: Weave) -> bool:
    return not document or any(_stands_empty(document, place) for place in woven.keys if ANY not in place)


def _stands_empty(document: Json, place: Place) -> bool:
    value: Any = document
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value in (None, [])


def format_words(formatted: Finding, form: Format) -> str:
    if isinstance(form, str) or "force_list" not in form:
        return formatted.reason
    return f"{formatted.reason}; what repeats is a list even when there is one"


def keys_found(woven: Weave) -> list[Finding]:
    """Return one key for all arrays if there is one that is right for all, else one for each pointer."""
    found = {place: key for place, key in sorted(woven.keys.items()) if key.names}
    if not found:
        return []
    reasons: dict[str, list[str]] = defaultdict(list)
    for place, key in found.items():
        reasons[key.reason].append(pointer(place) or "the answer")
    reason = "; ".join(f"{', '.join(places)}: {why}" for why, places in reasons.items())
    common = [names for names in next(iter(found.values())).fits if all(names in key.fits for key in found.values())]
    others = [key for key in woven.keys.values() if not key.names]
    sound = [names for names in common if not any(" + ".join(names) in key.traps for key in others)]
    if sound:
        only = min(sound, key=lambda names: sum(key.fits.index(names) for key in found.values()))
        return [Finding(("key",), _one(only), reason)]
    return [Finding(("key",), {pointer(place): _one(key.names) for place, key in found.items()}, reason)]


def _one(names: Names | None) -> str | list[str]:
    assert names, "only arrays with a key come here"
    return names[0] if len(names) == 1 else list(names)


def key_notes(woven: Weave, reading: Reading) -> Iterator[str]:
    if kind_of(reading.form) == "html":
        return  # what repeats is not known before the selectors are written
    for place, key in sorted(woven.keys.items()):
        where = pointer(place) or "the answer"
        if key.names is None:
            yield f"{where}: {key.reason}; it is compared by content and place"
        elif key.traps:
            traps = ", ".join(key.traps)
            yield f"{where}: {traps} would be a trap, as a key it only says where an item stands"


def worth(samples: Sequence[Sample], pushed: int, changes: int) -> Iterator[str]:
    polled = sum(len(sample.answer.body) for sample in samples)
    if changes > 1 and pushed > 0.8 * polled:
        yield "a change is nearly as large as the answer: a `select:` of what clients need would save most of it"
