"""Nobody has more than its share, and what was charged is given back once."""

from __future__ import annotations

import pytest

from pushgate.errors import TooMany
from pushgate.rations import Charge, Ration, TopicRation, key_of
from pushgate.values import Principal

ADA = Principal("staff", "https://id.example", "ada")
EVE = Principal("staff", "https://id.example", "eve")


def charged(ration: Ration, *who: str) -> Charge:
    charge = Charge()
    for one in who:
        charge.add(ration, one, retry_after=5.0)
    return charge


class TestConnections:
    def test_each_has_as_many_as_it_may(self) -> None:
        ration = Ration("per_address", 2)
        charges = [charged(ration, "here") for _ in range(2)]
        with pytest.raises(TooMany, match=r"2 open connections already \(server.limits.per_address\)") as caught:
            charged(ration, "here")
        assert (caught.value.limit, caught.value.retry_after) == ("per_address", 5.0)
        charged(ration, "there")
        charges[0].lift()
        charged(ration, "here")

    def test_what_is_lifted_twice_is_given_back_once(self) -> None:
        ration = Ration("per_address", 2)
        first, _ = charged(ration, "here"), charged(ration, "here")
        first.lift()
        first.lift()
        assert ration.held("here") == 1

    def test_nobody_is_remembered_who_has_nothing(self) -> None:
        """Addresses come and go; the table is as large as what is open."""
        ration = Ration("per_address", 2)
        for n in range(1000):
            charged(ration, str(n)).lift()
        assert ration._held == {}

    def test_a_connection_counts_once_for_each(self) -> None:
        """Who proves again who it is has no second connection."""
        ration = Ration("per_principal", 2)
        charge = charged(ration, "ada", "ada", "eve")
        assert (ration.held("ada"), ration.held("eve")) == (1, 1)
        charge.lift()
        assert (ration.held("ada"), ration.held("eve")) == (0, 0)

    def test_who_is_refused_keeps_what_it_had_been_charged_until_that_is_lifted(self) -> None:
        per_address, per_principal = Ration("per_address", 9), Ration("per_principal", 1)
        charged(per_principal, "ada")
        charge = charged(per_address, "here")
        with pytest.raises(TooMany):
            charge.add(per_principal, "ada", retry_after=5.0)
        charge.lift()
        assert (per_address.held("here"), per_principal.held("ada")) == (0, 1)

    def test_nothing_is_counted_while_there_is_no_limit(self) -> None:
        """And what was not counted is not given back when there is one."""
        ration = Ration("per_address", None)
        before = charged(ration, "here")
        ration.most = 1
        after = charged(ration, "here")
        before.lift()
        assert ration.held("here") == 1
        ration.most = None
        after.lift()
        assert ration.held("here") == 0


class TestPrincipals:
    def test_equal_subjects_of_two_issuers_are_two(self) -> None:
        others = [
            Principal("staff", "https://other.example", "ada"),
            Principal("partners", "https://id.example", "ada"),
            Principal("staff", "https://id.example\nada", ""),
        ]
        assert all(key_of(other) != key_of(ADA) for other in others)

    def test_claims_and_expiry_do_not_matter(self) -> None:
        assert key_of(Principal("staff", "https://id.example", "ada", {"a": 1}, 99.0, "proof")) == key_of(ADA)


class TestTopics:
    def test_a_principal_wakes_as_many_as_it_may(self) -> None:
        alive = {"/a", "/b", "/c"}
        ration = TopicRation(2)
        ration.wake(ADA, "/a", alive.__contains__)
        ration.wake(ADA, "/b", alive.__contains__)
        with pytest.raises(TooMany, match="2 topics alive already") as caught:
            ration.wake(ADA, "/c", alive.__contains__)
        assert caught.value.limit == "topics_per_principal"
        ration.wake(EVE, "/c", alive.__contains__)

    def test_a_topic_that_died_makes_room(self) -> None:
        alive = {"/a", "/b"}
        ration = TopicRation(2)
        ration.wake(ADA, "/a", alive.__contains__)
        ration.wake(ADA, "/b", alive.__contains__)
        alive.remove("/a")
        ration.wake(ADA, "/c", alive.__contains__)

    def test_a_topic_that_is_woken_again_counts_once(self) -> None:
        ration = TopicRation(1)
        for _ in range(3):
            ration.wake(ADA, "/a", lambda _: True)

    def test_nothing_is_counted_while_there_is_no_limit(self) -> None:
        ration = TopicRation(None)
        for n in range(100):
            ration.wake(ADA, f"/{n}", lambda _: True)
        ration.most = 1
        ration.wake(ADA, "/a", lambda _: True)

    def test_principals_whose_topics_died_are_forgotten(self) -> None:
        ration = TopicRation(5)
        for n in range(10_000):
            ration.wake(Principal("staff", "", str(n)), "/a", lambda _: False)
        assert len(ration._charged) <= 1000
