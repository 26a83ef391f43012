"""``allow:``: which claims open which topic."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.auth.permission import check_rules
from pushgate.config.access import Rule
from pushgate.errors import Forbidden
from pushgate.values import Principal


def may(rule: dict[str, Any], claim: Any, **values: str) -> bool:
    principal = Principal("staff", "", "ann", {"c": claim})
    try:
        check_rules([Rule.model_validate({"claim": "c", **rule})], principal, values)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize(
    ("rule", "claim", "is_allowed"),
    [
        ({"contains": "paris"}, ["oslo", "paris"], True),
        ({"contains": "paris"}, "oslo paris", True),
        ({"contains": "paris"}, "parisian", False),
        ({"contains": "paris"}, ["parisian"], False),
        ({"contains": "paris"}, ["oslo paris"], False),
        ({"contains": "5"}, [5], True),
        ({"contains": "true"}, [True], True),
        ({"contains": "a"}, {"a": 1}, False),
        ({"contains": "1"}, 1, False),
        ({"contains": "None"}, None, False),
        ({"contains": "None"}, [None], False),
        ({"equals": "admin"}, "admin", True),
        ({"equals": "admin"}, ["admin"], False),
        ({"equals": "admin"}, "admin guest", False),
        ({"equals": "5"}, 5, True),
        ({"equals": "1"}, True, False),
        ({"equals": "true"}, True, True),
        ({"equals": "1.0"}, 1.0, False),
        ({"any": ["a", "b"]}, "b", True),
        ({"any": ["a", "b"]}, ["c", "a"], True),
        ({"any": ["a", "b"]}, "c b", True),
        ({"any": ["a", "b"]}, "ab", False),
    ],
)
def test_a_claim_is_compared_as_a_whole(rule: dict[str, Any], claim: Any, is_allowed: bool) -> None:
    """A list by its members, a text by its words, and one and true are two things."""
    assert may(rule, claim) is is_allowed


@pytest.mark.parametrize("claim", [["paris"], "paris", "{city}", ["{city}"], None, [None], ""])
def test_nothing_is_like_a_parameter_that_was_left_out(claim: Any) -> None:
    assert not may({"contains": "{city}"}, claim)
    assert not may({"equals": "{city}"}, claim)
    assert not may({"any": ["{city}"]}, claim)


def test_a_value_of_the_client_is_a_value_and_no_pattern() -> None:
    assert may({"contains": "{city}"}, ["{claims.c}"], city="{claims.c}")
    assert not may({"contains": "read:{city}"}, ["read:*"], city="paris")
    assert not may({"contains": "{city}"}, "paris oslo", city="paris oslo")


def test_all_rules_must_hold() -> None:
    rules = [Rule(claim="a", equals="1"), Rule(claim="b", equals="2")]
    check_rules(rules, Principal("staff", "", "ann", {"a": "1", "b": "2"}), {})
    with pytest.raises(Forbidden, match="'b'"):
        check_rules(rules, Principal("staff", "", "ann", {"a": "1"}), {})
