"""What is kept of an answer decides what the next poll asks with, and what is not parsed again."""

from __future__ import annotations

from dataclasses import replace

from pushgate.answers import NO_VALIDATORS, SETTLED_AFTER, Accepted, Answer, hash_of
from pushgate.values import Validators

BOTH = Validators(etag='"1"', last_modified="Mon, 05 Jan 2026 06:00:00 GMT")


def answer(body: bytes = b"{}", validators: Validators = BOTH, status: int = 200) -> Answer:
    return Answer(status, "application/json", body, validators, 1.0)


def accepted(answer: Answer, *, with_body: bool = False) -> Accepted:
    return Accepted.of(answer, hash_of(answer.body), with_body=with_body)


def test_an_accepted_answer_leaves_its_validators() -> None:
    """A new answer replaces both: one that it does not have belongs to a representation that is no more."""
    only_etag = Validators(etag='"2"')

    assert accepted(answer()).validators == BOTH
    assert accepted(answer(b"[]", only_etag)).validators == only_etag


def test_not_modified_may_bring_a_new_value_for_one_validator() -> None:
    """Each is updated on its own; the other stays as it was."""
    kept = accepted(answer())

    confirmed = kept.confirmed_by(answer(b"", Validators(etag='"2"'), status=304), None)

    assert confirmed.validators == Validators('"2"', BOTH.last_modified)
    assert kept.confirmed_by(answer(b"", NO_VALIDATORS, status=304), None) == kept


def test_the_same_bytes_bring_their_own_validators() -> None:
    """An ETag that changes while the body does not is no change, but it is what to ask with."""
    kept = accepted(answer())
    again = answer(validators=Validators(etag='"2"'))

    assert kept.confirmed_by(again, hash_of(again.body)).validators == Validators(etag='"2"')
    assert kept.confirmed_by(again, hash_of(b"{ }")) == kept


def test_a_document_that_has_just_changed_may_do_so_again_in_the_same_second() -> None:
    """Its Last-Modified would be that of the next one too, and a 304 for it a lie; later it is asked with."""
    fresh = replace(answer(), modified_at=0.5)
    settled = replace(answer(), at=0.5 + SETTLED_AFTER, modified_at=0.5)

    kept = accepted(fresh)

    assert kept.validators == Validators(BOTH.etag)
    assert kept.confirmed_by(replace(fresh, status=304), None).validators == Validators(BOTH.etag)
    assert kept.confirmed_by(replace(settled, status=304), None).validators == BOTH
    assert kept.confirmed_by(settled, hash_of(settled.body)).validators == BOTH


def test_a_304_that_does_not_say_how_long_it_is_good_for_renews_what_was_said() -> None:
    """RFC 9111 section 4.3.4: what it leaves out stays as it was, and what it says replaces it."""
    kept = accepted(replace(answer(), fresh_for=60.0, renewable_for=60.0))
    silent = replace(answer(), status=304)

    assert kept.confirmed_by(silent, None).renewable_for == 60
    assert kept.confirmed_by(replace(silent, fresh_for=5.0, renewable_for=5.0), None).renewable_for == 5
    assert kept.confirmed_by(answer(), hash_of(b"{}")).renewable_for is None


def test_a_status_that_keeps_says_nothing_about_the_document() -> None:
    """Its validators and its body are of something else."""
    kept = accepted(answer())

    assert kept.confirmed_by(answer(b"wait", Validators(etag='"9"'), status=204), None) == kept


def test_the_body_is_kept_only_for_those_who_want_it_raw() -> None:
    """Everybody else keeps sixteen bytes of it; in doubt it is still served, but not asked with."""
    assert accepted(answer()).body is None
    in_doubt = accepted(answer(), with_body=True).in_doubt()
    assert in_doubt.body is not None and in_doubt.body.data == b"{}"
    assert (in_doubt.content_type, in_doubt.validators) == ("application/json", NO_VALIDATORS)
