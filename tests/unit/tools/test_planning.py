"""What `pushgate plan` reckons and prints: requests against budgets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pushgate import config
from pushgate.cli import app
from pushgate.tools.planning import Load, fair_share, plan

TEXT = """
version: 1
upstreams:
  quotes: {url: "https://quotes.example", budget: {rate: [20/s, 1000000/d]}}
  idle: {url: "https://idle.example"}
routes:
  /quotes/{symbol}: {upstream: quotes, poll: {every: 5s}}
  /markets/{id}: {upstream: quotes, params: {id: [paris, tokyo]}, poll: {every: 1s}}
  /open/{symbol}: {from: "/quotes/{symbol}", pointer: /open}
"""

runner = CliRunner()


def planned(text: str = TEXT, *, replicas: int = 1, **topics: int) -> Load:
    """The load of the first upstream; ``topics`` are those of /quotes/{symbol}."""
    gateway = config.parse(text, file="f", environ={}, base=Path("/"))
    told = {"/quotes/{symbol}": topics["quotes"]} if topics else {}
    return plan(gateway, topics=told, replicas=replicas)[0]


def test_routes_share_the_budget_of_their_upstream() -> None:
    """500 topics at 5 s and two at 1 s are 102 requests a second; of 20, each topic gets one in 25 s."""
    load = planned()
    assert [(demand.route, demand.topics, demand.source) for demand in load.demands] == [
        ("/quotes/{symbol}", 500, "max_topics"),
        ("/markets/{id}", 2, "listed"),
    ]
    assert load.requests.most == pytest.approx(102)
    by_second, by_day = load.windows
    assert (by_second.verdict, by_second.excess) == ("stretches", pytest.approx(5.1))
    assert by_second.share == pytest.approx(20 / 502)
    assert by_day.asked.most == pytest.approx(102 * 86_400)
    assert by_day.excess == pytest.approx(8.8128)
    assert not load.fits


@pytest.mark.parametrize(("quotes", "verdict"), [(0, "fits"), (90, "fits"), (91, "stretches")])
def test_a_budget_that_is_met_exactly_fits(quotes: int, verdict: str) -> None:
    """90 topics at 5 s beside two at 1 s are 20 requests a second, to the last one."""
    text = TEXT.replace(", 1000000/d", "")
    assert planned(text, quotes=quotes).windows[0].verdict == verdict


def test_turns_go_round() -> None:
    """A route that asks seldom gets what it asks; only those that ask more often than there are turns have to wait."""
    text = TEXT.replace(", 1000000/d", "").replace("every: 1s", "every: 1m")
    load = planned(text, quotes=200)
    (window,) = load.windows
    assert window.share == pytest.approx((20 - 2 / 60) / 200)
    assert fair_share(load.demands, per_second=0.5) == pytest.approx(0.5 / 202)
    assert fair_share(load.demands, per_second=load.requests.most) is None
    assert fair_share([], per_second=1) is None


def test_views_and_listeners_cost_nothing() -> None:
    with_view = planned(quotes=10).requests
    without = TEXT.replace('  /open/{symbol}: {from: "/quotes/{symbol}", pointer: /open}\n', "")
    assert planned(without, quotes=10).requests == with_view


def test_what_may_be_asked_may_stretch() -> None:
    """Adaptive intervals and pages make a range; only its upper end does not fit."""
    text = TEXT.replace("every: 5s", "adaptive: {min: 1s, max: 10s}")
    load = planned(text, quotes=100)
    assert (load.requests.least, load.requests.most) == (pytest.approx(12), pytest.approx(102))
    assert load.windows[0].verdict == "may stretch"


def test_polls_fail_where_the_budget_says_so() -> None:
    text = TEXT.replace("1000000/d]", "1000000/d], spent: fail")
    assert planned(text).windows[0].verdict == "fails"
    paged = text.replace("every: 5s}", "every: 5s}, pages: {next: link_header, max: 20}")
    assert planned(paged, quotes=50).windows[0].verdict == "may fail"


def test_replicas_that_share_no_store_poll_each_for_itself() -> None:
    """Each keeps to the whole budget, so together they may break it although none does."""
    load = planned(replicas=3, quotes=40)
    assert load.requests.most == pytest.approx(30)
    assert load.demands[0].requests.most == pytest.approx(24)
    assert load.windows[0].verdict == "exceeds"
    assert planned(replicas=2, quotes=10).windows[0].verdict == "fits"


# The command.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(TEXT)
    return path


def invoke(file: Path, *arguments: str) -> Any:
    return runner.invoke(app, ["plan", "-c", str(file), *arguments])


def test_the_plan_is_a_table_for_each_upstream(file: Path) -> None:
    """The star marks what is only assumed; the arrow says what becomes of an interval."""
    result = invoke(file)
    assert result.exit_code == 0
    assert result.stdout == (
        "upstream quotes: 102 requests per second\n"
        "  route             topics  polled every  requests/s\n"
        "  /quotes/{symbol}  500*    5s → 43.4s    100\n"
        "  /markets/{id}     2       1s → 43.4s    2\n"
        "  budget     asked\n"
        "  20/s       102/s      5.1 times as much: intervals stretch, to a turn every 25.1s for each topic\n"
        "  1000000/d  8812800/d  8.81 times as much: intervals stretch, to a turn every 43.4s for each topic\n"
        "\n"
        "upstream idle: 0 requests per second\n"
        "\n"
        "* as many topics as may be (max_topics); say how many you expect: --topics 'ROUTE=N'\n"
        "not every budget fits\n"
    )


def test_topics_are_told_on_the_command_line(file: Path) -> None:
    result = invoke(file, "--topics", "/quotes/{symbol}=20", "--strict")
    assert result.exit_code == 0
    assert "  /quotes/{symbol}  20      5s            4\n" in result.stdout
    assert "  20/s       6/s       fits: 30% of it\n" in result.stdout
    assert result.stdout.endswith("\n\nevery budget fits\n")


def test_strict_fails_if_a_budget_does_not_fit(file: Path) -> None:
    """Otherwise the plan is information, and the exit status says only that it could be made."""
    assert invoke(file, "--strict").exit_code == 1
    assert invoke(file).exit_code == 0


def test_the_plan_as_json(file: Path) -> None:
    document = json.loads(invoke(file, "--output", "json", "--replicas", "2").stdout)
    assert (document["replicas"], document["fits"]) == (2, False)
    quotes, idle = document["upstreams"]
    assert quotes["requests_per_second"] == {"least": pytest.approx(204), "most": pytest.approx(204)}
    assert quotes["routes"][1] == {
        "route": "/markets/{id}",
        "topics": 2,
        "topics_from": "listed",
        "polled_every": "1s",
        "requests_per_second": {"least": 4.0, "most": 4.0},
    }
    assert quotes["budget"][0]["verdict"] == "exceeds"
    assert idle == {
        "upstream": "idle",
        "requests_per_second": {"least": 0.0, "most": 0.0},
        "routes": [],
        "budget": [],
    }


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("/qoutes/{symbol}=5", "there is no route `/qoutes/{symbol}`; did you mean `/quotes/{symbol}`?"),
        ("/quotes/{symbol}", "must be a route and a number"),
        ("/quotes/{symbol}=many", "must be a route and a number"),
        ("/quotes/{symbol}=501", "/quotes/{symbol} has at most 500 topics (max_topics)"),
        ("/open/{symbol}=5", "/open/{symbol} is a view and costs nothing; name the route that polls"),
    ],
)
def test_a_wrong_number_of_topics_is_a_wrong_command_line(file: Path, argument: str, complaint: str) -> None:
    result = invoke(file, "--topics", argument)
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.split())


def test_a_file_with_mistakes_has_no_plan(file: Path) -> None:
    file.write_text(TEXT.replace("20/s", "1/m"))
    result = invoke(file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "breaks the budget 1/m" in result.output


def test_every_verdict_has_its_words(file: Path) -> None:
    adaptive = TEXT.replace("every: 5s", "adaptive: {min: 1s, max: 10s}")
    file.write_text(adaptive)
    text = invoke(file, "--topics", "/quotes/{symbol}=100").stdout
    assert "up to 5.1 times as much: intervals may stretch, to a turn every 5.1s for each topic" in text
    assert "1s to 10s → 8.81 times that" in text
    file.write_text(adaptive.replace("1000000/d]", "1000000/d], spent: fail"))
    assert "80% of the polls may fail" in invoke(file, "--topics", "/quotes/{symbol}=100").stdout
    file.write_text(TEXT.replace("1000000/d]", "1000000/d], spent: fail"))
    assert "up to 80% of the polls fail" in invoke(file).stdout
    told = invoke(file, "--topics", "/quotes/{symbol}=40", "--replicas", "3").stdout
    assert "can be exceeded: each of 3 replicas keeps to all of it; divide it by 3" in told
