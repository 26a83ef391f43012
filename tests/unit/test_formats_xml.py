"""XML becomes JSON by one convention, no DTD is ever read, and a fault is a failed poll."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushgate.adapters.upstream.formats.xml import MAX_ELEMENTS_DEEP, decode
from pushgate.errors import PollError
from pushgate.values import Json


def failure(body: bytes, content_type: str = "text/xml", *, reason: str = "decode", **options: Any) -> str:
    with pytest.raises(PollError) as caught:
        decode(body, content_type, **options)
    assert caught.value.reason == reason
    return caught.value.detail


CONVENTION: list[tuple[str, Json]] = [
    ("<a>text</a>", {"a": "text"}),
    ("<a/>", {"a": ""}),
    ("<a>\n  text\n</a>", {"a": "text"}),
    ("<a>\u00a0</a>", {"a": "\u00a0"}),
    ("<a x='1'/>", {"a": {"@x": "1"}}),
    ("<a x='1'>text</a>", {"a": {"@x": "1", "#text": "text"}}),
    ("<a x=''>\n</a>", {"a": {"@x": ""}}),
    ("<a><b>1</b><c>2</c></a>", {"a": {"b": "1", "c": "2"}}),
    ("<a>\n  <b>1</b>\n  <c>2</c>\n  <b>3</b>\n</a>", {"a": {"b": ["1", "3"], "c": "2"}}),
    ("<a><b>1</b><b x='1'/><b><c/></b></a>", {"a": {"b": ["1", {"@x": "1"}, {"c": ""}]}}),
    ("<a>one <b>two</b> three<c/> four</a>", {"a": {"b": "two", "c": "", "#text": "one  three four"}}),
    ("<a><![CDATA[<b>1</b>]]> &amp; &#65;</a>", {"a": "<b>1</b> & A"}),
    ("<a>1<!-- 2 -->3<?four five?>6</a>", {"a": "136"}),
    ("<?xml version='1.0'?><!-- x --><?y z?><a/>", {"a": ""}),
    ("\n<?xml version='1.0'?><a/>", {"a": ""}),
    ("<x:a xmlns:x='u' x:b='1'><x:c/><c/></x:a>", {"a": {"@b": "1", "c": ["", ""]}}),
    ("<a xmlns:x='u' x:b='1' b='2' x:c='3'/>", {"a": {"@{u}b": "1", "@b": "2", "@{u}c": "3"}}),
    ("<a xmlns='u' xml:lang='fr'/>", {"a": {"@lang": "fr"}}),
]


@pytest.mark.parametrize(("text", "value"), CONVENTION, ids=[text for text, _ in CONVENTION])
def test_the_convention(text: str, value: Json) -> None:
    """Part of every ``select``, so part of the contract."""
    assert decode(text.encode(), "text/xml") == value


def test_elements_that_are_named_are_always_a_list() -> None:
    """So that one order reads like two; what is not there stays away."""
    body = b"<orders><order><line>1</line></order><order/></orders>"
    lines: dict[str, Json] = {"order": [{"line": ["1"]}, ""]}
    assert decode(body, "", force_list=["line"]) == {"orders": lines}
    assert decode(b"<orders><order/></orders>", "", force_list=["order"]) == {"orders": {"order": [""]}}
    assert decode(b"<orders/>", "", force_list=["orders"]) == {"orders": [""]}


def test_namespaces_can_be_kept() -> None:
    """Then every name is a Clark name, also for those elements that are always a list."""
    body = b"<x:a xmlns:x='u' x:b='1' c='2'><x:c/><c/></x:a>"
    assert decode(body, "", keeps_namespaces=True, force_list=["{u}c"]) == {
        "{u}a": {"@{u}b": "1", "@c": "2", "{u}c": [""], "c": ""}
    }


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        ("<a>é</a>".encode(), "text/xml", None),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>", "text/xml", None),
        (b"<?xml version='1.0' encoding='UTF-8'?><a>\xe9</a>", "text/xml; charset=iso-8859-1", None),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode(), "text/xml; charset=utf-8", None),
        ("\ufeff<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode(), "text/xml", None),
        ("<?xml version='1.0' encoding='utf-16'?><a>é</a>".encode("utf-16"), "text/xml; charset=us-ascii", None),
        ("<?xml version='1.0'?><a>é</a>".encode("utf-16-le"), "text/xml", None),
        ("<?xml version='1.0'?><a>é</a>".encode("utf-16-be"), "text/xml", None),
        (b"<?xml version='1.0' encoding='UTF-8'?><a>\xe9</a>", "text/xml; charset=utf-8", "cp1252"),
    ],
)
def test_mark_route_header_and_declaration_say_the_charset(
    body: bytes, content_type: str, encoding: str | None
) -> None:
    """In this order, which is that of RFC 7303 with the route's own word before it."""
    assert decode(body, content_type, encoding=encoding) == {"a": "é"}


def test_bytes_of_another_charset_fail_the_poll() -> None:
    """The reason names the charset and the place."""
    assert failure(b"<a>\xe9</a>") == "the answer is not utf-8: invalid continuation byte at byte 3"
    assert "unknown" in failure(b"<?xml version='1.0' encoding='nonsense'?><a/>")


BILLION_LAUGHS = (
    "<!DOCTYPE a [<!ENTITY e0 'lol'>" + "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 12)) + "]>"
).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE a><a/>",
        b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>",
        b"<!-- --><!DOCTYPE a PUBLIC '-//A' 'a.dtd'><a>&e;</a>",
        b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        b"<!DOCTYPE a [<!ATTLIST a b CDATA 'x'>]><a/>",
        BILLION_LAUGHS + b"<a/>",
        "\ufeff<?xml version='1.0'?><!DOCTYPE a><a/>".encode("utf-16"),
    ],
)
def test_a_doctype_fails_the_poll(body: bytes) -> None:
    """It could put anything into the document, and no API needs one."""
    assert "DOCTYPE" in failure(body)


@pytest.mark.parametrize("body", [b"<a>&e11;</a>", b"<a b='&e11;'/>"])
def test_entities_are_never_unfolded(body: bytes) -> None:
    """A billion laughs end before the first."""
    assert failure(BILLION_LAUGHS + body)


def test_no_file_is_read(tmp_path: Path) -> None:
    """An entity or a DTD that names a file of ours brings none of it."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    for body in (f"<!DOCTYPE a [<!ENTITY e SYSTEM '{secret.as_uri()}'>]><a b='1'>&e;</a>",
                 f"<!DOCTYPE a SYSTEM '{secret.as_uri()}'><a>&e;</a>",
                 f"<!DOCTYPE a [<!ENTITY % e SYSTEM '{secret.as_uri()}'> %e;]><a/>"):  # fmt: skip
        assert "s3cret" not in failure(body.encode())


def test_includes_are_not_followed(tmp_path: Path) -> None:
    """An XInclude is an element like any other."""
    (tmp_path / "secret").write_text("s3cret")
    href = (tmp_path / "secret").as_uri()
    body = f"<a xmlns:i='http://www.w3.org/2001/XInclude'><i:include href='{href}' parse='text'/></a>"
    assert decode(body.encode(), "") == {"a": {"include": {"@href": href, "@parse": "text"}}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<a><b>", "Premature end"),
        (b"<a><b></a>", "mismatch: b line 1 and a"),
        (b"<a/><b/>", "Extra content"),
        (b"<a>&nbsp;</a>", "Entity 'nbsp' not defined"),
        (b"<a>\x0b</a>", "invalid Char"),
        (b"<x:a/>", "prefix x on a is not defined"),
        (b"just text", "Start tag expected"),
        (b" \r\n", "the answer is empty"),
        (b"<!DOCTYPE html><p>log in<br>", "HTML page"),
        (b'{"a": 1}', "looks like JSON"),
    ],
)
def test_what_is_no_xml_fails_the_poll(body: bytes, words: str) -> None:
    """The reason says what it is, or where it stops being XML."""
    assert words in failure(body)


def test_limits_are_told_in_plain_words() -> None:
    """Nesting and the length of a text have limits; no advice for programmers stands in the reason."""
    deep = b"<a>" * MAX_ELEMENTS_DEEP + b"</a>" * MAX_ELEMENTS_DEEP
    assert decode(deep, "")
    for levels in (1, 1000):
        detail = failure(b"<a>" * levels + deep + b"</a>" * levels)
        assert "nested" in detail or "depth" in detail
        assert "XML_PARSE_HUGE" not in detail
    detail = failure(b"<a>" + b"x" * 10_000_001 + b"</a>")
    assert "Text node too long" in detail and "XML_PARSE_HUGE" not in detail


SOAP_11 = """<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>"""
SOAP_12 = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{}</s:Body></s:Envelope>"""


def test_a_soap_fault_fails_the_poll() -> None:
    """Whatever the status was: code and text are the reason, cut at 200 characters."""
    body = SOAP_11.format(
        "<s:Fault><faultcode>s:Server</faultcode><faultstring>no\n such order</faultstring></s:Fault>"
    )
    assert failure(body.encode(), reason="fail_if") == "the upstream answered with a fault: s:Server: no such order"
    body = SOAP_12.format(
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>"
        "<s:Reason><s:Text xml:lang='en'>too late</s:Text></s:Reason><s:Detail>password=1</s:Detail></s:Fault>"
    )
    assert failure(body.encode(), reason="fail_if") == "the upstream answered with a fault: s:Sender: too late"
    body = SOAP_11.format(f"<s:Fault><faultstring>{'x' * 999}</faultstring></s:Fault>")
    assert len(failure(body.encode(), reason="fail_if")) == 200
    assert failure(SOAP_11.format("<s:Fault/>").encode(), reason="fail_if")


def test_a_soap_answer_reads_as_it_is_written() -> None:
    """Prefixes vary from server to server; names do not."""
    body = SOAP_11.format("<m:GetOrdersResponse xmlns:m='urn:o'><Order>1</Order><Fault/></m:GetOrdersResponse>")
    assert decode(body.encode(), "text/xml") == {
        "Envelope": {"Body": {"GetOrdersResponse": {"Order": "1", "Fault": ""}}}
    }


def test_an_xmlrpc_fault_fails_the_poll() -> None:
    """An answer with parameters is none."""
    member = "<member><name>{}</name><value>{}</value></member>"
    members = member.format("faultCode", "<int>4</int>") + member.format("faultString", "<string>BAD_NAME</string>")
    fault = f"<methodResponse><fault><value><struct>{members}<member/></struct></value></fault></methodResponse>"
    assert failure(fault.encode(), reason="fail_if") == "the upstream answered with a fault: 4: BAD_NAME"
    answer = b"<methodResponse><params><param><value>1</value></param></params></methodResponse>"
    assert decode(answer, "") == {"methodResponse": {"params": {"param": {"value": "1"}}}}


NAMES = st.sampled_from(["a", "b", "c-d", "é", "_x.1"])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=6)
TREES: st.SearchStrategy[Any] = st.recursive(
    st.tuples(st.dictionaries(NAMES, TEXTS, max_size=2), TEXTS, st.just([])),
    lambda trees: st.tuples(
        st.dictionaries(NAMES, TEXTS, max_size=2), TEXTS, st.lists(st.tuples(NAMES, trees, TEXTS), max_size=4)
    ),
    max_leaves=12,
)


def written(name: str, tree: Any) -> str:
    attributes, text, children = tree
    inner = escape(text) + "".join(written(child, below) + escape(tail) for child, below, tail in children)
    return f"<{name}{''.join(f' {key}={quoteattr(value)}' for key, value in attributes.items())}>{inner}</{name}>"


def converted(tree: Any) -> Any:
    """The convention once more, in other words."""
    attributes, text, children = tree
    found: dict[str, Any] = {f"@{key}": value for key, value in attributes.items()}
    for name in {child for child, _, _ in children}:
        values = [converted(below) for child, below, _ in children if child == name]
        found[name] = values if len(values) > 1 else values[0]
    words = (text + "".join(tail for _, _, tail in children)).strip(" \t\r\n")
    return ({**found, "#text": words} if words else found) if found else words


@given(name=NAMES, tree=TREES)
def test_any_tree_is_converted_by_the_convention(name: str, tree: Any) -> None:
    """Elements, attributes and text in any arrangement."""
    assert decode(written(name, tree).encode(), "text/xml") == {name: converted(tree)}
