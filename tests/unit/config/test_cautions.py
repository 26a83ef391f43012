"""What `pushgate check` warns of: budgets that many topics do not fit into, and settings without effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pushgate import config
from pushgate.config.demand import demands
from pushgate.config.gateway import Gateway

CONFIGS = Path(__file__).parents[2] / "configs"


def gateway(budget: dict[str, Any], routes: dict[str, Any], **server: Any) -> str:
    """A gateway.yaml with one upstream of this budget."""
    routes = {path: {"upstream": "u", **route} for path, route in routes.items()}
    content = {
        "version": 1,
        "server": server,
        "upstreams": {"u": {"url": "https://u.example", "budget": budget}},
        "routes": routes,
    }
    return config.to_yaml(Gateway.model_validate(content))


def warned(budget: dict[str, Any], routes: dict[str, Any], **server: Any) -> list[str]:
    text = gateway(budget, routes, **server)
    parsed = config.parse(text, file="gateway.yaml", environ={}, base=Path("/"))
    return [problem.message for problem in config.warnings(parsed)]


OPEN = {"poll": {"every": "5s"}}


@pytest.mark.parametrize(
    ("budget", "route", "warning"),
    [
        ({"rate": "20/s"}, OPEN, "20/s of upstream u fits 100 topics at 5s; above that intervals stretch"),
        (
            {"rate": ["20/s", "50000/d"]},
            OPEN,
            "50000/d of upstream u fits 2 topics at 5s; above that intervals stretch",
        ),
        (
            {"rate": "20/s", "spent": "fail"},
            OPEN,
            "20/s of upstream u fits 100 topics at 5s; above that polls fail",
        ),
        (
            {"rate": "3/s"},
            {"poll": {"adaptive": {"min": "1s", "max": "30s"}}},
            "3/s of upstream u fits 90 topics at 30s; above that intervals stretch",
        ),
        (
            {"rate": "600/h"},
            {"poll": {"cron": "*/30 * * * *"}},
            "600/h of upstream u fits 300 topics at cron */30 * * * *; above that intervals stretch",
        ),
        (
            {"rate": "1/s"},
            {**OPEN, "request": {"path": "/all"}, "batch": {"param": "ids", "value": "{x}", "max": 50, "match": "id"}},
            "1/s of upstream u fits 250 topics at 5s; above that intervals stretch",
        ),
    ],
)
def test_a_budget_fits_so_many_topics(budget: dict[str, Any], route: dict[str, Any], warning: str) -> None:
    """A route whose topics clients name may have 500 of them; if fewer fit, that is said."""
    assert warned(budget, {"/t/{x}": route}) == [f"route /t/{{x}}: {warning}"]


def test_what_fits_is_no_warning() -> None:
    """The limits of topics are what counts: of the route, and of all."""
    assert warned({"rate": "100/s"}, {"/t/{x}": OPEN}) == []
    assert warned({"rate": "20/s"}, {"/t/{x}": {**OPEN, "max_topics": 100}}) == []
    assert warned({"rate": "20/s"}, {"/t/{x}": OPEN}, limits={"topics": 100}) == []
    assert warned({"rate": "1/s"}, {"/t/{x}": {"params": {"x": ["a", "b"]}, "poll": {"every": "2s"}}}) == []
    assert warned({"concurrency": 1}, {"/t/{x}": OPEN}) == []


def test_the_room_is_what_the_other_routes_leave() -> None:
    """Routes share the budget of their upstream: what is known to be asked is taken off first."""
    fixed = {"params": {"x": ["a", "b", "c", "d"]}, "poll": {"every": "2s"}}
    found = warned({"rate": "10/s"}, {"/fixed/{x}": fixed, "/t/{x}": OPEN})
    assert found == ["route /t/{x}: 10/s of upstream u fits 40 topics at 5s; above that intervals stretch"]


def test_query_parameters_and_identities_make_topics_too() -> None:
    listed = {"params": {"x": ["a"]}, **OPEN}
    assert warned({"rate": "10/s"}, {"/t/{x}": listed}) == []
    assert len(warned({"rate": "10/s"}, {"/t/{x}": {**listed, "query": {"page": "[0-9]+"}}})) == 1
    assert warned({"rate": "10/s"}, {"/t/{x}": {**listed, "query": {"_": "drop"}}}) == []
    assert len(warned({"rate": "10/s"}, {"/t/{x}": {**listed, "share": "identity"}})) == 1


def test_several_open_routes_are_told_together() -> None:
    found = warned({"rate": "10/s"}, {"/a/{x}": OPEN, "/b/{x}": {"poll": {"every": "1m"}}})
    assert found == [
        "upstream u: budget.rate: "
        "10/s fits 50 topics of /a/{x} at 5s, or 600 topics of /b/{x} at 1m; above that intervals stretch"
    ]


def test_listed_topics_that_do_not_fit_are_told() -> None:
    route = {"params": {"x": [str(n) for n in range(30)]}, "poll": {"every": "1s"}}
    (message,) = warned({"rate": "10/s"}, {"/t/{x}": route})
    assert message.endswith("the routes' listed topics alone ask 3 times as much as 10/s; intervals stretch")


def test_many_pages_may_take_longer_than_the_interval() -> None:
    route = {"poll": {"every": "10s"}, "pages": {"next": "link_header", "max": 50}}
    (message,) = warned({"rate": "2/s"}, {"/t": route})
    assert message.endswith("pages: takes 25s at 2/s if there are 50 pages (max), for one topic")
    assert warned({"rate": "5/s"}, {"/t": route}) == []


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"burst": 5}, "budget.burst: has no effect without `rate`; add one"),
        ({"rate": "10/s", "burst": 20}, "budget.burst: 20 never leave at once; the rates let out 10 at most"),
        ({"spent": "fail"}, "budget.spent: has no effect without `rate` or `concurrency`; add one"),
    ],
)
def test_what_has_no_effect_is_told(budget: dict[str, Any], words: str) -> None:
    assert warned(budget, {"/t": OPEN}) == [f"upstream u: {words}"]


def test_a_burst_that_only_a_long_window_lets_out_is_fine() -> None:
    assert warned({"rate": ["10/s", "1000/h"], "burst": 20}, {"/t": OPEN}) == []


PER_ADDRESS = (
    "server: limits.per_address: counts only clients with public addresses unless there are `trusted_proxies`: any "
    "other may be a proxy that many share; name your proxies there, or 127.0.0.1 if there is none"
)
EVERYBODY = "server: trusted_proxies: `::/0` is everybody, who may then say to be anywhere; name your proxies"
PER_PRINCIPAL = "server: limits.per_principal: has no effect without `auth:`; nobody is asked who they are"
TOPICS = "server: limits.topics_per_principal: has no effect without `auth:`; nobody is asked who they are"


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"limits": {"per_address": 5}}, [PER_ADDRESS]),
        ({"limits": {"per_address": 5}, "trusted_proxies": ["127.0.0.1/32"]}, []),
        ({"trusted_proxies": ["10.0.0.0/8", "::/0"]}, [EVERYBODY]),
        ({"limits": {"per_principal": 5, "topics_per_principal": 9}}, [PER_PRINCIPAL, TOPICS]),
    ],
)
def test_shares_of_clients_that_cannot_be_told_apart(server: dict[str, Any], words: list[str]) -> None:
    """A limit for each client is worth nothing if all of them look the same."""
    assert warned({}, {"/t": OPEN}, **server) == words


def test_the_budgets_of_the_manual_fit() -> None:
    parsed = config.load(CONFIGS / "good" / "budgets.yaml", environ={})
    assert config.warnings(parsed) == []


# The numbers themselves.


def asked(route: dict[str, Any]) -> tuple[float, float]:
    parsed = config.parse(gateway({}, {"/t": route}), file="f", environ={}, base=Path("/"))
    (demand,) = demands(parsed)
    return demand.requests.least, demand.requests.most


@pytest.mark.parametrize(
    ("route", "least", "most"),
    [
        ({"poll": {"every": "5s"}}, 0.2, 0.2),
        ({"poll": {"adaptive": {"min": "2s", "max": "10s"}}}, 0.1, 0.5),
        ({"poll": {"every": "10s"}, "pages": {"next": "link_header", "max": 7}}, 0.1, 0.7),
        ({"poll": {"cron": "*/5 * * * *"}}, 1 / 300, 1 / 300),
        ({"poll": {"cron": "0 * * * *", "retry": {"every": "10s", "for": "1m"}}}, 1 / 3600, 7 / 3600),
        ({"poll": {"cron": "* * * * *", "retry": {"every": "20s", "for": "5m"}}}, 1 / 60, 3 / 60),  # until the next
        ({"poll": {"cron": "0 0 1 1 *"}}, 1 / (366 * 86400), 1 / (366 * 86400)),
    ],
)
def test_what_a_schedule_asks(route: dict[str, Any], least: float, most: float) -> None:
    assert asked(route) == (pytest.approx(least, rel=0.01), pytest.approx(most, rel=0.01))


def test_an_upstream_by_parameter_has_its_share_of_the_topics() -> None:
    parsed = config.load(CONFIGS / "good" / "budgets.yaml", environ={})
    shares = {demand.upstream: demand.topics for demand in demands(parsed) if demand.route == "/devices/{device}"}
    assert shares == {"ups-1": 1, "ups-2": 1}
    told = {demand.upstream: demand.topics for demand in demands(parsed, {"/devices/{device}": 5})
            if demand.route == "/devices/{device}"}  # fmt: skip
    assert told == {"ups-1": 3, "ups-2": 3}
