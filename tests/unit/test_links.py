"""Where the next page is, as the Link header says it (RFC 8288)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.adapters.upstream.links import next_link


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], None),
        (['<https://api.example/rows?page=2>; rel="next"'], "https://api.example/rows?page=2"),
        (['<https://x/?p=1>; rel="prev", <https://x/?p=3>; rel="next", <https://x/?p=9>; rel=last'], "https://x/?p=3"),
        (["</rows?page=2>; rel=next"], "/rows?page=2"),
        (["<?page=2>;REL = Next"], "?page=2"),
        (["<a>; rel=prev", "<b>; rel=next"], "b"),
        (['<a,b;c>; title="one, <two>; rel=next"; rel="last next"'], "a,b;c"),
        (['<a>; title="say \\"rel=next\\""; rel=prev, <b>; rel=next'], "b"),
        (["<a>; rel=prev; rel=next"], None),
        (['<a>; rel="next"; anchor="/other"'], None),
        (["<a>"], None),
        (["a; rel=next"], None),
        (["<a; rel=next"], None),
        (['<a>; rel="next'], None),
    ],
)
def test_the_target_of_the_relation_next_is_returned_as_written(fields: list[str], expected: str | None) -> None:
    """Quoted or not, in any field and at any place; other relations, contexts and broken links are passed over."""
    assert next_link(fields) == expected


@given(st.lists(st.text(alphabet='<>;,="\\ relnxt\udce9', max_size=60), max_size=3))
def test_nothing_that_an_upstream_says_breaks_it(fields: list[str]) -> None:
    found = next_link(fields)
    assert found is None or any(found in field for field in fields)
