"""
Whether an upstream's validators can be trusted: ETag and Last-Modified against the bytes that came with them.

Nothing has to be configured for it, the poller compares bytes in any case; it explains what polls cost, and is worth
telling the backend's owner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ...answers import Answer
from .samples import Sample


def judge_validators(samples: Sequence[Sample]) -> list[str]:
    """Return one sentence for each thing that is to be known about the validators of a series of polls."""
    full = [sample.answer for sample in samples if sample.answer.status != 304]
    has_etag = any(answer.validators.etag for answer in full)
    has_date = any(answer.validators.last_modified for answer in full)
    if not full:
        return []
    if not has_etag and not has_date:
        return ["neither ETag nor Last-Modified: every poll transfers the whole body, and the bytes are compared"]
    notes: list[str] = []
    if has_etag:
        notes += _judge(full, "the ETag", lambda answer: answer.validators.etag)
    if has_date:
        notes += ["Last-Modified is always the time of the answer, and so useless"] if is_always_now(full) else []
        notes += [] if notes and is_always_now(full) else _judge(
            full, "Last-Modified", lambda answer: answer.validators.last_modified
        )  # fmt: skip
    return notes + _judge_conditions(samples)


def is_always_now(answers: Sequence[Answer]) -> bool:
    """Whether Last-Modified follows the clock: another one in each answer, a few seconds old at most."""
    dated = [answer for answer in answers if answer.modified_at is not None]
    if len(dated) < 2 or dated[-1].at - dated[0].at < 2:
        return False
    return all(abs(answer.at - (answer.modified_at or 0.0)) <= 2 for answer in dated)


def _judge(answers: list[Answer], what: str, validator: Callable[[Answer], str | None]) -> list[str]:
    """Compare whether the validator changes with whether the body does."""
    pairs = [(before, after) for before, after in pairwise(answers) if validator(before) and validator(after)]
    restless = sum(before.body == after.body and validator(before) != validator(after) for before, after in pairs)
    lying = sum(before.body != after.body and validator(before) == validator(after) for before, after in pairs)
    notes = []
    if restless:
        notes.append(f"{what} changes although the body does not ({restless} of {len(pairs)} times): no use")
    if lying:
        notes.append(f"{what} stays although the body changes ({lying} of {len(pairs)} times): a 304 cannot be trusted")
    return notes


def _judge_conditions(samples: Sequence[Sample]) -> list[str]:
    """Look at the polls that said what we have already: are they answered 304, or with the same body again?"""
    asked = [
        (before.answer, after)
        for before, after in pairwise(samples)
        if after.asked_with.etag or after.asked_with.last_modified
    ]
    spared = sum(after.answer.status == 304 for _, after in asked)
    wasted = sum(before.status != 304 and before.body == after.answer.body for before, after in asked)
    if spared:
        return [f"unchanged answers are 304 ({spared} of {len(asked)} conditional polls): those cost only headers"]
    if wasted >= 2:
        return [f"conditional polls are never answered 304 ({wasted} times the same body again)"]
    return []
