"""
The differ against all comers: whatever two documents are, what a client rebuilds is the new one.

Documents are made related: most of the time the second is the first one with some edits. They hold what differs in type
only (0 and false, 1 and 1.0, "1" and 1), integers beyond 64 bits, names with ``/`` and ``~``, empty names, keys that
repeat or are missing, and arrays in arrays. ``jsonpatch`` applies every patch as a second opinion.
"""

from __future__ import annotations

import copy
import os
from random import Random
from typing import Any

import jsonpatch
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from pushgate.diffing import INEXPRESSIBLE, compare, items_changes, merge_patch, prove
from pushgate.equality import digest, same
from pushgate.patching import apply_merge, apply_patch
from pushgate.values import Json

SOAK = os.environ.get("PUSHGATE_SOAK") == "1"
NAMES = ["", "a", "b", "a/b", "m~n", "~1", "id", "__proto__", "é", "0", "-"]
SCALARS: list[Json] = [0, 1, True, False, None, 1.0, 0.0, -0.0, 2.5, "", "1", "x.0,", "é", 2**70, 2**53 + 1, 2.0**53]
SCALARS += [1e22, 10**22, -1e16, -(10**16), 3, 4, 5]


def examples(number: int) -> settings:
    """So many examples, the same ones at each run; ten times as many, and new ones, for a soak."""
    too_slow = [HealthCheck.too_slow]
    return settings(
        max_examples=number * (10 if SOAK else 1), deadline=None, derandomize=not SOAK, suppress_health_check=too_slow
    )


def scalar(dice: Random) -> Json:
    return dice.choice(SCALARS) if dice.random() < 0.8 else dice.randint(0, 30)


def document(dice: Random, depth: int = 3) -> Json:
    kind = dice.random()
    if depth == 0 or kind < 0.2:
        return scalar(dice)
    if kind < 0.6:
        return table(dice, depth)
    if kind < 0.75:
        return [document(dice, depth - 1) for _ in range(dice.randint(0, 6))]
    return {dice.choice(NAMES): document(dice, depth - 1) for _ in range(dice.randint(0, 5))}


def table(dice: Random, depth: int) -> Json:
    """Rows, mostly with unique keys; long enough now and then to be judged many at a time."""
    length = dice.choice([1, 3, 6, 6, 12, 40])
    keys: list[Json] = [*range(length)] if dice.random() < 0.7 else [scalar(dice) for _ in range(length)]
    return [{"id": key, dice.choice(NAMES): document(dice, min(depth - 1, 1))} for key in keys]


def edited(dice: Random, value: Json, depth: int = 3) -> Json:
    """The same value with some edits; parts that stay the same are shared or copied, as it comes."""
    if dice.random() < 0.07:
        return document(dice, min(depth, 1))
    if isinstance(value, list):
        return edited_array(dice, value, depth)
    if isinstance(value, dict):
        return edited_object(dice, value, depth)
    return respelled(dice, value)


def edited_array(dice: Random, array: list[Json], depth: int) -> Json:
    result = [edited(dice, item, depth - 1) if dice.random() < 0.2 else copy.deepcopy(item) for item in array]
    for _ in range(dice.choice([0, 0, 1, 1, 2, 4])):
        place = dice.randint(0, len(result))
        if place == len(result) or dice.random() < 0.3:
            result.insert(place, dice.choice(result) if result and dice.random() < 0.4 else document(dice, 1))
        elif dice.random() < 0.5:
            result.insert(dice.randint(0, len(result) - 1), result.pop(place))
        else:
            del result[place]
    if dice.random() < 0.1:
        dice.shuffle(result)
    return result


def edited_object(dice: Random, members: dict[str, Json], depth: int) -> Json:
    names = list(members)
    if dice.random() < 0.2:
        dice.shuffle(names)
    result = {name: edited(dice, members[name], depth - 1) if dice.random() < 0.4 else members[name] for name in names}
    if names and dice.random() < 0.2:
        del result[dice.choice(names)]
    if dice.random() < 0.2:
        result[dice.choice(NAMES)] = document(dice, 1)
    return result


def respelled(dice: Random, value: Json) -> Json:
    """A scalar as something that looks or counts like it, or another one."""
    if isinstance(value, bool | int | float) and abs(value) < 2**60 and dice.random() < 0.5:
        return dice.choice([float(value), int(value), bool(value), str(value)])
    return scalar(dice) if dice.random() < 0.5 else value


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Json, Json]:
    dice = draw(st.randoms(use_true_random=False))
    old = document(dice)
    new = edited(dice, old) if dice.random() < 0.95 else document(dice)
    return old, copy.deepcopy(new)


JSON = st.recursive(
    st.sampled_from(SCALARS) | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=8,
)


def exactly_same(one: Any, other: Any) -> bool:
    """The definition of equality, as plainly as it can be written."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(exactly_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(exactly_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def containers(value: Json) -> list[Json]:
    """Every object and array in a document, the document included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    below = [container for child in inner for container in containers(child)]
    return [value, *below] if isinstance(value, dict | list) else below


def check(old: Json, new: Json, key: str | None) -> None:
    """Everything that is promised of one comparison."""
    before, after = copy.deepcopy(old), copy.deepcopy(new)
    is_same = exactly_same(old, new)
    assert same(old, new) == is_same
    found = compare(old, new, key=key)
    assert (found is None) == is_same
    if found is not None:
        patch = copy.deepcopy(found.patch)
        assert exactly_same(apply_patch(old, found.patch), after)
        assert prove(old, found.patch, found.document)
        assert exactly_same(found.document, after)
        assert exactly_same(jsonpatch.apply_patch(copy.deepcopy(before), copy.deepcopy(patch)), after)
        assert compare(found.document, after, key=key) is None
        assert exactly_same(found.patch, patch), "applying a patch changes the patch"
        event(" ".join(sorted({str(operation["op"]) for operation in patch})))
    assert exactly_same(old, before) and exactly_same(new, after), "a comparison changes neither document"


@examples(4_500)
@given(pairs(), st.sampled_from(["id", None]))
@example(([{"id": 1}, {"id": True}], [{"id": True}, {"id": 1.0}]), "id")
@example(([0] * 20 + [False], [False] + [0] * 20), None)
def test_a_patch_rebuilds_the_new_document(pair: tuple[Json, Json], key: str | None) -> None:
    """By our own application, by jsonpatch's, and neither document nor patch is changed on the way."""
    check(*pair, key)


@examples(1_500)
@given(JSON, JSON, st.sampled_from(["id", None]))
def test_a_patch_rebuilds_any_document_from_any_other(old: Json, new: Json, key: str | None) -> None:
    """Related or not, whatever Hypothesis finds."""
    check(old, new, key)


@examples(1_500)
@given(pairs())
def test_a_merge_patch_rebuilds_the_new_document_or_says_that_it_cannot(pair: tuple[Json, Json]) -> None:
    """It says so exactly if the new document is no object, or sets a null where there was none."""
    old, new = pair
    patch = merge_patch({"document": old}, {"document": new})
    if patch is not INEXPRESSIBLE:
        assert exactly_same(apply_merge({"document": old}, patch), {"document": new})
    else:
        assert any(
            None in container.values() for container in containers({"document": new}) if isinstance(container, dict)
        )


@examples(1_500)
@given(pairs())
def test_changed_items_rebuild_the_new_set(pair: tuple[Json, Json]) -> None:
    """A client that keeps items by key holds the new array's items, in whatever order."""
    old, new = pair
    changes = items_changes(old, new, key="id")
    if changes is None or not isinstance(old, list) or not isinstance(new, list):
        return
    held = {digest(item["id"]): item for item in old if isinstance(item, dict)}
    for key in changes.deleted:
        del held[digest(key)]
    for item in [*changes.created, *changes.updated]:
        assert isinstance(item, dict)
        held[digest(item["id"])] = item
    assert len(held) == len(new)
    assert all(exactly_same(held[digest(item["id"])], item) for item in new if isinstance(item, dict))


@examples(1_500)
@given(pairs(), st.sampled_from(["id", None]))
def test_what_is_the_same_is_shared(pair: tuple[Json, Json], key: str | None) -> None:
    """A member that did not change is the old object, and so is a keyed row, wherever it went."""
    old, new = pair
    found = compare({"a": old, "stays": old}, {"a": new, "stays": copy.deepcopy(old)}, key=key)
    if found is None or not isinstance(found.document, dict):
        return
    assert found.document["stays"] is old
    changes, settled = items_changes(old, new, key="id"), found.document["a"]
    if key is None or changes is None or not isinstance(old, list) or not isinstance(settled, list):
        return
    elders = {id(item) for item in old}
    assert sum(id(item) not in elders for item in settled) == len(changes.created) + len(changes.updated)


@examples(1_500)
@given(pairs())
def test_digests_are_equal_for_the_same_documents_only(pair: tuple[Json, Json]) -> None:
    """64 bits do not collide by chance among so few."""
    old, new = pair
    assert (digest(old) == digest(new)) == exactly_same(old, new)
