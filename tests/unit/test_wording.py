"""How the dashboard says what the configuration says."""

from __future__ import annotations

from typing import Any

import pytest

from pushgate.adapters.admin.wording import budget_words, pace_words, part_words, share_words
from pushgate.config.poll import Poll
from pushgate.config.routes import Route, View
from pushgate.config.upstreams import Budget


@pytest.mark.parametrize(
    ("poll", "words"),
    [
        ({}, "every 10s"),
        ({"every": "90s", "while": "always"}, "every 1m30s, always"),
        ({"cron": "5 6 * * *", "timezone": "Europe/Paris"}, "cron 5 6 * * * in Europe/Paris"),
        ({"adaptive": {"min": "1s", "max": "1m"}}, "adaptive, 1s to 1m"),
        ({"active": "Mon-Fri 09:30-16:00 America/New_York"}, "every 10s, Mon-Fri 09:30-16:00 America/New_York"),
    ],
)
def test_when_a_route_is_polled(poll: dict[str, Any], words: str) -> None:
    assert pace_words(Poll.model_validate(poll)) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [("public", "public"), ("identity", "identity"), ({"claims": ["tenant", "sub"]}, "by tenant, sub")],
)
def test_who_sees_the_same(share: Any, words: str) -> None:
    assert share_words(Route.model_validate({"upstream": "u", "share": share})) == words


@pytest.mark.parametrize(
    ("part", "words"),
    [({"item": "{id}"}, "item {id}"), ({"pointer": "/a/b"}, "pointer /a/b"), ({"select": "a[0]"}, "select a[0]")],
)
def test_which_part_a_view_shows(part: dict[str, str], words: str) -> None:
    assert part_words(View.model_validate({"from": "/a", **part})) == words


@pytest.mark.parametrize(
    ("budget", "words"),
    [({}, None), ({"rate": ["20/s", "50000/d"], "concurrency": 8}, "20/s and 50000/d, 8 at once"),
     ({"concurrency": 1}, "1 at once")],
)  # fmt: skip
def test_what_an_upstream_can_bear(budget: dict[str, Any], words: str | None) -> None:
    assert budget_words(Budget.model_validate(budget)) == words
