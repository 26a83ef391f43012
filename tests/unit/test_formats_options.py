"""The options of a format are read with the file, so that none can fail at the first poll."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from pushgate.config.formats import Format

HTML = {"kind": "html", "items": "li", "fields": {"a": "b"}}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"kind": "csv", "delimiter": ";;"}, "`;;` must be one character"),
        ({"kind": "csv", "delimiter": '"'}, "must not be a quote or a line end, which CSV has a use for"),
        ({"kind": "csv", "delimiter": "\n"}, "must not be a quote or a line end, which CSV has a use for"),
        ({"kind": "text", "encoding": "cp9999"}, "`cp9999` is no encoding; write it like utf-8 or cp1252"),
        ({"kind": "text", "encoding": "base64"}, "`base64` is no encoding; write it like utf-8 or cp1252"),
        ({"kind": "xml", "encoding": "utf_7"}, "`utf_7` is no encoding; write it like utf-8 or cp1252"),
        ({"kind": "text", "regex": "[0-9]+"}, "`[0-9]+` names no group; write what you want of it like"),
        ({**HTML, "items": "li["}, "`li[` is no CSS selector; write it like `table.prices td.name`"),
        ({**HTML, "items": ""}, "`` is no CSS selector; write it like `table.prices td.name`"),
        ({**HTML, "fields": {"a": "> td@href"}}, "`> td` is no CSS selector; write it like `table.prices td.name`"),
        ({**HTML, "fields": {}}, "must not be empty"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_work_is_refused(section: Any, words: str) -> None:
    """The message says what is wrong with it, and how to write it."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Format).validate_python(section)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "section",
    [
        {"kind": "csv", "delimiter": "\t", "encoding": "latin-1", "decimal": ","},
        {"kind": "json", "lines": True},
        {**HTML, "fields": {"a": "", "b": "@id", "c": "a[title='x@y'] @href", "d": "td:nth-child(2)"}},
    ],
)
def test_an_option_that_works_is_read(section: Any) -> None:
    """An empty selector is the item itself."""
    assert TypeAdapter(Format).validate_python(section).kind == section["kind"]
