"""docs/operations.md has a row for everything that can go wrong upstream, and each of them a backend that does it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from pushgate.errors import PollFailureReason
from pushgate.ledger import Outcome
from pushgate.values import State

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "operations.md"
MODULES = ["backends", "answers", "upstream_trouble", "upstream_lies", "upstream_refusals", "connection_trouble"]

# The rows of the tables about failed polls and about liars, by how their first cell begins, and who commits each crime:
# a class, a key of a table of crimes, or a test.
ROWS: dict[str, list[str]] = {
    "`timeout`: no connection": ["test_drops_packets"],
    "`timeout`: did not answer": ["AcceptsThenSilent", "DripsForEver", "DripsTheBody", "NeverEndsAField",
                                  "SaysContinueForEver"],
    "`connect`: cannot be reached": ["RefusesConnection", "test_has_no_server", "test_has_no_socket"],
    "`connect`: closed the connection": ["ClosesWithoutAWord", "SaysNothing", "EndsInTheHead"],
    "`connect`: the proxy": ["test_is_down", "test_refuses"],
    "`dns`": ["test_has_no_address"],
    "`tls`: … local issuer": ["test_has_an_authority_of_its_own"],
    "`tls`: … not valid for": ["test_has_another_name"],
    "`tls`: wrong version": ["test_speaks_no_tls"],
    "`tls`: the files": ["test_is_asked_with_files_that_are_none"],
    "`http_4xx`": ["SaysBadRequest"],
    "`http_5xx`: answered": ["Answers500Forever", "IsDownForASecond", "NeverRecovers"],
    "`http_5xx` or `rate_limited`: the login": ["HasTroubleWithItsLogin", "IsDown", "IsAskedTooOften"],
    "`rate_limited`: answered": ["TellsToWait", "AsksForASecond", "AsksForADate", "EmptiesItsQuota"],
    "`upstream_auth`: the upstream answered": ["RefusesTheCredentials", "RefusesOneCaller"],
    "`upstream_auth`: the token server": ["RefusesTheClient", "GivesNoToken"],
    "`upstream_auth`: the login failed": ["RefusesTheLogin", "BringsNoCookie"],
    "`upstream_auth`: wants a login": ["TakesAnythingForALogin"],
    "`upstream_auth`: refuses the": ["test_refuses_the_session_that_it_gives"],
    "`protocol`: did not speak HTTP": ["SpeaksAnotherProtocol", "HugeHeaders", "LiesAboutLength", "GarblesTheChunks",
                                       "SendsAHugeField", "SendsTooManyFields", "HasTwoLengths", "HasANegativeLength",
                                       "PutsALineIntoAField", "PutsANulIntoAField", "AnswersInHttp09"],
    "`protocol`: … which was not asked for": ["EncodesAsNobodyAsked", "EncodesTwice"],
    "`protocol`: redirects to": ["RedirectsElsewhere"],
    "`protocol`: redirects more": ["RedirectLoop"],
    "`protocol`: the next page": ["HasItsNextPageElsewhere", "HasPagesInACircle"],
    "`protocol`: answered 304": ["SaysNotModifiedToEverything"],
    "`truncated`": ["SendsHalfTheBody", "SendsHalfTheChunks", "ResetsMidBody", "CutsTheGzip", "CutsTheDeflate",
                    "CutsTheGzipBeforeItsChecksum", "CutsTheGzipInTheHead", "CutsTheSecondMember", "CutsTheChunks",
                    "CutsTheGzipInChunks"],
    "`too_large`: larger": ["NeverEndingBody", "GzipBomb", "PacksABomb", "PacksTheLastStraw", "AnnouncesTooMuch",
                            "SendsTooMuchInChunks"],
    "`too_large`: more than": ["HasPagesWithoutEnd"],
    "`decode`: says gzip": ["IsNotGzipAtAll", "SaysGzipAndIsNot", "SaysDeflateAndIsNot", "DamagesTheGzip",
                            "PacksAThousandNothings"],
    "`decode`: the answer is an HTML page": ["SwitchesToHtml", "RedirectsToItsLoginPage"],
    "`decode`: no JSON": ["SendsNaN", "LiesAboutItsCharset", "SendsAnXmlBomb", "SendsRaggedCsv", "CutsItsFeed",
                          "ChangesItsText"],
    "`select`: found nothing": ["RenamesItsMembers"],
    "`select`: pages, batch": ["LosesTheListOfItsPages", "LeavesATopicOut"],
    "`guard`: the answer is": ["SendsALoginPage"],
    "`guard`: empty": ["EmptiesItselfWhereThatIsRejected"],
    "`fail_if`": ["SaysErrorWithStatus200", "AnswersWithASoapFault", "AnswersWithAnXmlRpcFault"],
    "`budget`": ["AllowsOneRequestAnHour"],
    "hardly anything but": ["SaysNotModifiedToEverything", "KeepsItsDateWhateverChanges"],
    "`unchanged` at every poll, although": ["SaysThatItHasJustChanged", "ChangesItsETagWithEveryAnswer"],
    "`unchanged` at every poll, and no": ["SendsNoValidators"],
    "an `ETag` without quotes": ["DoesNotQuoteItsETag"],
    "an empty list": ["EmptiesItself", "LosesMostOfItsItems", "TurnsIntoAnObject", "SendsAnEmptyBody",
                      "ChangesItsPage"],
    "a 404 once": ["Says404"],
}  # fmt: skip

# What is no crime itself: what crimes have in common, who looks on, and a header field that is written like one.
BYSTANDERS = {"Backend", "Scene", "SpeaksXml", "Paged", "Suspicious", "CacheLiar", "Site", "LeapingClock", "RateLimit"}


def first_cells(*headings: str) -> list[str]:
    """Return the first cell of every row of the tables below these headings."""
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE.read_text(), re.MULTILINE))
    rows = [line for heading in headings for line in sections[heading].splitlines() if line.startswith("| ")]
    cells = [line.split(" | ")[0].removeprefix("| ") for line in rows]
    return [cell for cell in cells if cell not in ("what you see", "outcome", "state")]


def trees() -> list[ast.Module]:
    return [ast.parse((HERE / f"test_{module}.py").read_text()) for module in MODULES]


def doubles() -> set[str]:
    """Return the names of all crimes: of classes, and of those that are no more than their bytes."""
    nodes = [node for tree in trees() for node in ast.walk(tree)]
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("Test")}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return (classes | {text for text in texts if re.fullmatch(r"[A-Z][a-z]+[A-Z]\w+", text)}) - BYSTANDERS


def named_tests() -> set[str]:
    nodes = [node for tree in trees() for node in ast.walk(tree)]
    return {node.name for node in nodes if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")}


def test_every_row_has_a_backend_that_does_it() -> None:
    """And every such backend a row: what a test knows can go wrong, an operator can look up."""
    rows = first_cells("When a poll fails")
    for cell in rows:
        assert sum(cell.startswith(begin) for begin in ROWS) == 1, cell
    assert len(rows) == len(ROWS)
    named = {double for row in ROWS.values() for double in row}
    assert named <= doubles() | named_tests()
    assert doubles() <= named


@pytest.mark.parametrize("reason", get_args(PollFailureReason))
def test_every_reason_has_a_row(reason: str) -> None:
    assert any(f"`{reason}`" in cell for cell in first_cells("When a poll fails"))


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_of_a_poll_has_a_row(outcome: str) -> None:
    assert any(f"`{outcome}`" in cell for cell in first_cells("What a poll came to"))


@pytest.mark.parametrize("state", get_args(State))
def test_every_state_of_a_topic_has_a_row(state: str) -> None:
    assert f"`{state}`" in first_cells("The state of a topic")


def test_every_metric_that_is_named_exists() -> None:
    """Nobody looks in vain for a series that a table names."""
    sources = [HERE.parents[1] / "src" / "pushgate" / name for name in ("metrics.py", "exposition.py")]
    declared = {name for path in sources for name in re.findall(r"\"(?:pushgate_)?([a-z_]+)\"", path.read_text())}
    for named in set(re.findall(r"`pushgate_(\w+)", PAGE.read_text())):
        assert named in declared or re.sub(r"_(total|seconds)$", "", named) in declared, named


def test_every_log_that_is_named_exists() -> None:
    sources = "".join(path.read_text() for path in (HERE.parents[1] / "src" / "pushgate").rglob("*.py"))
    named = set(re.findall(r"`((?:poll|topic|upstream|memory|tls|view|patch)\.[a-z_]+)`", PAGE.read_text()))
    assert len(named) > 5
    assert {event for event in named if f'"{event}"' not in sources} - {"tls.ca"} == set()
