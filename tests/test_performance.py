"""docs/performance.md is what the benches wrote: whole, and by nobody's hand."""

from __future__ import annotations

from bench.__main__ import BENCHES, abouts
from bench.report import PAGE, parse, render


def test_the_page_names_every_bench_in_the_order_in_which_they_are_run() -> None:
    """And what each measures, in its own words; who adds a bench runs it."""
    sections = parse(PAGE.read_text())
    assert {name: section.about for name, section in sections.items()} == abouts()
    assert list(sections) == list(BENCHES)


def test_the_page_is_as_it_was_written() -> None:
    """A figure that was changed by hand would stand in no table that a bench could have written."""
    text = PAGE.read_text()
    assert render(parse(text)) == text


def test_every_figure_with_a_target_says_whether_it_is_met() -> None:
    for name, section in parse(PAGE.read_text()).items():
        for what, measured, target, verdict, _ in section.rows:
            assert measured, f"{name}: {what} has no figure"
            assert bool(target) == (verdict == "met" or verdict.startswith("missed by ")), f"{name}: {what}"
