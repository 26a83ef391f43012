"""A visitor: who somebody is on one connection, and for what it is that."""

from __future__ import annotations

import pytest

from pushgate.auth.visitor import Visitor
from pushgate.errors import NotAuthenticated
from pushgate.values import Mode, Principal

ADA = Principal("staff", "id", "ada")
ACME = Principal("partners", "", "acme")


def ticketed(emit: str | None = None) -> Visitor:
    visitor = Visitor()
    visitor.come_by_ticket([ADA], frozenset(["/prices/EUR"]), emit)
    return visitor


def test_who_comes_by_ticket_is_that_for_its_topics_only() -> None:
    visitor = ticketed()
    visitor.check_ticket(ADA, "/prices/EUR")
    with pytest.raises(NotAuthenticated) as caught:
        visitor.check_ticket(ADA, "/prices/USD")
    assert caught.value.fault == "ticket_misused"


@pytest.mark.parametrize(("emit", "mode"), [(None, "patch"), ("patch", "patch"), ("merge", "merge")])
def test_who_comes_by_ticket_is_that_in_its_mode(emit: str | None, mode: Mode) -> None:
    """One that names no mode is for the default one of the route."""
    visitor = ticketed(emit)
    visitor.check_mode(ADA, mode, "patch")
    with pytest.raises(NotAuthenticated) as caught:
        visitor.check_mode(ADA, "snapshot", "patch")
    assert caught.value.fault == "ticket_misused"


def test_the_others_as_whom_it_is_known_are_not_bound() -> None:
    visitor = ticketed()
    visitor.prove(ACME)
    visitor.check_ticket(ACME, "/prices/USD")
    visitor.check_mode(ACME, "snapshot", "patch")
    visitor.check_mode(None, "snapshot", "patch")


def test_who_shows_the_real_thing_later_is_bound_no_more() -> None:
    """As a WebSocket does that was opened with a ticket."""
    visitor = ticketed()
    visitor.prove(ADA)
    visitor.check_ticket(ADA, "/prices/USD")
    visitor.check_mode(ADA, "snapshot", "patch")


def test_a_visitor_who_is_about_to_show_something_else_is_still_bound() -> None:
    """Until it has shown it; and what it shows then is not told of the one before."""
    before = ticketed()
    after = before.again()
    with pytest.raises(NotAuthenticated):
        after.check_ticket(ADA, "/prices/USD")
    with pytest.raises(NotAuthenticated):
        before.only(ADA).check_ticket(ADA, "/prices/USD")
    after.prove(ADA)
    with pytest.raises(NotAuthenticated):
        before.check_ticket(ADA, "/prices/USD")
