"""CSV is a list of objects by header, and a line that does not fit is a failed poll."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.adapters.upstream.formats.csv import decode
from pushgate.errors import PollError


def failure(body: bytes, **options: Any) -> str:
    with pytest.raises(PollError) as caught:
        decode(body, "text/csv", **options)
    assert caught.value.reason == "decode"
    return caught.value.detail


def read(text: str, **options: Any) -> Any:
    return decode(text.encode(), "text/csv", **options)


def test_every_line_is_an_object_by_header() -> None:
    """Fields stay strings, with their spaces; line ends of all systems are line ends, and empty lines are nothing."""
    for end in (b"\n", b"\r\n", b"\r"):
        body = end.join([b"id, name ,n", b"1, Zo ,007", b"", b"2,,8"])
        assert decode(body, "") == [{"id": "1", "name": " Zo ", "n": "007"}, {"id": "2", "name": "", "n": "8"}]
    assert decode(b"\n\nid\n1\n", "") == [{"id": "1"}]
    assert decode(b"id,name\n", "") == []


def test_quoted_fields_hold_anything() -> None:
    """Delimiters, quotes and line ends."""
    assert decode(b'a,b\n"1,2","say ""x""\n\r\nend"\n', "") == [{"a": "1,2", "b": 'say "x"\n\r\nend'}]


def test_a_field_may_be_as_large_as_the_answer() -> None:
    """``max_body`` is the bound, not a field."""
    assert decode(b"a\n" + b"x" * 10**6, "") == [{"a": "x" * 10**6}]


def test_delimiter_encoding_and_prefix_are_the_routes() -> None:
    """Europe's spreadsheets write semicolons and Windows-1252; HAProxy writes ``# `` before its header."""
    options: dict[str, Any] = {"delimiter": ";", "encoding": "cp1252", "header_prefix": "# "}
    assert decode(b"# a;b\n1,5;\x80\n", "text/plain", **options) == [{"a": "1,5", "b": "€"}]
    assert decode(b"\r\n# a;b\n1;2\n", "", **options) == [{"a": "1", "b": "2"}]
    assert decode("a\nZoë".encode("utf-16"), "") == [{"a": "Zoë"}]
    assert "does not begin with header_prefix `# `" in failure(b"a;b\n1;2\n", **options)


def test_a_delimiter_behind_the_header_is_no_column() -> None:
    """HAProxy ends all its lines with a comma; some servers only the first, or only some."""
    assert decode(b"a,b,\n1,2,\n3,4\n", "") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert "line 2 of the answer has 3 fields, the header has 2" in failure(b"a,b,\n1,2,3\n")
    assert "line 2 of the answer has 3 fields, the header has 2" in failure(b"a,b\n1,2,\n")


def test_every_column_has_a_name_of_its_own() -> None:
    """No field is lost because its column has no name, or that of another."""
    assert decode(b",a,a,a_2\n1,2,3,4\n", "") == [{"column_1": "1", "a": "2", "a_3": "3", "a_2": "4"}]
    assert len(read("a," * 20_000 + "a\n" + "1," * 20_000 + "1\n")[0]) == 20_001


def test_a_line_that_does_not_fit_fails_the_poll() -> None:
    """A cut answer ends in a short line; the lines are counted as an editor counts them."""
    assert "line 4 of the answer has 1 fields, the header has 2" in failure(b'a,b\n"1\n2",3\n4\n')
    assert "line 2 of the answer is not CSV" in failure(b'a,b\n1,"2')
    assert "line 2 of the answer is not CSV" in failure(b'a,b\n"1"x,2\n')


def test_what_is_no_csv_is_recognised() -> None:
    """One column would take any text for CSV; a page, binary data and nothing at all are not."""
    assert "HTML page" in failure(b"<!DOCTYPE html>\n<p>Log in")
    assert "NUL" in failure("a,b\n1,2\n".encode("utf-16-le"))
    assert "empty" in failure(b"\r\n")
    assert "not utf-8" in failure(b"a\n\xe9\n")


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" -7 ", -7), ("+3", 3), ("9" * 40, int("9" * 40)), ("1.50", 1.5), (".5", 0.5), ("5.", 5.0),
     ("1e3", 1000.0), ("", None), (" ", None), ("007", 7)],
)  # fmt: skip
def test_numbers_are_numbers_where_the_route_says_so(text: str, number: float | None) -> None:
    """Whole numbers stay exact, others are doubles, and an empty field is null."""
    [row] = read(f"n,s\n{text},{text}\n", numbers=["n"])
    assert row == {"n": number, "s": text}
    assert type(row["n"]) is type(number)


@pytest.mark.parametrize(
    "text", ["x", "nan", "inf", "1_000", "1 000", "0x1f", "1e999", "--1", "½", "٣", "1.2.3", "9" * 5000]
)
def test_what_is_no_number_fails_the_poll(text: str) -> None:
    """Line and column are named, the field is not shown."""
    detail = failure(f"s,n\nx,1\ny,{text}\n".encode(), numbers=["n"])
    assert detail == "line 3 of the answer: `n` is no number; mend `numbers`"


def test_thousands_are_never_guessed() -> None:
    """1,264 is a thousand here and one and a bit there; the route says which sign is decimal, and none separates."""
    assert "no number" in failure(b'n\n"1,264"\n', numbers=["n"])
    assert decode(b'n\n"1,264"\n', "", numbers=["n"], decimal=",") == [{"n": 1.264}]
    assert "no number" in failure(b"n\n1.264\n", numbers=["n"], decimal=",")


def test_a_column_of_numbers_must_exist() -> None:
    """A header that changed its mind is not met with strings in silence."""
    assert "no column `m`, which `numbers` names" in failure(b"n\n1\n", numbers=["n", "m"])


NAMES = st.lists(
    st.text("abcé |", min_size=1, max_size=5).map(str.strip).filter(bool), min_size=1, max_size=5, unique=True
)
CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)


@given(names=NAMES, data=st.data(), delimiter=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_is_read(names: list[str], data: st.DataObject, delimiter: str, end: str) -> None:
    """Any table that the standard library writes comes back, field by field."""
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=5))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([names, *rows])

    assert decode(text.getvalue().encode(), "", delimiter=delimiter) == [
        dict(zip(names, row, strict=True)) for row in rows
    ]
