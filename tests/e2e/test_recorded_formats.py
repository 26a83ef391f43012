"""
Every body that real backends sent over whole series decodes, and has the same shape throughout.

The recordings are not part of the project: they are looked for in a folder beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jmespath
import pytest
from pydantic import TypeAdapter

from pushgate.adapters.upstream.formats import decoder_of
from pushgate.config.formats import Format
from pushgate.errors import PollError
from shared_data import shared


def answers(folder: Path) -> Iterator[tuple[bytes, str]]:
    """Yield body and Content-Type of each answer of a series; polls that got none are left out."""
    for path in sorted(folder.glob("[0-9]*")):
        if not re.fullmatch(r"\d+\.\w+", path.name):
            continue
        meta = path.with_name(f"{path.stem}.meta.json")
        told: Any = json.loads(meta.read_text()) if meta.exists() else {"status": 200, "headers": {}}
        if told["status"]:
            headers = {name.lower(): value for name, value in told["headers"].items()}
            yield path.read_bytes(), headers.get("content-type", "")


def documents(name: str, section: Any) -> list[Any]:
    """Decode a whole series as a route with this ``format:`` does."""
    decoder = decoder_of(TypeAdapter(Format).validate_python(section), keeps_shape=True)
    found = [decoder.decode(body, content_type) for body, content_type in answers(shared(f"realdata/{name}"))]
    assert len(found) >= 15
    return found


JSON_SERIES = [
    "usgs_quakes", "pge_outages", "ausgrid_unplanned", "ns_load", "energex_summary", "fpl_counties", "hn_submissions",
    "cafires_incidents", "ecobici_gbfs", "live_haproxy_json", "live_aria2_jsonrpc",
]  # fmt: skip


@pytest.mark.parametrize("name", JSON_SERIES)
def test_json_is_json(name: str) -> None:
    """``auto`` says what the standard library says."""
    decoder = decoder_of(TypeAdapter(Format).validate_python("auto"), keeps_shape=True)
    for body, content_type in answers(shared(f"realdata/{name}")):
        value = decoder.decode(body, content_type)
        assert value == json.loads(body)
        decoder.learn(value)


def test_haproxy_csv() -> None:
    """The header begins with ``# ``, every line ends with a comma, and a compound key tells the lines apart."""
    counters = ["scur", "stot", "hrsp_5xx"]
    for rows in documents("live_haproxy_csv", {"kind": "csv", "header_prefix": "# ", "numbers": counters}):
        keys = [(row["pxname"], row["svname"]) for row in rows]
        assert len(set(keys)) == len(keys) > 3
        assert all(isinstance(row["stot"], int) and isinstance(row["scur"], int) for row in rows)
        assert all(row["hrsp_5xx"] is None or isinstance(row["hrsp_5xx"], int) for row in rows)
        assert all(re.fullmatch(r"OPEN|(UP|DOWN)( \d/\d)?|no check", row["status"]) for row in rows)
        assert "" not in rows[0] and "column_1" not in rows[0]


def test_nyc_csv() -> None:
    """Quoted commas, exact counts, decimals."""
    numbers = ["lat", "lon", "COVID_CASE_COUNT", "PERCENT_POSITIVE"]
    for rows in documents("nyc_modzcta_csv", {"kind": "csv", "numbers": numbers}):
        keys = [row["MODIFIED_ZCTA"] for row in rows]
        assert len(set(keys)) == len(keys) > 170
        assert rows[0]["label"] == "10001, 10118"
        assert all(type(row["COVID_CASE_COUNT"]) is int and type(row["lat"]) is float for row in rows)


def test_monit_xml() -> None:
    """XML in ISO-8859-1, as text/xml, read by ``auto``."""
    for document in documents("live_monit_xml", "auto"):
        assert document["monit"]["server"]["version"] == "5.33.0"
        assert {service["@type"] for service in document["monit"]["service"]} <= set("0123456789")
        assert all(service["name"] for service in document["monit"]["service"])


def test_bind_xml() -> None:
    """Attributes beside text, lists of lists."""
    for document in documents("live_bind_xml", "auto"):
        opcodes = jmespath.search("statistics.server.counters[?\"@type\"=='opcode'].counter[] | [0]", document)
        assert opcodes["@name"] == "QUERY" and opcodes["#text"].isdigit()


def test_supervisor_xmlrpc() -> None:
    """XML-RPC is wordy, and still a ``select`` makes keyed items of it."""
    member = "struct.member[?name=='{}'].value.{} | [0]"
    select = jmespath.compile(
        "methodResponse.params.param.value.array.data.value[*]."
        f"{{name: {member.format('name', 'string')}, state: {member.format('statename', 'string')}}}"
    )
    states: set[str] = set()
    for document in documents("live_supervisor_xmlrpc", "auto"):
        rows = select.search(document)
        assert {row["name"] for row in rows} >= {"flappy", "ticker"}
        states.update(row["state"] for row in rows)
    assert "RUNNING" in states


def test_kml() -> None:
    """A default namespace, CDATA with HTML inside, and placemarks that come and go: always a list, if any."""
    ids: set[str] = set()
    for document in documents("essential_kml", {"kind": "xml", "force_list": ["Placemark", "Folder"]}):
        marks = jmespath.search("kml.Document.Folder[].Placemark[]", document) or []
        assert all(isinstance(mark["description"], str) and "<" in mark["description"] for mark in marks)
        ids.update(mark["@id"] for mark in marks)
    assert len(ids) > 50


def test_nginx_stub_status() -> None:
    """Three lines of counters become one object."""
    regex = (
        r"Active connections: (?P<active>\d+)\s+server accepts handled requests\s+"
        r"(?P<accepts>\d+) (?P<handled>\d+) (?P<requests>\d+)\s+"
        r"Reading: (?P<reading>\d+) Writing: (?P<writing>\d+) Waiting: (?P<waiting>\d+)"
    )
    for document in documents("live_nginx_stub", {"kind": "text", "regex": regex}):
        assert list(document) == ["active", "accepts", "handled", "requests", "reading", "writing", "waiting"]
        assert all(value.isdigit() for value in document.values())


def test_apache_server_status() -> None:
    """Lines of ``Key: value`` in ISO-8859-1 become items; the first line is none and is left out."""
    section = {"kind": "text", "lines": True, "regex": r"^(?P<name>[^:]+): (?P<value>.*)$"}
    for rows in documents("live_apache_auto", section):
        values = {row["name"]: row["value"] for row in rows}
        assert len(values) == len(rows) > 20
        assert values["ServerUptime"].endswith(" seconds")


def test_tor_exits() -> None:
    """One address a line, and nothing else."""
    for lines in documents("tor_exits_txt", {"kind": "text", "lines": True}):
        assert len(lines) > 1500
        assert all(re.fullmatch(r"[0-9.]+|[0-9a-f:]+", line) for line in lines)


def test_apfc_html() -> None:
    """Of 206 KB that are different at every fetch, a selector picks what rarely changes."""
    section = {"kind": "html", "items": "h2", "fields": {"text": ""}}
    series = documents("apfc_html", section)
    for items in series:
        texts = [item["text"] for item in items]
        assert "Total Fund Value" in texts
        assert any(re.fullmatch(r"\$[0-9,]+", text) for text in texts)
    changes = sum(before != after for before, after in pairwise(series))
    assert changes < len(series) - 1


def test_auto_refuses_the_page() -> None:
    """Without a format of its own, a page is never taken for data, whether or not its type says so."""
    decoder = decoder_of(TypeAdapter(Format).validate_python("auto"), keeps_shape=True)
    for body, _ in answers(shared("realdata/apfc_html")):
        for content_type in ("text/html; charset=UTF-8", "application/json", ""):
            with pytest.raises(PollError, match="HTML page"):
                decoder.decode(body, content_type)
