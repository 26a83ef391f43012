"""How answers become JSON values: one module per format, and the choice among them."""

from __future__ import annotations

from functools import partial
from typing import assert_never

from ....config.formats import (
    AutoFormat,
    BinaryFormat,
    CsvFormat,
    FeedFormat,
    Format,
    HtmlFormat,
    JsonFormat,
    TextFormat,
    XmlFormat,
)
from ....refinery import Decoder
from ....routes import Route
from . import binary, csv, feed, html, json, text, xml
from .auto import AutoDecoder
from .libraries import is_installed
from .plain import PlainDecoder
from .recall import RecallingDecoder

# Formats that cannot be read with what pushgate always brings along.
_NEEDS = {"xml": ("lxml",), "feed": ("lxml", "feedparser"), "html": ("selectolax",)}


def decoder_of(section: Format, *, keeps_shape: bool) -> Decoder:
    """
    Return a decoder for one topic.

    ``keeps_shape``: the published document has the shape of the answer, so that what has not changed can be recalled.
    """
    match section:
        case AutoFormat():
            return AutoDecoder(keeps_shape=keeps_shape)
        case JsonFormat(lines=False) if keeps_shape:
            return RecallingDecoder()
        case JsonFormat():
            return PlainDecoder(partial(json.decode, lines=section.lines))
        case XmlFormat():
            return PlainDecoder(
                partial(
                    xml.decode,
                    encoding=section.encoding,
                    force_list=section.force_list,
                    keeps_namespaces=section.namespaces == "keep",
                )
            )
        case CsvFormat():
            return PlainDecoder(partial(csv.decode, **section.model_dump(exclude={"kind"})))
        case FeedFormat():
            return PlainDecoder(feed.decode)
        case HtmlFormat():
            return PlainDecoder(partial(html.decode, items=section.items, fields=section.fields))
        case TextFormat():
            return PlainDecoder(
                partial(text.decode, encoding=section.encoding, lines=section.lines, regex=text.pattern(section.regex))
            )
        case BinaryFormat():
            return PlainDecoder(binary.decode)
        case _:
            assert_never(section)


def decoder_for(route: Route) -> Decoder:
    """Return a decoder for one topic of a route."""
    return decoder_of(route.config.format, keeps_shape=route.recipe.keeps_shape)


def missing_library(section: Format) -> str | None:
    """Say what to install before answers of this format can be read; None if all is there."""
    missing = [name for name in _NEEDS.get(section.kind, ()) if not is_installed(name)]
    return f"`format: {section.kind}` needs {' and '.join(missing)}: install pushgate[formats]" if missing else None
