"""Big answers become documents elsewhere, and nothing is told of them that does not follow from what is published."""

from __future__ import annotations

import pickle
import zlib
from typing import Any

import msgspec
import pytest

from pushgate.adapters.upstream.formats import decoder_of
from pushgate.answers import hash_of
from pushgate.config.routes import Route
from pushgate.documents.changes import Sealed
from pushgate.documents.patching import apply_patch
from pushgate.errors import PollError
from pushgate.workbench import Base, Commission, Finished, Workbench

PAD = "x" * 400


def workbench() -> Workbench:
    return Workbench(lambda recipe: decoder_of(recipe.config.format, keeps_shape=recipe.keeps_shape))


def commission(document: Any, base: Base | None = None, *, known: bytes | None = None, **route: Any) -> Commission:
    config = Route.model_validate({"upstream": "u", "emit": ["patch", "merge", "snapshot"], **route})
    return Commission(config, msgspec.json.encode(document), "application/json", 1000.0, base, known)


def sealed(finished: Finished) -> Sealed:
    assert finished.answered is not None and finished.answered.news is not None
    document = finished.answered.news.document
    assert isinstance(document, Sealed)
    return document


def base_of(finished: Finished, *, comes_along: bool = False) -> Base:
    document = sealed(finished)
    return Base(document.digest, document.snapshot if comes_along else None)


def told(finished: Finished, mode: Any) -> Any:
    telling = sealed(finished).told[mode]
    return None if telling is None else msgspec.json.decode(telling.data)


def test_the_first_document_is_told_as_a_whole() -> None:
    """There is nothing that it could be a change of."""
    finished = workbench().refine("/t", commission({"b": 1, "a": 2}))

    assert sealed(finished).snapshot == b'{"b":1,"a":2}'
    assert sealed(finished).told == {}


def test_what_leaves_is_compressed_already() -> None:
    """The document and its changes: where they go, everybody would have to wait for it."""
    bench = workbench()
    first = bench.refine("/t", commission({"pad": PAD, "rows": [0] * 300}))
    second = sealed(bench.refine("/t", commission({"pad": PAD[1:], "rows": [0] * 300}, base_of(first))))
    assert second.deflated is not None and inflated(second.deflated) == second.snapshot
    patch = pickle.loads(pickle.dumps(second, protocol=5)).told["patch"]
    assert len(patch.parcel.deflated) < patch.parcel.size / 2
    assert inflated(patch.parcel.deflated) == patch.data


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data)


def test_what_was_published_is_the_ground_of_the_next_change() -> None:
    """The gateway says only which document it is: the bench has it still."""
    bench = workbench()
    first = bench.refine("/t", commission({"n": 1, "pad": PAD}))

    second = bench.refine("/t", commission({"n": 2, "pad": PAD}, base_of(first)))

    assert told(second, "patch") == [{"op": "replace", "path": "/n", "value": 2}]
    assert told(second, "merge") == {"n": 2}
    assert "snapshot" not in sealed(second).told


def test_an_answer_that_was_not_believed_leaves_nothing() -> None:
    """What a guard holds back is forgotten as soon as the next commission names another document as published."""
    bench = workbench()
    first = bench.refine("/t", commission({"n": 1, "pad": PAD}))
    held = bench.refine("/t", commission({}, base_of(first)))

    after = bench.refine("/t", commission({"n": 3, "pad": PAD}, base_of(first)))

    assert held.answered is not None and held.answered.doubt is not None
    assert told(after, "patch") == [{"op": "replace", "path": "/n", "value": 3}]


def test_a_bench_goes_by_what_the_commission_says() -> None:
    """A reload may give a topic that goes on another end, and another place of its freshness."""
    bench = workbench()
    first = bench.refine("/t", commission({"n": 1, "pad": PAD}))

    second = bench.refine(
        "/t", commission({"n": 2, "pad": PAD}, base_of(first), poll={"until": "n == `2`", "ttl": "n"})
    )

    assert second.answered is not None and second.answered.is_last
    assert second.ttl == 2
    assert told(second, "patch") == [{"op": "replace", "path": "/n", "value": 2}]


def test_known_bytes_after_a_held_answer_do_not_make_it_believed() -> None:
    """They say that the accepted document is the current one, so the held one is not."""
    bench = workbench()
    first = bench.refine("/t", commission({"n": 1, "pad": PAD}))
    bench.refine("/t", commission({}, base_of(first)))
    known = bench.refine("/t", commission({"n": 1, "pad": PAD}, base_of(first), known=first.body_hash))

    after = bench.refine("/t", commission({"n": 3, "pad": PAD}, base_of(first)))

    assert known.answered is None
    assert told(after, "patch") == [{"op": "replace", "path": "/n", "value": 3}]


def test_a_bench_that_has_just_begun_goes_on_with_what_comes_along() -> None:
    """After the process was made anew the next change is a patch as always."""
    first = workbench().refine("/t", commission({"n": 1, "pad": PAD}))

    second = workbench().refine("/t", commission({"n": 2, "pad": PAD}, base_of(first, comes_along=True)))

    assert told(second, "patch") == [{"op": "replace", "path": "/n", "value": 2}]


def test_what_neither_is_known_nor_came_along_is_a_bug() -> None:
    """The process ends rather than tell a change from something else."""
    first = workbench().refine("/t", commission({"n": 1}))

    with pytest.raises(AssertionError):
        workbench().refine("/t", commission({"n": 2}, base_of(first)))


def test_known_bytes_are_not_read_again() -> None:
    """Not even if they are no document at all."""
    known = Commission(Route(upstream="u"), b"{", "", 0.0, None, hash_of(b"{"))

    assert workbench().refine("/t", known) == Finished(hash_of(b"{"))


def test_the_same_document_in_other_bytes_is_no_news() -> None:
    """And the bytes that it had first are those that go out."""
    bench = workbench()
    first = bench.refine("/t", commission({"a": 1, "b": 2, "pad": PAD}))
    same = bench.refine("/t", commission({"b": 2.0, "a": 1, "pad": PAD}, base_of(first)))
    third = bench.refine("/t", commission({"b": 3, "a": 1, "pad": PAD}, base_of(first)))

    assert same.answered is not None and same.answered.news is None
    assert same.made == sealed(first).digest
    assert apply_patch({"a": 1, "b": 2, "pad": PAD}, told(third, "patch")) == {"a": 1, "b": 3, "pad": PAD}


def test_a_change_that_would_not_be_smaller_is_not_told_apart() -> None:
    """The document is there anyway."""
    bench = workbench()
    first = bench.refine("/t", commission([1, 2, 3]))

    assert sealed(bench.refine("/t", commission(["a", "b", "c"], base_of(first)))).told == {}


def test_items_that_have_only_changed_their_order_say_nothing() -> None:
    """That is something else than to be told as a whole."""
    bench = workbench()
    rows = [{"id": n, "pad": PAD} for n in range(3)]
    first = bench.refine("/t", commission(rows, emit=["items", "patch"], key="id"))
    second = bench.refine("/t", commission(rows[::-1], base_of(first), emit=["items", "patch"], key="id"))

    assert sealed(second).told["items"] is None


def test_an_answer_that_is_no_good_changes_nothing() -> None:
    """It says why, and the next one is compared with what is published as before."""
    bench = workbench()
    first = bench.refine("/t", commission({"n": 1, "pad": PAD}))
    broken = commission({}, base_of(first))
    with pytest.raises(PollError) as caught:
        bench.refine("/t", Commission(broken.config, b'{"n":', "application/json", 0.0, broken.base, None))

    assert caught.value.reason == "decode"
    assert told(bench.refine("/t", commission({"n": 2, "pad": PAD}, base_of(first))), "patch")


def test_a_topic_that_is_gone_has_no_past() -> None:
    """Its next document is told as a whole."""
    bench = workbench()
    bench.refine("/t", commission({"n": 1, "pad": PAD}))

    assert sealed(bench.refine("/t", commission({"n": 2, "pad": PAD}, None))).told == {}


def test_topics_are_told_apart_and_forgotten() -> None:
    """What is forgotten has to come along again."""
    bench = workbench()
    first = bench.refine("/a", commission({"n": 1, "pad": PAD}))
    bench.refine("/b", commission({"n": 5, "pad": PAD}))
    bench.forget("/a")

    with pytest.raises(AssertionError):
        bench.refine("/a", commission({"n": 2, "pad": PAD}, base_of(first)))


def test_large_bytes_travel_beside_the_pickle() -> None:
    """Packing an answer or a document copies none of it."""
    for value in (commission(PAD, Base("d", PAD.encode())), Sealed(PAD.encode(), "d", 400), Base("d", None)):
        large: list[pickle.PickleBuffer] = []
        packed = pickle.dumps(value, protocol=5, buffer_callback=large.append)
        assert PAD.encode() not in packed
        assert pickle.loads(packed, buffers=[bytes(buffer) for buffer in large]) == value
        assert pickle.loads(pickle.dumps(value, protocol=5)) == value
