"""
The differ against all comers: whatever two documents are, what a client rebuilds is the new one.

Documents are made related: most of the time the second is the first one with some edits. They hold what differs in type
only (0 and false, 1 and 1.0, "1" and 1), integers beyond 64 bits, names with ``/`` and ``~``, empty names, keys that
repeat or are missing, and arrays in arrays. ``jsonpatch`` applies every patch as a second opinion.
"""

from __future__ import annotations

import copy
import os
import re
from random import Random
from typing import Any

import jsonpatch
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from pushgate.documents.diffing import INEXPRESSIBLE, compare, items_changes, merge_patch, prove
from pushgate.documents.equality import digest, same
from pushgate.documents.keys import NO_KEYS, Keys
from pushgate.documents.ordering import Unordered
from pushgate.documents.patching import apply_merge, apply_patch, escape
from pushgate.documents.quieting import Quiet, Tolerance
from pushgate.documents.selecting import find
from pushgate.values import Json

SOAK = os.environ.get("PUSHGATE_SOAK") == "1"
NAMES = ["", "a", "b", "a/b", "m~n", "~1", "id", "__proto__", "é", "0", "-"]
SCALARS: list[Json] = [0, 1, True, False, None, 1.0, 0.0, -0.0, 2.5, "", "1", "x.0,", "é", 2**70, 2**53 + 1, 2.0**53]
SCALARS += [1e22, 10**22, -1e16, -(10**16), 3, 4, 5]
ID = Keys.of("id")
KEYS = [
    ID,
    NO_KEYS,
    Keys.of(("id", "a")),
    Keys.of(("id",)),
    Keys.of({"": "id", "/*/a": ("id",), "/a~1b": ("b", "id")}),
    Keys.of({"/*": "id", "/*/*": "a", "/0/a": "id"}),
    Keys.of({}),
]
# No index among them: where order means nothing, it does not either.
POINTERS = ["", "/*", "/a", "/b", "/a~1b", "/*/a", "/*/b", "/m~0n/*", "/a/*", "/*/*", "/*/*/a", "/id/*/*", "//*"]


# A seed for each example, which is five times as fast as dice that Hypothesis throws one by one, and makes documents of
# any size. Only the latter can be shrunk: a soak throws them, so what fails is best looked at with PUSHGATE_SOAK=1.
DICE = st.randoms(use_true_random=not SOAK)


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
    if depth <= 0 or kind < 0.2:
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
    dice = draw(DICE)
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


def check(old: Json, new: Json, keys: Keys) -> None:
    """Everything that is promised of one comparison."""
    before, after = copy.deepcopy(old), copy.deepcopy(new)
    is_same = exactly_same(old, new)
    assert same(old, new) == is_same
    found = compare(old, new, keys=keys)
    assert (found is None) == is_same
    if found is not None:
        patch = copy.deepcopy(found.patch)
        assert exactly_same(apply_patch(old, found.patch), after)
        assert prove(old, found.patch, found.document)
        assert exactly_same(found.document, after)
        assert exactly_same(jsonpatch.apply_patch(copy.deepcopy(before), copy.deepcopy(patch)), after)
        assert compare(found.document, after, keys=keys) is None
        assert exactly_same(found.patch, patch), "applying a patch changes the patch"
        assert len(found.keyless) == min(found.keyless_count, 5)
        assert all(isinstance(find(found.document, pointer), list) for pointer in found.keyless)
        event(" ".join(sorted({str(operation["op"]) for operation in patch})))
    assert exactly_same(old, before) and exactly_same(new, after), "a comparison changes neither document"


@examples(4_500)
@given(pairs(), st.sampled_from(KEYS))
@example(([{"id": 1}, {"id": True}], [{"id": True}, {"id": 1.0}]), ID)
@example(([0] * 20 + [False], [False] + [0] * 20), NO_KEYS)
def test_a_patch_rebuilds_the_new_document(pair: tuple[Json, Json], keys: Keys) -> None:
    """By our own application, by jsonpatch's, and neither document nor patch is changed on the way."""
    check(*pair, keys)


@examples(1_500)
@given(JSON, JSON, st.sampled_from(KEYS))
def test_a_patch_rebuilds_any_document_from_any_other(old: Json, new: Json, keys: Keys) -> None:
    """Related or not, whatever Hypothesis finds."""
    check(old, new, keys)


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
@given(pairs(), st.sampled_from(["id", ("id",), ("id", "a")]))
def test_changed_items_rebuild_the_new_set(pair: tuple[Json, Json], key: str | tuple[str, ...]) -> None:
    """A client that keeps items by key holds the new array's items, in whatever order."""
    old, new = pair
    changes = items_changes(old, new, keys=Keys.of(key))
    if changes is None or not isinstance(old, list) or not isinstance(new, list):
        return

    def name(item: Any) -> str:
        return digest(item[key] if isinstance(key, str) else [item[member] for member in key])

    held = {name(item): item for item in old}
    for gone in changes.deleted:
        del held[digest(gone)]
    for item in [*changes.created, *changes.updated]:
        held[name(item)] = item
    assert len(held) == len(new)
    assert all(exactly_same(held[name(item)], item) for item in new)


@examples(1_500)
@given(pairs(), st.sampled_from([ID, NO_KEYS]))
def test_what_is_the_same_is_shared(pair: tuple[Json, Json], keys: Keys) -> None:
    """A member that did not change is the old object, and so is a keyed row, wherever it went."""
    old, new = pair
    found = compare({"a": old, "stays": old}, {"a": new, "stays": copy.deepcopy(old)}, keys=keys)
    if found is None or not isinstance(found.document, dict):
        return
    assert found.document["stays"] is old
    changes, settled = items_changes(old, new, keys=ID), found.document["a"]
    if keys is NO_KEYS or changes is None or not isinstance(old, list) or not isinstance(settled, list):
        return
    elders = {id(item) for item in old}
    assert sum(id(item) not in elders for item in settled) == len(changes.created) + len(changes.updated)


@examples(1_500)
@given(pairs())
def test_digests_are_equal_for_the_same_documents_only(pair: tuple[Json, Json]) -> None:
    """64 bits do not collide by chance among so few."""
    old, new = pair
    assert (digest(old) == digest(new)) == exactly_same(old, new)


def addressed(path: str, pointers: list[str]) -> bool:
    """Whether any of the pointers addresses a path, as plainly as it can be decided."""
    return any(re.fullmatch(re.escape(pointer).replace(r"\*", "[^/]*"), path) for pointer in pointers)


def members(value: Json, path: str) -> list[tuple[str, str | int, Json]]:
    """The paths, names or indexes, and values of what a container holds."""
    if isinstance(value, dict):
        return [(f"{path}/{escape(name)}", name, member) for name, member in value.items()]
    return [(f"{path}/{at}", at, item) for at, item in enumerate(value)] if isinstance(value, list) else []


def rebuilt(value: Json, inner: list[tuple[str | int, Json]]) -> Json:
    return {str(name): member for name, member in inner} if isinstance(value, dict) else [item for _, item in inner]


def in_one_order(value: Json, pointers: list[str], path: str = "") -> Json:
    """The document with all arrays sorted whose order means nothing."""
    if not isinstance(value, dict | list):
        return value
    inner = [(name, in_one_order(member, pointers, inside)) for inside, name, member in members(value, path)]
    result = rebuilt(value, inner)
    return sorted(result, key=digest) if isinstance(result, list) and addressed(path, pointers) else result


def without(value: Json, pointers: list[str], path: str = "") -> Json:
    """The document with one and the same text for every member that the pointers address."""
    if addressed(path, pointers):
        return "quiet"
    if not isinstance(value, dict | list):
        return value
    return rebuilt(value, [(name, without(member, pointers, inside)) for inside, name, member in members(value, path)])


@st.composite
def reordered(draw: st.DrawFn) -> tuple[Json, Json, list[str]]:
    """Two documents and pointers; often the second one is the first one in another order, and often with edits, too."""
    dice = draw(DICE)
    old = document(dice)
    pointers = dice.sample(POINTERS, dice.randint(1, 4))
    new = edited(dice, old) if dice.random() < 0.6 else old
    return old, shuffled(dice, copy.deepcopy(new), pointers), pointers


def shuffled(dice: Random, value: Json, pointers: list[str], path: str = "") -> Json:
    if not isinstance(value, dict | list):
        return value
    inner = [(name, shuffled(dice, member, pointers, inside)) for inside, name, member in members(value, path)]
    result = rebuilt(value, inner)
    if isinstance(result, list) and addressed(path, pointers):
        dice.shuffle(result)
    return result


@examples(1_500)
@given(reordered(), st.sampled_from(KEYS))
def test_an_order_that_means_nothing_is_no_change(case: tuple[Json, Json, list[str]], keys: Keys) -> None:
    """Documents are unchanged exactly if they are the same in any order; otherwise only orders were arranged."""
    old, new, pointers = case
    before, after = copy.deepcopy(old), copy.deepcopy(new)
    unordered = Unordered(pointers, keys=keys)
    arranged = unordered.arrange(old, new)
    assert exactly_same(old, before) and exactly_same(new, after), "nothing is changed in place"
    is_same = exactly_same(in_one_order(old, pointers), in_one_order(new, pointers))
    assert (compare(old, arranged, keys=keys) is None) == is_same
    assert exactly_same(in_one_order(arranged, pointers), in_one_order(new, pointers))
    assert exactly_same(unordered.arrange(arranged, new), arranged), "said again, it is no change"
    check(old, arranged, keys)
    event(f"unchanged: {is_same}")


@examples(1_500)
@given(pairs(), DICE, st.sampled_from(["any", 1.0]))
def test_only_quiet_members_are_hidden(pair: tuple[Json, Json], dice: Random, tolerance: Tolerance) -> None:
    """Exactly the documents that are the same without them, if they may be anything; no others, if they may not."""
    old, new = pair
    pointers = dice.sample(POINTERS[1:], dice.randint(1, 4))
    if dice.random() < 0.5:
        old, new = {"a": old, "b": 1, "x": 1}, {"a": new, "b": dice.choice([1, 2, 3, True]), "x": 1}
    is_hidden = Quiet(dict.fromkeys(pointers, tolerance)).hides(old, new)
    is_same = exactly_same(without(old, pointers), without(new, pointers))
    assert not is_hidden or is_same
    assert tolerance != "any" or is_hidden == is_same
    event(f"hidden: {is_hidden}, the same: {exactly_same(old, new)}")
