"""docs/performance.md: what a run writes into it, and what it leaves as it was."""

from __future__ import annotations

import pytest
from bench.report import INTRODUCTION, Section, about, parse, render, renewed
from bench.table import Figure, Finding, NotMeasured

ABOUTS = {"fanout": "Fan-out: what a delivery costs.", "memory": "Memory: what a connection costs."}
MET = Figure("fanout", "CPU, to the floor's", 1.25, "x", 1.35)
MISSED = Figure("fanout", "CPU, to Nchan's", 1.26, "x", 1.05, "a | in a note")
TOLD = Figure("fanout", "CPU", 9.5, "us")
SIZE = Figure("memory", "per connection", 1.6, "KB", 4.0)
ABSENT = NotMeasured("memory", "nchan", "nginx is not installed")

JUNE, JULY = "2 cores · 2026-06-01 · 3 rounds", "2 cores · 2026-07-01 · 3 rounds"


def page(findings: dict[str, list[Finding]], *, before: str = "", measured: str = JUNE) -> str:
    return renewed(before, ABOUTS, findings, measured=measured)


def test_a_page_begins_with_how_it_is_measured() -> None:
    assert page({}).startswith(INTRODUCTION)


def test_a_bench_that_was_never_run_says_so() -> None:
    """Its name and what it measures are there all the same."""
    sections = parse(page({"fanout": [MET]}))
    assert sections["memory"] == Section(ABOUTS["memory"], None)
    assert "## memory\n\nMemory: what a connection costs.\n\nNot measured yet.\n" in page({"fanout": [MET]})


def test_a_figure_is_written_with_its_target_and_whether_it_is_met() -> None:
    section = parse(page({"fanout": [MET, MISSED, TOLD]}))["fanout"]
    assert section == Section(
        ABOUTS["fanout"],
        JUNE,
        (
            ("CPU, to the floor's", "1.25 x", "<= 1.35 x", "met", ""),
            ("CPU, to Nchan's", "1.26 x", "<= 1.05 x", "missed by 20%", "a | in a note"),
            ("CPU", "9.50 us", "", "", ""),
        ),
    )


def test_what_could_not_be_measured_says_why() -> None:
    rows = parse(page({"memory": [SIZE, ABSENT]}))["memory"].rows
    assert rows[1] == ("nchan", "-", "", "", "not measured: nginx is not installed")


def test_a_partial_run_renews_its_own_sections_only() -> None:
    """The others keep their figures and their date."""
    first = page({"fanout": [MET], "memory": [SIZE]})
    second = page({"memory": [ABSENT]}, before=first, measured=JULY)
    assert parse(second)["fanout"] == parse(first)["fanout"]
    assert parse(second)["memory"].measured == JULY
    assert len(parse(second)["memory"].rows) == 1


def test_a_bench_that_is_no_more_leaves_the_page() -> None:
    before = page({"fanout": [MET], "memory": [SIZE]})
    after = renewed(before, {"memory": ABOUTS["memory"]}, {}, measured=JULY)
    assert list(parse(after)) == ["memory"]


def test_a_page_tells_first_how_many_targets_are_met_and_which_are_not() -> None:
    text = page({"fanout": [MET, MISSED, TOLD], "memory": [SIZE]})
    assert "**2 of 3 targets are met.** Missed:\n\n- fanout: CPU, to Nchan's (missed by 20%)\n" in text
    assert "**2 of 2 targets are met.**\n" in page({"fanout": [MET, TOLD], "memory": [SIZE]})


def test_a_page_that_is_read_and_written_again_stays_as_it_is() -> None:
    text = page({"fanout": [MET, MISSED], "memory": [SIZE, ABSENT]})
    assert render(parse(text)) == text


@pytest.mark.parametrize(
    ("docstring", "text"),
    [
        ("\nMemory: what an idle\nconnection costs.\n\nMore of it.\n", "Memory: what an idle connection costs."),
        ("One ``line``.", "One `line`."),
        (None, ""),
    ],
)
def test_a_bench_is_introduced_by_the_first_sentences_of_its_docstring(docstring: str | None, text: str) -> None:
    assert about(docstring) == text
