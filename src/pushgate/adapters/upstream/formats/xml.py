"""
XML as JSON, by a convention that every ``select`` relies on.

The document is an object with one member, the root element. An element is an object: its attributes are ``@name``, its
child elements are members, those that are repeated are one list, in their order; what ``force_list`` names is a list
even when it stands alone. The text of an element is ``#text``, or instead of an object the string itself where there
are neither attributes nor children. Text is stripped of white space around it; the pieces between children are joined.
An empty element is an empty string. Everything is a string.

Names are local names, without prefix or namespace, so elements that differ in their namespace only are one list;
attributes of one element that would get the same name keep their namespace. ``namespaces: keep`` makes Clark names of
all, ``{uri}name``. Comments, processing instructions and namespace declarations are left out; CDATA is text.

There is no DTD: a DOCTYPE is a failed poll, and so is every entity but the five of XML itself; nothing is ever loaded.
The answer to a SOAP or XML-RPC call that is a fault is a failed poll too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

from ....errors import PollError
from ....values import Json
from .charsets import is_html, opening_of, text_of
from .faults import refuse_fault
from .json import MAX_DEPTH
from .libraries import library

# With a list around each element, this is as deep as a JSON answer may be.
MAX_ELEMENTS_DEEP = MAX_DEPTH // 2

WHITE_SPACE = " \t\r\n"

_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{1,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")

# What libxml2 says to programmers is of no use to whoever reads the reason of a failed poll.
_HINT = re.compile(r",?\s*(?:use|try|see) (?:XML_PARSE_HUGE|xmlCtxt\w+)(?: option)?\.?\s*")


def decode(
    body: bytes,
    content_type: str,
    *,
    encoding: str | None = None,
    force_list: Collection[str] = (),
    keeps_namespaces: bool = False,
) -> Json:
    """Return the document; raises PollError(``decode``), or (``fail_if``) for a fault."""
    root = parse(body, content_type, encoding=encoding)
    if root.getroottree().docinfo.internalDTD is not None:
        raise PollError("decode", "the answer has a DOCTYPE, which is not read; it could make the answer anything")
    refuse_fault(root)
    name_of = str if keeps_namespaces else _local_name
    name, value = name_of(root.tag), _value(root, name_of, frozenset(force_list), MAX_ELEMENTS_DEEP)
    return {name: [value] if name in force_list else value}


def parse(body: bytes, content_type: str, *, encoding: str | None = None) -> Any:
    """
    Return the root element; raises PollError(``decode``) that says where the text stops being XML.

    No entity is replaced and nothing is loaded. A DOCTYPE passes; whoever calls decides about it.
    """
    etree = library("lxml.etree")
    declared = _DECLARATION.match(body)
    charset = declared[1].decode().lower() if declared else _silent_charset(body)
    text = text_of(body, content_type, encoding=encoding, declared=charset).lstrip(WHITE_SPACE)
    parser = etree.XMLParser(
        encoding="utf-8",  # whatever the declaration says: the text was decoded already
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as exc:
        raise PollError("decode", f"the answer {_problem(body, exc)}") from exc


def _silent_charset(body: bytes) -> str | None:
    """Recognise UTF-16 without a mark by its first character (XML 1.0 appendix F)."""
    return {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(body[:2])


def _problem(body: bytes, exc: Exception) -> str:
    opening = opening_of(body)
    if not opening:
        return "is empty"
    if is_html(opening):
        return "is an HTML page and not XML; is it a login or an error page?"
    if opening[0] in "{[":
        return "looks like JSON and not XML; try `format: json`"
    words = " ".join(_HINT.sub("", str(getattr(exc, "msg", None) or exc)).split())
    return f"is not XML: {words[:200]}"


@lru_cache(maxsize=512)
def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _value(element: Any, name_of: Callable[[str], str], force_list: Collection[str], room: int) -> Json:
    if not room:
        raise PollError("decode", f"the answer is nested more than {MAX_ELEMENTS_DEEP} elements deep")
    members = _attributes(element, name_of)
    text = element.text or ""
    for child in element:
        name, value = name_of(child.tag), _value(child, name_of, force_list, room - 1)
        present = members.get(name)
        if present is None:
            members[name] = [value] if name in force_list else value
        elif isinstance(present, list):
            present.append(value)
        else:
            members[name] = [present, value]
        if child.tail:
            text += child.tail
    text = text.strip(WHITE_SPACE)
    if not members:
        return text
    if text:
        members["#text"] = text
    return members


def _attributes(element: Any, name_of: Callable[[str], str]) -> dict[str, Json]:
    attributes = element.items()
    members: dict[str, Json] = {f"@{name_of(name)}": text for name, text in attributes}
    if len(members) < len(attributes):
        return {f"@{name}": text for name, text in attributes}
    return members
